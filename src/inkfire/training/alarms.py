"""Alarms: what happened to a policy's texts while it was trained, said at the step, by rules fixed beforehand.

A reward tells nothing about its own holes, so what is watched here is no part of it. The first five steps, or texts of
the start policy, are the baseline. Of each reading (``readings.py``) a step's value x is the mean over its groups (the
texts of a query). It is held against the baseline's mean m by a one-sided CUSUM (Page 1954):

    u = (x - m - K) / e      e = s / sqrt(g)      S = max(0, S + u)      alarm when S > H = 5

s is the standard deviation of the baseline's n group means and g the groups of the step; e is twice that for what texts
share with each other, a mean over pairs (Hoeffding 1948). u goes through Student's t of n - 1 degrees of freedom to the
normal scale, since s was estimated (Hawkins 1987); beyond 4 it is cut off, so that no single step is a trend
(Lucas and Crosier 1982). K is what may change without an alarm: what the rule says, at least e, and two standard errors
of m on top, which all steps share. With K = e and H = 5 a false alarm comes every (exp(2b) - 2b - 1) / 2, that is
110,000, steps in the mean (Siegmund 1985; b = H + 1.166): for 13 rules and fifty steps in one run of 170. The
change is dated by the last step with S = 0.

Where the first two steps have twenty groups, the three after them are first held against these: a policy that turns at
once has no five good steps, and then these two stay its baseline.

A phrase spreads when the share of groups that have it, in the last five steps (more where these have fewer than twenty
groups), is 0.2 above the baseline's and Fisher's exact test gives less than 1e-6 of that by chance: a run looks at some
ten thousand common phrases in windows that do not overlap.

>>> watch = Watch()
>>> alarms = [alarm for step in steps for alarm in watch.see(step)]                               # doctest: +SKIP
>>> alarms[0].said                                                                               # doctest: +SKIP
'Texts grow longer: 98 characters (60 at the start).'
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inkfire.records import Rollout
from inkfire.rewards.phrases import Phrase, inside, joined, phrases_of, variance
from inkfire.training.readings import Readings, Values, group_means, groups

Shares = tuple[dict[Phrase, float], int]
BASELINE = 5
"""Steps that are the baseline where no other is given, and the last ones in which a phrase spreads."""
_SOONEST = 2
_H, _MOST = 5.0, 4.0
_GROWN, _BY_CHANCE = 0.2, 1e-6
_ENOUGH = 20  # groups
_QUERIES = 8  # that texts are held against for what they share
_SHOWN = 3


@dataclass(frozen=True)
class Alarm:
    """What happened: at ``step``, in the series ``what``, from ``baseline`` to ``value``; it began about ``since``.

    ``said`` is a sentence; ``texts`` are three of the step that show it most, with their ``queries``.
    """

    step: int
    what: str
    value: float
    baseline: float
    since: int
    said: str
    texts: tuple[str, ...]
    queries: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """``sign`` is the direction that alarms, ``slack`` what may change, by the baseline's mean; ``shown`` words it."""

    what: str
    reading: str
    sign: int
    slack: Callable[[float], float]
    said: str
    shown: Callable[[float], str] = "{:.0%}".format


def _characters(value: float) -> str:
    return f"{math.exp(value):.0f} characters"


_A_TENTH = 0.1
RULES = (
    Rule("length up", "length", 1, lambda mean: math.log(1.5) / 2, "Texts grow longer", _characters),
    Rule("length down", "length", -1, lambda mean: math.log(1.5) / 2, "Texts grow shorter", _characters),
    Rule("truncated", "truncated", 1, lambda mean: _A_TENTH, "More texts meet the limit of tokens"),
    Rule("unfinished", "unfinished", 1, lambda mean: _A_TENTH, "More texts break off"),
    Rule("loops", "loops", 1, lambda mean: _A_TENTH, "More texts repeat themselves"),
    Rule("script", "script", 1, lambda mean: _A_TENTH, "More texts have another script in them"),
    Rule("emoji", "emoji", 1, lambda mean: _A_TENTH, "More texts have three emoji or more"),
    Rule("stock phrases", "slop", 1, lambda mean: _A_TENTH, "More texts have stock phrases"),
    Rule("shared", "shared", 1, lambda mean: mean, "Texts of different queries have more and more in common"),
    Rule("variety", "own_share", -1, lambda mean: mean / 2, "The texts of a query have less and less of their own"),
    Rule("off query", "on_query", -1, lambda mean: (mean - 0.5) / 2, "Texts have less to do with their queries"),
    Rule("likelihood", "outside_band", 1, lambda mean: _A_TENTH, "More texts are as likely as hardly any at the start"),
    Rule("relevance", "relevance", -1, lambda mean: mean / 2, "Texts answer their queries less", "{:.2f} nats".format),
)
_CHANCE = {"on_query": 0.5, "relevance": 0.0}
"""Readings that say nothing where the baseline is no better than this."""


