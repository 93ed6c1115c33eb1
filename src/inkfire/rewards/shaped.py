"""The reward of a training: what a recipe's ``[[rewards]]`` table, or ``train grpo --reward …``, asks for.

``score`` says who scores; the rest keeps a policy from finding what that overrates: checks before, length out, fluency
and relevance by a frozen model beside, diversity within a group and novelty across prompts after. The order is
``group.py``'s. Outside a group (``inkfire score``, ``--best-of``) the parts stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from inkfire.records import Identity
from inkfire.rewards import group
from inkfire.rewards.base import PAIRS_PER_TEXT, Among, Reward, why_unscored
from inkfire.rewards.checks import FLUENT, Checks
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.phrases import Phrases
from inkfire.rewards.reading import Reader, Start, relevance
from inkfire.settings import option, settings

Weight = Annotated[float, Ge(0)]


@settings
class Within:
    """What looks at the texts of a group alone."""

    checks: Annotated[tuple[str, ...], option("--check")] = ()
    """What a text has to be, as length:20..90 or fluent (inkfire check --help); repeatable."""
    diversity: Annotated[float, Ge(0), Le(1)] = 0.0
    """How far being like the others of its group lowers a text."""
    length: Literal["raw", "rescale"] = "raw"
    """rescale: take what length explains within the group out of the reward."""
    mix: Literal["standardise", "raw"] = "standardise"
    """How the parts of a sum are put together: by their spread in the group, or as they are."""


@settings
class Shaping(Within):
    """What keeps a reward honest. All of it is off where nothing is said, but for the mix of several parts."""

    fluency: Weight = 0.0
    """Weight of the likelihood under the frozen base, flat above what the start policy's better samples have."""
    relevance: Weight = 0.0
    """Weight of answering its own query better than others, by the same model, flat above likewise."""
    novelty: Weight = 0.0
    """How far phrases lower a text that grew frequent across prompts since the start."""
    base: str | None = None
    """The frozen model that reads for fluent, fluency and relevance; the policy's own base if none."""
    start_samples: Annotated[int, Ge(8)] = 64
    """Texts of the start policy that these and novelty are measured by."""
    pairs_per_text: Annotated[int, Ge(1)] | None = None
    """Of tournament: others of its group that a text meets, each in both orders; 3 if none."""
    reference: Path | None = None
    """Of reference: texts to compare with, one a query; by default the start policy writes them."""

    @property
    def reads(self) -> bool:
        """Whether a frozen model is needed."""
        return bool(self.fluency or self.relevance or FLUENT in self.checks)

    @property
    def starts(self) -> bool:
        """Whether texts of the start policy are needed."""
        return bool(self.reads or self.novelty)

    def among(self, task: str, seed: int) -> Among:
        """How a reward by groups puts texts beside each other."""
        return Among(task, self.pairs_per_text or PAIRS_PER_TEXT, self.reference, seed)

    def needed(self, reward: Reward) -> bool:
        """Whether anything is asked for that looks at the group."""
        mixed = isinstance(reward, Mixture) and len(reward.parts) > 1 and self.mix == "standardise"
        return bool(self.starts or self.checks or self.diversity or self.length == "rescale" or mixed)


Row = dict[str, float | None]


