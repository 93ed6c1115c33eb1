"""The queue before a reward: what requests ask at the same time is scored in one call, and a group as a whole.

One call of ``Reward.score`` is at work at a time, in a thread; what comes meanwhile waits and is the next one. Of a
reward that looks at the group, a unit of the queue is a group, which may come in several requests; what waits for the
rest of it is answered as missing at its deadline. Of any other reward it is what one request asks.

    desk = Desk(reward, whole=False)
    async with desk.open():
        await desk.ask([Text("a wish", "Dear Ana, …")])              # [0.71]; [None] where the score is missing
"""

from __future__ import annotations

import asyncio
import logging
import math
import statistics
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from inkfire.errors import InkfireError
from inkfire.rewards.base import Reward, why_unscored

T = TypeVar("T")
_log = logging.getLogger(__name__)

RECENT = 256
"""Scores whose mean is the neutral value."""


class Refused(Exception):
    """What is asked cannot be scored as it is asked; the message says why."""


class TooLarge(Refused):
    """More texts than the queue ever holds."""


class Full(Exception):
    """The queue has no room now."""


class Failed(Exception):
    """The reward could not be asked, or the server stops."""


@dataclass(frozen=True)
class Text:
    """``truncated``: whether it met the limit, where that is known."""

    query: str
    response: str
    truncated: bool | None = None


@dataclass(frozen=True)
class Group:
    """Texts of one query that are compared: ``size`` of them, in one request or several."""

    id: str
    size: int


@dataclass(frozen=True)
class Limits:
    """``batch`` texts in a call of the reward (a unit is never divided), ``queue`` texts that wait or are at work,
    ``deadline`` seconds that a group has from its first text on."""

    batch: int = 256
    queue: int = 4096
    deadline: float = 60.0


@dataclass(eq=False)
class _Part:
    """The texts of a unit that one request brings, and where they stand in it."""

    texts: list[Text]
    places: list[int]
    answer: asyncio.Future[list[float | None]]


@dataclass(eq=False)
class _Unit:
    """What is scored in one piece. ``slots``: its room in the queue."""

    slots: int
    group: Group | None = None
    parts: list[_Part] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    @property
    def texts(self) -> list[Text]:
        return [text for part in self.parts for text in part.texts]

    def answer(self, scores: Sequence[float | None]) -> None:
        left = iter(scores)
        for part in self.parts:
            said = [next(left) for _ in part.texts]
            if not part.answer.done():
                part.answer.set_result(said)

    def fail(self, error: Failed) -> None:
        for part in self.parts:
            if not part.answer.done():
                part.answer.set_exception(error)


@dataclass
class Counts:
    """What was done since the start, for the metrics. ``missing``: texts without a score, by the reason; ``neutral``:
    missing scores in whose place a neutral value was answered."""

    texts: int = 0
    neutral: int = 0
    calls: int = 0
    failed_calls: int = 0
    seconds: float = 0.0
    missing: Counter[str] = field(default_factory=Counter)