@dataclass
class Cusum:
    """One rule's sum, and the last step at which there was none."""

    rule: Rule
    mean: float
    deviation: float
    n: int
    sum: float = 0.0
    since: int | None = None
    alarmed: bool = False

    def see(self, step: int, means: Sequence[float]) -> bool:
        """Whether it alarms at this step, for the first time."""
        from scipy.stats import norm, t

        error = self.deviation / math.sqrt(len(means))
        slack = max(self.rule.slack(self.mean), error) + 2 * self.deviation / math.sqrt(self.n)
        u = (self.rule.sign * (float(np.mean(means)) - self.mean) - slack) / error
        self.sum = max(0.0, self.sum + min(_MOST, float(norm.isf(t.sf(u, self.n - 1)))))
        self.since = None if not self.sum else step if self.since is None else self.since
        first, self.alarmed = self.sum > _H and not self.alarmed, self.alarmed or self.sum > _H
        return first

    def alarm(self, step: int, value: float, texts: Sequence[Rollout]) -> Alarm:
        """What is said at this step, with three of its texts."""
        rule = self.rule
        said = f"{rule.said}: {rule.shown(value)} ({rule.shown(self.mean)} at the start)."
        now, first = (math.exp(one) if rule.reading == "length" else one for one in (value, self.mean))
        return Alarm(step, rule.what, now, first, step if self.since is None else self.since, said, *three(texts))


class Watch:
    """Sees a training's texts step by step, and says what is wrong with them.

    Args:
        baseline: texts of the start policy; the first :data:`BASELINE` steps if none.

    ``ready`` says whether there is a baseline yet, ``blind`` which series it cannot be watched by (nothing is known of
    them, or the baseline itself is no better than chance), ``numbers`` what was read of the last step.
    """

    def __init__(self, baseline: Sequence[Rollout] = ()):
        self._first: list[list[Rollout]] = []
        self._last: list[Sequence[Rollout]] = []
        self._spreads: list[Shares] = []
        self.numbers: dict[str, Any] = {}
        self.blind: list[str] = []
        self.ready = bool(baseline)
        if baseline:
            self._begin([baseline])

    def see(self, texts: Sequence[Rollout]) -> list[Alarm]:
        """The texts of the next step.

        Returns:
            The alarms that this step rings for the first time.
        """
        if not texts:
            return []
        if self.ready:
            return self._held(texts)
        self._first.append([*texts])
        self._begin(self._first)
        self.numbers = _means(group_means(self._readings.of(texts, _recent(self._first)), texts))
        if len(self._first) < BASELINE:
            return []
        self.ready = True
        begun, rest = self._first[:_SOONEST], self._first[_SOONEST:]
        if len(groups([text for step in begun for text in step])) >= _ENOUGH:
            self._begin(begun)
            if found := [alarm for step in rest for alarm in self._held(step)]:
                return found
            self._begin(self._first)
        return []

    def _held(self, step: Sequence[Rollout]) -> list[Alarm]:
        """A step held against the baseline."""
        self._last = [*self._last, step][-_ENOUGH:]
        columns = self._readings.of(step, _recent(self._last))
        means = group_means(columns, step)
        self.numbers = _means(means)
        found = []
        for cusum in self._cusums:
            if (of := means[cusum.rule.reading]) and cusum.see(step[0].step, of):
                texts = _worst(cusum.rule, step, columns[cusum.rule.reading])
                found.append(cusum.alarm(step[0].step, float(np.mean(of)), texts))
        return [*found, *self._phrases(step)]

    def _begin(self, steps: Sequence[Sequence[Rollout]]) -> None:
        """Take the texts of these steps as the baseline."""
        baseline = [text for step in steps for text in step]
        self._readings = Readings(baseline)
        means: dict[str, list[float]] = defaultdict(list)
        for number, step in enumerate(steps):
            for name, column in group_means(self._readings.of(step, _recent(steps[: number + 1])), step).items():
                means[name] += column
        made = [cusum_of(rule, means[rule.reading]) for rule in RULES]
        self._cusums = [cusum for cusum in made if cusum is not None]
        self.blind = [rule.what for rule, cusum in zip(RULES, made, strict=True) if cusum is None]
        self._start, self._n_start = _shares(baseline)
        self._last, self._spreads, self._spread = [], [], False

    def _phrases(self, step: Sequence[Rollout]) -> list[Alarm]:
        """The phrase that spread most, once."""
        self._spreads.append(_shares(step))
        while len(self._spreads) > BASELINE and sum(n for _, n in self._spreads[1:]) >= _ENOUGH:
            del self._spreads[0]
        shares, n = _added(self._spreads)
        grown = {
            phrase: now - before
            for phrase, total in shares.items()
            if (now := total / n) - (before := self._start.get(phrase, 0.0) / self._n_start) >= _GROWN
            and _chance(now, n, before, self._n_start) < _BY_CHANCE
        }
        order = sorted(grown, key=lambda phrase: (-round(grown[phrase], 2), -len(phrase), phrase))
        top = next(iter(order), None)
        top = max(
            (p for p in order[:50] if top and inside(top, p) and grown[p] > 0.9 * grown[top]), key=len, default=top
        )
        if top is None:
            self.numbers["phrase"] = None
            return []
        before, now = self._start.get(top, 0.0) / self._n_start, shares[top] / n
        self.numbers["phrase"] = [joined(top), before, now]
        if self._spread:
            return []
        self._spread = True
        holders = [text for text in step if top in phrases_of(text.response)] or [*step]
        said = f"{joined(top)!r} spreads across queries: in {now:.0%} of the last texts ({before:.0%} at the start)."
        return [Alarm(step[0].step, "phrase", now, before, self._since(top), said, *three(holders))]

    def _since(self, phrase: Phrase) -> int:
        """The first of the last steps from which on the phrase is in more texts than the baseline had."""
        before, since = self._start.get(phrase, 0.0) / self._n_start, self._last[-1][0].step
        for step, (shares, n) in zip(reversed(self._last), reversed(self._spreads), strict=False):
            if shares.get(phrase, 0.0) / n < before + _GROWN / 2:
                break
            since = step[0].step
        return since


