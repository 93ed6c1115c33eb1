"""The reward of a training: what a recipe's ``[[rewards]]`` table, or ``train grpo --reward …``, asks for.

``score`` says who scores; the rest keeps a policy from finding what that overrates: checks before, length out, fluency
and relevance by a frozen model beside, diversity within a group and novelty across prompts after. The order is
``group.py``'s. Outside a group (``inkfire score``, ``--best-of``) the parts stay as they are.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Annotated, Literal, Protocol

from annotated_types import Ge, Le

from inkfire.records import Identity
from inkfire.rewards import group
from inkfire.rewards.base import Reward, why_unscored
from inkfire.rewards.checks import Checks
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.phrases import Phrases
from inkfire.settings import option, settings

Weight = Annotated[float, Ge(0)]


@settings
class Shaping:
    """What keeps a reward honest. All of it is off where nothing is said."""

    checks: Annotated[tuple[str, ...], option("--check")] = ()
    """What a text has to be (see inkfire check --help); repeatable."""
    fluency: Weight = 0.0
    """Weight of the likelihood under the frozen base, flat above what the start policy's better samples have."""
    relevance: Weight = 0.0
    """Weight of answering its own query better than others, by the same model, flat above likewise."""
    diversity: Annotated[float, Ge(0), Le(1)] = 0.0
    """How far being like the others of its group lowers a text."""
    novelty: Weight = 0.0
    """How far phrases lower a text that grew frequent across prompts."""
    length: Literal["raw", "rescale"] = "raw"
    """rescale: take what length explains within the group out of the reward."""
    mix: Literal["standardise", "raw"] = "standardise"
    """How the parts of a sum are put together: by their spread in the group, or as they are."""

    @property
    def needed(self) -> bool:
        """Whether anything is asked for that looks at the group."""
        return bool(
            self.checks or self.fluency or self.relevance or self.diversity or self.novelty or self.length == "rescale"
        )


class Reader(Protocol):
    """A frozen model that reads (models/likelihood.py)."""

    def per_token(self, queries: Sequence[str], responses: Sequence[str]) -> list[float | None]: ...

    def relevance(
        self, queries: Sequence[str], responses: Sequence[str], others: Sequence[Sequence[str]]
    ) -> list[float | None]: ...


@dataclass(frozen=True)
class Start:
    """What the start policy writes: the measure of fluency, relevance and novelty.

    Args:
        fluency, relevance: where each flattens; None where it is not asked for.
        queries: others that a text is held against.
    """

    responses: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    fluency: float | None = None
    relevance: float | None = None


