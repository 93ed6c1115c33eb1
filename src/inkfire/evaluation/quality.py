"""What a set of texts is like, whoever likes it: length, diversity, novelty.

A reward can be gamed by copying the training data or by writing one text for every query; these numbers show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inkfire.stats import texts

COPIED_AT = 0.5
"""A text counts as copied when its longest common substring with one training text covers this share of it."""


def describe(responses: Sequence[str], corpus: Sequence[str]) -> dict[str, Any]:
    """Quality of one policy's ``responses`` (one a query) against the training texts in ``corpus``.

    ``distinct_n`` (Li et al. 2016): distinct n-grams over all n-grams of the whole set. ``novelty`` is one minus
    the mean share of a text that its longest common substring with any training text covers; ``copied`` the share
    of texts for which it covers at least half.
    """
    written = [text for text in responses if text.strip()]
    shares = texts.copied_share(written, corpus, min_chars=6) if written and corpus else []
    return {
        "mean_length": sum(len(text) for text in responses) / max(1, len(responses)),
        "empty": len(responses) - len(written),
        "distinct_1": texts.distinct(written, 1),
        "distinct_2": texts.distinct(written, 2),
        "distinct_texts": len(set(written)) / max(1, len(responses)),
        "novelty": 1 - sum(shares) / len(shares) if shares else None,
        "copied": sum(share >= COPIED_AT for share in shares) / len(shares) if shares else None,
    }