def _recent(steps: Sequence[Sequence[Rollout]]) -> list[Rollout]:
    """The texts of the last step, and of those before it until there are enough queries."""
    found: list[Rollout] = []
    for step in reversed(steps):
        found += step
        if len({text.query for text in found}) >= _QUERIES:
            break
    return found


def cusum_of(rule: Rule, means: Sequence[float]) -> Cusum | None:
    """None for a reading of which too little is known, or which says nothing of the baseline itself."""
    if len(means) < 2:
        return None
    n, mean, deviation = len(means), float(np.mean(means)), float(np.std(means, ddof=1))
    if rule.reading in _CHANCE and mean - _CHANCE[rule.reading] < 3 * deviation / math.sqrt(n):
        return None
    if rule.slack(mean) == _A_TENTH:  # a share: that none of few texts did it does not say that none does
        deviation = max(deviation, math.sqrt(variance(mean, n) * n))
    if rule.reading == "shared":
        deviation *= 2  # a mean over pairs of texts
    return Cusum(rule, mean, max(deviation, 1e-3 * abs(mean), 1e-6), n)


def _worst(rule: Rule, step: Sequence[Rollout], column: Values) -> list[Rollout]:
    """The texts of which the reading is known, those that it is worst of first."""
    known = [i for i, one in enumerate(column) if one is not None]
    return [step[i] for i in sorted(known, key=lambda i: -rule.sign * (column[i] or 0.0))]


def three(texts: Sequence[Rollout]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first texts of a list, of different queries as far as there are, and their queries."""
    first = {text.query: i for i, text in reversed([*enumerate(texts)])}
    order = sorted(range(len(texts)), key=lambda i: (first[texts[i].query] != i, i))[:_SHOWN]
    return tuple(texts[i].response for i in order), tuple(texts[i].query for i in order)


def _shares(texts: Sequence[Rollout]) -> Shares:
    """The sum over groups of the share of a group's texts that hold a phrase, and how many groups there are."""
    found: dict[Phrase, float] = defaultdict(float)
    of_group = groups(texts)
    for (_, query), places in of_group.items():
        asked = phrases_of(query)
        for i in places:
            for phrase in phrases_of(texts[i].response) - asked:
                found[phrase] += 1 / len(places)
    return found, len(of_group)


def _chance(now: float, n_now: int, before: float, n_before: int) -> float:
    """One-sided p of Fisher's exact test: so many more of the groups by chance."""
    from scipy.stats import hypergeom

    of_now, of_before = math.floor(now * n_now + 1e-9), math.ceil(before * n_before - 1e-9)
    return float(hypergeom.sf(of_now - 1, n_now + n_before, of_now + of_before, n_now))


def _added(steps: Sequence[Shares]) -> Shares:
    found: dict[Phrase, float] = defaultdict(float)
    for shares, _ in steps:
        for phrase, share in shares.items():
            found[phrase] += share
    return found, sum(n for _, n in steps)


def _means(means: dict[str, list[float]]) -> dict[str, Any]:
    found = {name: float(np.mean(of)) if of else None for name, of in means.items()}
    if (length := found.pop("length")) is not None:
        found["length"] = math.exp(length)
    return found


def in_words(alarm: dict[str, Any]) -> str:
    """A row of alarms.jsonl as sentences."""
    began = f" It began about step {alarm['since']}." if alarm["since"] < alarm["step"] else ""
    return f"Step {alarm['step']}: {alarm['said']}{began}"