@dataclass
class Shaped:
    """A reward that looks at the group; see ``group.py`` for the order. It remembers: length's slope, spread phrases.

    ``flat`` counts, by part, the groups that it did not tell apart, ``failed`` the texts by the check they failed.
    """

    reward: Reward
    shaping: Shaping
    checks: Checks = Checks()
    reader: Reader | None = None
    start: Start = Start()
    seed: int = 0
    flat: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    threshold = None

    def __post_init__(self) -> None:
        self.slope = group.LengthSlope()
        self.phrases = Phrases(self.start.responses)

    @property
    def name(self) -> str:
        return self.reward.name

    @property
    def identities(self) -> tuple[Identity, ...]:
        return self.reward.identities

    @property
    def unscored(self) -> Counter[str]:
        return why_unscored(self.reward)

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        """Scores of whole groups: the texts of a query stand side by side."""
        failures = self.checks.failures(queries, responses, truncated)
        self.failed.update(name for names in failures for name in names)
        passing = [i for i, names in enumerate(failures) if not names]
        asked = self._asked([queries[i] for i in passing], [responses[i] for i in passing])
        rows = [{name: column[at] for name, column in asked.items()} for at in range(len(passing))]
        parts = dict(zip(passing, rows, strict=True))
        self.slope.fade()
        self.phrases.see(queries, responses)
        values: dict[int, float | None] = {}
        groups = [[i for i in members if i in parts] for members in _groups(queries)]
        mixed = [self._mixed([parts[i] for i in members]) for members in groups]
        for members, scores in zip(groups, mixed, strict=True):
            self.slope.see([responses[i] for i in members], scores)
        for members, scores in zip(groups, mixed, strict=True):
            of_group = [parts[i] for i in members]
            values |= dict(zip(members, self._ordered(members, scores, of_group, queries, responses), strict=True))
        out: list[float | None] = []
        for members in _groups(queries):
            out += group.with_failed([values.get(i) for i in members], [len(failures[i]) for i in members])
        return out

    def _asked(self, queries: Sequence[str], responses: Sequence[str]) -> dict[str, group.Scores]:
        """Every part's scores of the texts that pass."""
        shaping, reader = self.shaping, self.reader
        columns: dict[str, group.Scores] = {}
        for number, (_, part) in enumerate(self._parts()):
            columns[f"part {number}"] = part.score(queries, responses)
        if shaping.fluency and reader is not None:
            columns["fluency"] = _flattened(reader.per_token(queries, responses), self.start.fluency)
        if shaping.relevance and reader is not None:
            others = [self._others(query, response) for query, response in zip(queries, responses, strict=True)]
            columns["relevance"] = _flattened(reader.relevance(queries, responses, others), self.start.relevance)
        return columns

    def _parts(self) -> tuple[tuple[float, Reward], ...]:
        return self.reward.parts if isinstance(self.reward, Mixture) else ((1.0, self.reward),)

    def _others(self, query: str, response: str) -> list[str]:
        """Three queries of the training that are not this one; the same for the same text."""
        pool = [other for other in self.start.queries if other != query]
        return random.Random(f"{self.seed} {query} {response}").sample(pool, min(3, len(pool)))

    def _column(self, name: str, rows: Sequence[dict[str, float | None]]) -> list[float | None]:
        """A part within the group, standardised."""
        column = [row[name] for row in rows]
        if group.flat(column):
            self.flat[name] += 1
        return group.standardised(column)

    def _mixed(self, rows: Sequence[dict[str, float | None]]) -> list[float | None]:
        """What the score says of the texts of a group."""
        parts = self._parts()
        names = [f"part {number}" for number in range(len(parts))]
        if self.shaping.mix == "raw":
            columns = [[row[name] for row in rows] for name in names]
        else:
            columns = [self._column(name, rows) for name in names]
        if isinstance(self.reward, Mixture) and self.reward.how == "min":
            return group.least(columns)
        return group.added([(weight, column) for (weight, _), column in zip(parts, columns, strict=True)])

    def _ordered(
        self,
        members: Sequence[int],
        scores: group.Scores,
        rows: Sequence[dict[str, float | None]],
        queries: Sequence[str],
        responses: Sequence[str],
    ) -> list[float | None]:
        """From the mixed scores of the texts of a group that pass to their rewards."""
        texts, shaping = [responses[i] for i in members], self.shaping
        if shaping.length == "rescale":
            scores = self.slope.taken_out(texts, scores)
        beside = [("fluency", shaping.fluency), ("relevance", shaping.relevance)]
        more = [(weight, self._column(name, rows)) for name, weight in beside if rows and name in rows[0]]
        ranks = group.ranked(group.added([(1.0, scores), *more]))
        if shaping.diversity:
            ranks = group.thinned(ranks, group.own_share(texts), shaping.diversity)
        if not shaping.novelty:
            return list(ranks)
        grown = [self.phrases.growth(queries[i], responses[i]) for i in members]
        return [
            None if rank is None else rank - shaping.novelty * much for rank, much in zip(ranks, grown, strict=True)
        ]

    def close(self) -> None:
        self.reward.close()


def _flattened(scores: group.Scores, level: float | None) -> list[float | None]:
    """Scores that rise to a level and are flat above."""
    return [score if score is None or level is None else min(score, level) for score in scores]


def _groups(queries: Sequence[str]) -> list[list[int]]:
    """The places of the texts of each query that stand side by side."""
    return [[i for i, _ in members] for _, members in groupby(enumerate(queries), key=lambda one: one[1])]
