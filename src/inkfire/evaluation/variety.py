"""What policies' texts are like, whoever likes them: length, variety, stock phrases, and what they have from elsewhere.

A reward can be gamed by copying the training data, by one text for every query or by strung phrases that it loves;
these numbers show it. Variety is compared at equal length and of as many texts (``stats/variety.py``). Each number has
its interval, and texts of a query count as one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from inkfire.evaluation.texts import Text, Texts
from inkfire.stats import variety
from inkfire.stats.slop import Slop
from inkfire.stats.texts import distinct
from inkfire.stats.twins import rate
from inkfire.stats.variety import EqualLength, mean_of

COPIED_AT = 0.5
"""A text counts as copied when its longest piece that a training text has covers this share of it."""
_SHOWN, _PHRASES = 3, 5
_REPEATS = (1, 2, 3, 4)


def describe(texts: Texts, seed: int) -> dict[str, dict[str, Any]]:
    """Policy → ``mean_length``, ``empty``, ``distinct_1`` and ``_2`` of whole texts, ``distinct_texts``; ``variety`` at
    equal length; ``slop`` (stock phrases a hundred units); ``copied``, ``novelty`` and ``nearest`` against the corpus,
    with the ``longest_copy`` and the ``nearest_texts``. What nothing is known of is None."""
    cut = variety.equal_length(
        {name: [(row.query, row.text) for row in texts.of(name)] for name in texts.written}, seed
    )
    slop = Slop(texts.slop)
    return {
        name: _whole(texts.of(name))
        | {"variety": _varied(cut, name)}
        | _stock(slop, texts.of(name))
        | _copies(texts, name)
        for name in texts.written
    }


def _whole(rows: Sequence[Text]) -> dict[str, Any]:
    written = [row.text for row in rows if row.text.strip()]
    lengths = _by_query(rows, [float(len(row.text)) for row in rows])
    return {
        "mean_length": fmean(len(row.text) for row in rows) if rows else 0.0,
        "mean_length_ci": mean_of(lengths, len(rows)).named("at")["at_ci"],
        "empty": len(rows) - len(written),
        "distinct_1": distinct(written, 1),
        "distinct_2": distinct(written, 2),
        "distinct_texts": len(set(written)) / max(1, len(rows)),
    }


def _varied(cut: EqualLength, name: str) -> dict[str, Any] | None:
    """None for texts that are too few, or too short to be cut to what others have."""
    if name not in cut.of:
        return None
    texts = cut.of[name]
    share, phrases = variety.templates(texts)
    out: dict[str, Any] = {"units": cut.units, "texts": cut.texts}
    for n in (1, 2):
        out |= variety.distinct(texts, n).named(f"distinct_{n}")
    out |= variety.self_bleu(texts).named("self_bleu") | variety.opening_entropy(texts).named("opening_entropy")
    out |= share.named("templates") | {"template_phrases": [[phrase, of] for phrase, of in phrases]}
    for n in _REPEATS:
        out |= variety.repetition(texts, n).named(f"repeated_{n}")
    return out


def _stock(slop: Slop, rows: Sequence[Text]) -> dict[str, Any]:
    """Stock phrases, where there is a list for the language."""
    if not slop or not rows:
        return {"slop": None, "slop_ci": None, "slop_texts": None, "slop_texts_ci": None, "slop_phrases": []}
    found = [slop.found(row.text) for row in rows]
    held = Counter(phrase for phrases in found for phrase in set(phrases))
    per_hundred = _by_query(rows, [slop.per_hundred(row.text) for row in rows])
    out = mean_of(per_hundred, len(rows)).named("slop")
    out |= rate("slop_texts", [float(bool(phrases)) for phrases in found], [row.query for row in rows])
    return out | {"slop_phrases": [[phrase, n / len(rows)] for phrase, n in held.most_common(_PHRASES)]}


def copied_shares(texts: Texts, policy: str) -> list[float]:
    """Of each text the share that its longest piece of a training text covers."""
    copies = zip(texts.copies(policy), texts.of(policy), strict=True)
    return [copy.length / max(1, len(row.text)) for copy, row in copies]


def _copies(texts: Texts, name: str) -> dict[str, Any]:
    rows = texts.of(name)
    names = ("copied", "copied_ci", "novelty", "novelty_ci", "nearest", "nearest_ci", "longest_copy")
    if not rows or not texts.corpus:
        return dict.fromkeys(names) | {"nearest_texts": []}
    copies, shares, alike = texts.copies(name), copied_shares(texts, name), texts.alike(name)
    out = rate("copied", [float(share >= COPIED_AT) for share in shares], [row.query for row in rows])
    out |= mean_of(_by_query(rows, [1 - share for share in shares]), len(rows)).named("novelty")
    out |= mean_of(_by_query(rows, [similar for similar, _ in alike]), len(rows)).named("nearest")
    at = max(range(len(rows)), key=lambda i: copies[i].length)
    out["longest_copy"] = {
        "characters": copies[at].length,
        "piece": copies[at].piece,
        "query": texts.asked[rows[at].query],
        "response": rows[at].text,
    }
    order = sorted(range(len(rows)), key=lambda i: -alike[i][0])[:_SHOWN]
    out["nearest_texts"] = [
        {
            "similarity": alike[i][0],
            "query": texts.asked[rows[i].query],
            "response": rows[i].text,
            "training": texts.corpus[place],
        }
        for i in order
        if (place := alike[i][1]) is not None
    ]
    return out


def _by_query(rows: Sequence[Text], values: Sequence[float]) -> Mapping[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        found[row.query].append(value)
    return found
