"""Who rates what, blind, and what they said: items, a plan of slots, votes.

An item is one text (rated by the task's rubric) or two texts for one query (which is better). A plan gives each rater
a list of slots: which item, which text on the left, whether it is a hidden repeat. A rater sees texts and positions
in the own list, never who wrote a text.

    items = [Item(1, "a wish for Easter", ("May …", "Easter …"), ("sft", "rl")), …]
    ballot = Ballot(plan(items, Plan(raters=2, overlap=0.3))["rater-1"])
    ballot.current.position                         # 1
    ballot.add(Vote("rater-1", 1, choice="a"))
    ballot.current.position                         # 2
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le

from inkfire.settings import settings

Choice = Literal["a", "b", "tie", "bad"]
"""Of two texts: which is better, or both alike, or neither any good."""
CHOICES: tuple[Choice, ...] = ("a", "b", "tie", "bad")
MOST_SECONDS = 24 * 3600.0
LONGEST_NOTE = 2000  # characters


@dataclass(frozen=True, slots=True)
class Item:
    """What is rated: one text or two, each with the name of who wrote it (which no rater sees)."""

    item: int
    query: str
    responses: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a rater's list: ``position`` from 1; ``swapped``: the item's second text stands on the left."""

    rater: str
    position: int
    item: int
    swapped: bool = False
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Vote:
    """What a rater said at a position: a ``choice`` between two texts, or the ``points`` of one.

    ``seconds`` are None where nobody measured them, ``at`` is the time in ISO 8601.
    """

    rater: str
    position: int
    choice: Choice | None = None
    points: Mapping[str, int] | None = None
    note: str = ""
    seconds: float | None = None
    at: str = ""


@settings
class Plan:
    """Who rates how much."""

    raters: Annotated[int, Ge(1), Le(1000)] = 1
    """How many people rate."""
    overlap: Annotated[float, Ge(0), Le(1)] = 1.0
    """The share of the queries whose texts all of them rate; the others are shared out among them."""
    repeats: Annotated[float, Ge(0), Le(0.5)] = 0.05
    """The share of a rater's texts that are shown once more, unsaid: does one agree with oneself?"""


def plan(items: Sequence[Item], how: Plan, seed: int = 0) -> dict[str, list[Slot]]:
    """A list of slots for each rater.

    The texts of one query stay with one rater, or go to all. Order, sides and repeats are drawn for each rater by
    itself; half of a rater's pairs are swapped. A repeat comes in the second half of what first came in the first, and
    with its sides the other way round: who goes by the side is found out.
    """
    queries = list(dict.fromkeys(item.query for item in items))
    random.Random(f"{seed} queries").shuffle(queries)
    shared = round(how.overlap * len(queries)) if how.raters > 1 else len(queries)
    all_of_them, own = set(queries[:shared]), queries[shared:]
    lists = {}
    for number in range(how.raters):
        rater, mine = f"rater-{number + 1}", all_of_them.union(own[number :: how.raters])
        draw = random.Random(f"{seed} {rater}")
        order = [item.item for item in items if item.query in mine]
        draw.shuffle(order)
        sides = [bool(place % 2) for place in range(len(order))]
        draw.shuffle(sides)
        swapped = dict(zip(order, sides, strict=True))
        middle = len(order) // 2
        again = order[: min(round(how.repeats * len(order)), middle)]
        rest = [(item, False) for item in order[middle:]] + [(item, True) for item in again]
        draw.shuffle(rest)
        whole = [(item, False) for item in order[:middle]] + rest
        lists[rater] = [
            Slot(rater, position, item, swapped[item] != repeat, repeat)
            for position, (item, repeat) in enumerate(whole, 1)
        ]
    return lists


@dataclass
class Ballot:
    """A rater's list and the votes that stand: the last one at each position, but for those that were taken back."""

    slots: Sequence[Slot]
    standing: dict[int, Vote] = field(default_factory=dict)
    """By position, in the order of the votes."""
    taken_back: dict[int, Vote] = field(default_factory=dict)
    """What was said where nothing stands now: for the rater to see when saying it anew."""

    @property
    def current(self) -> Slot | None:
        """The first slot without a vote; None when all are done."""
        return next((slot for slot in self.slots if slot.position not in self.standing), None)

    @property
    def last(self) -> Vote | None:
        """The latest vote that stands: what undo takes back."""
        return next(reversed(self.standing.values()), None)

    def may_vote(self, position: int) -> bool:
        """Whether a rater has come to a position: it was voted on, or it is the current one."""
        current = self.current
        return position in self.standing or (current is not None and current.position == position)

    def add(self, vote: Vote) -> None:
        self.standing.pop(vote.position, None)  # so that the order is that of the votes
        self.standing[vote.position] = vote
        self.taken_back.pop(vote.position, None)

    def take_back(self, position: int) -> None:
        vote = self.standing.pop(position, None)
        if vote is not None:
            self.taken_back[position] = vote

    @classmethod
    def of(cls, slots: Sequence[Slot], rows: Iterable[Vote | int]) -> Self:
        """After a log of votes, and of positions whose vote was taken back."""
        ballot = cls(slots)
        for row in rows:
            if isinstance(row, int):
                ballot.take_back(row)
            else:
                ballot.add(row)
        return ballot


def vote_row(vote: Vote, slot: Slot) -> dict[str, Any]:
    """A vote as a row of the log."""
    said = {"choice": vote.choice} if vote.points is None else {"points": dict(vote.points)}
    head = {"rater": vote.rater, "position": vote.position, "item": slot.item}
    return head | said | {"note": vote.note, "seconds": vote.seconds, "at": vote.at}


def seconds_of(value: Any) -> float | None:
    """Seconds as a page or a row has them; None where they are no time that a vote can take."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return round(seconds, 3) if 0 <= seconds <= MOST_SECONDS else None