@dataclass
class Shaped:
    """A reward that looks at the group; see ``group.py`` for the order. It remembers: length's slope, spread phrases.

    ``details`` says of each text of the last call what its reward came from: ``failed`` (names of checks) and, of those
    that pass, ``score`` (the parts together, on their own scales), ``mixed`` (the same within the group, with fluency
    and relevance), and the raw ``fluency`` and ``relevance`` where they are asked for.
    """

    reward: Reward
    shaping: Shaping
    checks: Checks = Checks()
    seed: int = 0
    details: list[dict[str, Any]] = field(default_factory=list)
    threshold = None

    def __post_init__(self) -> None:
        self.slope = group.LengthSlope()
        self._since: list[dict[str, Any]] = []
        self._flat: Counter[str] = Counter()
        self._groups = 0
        self.begin(Start(), None)

    def begin(self, start: Start, reader: Reader | None) -> None:
        """Take the start policy's texts as the measure; before the first call, where ``shaping.starts``."""
        self.start, self.reader, self.phrases = start, reader, Phrases(start.responses)

    @property
    def name(self) -> str:
        return self.reward.name

    @property
    def identities(self) -> tuple[Identity, ...]:
        return tuple(dict.fromkeys((*self.reward.identities, *self.start.read_by)))

    @property
    def unscored(self) -> Counter[str]:
        return why_unscored(self.reward)

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        """Scores of whole groups: the texts of a query stand side by side."""
        failures = self.checks.failures(queries, responses, truncated)
        read = self._read([i for i, names in enumerate(failures) if not names], queries, responses)
        if self.checks.fluent and self.start.band is not None:
            for i in [i for i, value in read.items() if not self.start.band.holds(value)]:
                failures[i].append(FLUENT)
        passing = [i for i, names in enumerate(failures) if not names]
        parts = dict(zip(passing, self._asked(passing, queries, responses, read), strict=True))
        groups = [members for of_query in group.members(queries) if (members := [i for i in of_query if i in parts])]
        mixed: dict[int, float | None] = {}
        for members in groups:
            mixed |= dict(zip(members, self._mixed([parts[i] for i in members]), strict=True))
        self._remember(queries, responses, [mixed.get(i) for i in range(len(responses))])
        values: dict[int, float | None] = {}
        for members in groups:
            rows = [parts[i] | {"mixed": mixed[i]} for i in members]
            ordered = self._ordered([queries[i] for i in members], [responses[i] for i in members], rows)
            values |= dict(zip(members, ordered, strict=True))
        self._tell(failures, parts, mixed, read)
        out: list[float | None] = []
        for members in group.members(queries):
            out += group.with_failed([values.get(i) for i in members], [len(failures[i]) for i in members])
        return out

    def recall(self, rows: Iterable[dict[str, Any]]) -> None:
        """Remember an earlier call again, from what was kept of it: ``query``, ``response``, ``mixed``."""
        kept = list(rows)
        self._remember(
            [row["query"] for row in kept], [row["response"] for row in kept], [row.get("mixed") for row in kept]
        )

    def step(self) -> dict[str, Any]:
        """Numbers since the last call, for metrics.jsonl; {} when nothing was scored.

        score, fluency, relevance (means over the texts that pass); failed (share of all) and failed_by (check →
        share); flat (part → share of the groups that it did not tell apart); length_slope; phrases (those that
        spread: phrase, share at the start, share now).
        """
        if not self._since:
            return {}
        n = len(self._since)
        failed = Counter(name for row in self._since for name in row["failed"])
        out: dict[str, Any] = {"score": _mean(self._since, "score")}
        out |= {
            name: _mean(self._since, name) for name in ("fluency", "relevance") if any(name in r for r in self._since)
        }
        if self.checks.names:
            out["failed"] = sum(bool(row["failed"]) for row in self._since) / n
            out["failed_by"] = {name: failed[name] / n for name in self.checks.names}
        out["flat"] = {name: count / self._groups for name, count in self._flat.items()}
        if self.shaping.length == "rescale":
            out["length_slope"] = self.slope.slope
        if self.start.responses:
            out["phrases"] = [list(row) for row in self.phrases.spreading(3)]
        self._since, self._flat, self._groups = [], Counter(), 0
        return out

    def _read(self, places: Sequence[int], queries: Sequence[str], responses: Sequence[str]) -> dict[int, float | None]:
        """What the frozen model says of the texts at these places."""
        if self.reader is None:
            return {}
        values = self.reader.per_token([queries[i] for i in places], [responses[i] for i in places])
        return dict(zip(places, values, strict=True))

    def _asked(
        self, places: Sequence[int], queries: Sequence[str], responses: Sequence[str], read: dict[int, float | None]
    ) -> list[Row]:
        """Every part's scores of the texts that pass, a row a text."""
        if not places:
            return []
        queries, responses = [queries[i] for i in places], [responses[i] for i in places]
        columns: dict[str, group.Scores] = {
            f"part {number}": part.score(queries, responses) for number, (_, part) in enumerate(self._parts)
        }
        if self.shaping.fluency and self.reader is not None:
            columns["fluency"] = [read[i] for i in places]
        if self.shaping.relevance and self.reader is not None:
            own = [read[i] for i in places]
            columns["relevance"] = relevance(self.reader, queries, responses, self.start.queries, self.seed, own)
        return [{name: column[at] for name, column in columns.items()} for at in range(len(places))]

    @property
    def _parts(self) -> tuple[tuple[float, Reward], ...]:
        whole = ((1.0, self.reward),)
        return tuple(part for part in self.reward.parts if part[0]) if isinstance(self.reward, Mixture) else whole

    def _together(self, columns: Sequence[group.Scores]) -> list[float | None]:
        """The parts' columns as the mixture puts them together."""
        if isinstance(self.reward, Mixture) and self.reward.how == "min":
            return group.least(columns)
        return group.added([(weight, column) for (weight, _), column in zip(self._parts, columns, strict=True)])

    def _mixed(self, rows: Sequence[Row]) -> list[float | None]:
        """What the score, fluency and relevance say together of the texts of a group that pass."""
        self._groups += 1
        shaping = self.shaping
        columns = [[row[f"part {number}"] for row in rows] for number in range(len(self._parts))]
        if shaping.mix == "standardise":
            named = zip(self._parts, columns, strict=True)
            columns = [self._within(part.name, column) for (_, part), column in named]
        beside = [
            (weight, self._within(name, _flattened([row[name] for row in rows], level)))
            for name, weight, level in (
                ("fluency", shaping.fluency, self.start.fluency),
                ("relevance", shaping.relevance, self.start.relevance),
            )
            if name in rows[0]
        ]
        return group.added([(1.0, self._together(columns)), *beside])

    def _within(self, name: str, column: group.Scores) -> list[float | None]:
        """A part within the group, standardised; one that tells nothing apart is counted."""
        self._flat[name] += group.flat(column)
        return group.standardised(column)

    def _ordered(self, queries: Sequence[str], texts: Sequence[str], rows: Sequence[Row]) -> list[float | None]:
        """From the sums of the texts of a group that pass to their rewards."""
        shaping, scores = self.shaping, [row["mixed"] for row in rows]
        if shaping.length == "rescale":
            scores = self.slope.taken_out(texts, scores)
        ranks = group.ranked(scores)
        if shaping.diversity:
            ranks = group.thinned(ranks, group.own_share(texts), shaping.diversity)
        if not shaping.novelty:
            return ranks
        grown = [self.phrases.growth(query, text) for query, text in zip(queries, texts, strict=True)]
        return [None if rank is None else rank - shaping.novelty * g for rank, g in zip(ranks, grown, strict=True)]

    def _remember(self, queries: Sequence[str], responses: Sequence[str], mixed: group.Scores) -> None:
        self.slope.fade()
        self.phrases.see(queries, responses)
        for members in group.members(queries):
            self.slope.see([responses[i] for i in members], [mixed[i] for i in members])

    def _tell(
        self,
        failures: Sequence[list[str]],
        parts: dict[int, Row],
        mixed: dict[int, float | None],
        read: dict[int, float | None],
    ) -> None:
        self.details = []
        for i, names in enumerate(failures):
            row: dict[str, Any] = {"failed": names}
            if i in read:
                row["fluency"] = read[i]
            if i in parts:
                columns = [[parts[i][f"part {number}"]] for number in range(len(self._parts))]
                row |= {"score": self._together(columns)[0], "mixed": mixed[i]}
                row |= {name: parts[i][name] for name in ("relevance",) if name in parts[i]}
            self.details.append(row)
        self._since += self.details

    def close(self) -> None:
        self.reward.close()


def _flattened(scores: group.Scores, level: float | None) -> list[float | None]:
    """Scores that rise to a level and are flat above."""
    return [score if score is None or level is None else min(score, level) for score in scores]


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return sum(known) / len(known) if known else None
