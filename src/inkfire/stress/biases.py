"""Bias probes: changes that leave the writing as good as it was, or worse, and what they do to a judge.

Each probe makes another version of a text. A judge of writing should not be moved up by one; a flip to good is the bias
that a policy would learn to exploit. Flips to bad are shown beside it: padding and foreign words do make a text worse.

    length      two sentences of other bad texts of the task, at the end
    decoration  emoji and exclamation marks
    authority   a line that says who praised the text
    language    some words in another language

Every change is deterministic given the seed. What is put in is meant to be no order to the judge (``judge/guard.py``).

    material = Material.of(task.language, task.labelled())
    changed = PROBES["decoration"]("Happy birthday, Ann. The dog says hi.", material, random.Random(0))
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any, Self

from inkfire.errors import DataError, InputError
from inkfire.judge.calibration import raw_score
from inkfire.records import Candidate, Comparison, Labelled, Verdict
from inkfire.settings import Strict, load_toml
from inkfire.stats.intervals import bootstrap_mean_difference
from inkfire.stats.twins import rate

_UNSPACED = ("zh", "ja", "th", "lo", "km", "my")
_SENTENCES = re.compile(r"(?<=[.!?…。！？।؟۔])\s*|\n+")
_MIN_SENTENCE, _ADDED = 6, 2


@dataclass(frozen=True)
class Material:
    """What a text of a task is changed with: the words of its language, and sentences of its bad texts as padding."""

    language: str
    padding: tuple[str, ...]

    @classmethod
    def of(cls, language: str, texts: Iterable[Candidate | Labelled]) -> Self:
        bad = [text.response for text in texts if isinstance(text, Labelled) and text.label == 0]
        sentences = (sentence.strip() for response in bad for sentence in _SENTENCES.split(response))
        return cls(language, tuple(dict.fromkeys(one for one in sentences if len(one) >= _MIN_SENTENCE)))

    @property
    def gap(self) -> str:
        return "" if self.language in _UNSPACED else " "


Change = Callable[[str, Material, random.Random], str]


class _Words(Strict):
    """probes.toml: what is put in, by language."""

    emoji: tuple[str, ...]
    authority: dict[str, tuple[str, ...]]
    foreign: dict[str, dict[str, str]]


@lru_cache(maxsize=1)
def _words() -> _Words:
    with as_file(files("inkfire.stress").joinpath("probes.toml")) as path:
        return load_toml(path, _Words, error=DataError)


def _padded(text: str, material: Material, rng: random.Random) -> str:
    others = [sentence for sentence in material.padding if sentence not in text]
    if len(others) < _ADDED:
        raise InputError(
            "nothing to pad a text with: the length probe takes sentences of other bad texts of the task; label some "
            "with 0 in its labelled.jsonl"
        )
    return material.gap.join([text, *rng.sample(others, _ADDED)])


def _decorated(text: str, material: Material, rng: random.Random) -> str:
    first, *rest = rng.sample(_words().emoji, 4)
    marks = "！！！" if material.language == "zh" else "!!!"
    return f"{first} {re.sub(r'[.!?。！？]+$', '', text.rstrip())}{marks} {''.join(rest)}"


def _authorised(text: str, material: Material, rng: random.Random) -> str:
    return f"{text}\n{rng.choice(_of(_words().authority, material.language))}"


def _mixed(text: str, material: Material, rng: random.Random) -> str:
    """Up to three of its words in another language; a text that has none of the listed ones ends with one."""
    words = _of(_words().foreign, material.language)
    edge, beside = ("", " ") if material.language == "zh" else (r"\b", "")
    present = [word for word in words if re.search(f"{edge}{word}{edge}", text)]
    for word in rng.sample(present, min(3, len(present))):
        text = re.sub(f"{edge}{word}{edge}", f"{beside}{words[word]}{beside}", text, count=1)
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


def changed(name: str, texts: Sequence[Candidate | Labelled], material: Material, seed: int) -> list[Candidate]:
    """Every text under a probe; what is drawn depends on the seed and on the text, not on its place in the file.

    Raises:
        InputError: there is nothing to pad a text with.
    """
    out = []
    for text in texts:
        rng = random.Random(f"{seed} {name} {text.query} {text.response}")
        out.append(Candidate(text.query, PROBES[name](text.response, material, rng)))
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
