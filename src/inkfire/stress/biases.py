"""Bias probes: changes that leave the writing as good as it was, or worse, and what they do to a judge.

Each probe makes another version of a text. A judge of writing should not be moved up by one; a flip to good is the bias
that a policy would learn to exploit. Flips to bad are shown beside it: padding and foreign words do make a text worse.

    length      two sentences that fit everybody, at the end
    decoration  emoji and exclamation marks
    authority   a line that says who praised the text
    language    some words in another language

Every change is deterministic given the seed. What is put in is meant to be no order to the judge (``judge/guard.py``).

    changed = PROBES["decoration"]("Happy birthday, Ann. The dog says hi.", "en", random.Random(0))
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

from inkfire.errors import DataError
from inkfire.judge.calibration import raw_score
from inkfire.records import Candidate, Comparison, Labelled, Verdict
from inkfire.settings import Strict, load_toml
from inkfire.stats.intervals import bootstrap_mean_difference
from inkfire.stats.twins import rate

Change = Callable[[str, str, random.Random], str]


class _Words(Strict):
    """probes.toml: what is put in, by language."""

    emoji: tuple[str, ...]
    padding: dict[str, tuple[str, ...]]
    authority: dict[str, tuple[str, ...]]
    foreign: dict[str, dict[str, str]]


@lru_cache(maxsize=1)
def _words() -> _Words:
    with as_file(files("inkfire.stress").joinpath("probes.toml")) as path:
        return load_toml(path, _Words, error=DataError)


def _padded(text: str, language: str, rng: random.Random) -> str:
    gap = "" if language == "zh" else " "
    return gap.join([text, *rng.sample(_of(_words().padding, language), 2)])


def _decorated(text: str, language: str, rng: random.Random) -> str:
    first, *rest = rng.sample(_words().emoji, 4)
    marks = "！！！" if language == "zh" else "!!!"
    return f"{first} {re.sub(r'[.!?。！？]+$', '', text.rstrip())}{marks} {''.join(rest)}"


def _authorised(text: str, language: str, rng: random.Random) -> str:
    return f"{text}\n{rng.choice(_of(_words().authority, language))}"


def _mixed(text: str, language: str, rng: random.Random) -> str:
    """Up to three of its words in another language; a text that has none of the listed ones ends with one."""
    words = _of(_words().foreign, language)
    edge = "" if language == "zh" else r"\b"
    present = [word for word in words if re.search(f"{edge}{word}{edge}", text)]
    for word in rng.sample(present, min(3, len(present))):
        other = f" {words[word]} " if language == "zh" else words[word]
        text = re.sub(f"{edge}{word}{edge}", other, text, count=1)
    return text if present else f"{text} {rng.choice(list(words.values()))}"


def _of(lists: dict[str, Any], language: str) -> Any:
    """A language that has no list of its own takes English."""
    return lists.get(language, lists["en"])


PROBES: dict[str, Change] = {
    "length": _padded,
    "decoration": _decorated,
    "authority": _authorised,
    "language": _mixed,
}


def changed(name: str, texts: Sequence[Candidate | Labelled], language: str, seed: int) -> list[Candidate]:
    """Every text under a probe; what is drawn depends on the seed and on the text, not on its place in the file."""
    out = []
    for text in texts:
        rng = random.Random(f"{seed} {name} {text.query} {text.response}")
        out.append(Candidate(text.query, PROBES[name](text.response, language, rng)))
    return out


def measure_probe(
    name: str, queries: Sequence[str], before: Sequence[Verdict], after: Sequence[Verdict], seed: int
) -> dict[str, Any]:
    """``NAME_flip_rate`` with its directions, and ``NAME_shift``, the mean change of P(Good).

    Over the texts that have both verdicts (``NAME_n``), clustered by query. A judge that gives labels only shifts by
    its labels.
    """
    pairs = [
        (query, old, new) for query, old, new in zip(queries, before, after, strict=True) if old.scored and new.scored
    ]
    out: dict[str, Any] = {f"{name}_n": len(pairs), f"{name}_unscored": len(before) - len(pairs)}
    for what, start in (("flip_rate", None), ("to_good", 0), ("to_bad", 1)):
        part = [row for row in pairs if start is None or row[1].label == start]
        out |= rate(f"{name}_{what}", [old.label != new.label for _, old, new in part], [row[0] for row in part])
    shift = bootstrap_mean_difference(
        [raw_score(new) or 0.0 for _, _, new in pairs],
        [raw_score(old) or 0.0 for _, old, _ in pairs],
        [query for query, _, _ in pairs],
        seed,
    )
    out |= shift.named(f"{name}_shift")
    return out | {f"{name}_injections": sum(bool(verdict.injection) for verdict in after)}


def measure_order(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """``order_flip_rate``: pairs of which the other order gave the other answer. There is no probability to shift."""
    told = [comparison for comparison in comparisons if comparison.winner is not None]
    out: dict[str, Any] = {"order_n": len(told), "order_unscored": len(comparisons) - len(told)}
    return out | rate("order_flip_rate", [comparison.winner == "tie" for comparison in told])


def order_pairs(texts: Sequence[Candidate | Labelled], limit: int) -> list[tuple[str, str, str]]:
    """(query, one text, another): neighbouring texts of each query that has two, at most ``limit``."""
    by_query: dict[str, list[str]] = {}
    for text in texts:
        by_query.setdefault(text.query, []).append(text.response)
    return [(query, own[0], own[1]) for query, own in by_query.items() if len(own) > 1 and own[0] != own[1]][:limit]


def measure_self_preference(
    texts: Sequence[Candidate | Labelled], sources: Sequence[str], verdicts: Sequence[Verdict], model: str, seed: int
) -> dict[str, Any]:
    """``self_preference_shift``: P(Good) of the judge's own texts minus that of others', within a query.

    Where texts are labelled, the same difference of the labels is taken off: what is left is preference. None, with why
    in ``self_preference``, where the sources do not say.
    """
    groups: dict[str, tuple[list[float], list[float]]] = {}
    for text, source, verdict in zip(texts, sources, verdicts, strict=True):
        score = raw_score(verdict)
        if score is not None and source:
            worth = score - (text.label if isinstance(text, Labelled) else 0)
            groups.setdefault(text.query, ([], []))[0 if _same_model(source, model) else 1].append(worth)
    both = {query: group for query, group in groups.items() if all(group)}
    if not both:
        why = f"not measured: no query has texts with source {model!r} and texts with another source"
        return {"self_preference": why, "self_preference_shift": None, "self_preference_shift_ci": None}
    own, others = ([sum(group[side]) / len(group[side]) for group in both.values()] for side in (0, 1))
    shift = bootstrap_mean_difference(own, others, list(both), seed)
    return {
        "self_preference": "adjusted for labels" if isinstance(texts[0], Labelled) else "not adjusted for quality",
        "self_preference_n": len(both),
    } | shift.named("self_preference_shift")


def _same_model(source: str, model: str) -> bool:
    """A policy trained from the judge's model is not the judge: names must agree, ``local/`` aside."""
    return source.removeprefix("local/") == model.removeprefix("local/")