class Desk:
    """Takes texts from requests and answers their scores.

    Args:
        whole: whether the reward looks at the group.
    """

    def __init__(self, reward: Reward, *, whole: bool, limits: Limits = Limits()):
        self.reward, self.whole, self.limits = reward, whole, limits
        self.counts = Counts()
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.held = 0
        self._ready: deque[_Unit] = deque()
        self._begun: dict[str, _Unit] = {}
        self._more = asyncio.Event()
        self._closing = False

    @property
    def neutral(self) -> float | None:
        """The mean of the last scores; None before the first."""
        return statistics.fmean(self.recent) if self.recent else None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Score what comes, until the end of the block."""
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    async def ask(self, texts: Sequence[Text], groups: Sequence[Group] | None = None) -> list[float | None]:
        """The scores of the texts, None where one is missing.

        Args:
            groups: of each text; without it, the texts of one query are a group. A reward that does not look at the
                group takes no notice.

        Raises:
            Refused, TooLarge: it can never be scored as it is asked.
            Full: not now.
            Failed: the reward could not be asked.

        Where the caller is cancelled, its texts leave the queue.
        """
        if self._closing:
            raise Failed("the server is stopping")
        if not texts:
            return []
        parts = self._admit(texts, groups)
        try:
            await asyncio.wait([part.answer for part in parts])
        except asyncio.CancelledError:
            self._withdraw(parts)
            raise
        out: list[float | None] = [None] * len(texts)
        errors = [error for part in parts if (error := part.answer.exception())]
        if errors:
            raise errors[0]
        for part in parts:
            for place, score in zip(part.places, part.answer.result(), strict=True):
                out[place] = score
        return out

    def stop(self) -> None:
        """Take nothing more; groups that wait for the rest of their texts, which cannot come, are answered now."""
        self._closing = True
        for unit in list(self._begun.values()):
            self._give_up(unit)

    # ---- admission ---------------------------------------------------------------------------------------------------

    def _admit(self, texts: Sequence[Text], groups: Sequence[Group] | None) -> list[_Part]:
        """Check everything before anything waits: a request is taken whole or not at all."""
        loop = asyncio.get_running_loop()
        asked = self._units(texts, groups)
        known = [self._joined(group, [texts[i] for i in places]) for group, places in asked]
        room = sum(group.size for (group, _), unit in zip(asked, known, strict=True) if unit is None)
        if room > self.limits.queue:
            raise TooLarge(
                f"{room} texts (of groups, all that are to come) are more than the queue's {self.limits.queue}"
            )
        if self.held + room > self.limits.queue:
            raise Full(f"{self.held} texts wait, of {self.limits.queue} that may")
        parts = []
        for (group, places), unit in zip(asked, known, strict=True):
            part = _Part([texts[i] for i in places], places, loop.create_future())
            parts.append(part)
            if unit is None:
                unit = self._opened(group)
            unit.parts.append(part)
            if len(unit.texts) == group.size:
                self._complete(unit)
        return parts

    def _units(self, texts: Sequence[Text], groups: Sequence[Group] | None) -> list[tuple[Group, list[int]]]:
        """The places of the texts of each unit. A group that ends with this request has the id ""."""
        if not self.whole:
            return [(Group("", len(texts)), list(range(len(texts))))]
        if groups is not None:
            places = list(_gathered(groups))
            if len(ids := [group.id for group, _ in places]) != len(set(ids)):
                raise Refused("a group is said to have two sizes")
            return places
        of_query = [(Group("", len(places)), places) for _, places in _gathered([text.query for text in texts])]
        if alone := next((places for group, places in of_query if group.size == 1), None):
            raise Refused(
                f"text {alone[0]} is the only one of its query, and this reward compares the texts of a query: send "
                "all of them in one request, or name their group in 'groups'"
            )
        return of_query

    def _joined(self, group: Group, texts: Sequence[Text]) -> _Unit | None:
        """The unit that is there already of a group that may come in several requests."""
        if not group.id:
            return None
        unit = self._begun.get(group.id)
        if unit is not None and unit.group != group:
            raise Refused(f"group {group.id!r} has {group.size} texts here and {unit.slots} in an earlier request")
        there = [] if unit is None else unit.texts
        if len(there) + len(texts) > group.size:
            raise Refused(f"group {group.id!r} has more than its {group.size} texts")
        if len({text.query for text in (*there, *texts)}) > 1:
            raise Refused(f"group {group.id!r} has texts of several queries")
        return unit

    def _opened(self, group: Group) -> _Unit:
        unit = _Unit(group.size, group)
        self.held += unit.slots
        if group.id:
            self._begun[group.id] = unit
            unit.timer = asyncio.get_running_loop().call_later(self.limits.deadline, self._give_up, unit)
        return unit

    def _complete(self, unit: _Unit) -> None:
        self._forget(unit)
        self._ready.append(unit)
        self._more.set()

    def _forget(self, unit: _Unit) -> None:
        """It no longer waits for texts."""
        if unit.timer is not None and unit.group is not None:
            unit.timer.cancel()
            del self._begun[unit.group.id]
            unit.timer = None

    def _give_up(self, unit: _Unit) -> None:
        self._forget(unit)
        self.held -= unit.slots
        self.counts.missing["incomplete group"] += len(unit.texts)
        self.counts.texts += len(unit.texts)
        unit.answer([None] * len(unit.texts))

    def _withdraw(self, parts: Sequence[_Part]) -> None:
        """Whoever asked is gone: groups wait on without its texts, and what nobody waits for is not scored."""
        for part in parts:
            part.answer.cancel()
        for unit in [unit for unit in self._begun.values() if any(part in parts for part in unit.parts)]:
            unit.parts = [part for part in unit.parts if part not in parts]
            if not unit.parts:
                self._forget(unit)
                self.held -= unit.slots

    # ---- scoring -----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while units := self._next():
                await self._score(units)

    def _next(self) -> list[_Unit]:
        """The units of the next call. No two groups of one query are in it: side by side they would be one."""
        units: list[_Unit] = []
        n, queries = 0, set[str]()
        while self._ready:
            unit = self._ready[0]
            if all(part.answer.done() for part in unit.parts):
                self.held -= self._ready.popleft().slots
                continue
            of_unit = {text.query for text in unit.texts}
            if units and (n + unit.slots > self.limits.batch or (self.whole and of_unit & queries)):
                break
            units.append(self._ready.popleft())
            n, queries = n + unit.slots, queries | of_unit
        return units

    async def _score(self, units: Sequence[_Unit]) -> None:
        """Score units in one call; where that fails, each by itself, so that one's texts are not another's failure."""
        texts = [text for unit in units for text in unit.texts]
        try:
            scores = await asyncio.to_thread(self._call, texts)
        except Exception as error:
            self.counts.failed_calls += 1
            if len(units) > 1:
                for unit in units:
                    await self._score([unit])
                return
            why = str(error) if isinstance(error, InkfireError) else f"{type(error).__name__}: {error}"
            _log.warning("the reward failed: %s", why, exc_info=not isinstance(error, InkfireError))
            self.counts.missing["reward failed"] += len(texts)
            units[0].fail(Failed(f"the reward failed: {why}"))
        else:
            self.recent += [score for score in scores if score is not None]
            left = iter(scores)
            for unit in units:
                unit.answer([next(left) for _ in unit.texts])
        self.counts.texts += len(texts)
        self.held -= sum(unit.slots for unit in units)

    def _call(self, texts: Sequence[Text]) -> list[float | None]:
        started, before = time.monotonic(), why_unscored(self.reward)
        scores = self.reward.score(
            [text.query for text in texts],
            [text.response for text in texts],
            truncated=[text.truncated for text in texts],
        )
        if len(scores) != len(texts):
            raise ValueError(f"{self.reward.name} gave {len(scores)} scores of {len(texts)} texts")
        out = [None if score is None or not math.isfinite(score) else float(score) for score in scores]
        self.counts.calls += 1
        self.counts.seconds += time.monotonic() - started
        why = why_unscored(self.reward) - before
        why["no reason given"] += max(0, out.count(None) - why.total())
        self.counts.missing += why
        return out


def _gathered(keys: Sequence[T]) -> Iterator[tuple[T, list[int]]]:
    """The places of equal keys, in the order of their first."""
    places: dict[T, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    yield from places.items()
