"""Automatic signals: who says whether a text is excellent.

PAPER: Signal-1 is the multi-agent debate, Signal-2 the adversarially refined judge. A reward model with a fitted
threshold, the rubric and the length twin stand behind the same seam, so a comparison cannot tell them apart.

    signal = RewardSignal("rm", load_reward("runs/demo/rm"))
    opinions = signal.label(["新年祝福"], ["…"])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from inkfire.errors import InputError
from inkfire.judge.base import Compares, Judge, compare_many, judge_many
from inkfire.llm import loop
from inkfire.records import Candidate, Comparison, Label, Labelled, Preference, Verdict
from inkfire.rewards.base import Reward
from inkfire.tasks.people import People, Rated


@dataclass(frozen=True, slots=True)
class Opinion:
    """One signal's view of one text: ``label`` 1 excellent, 0 not, None unscored (``unscored`` says why).

    ``score`` is P(Good) for a judge, the reward's own scale for a reward model; ``points`` are those of each dimension
    of the rubric, where it was rated by that.
    """

    label: Label | None
    score: float | None = None
    unscored: str | None = None
    points: Mapping[str, float] | None = None


class Signal(Protocol):
    @property
    def name(self) -> str: ...

    def label(self, queries: Sequence[str], responses: Sequence[str]) -> list[Opinion]: ...


@dataclass(frozen=True)
class RewardSignal:
    """A reward and the threshold that a labelled split fitted for it.

    Raises:
        InputError: the reward has no threshold, so nothing says what excellent means.
    """

    name: str
    reward: Reward

    def label(self, queries: Sequence[str], responses: Sequence[str]) -> list[Opinion]:
        threshold = self.reward.threshold
        if threshold is None:
            raise InputError(
                f"reward {self.reward.name!r} has no threshold for 'excellent'; "
                "fit one on labelled texts: inkfire train rm --labelled F"
            )
        opinions = []
        for score in self.reward.score(queries, responses):
            if score is None or not math.isfinite(score):
                opinions.append(Opinion(None, unscored="the reward gave no score"))
            else:
                opinions.append(Opinion(1 if score >= threshold else 0, score))
        return opinions


@dataclass(frozen=True)
class JudgeSignal:
    """A judge (verdict, logprob, rubric or debate), asked about many texts at once on the process's event loop."""

    name: str
    judge: Judge
    concurrency: int = 8
    advance: Callable[[Verdict], None] = lambda verdict: None

    def label(self, queries: Sequence[str], responses: Sequence[str]) -> list[Opinion]:
        texts = [Candidate(query, response) for query, response in zip(queries, responses, strict=True)]
        verdicts = loop.run(judge_many(self.judge, texts, concurrency=self.concurrency, advance=self.advance))
        return [
            Opinion(verdict.label, verdict.probability, verdict.unscored, verdict.points or None)
            for verdict in verdicts
        ]


class Duel(Protocol):
    """A signal that compares: which of two texts answers a query better."""

    @property
    def name(self) -> str: ...

    def compare(self, pairs: Sequence[Preference]) -> list[Comparison]:
        """Of each pair: ``a`` where the first (chosen) text wins, whichever was shown first."""
        ...


@dataclass(frozen=True)
class PairwiseDuel:
    """A judge of pairs, who is asked in both orders."""

    judge: Compares
    name: str = "pairwise"
    concurrency: int = 8
    advance: Callable[[Comparison], None] = lambda said: None

    def compare(self, pairs: Sequence[Preference]) -> list[Comparison]:
        return loop.run(compare_many(self.judge, pairs, concurrency=self.concurrency, advance=self.advance))


@dataclass(frozen=True)
class PeopleSignal:
    """People who rated texts by the task's rubric; a text that nobody rated has no opinion."""

    rated: People
    name: str = "people"

    def label(self, queries: Sequence[str], responses: Sequence[str]) -> list[Opinion]:
        return [
            Opinion(None, unscored="nobody rated it")
            if one is None
            else Opinion(one.label, one.mean, points=one.dimensions)
            for one in self.of(queries, responses)
        ]

    def of(self, queries: Sequence[str], responses: Sequence[str]) -> list[Rated | None]:
        """What was said of each text."""
        texts = zip(queries, responses, strict=True)
        return [self.rated.get((query.strip(), response.strip())) for query, response in texts]


@dataclass(frozen=True)
class LengthSignal:
    """The length twin: excellent when the text has at least ``cut`` characters (or at most, where shorter is better).

    It knows nothing of writing; a policy that only gains by it has learned to write longer (or shorter).
    """

    cut: float
    longer_is_better: bool
    name: str = "length"

    @classmethod
    def fit(cls, labelled: Sequence[Labelled]) -> LengthSignal:
        """The single cut with the best balanced accuracy on ``labelled``; both classes must occur."""
        good = [len(row.response) for row in labelled if row.label == 1]
        bad = [len(row.response) for row in labelled if row.label == 0]
        if not good or not bad:
            raise InputError("the length twin needs labelled texts of both classes")

        def balanced(cut: float) -> float:
            return (sum(n >= cut for n in good) / len(good) + sum(n < cut for n in bad) / len(bad)) / 2

        cuts = sorted({*good, *bad})
        best = max(cuts, key=lambda cut: max(balanced(cut), 1 - balanced(cut)))
        return cls(cut=float(best), longer_is_better=balanced(best) >= 0.5)

    def label(self, queries: Sequence[str], responses: Sequence[str]) -> list[Opinion]:
        return [
            Opinion(1 if (len(text) >= self.cut) == self.longer_is_better else 0, float(len(text)))
            for text in responses
        ]
