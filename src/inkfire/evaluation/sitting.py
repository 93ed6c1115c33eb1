"""Raters at work, on a page or in a terminal: what each is shown next, and their votes, written before they count.

sitting = Sitting(Tally(form, items, ballots), log.append)
sitting.shown("rater-1").texts                       # left, right: texts alone, no names
sitting.vote(Vote("rater-1", 1, choice=sitting.choice("rater-1", 1, "left")))
sitting.undo("rater-1")
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from inkfire.errors import InputError
from inkfire.evaluation.ballots import Choice, Slot, Vote, vote_row
from inkfire.evaluation.tally import Tally


@dataclass(frozen=True)
class Shown:
    """What a rater sees at a position; nothing in it says who wrote a text. ``before``: a vote that was taken back."""

    position: int
    planned: int
    query: str
    texts: tuple[str, ...]
    before: Vote | None
    may_undo: bool


class Sitting:
    """Threads may call it at once.

    Args:
        append: writes a row where it lasts, or raises; what it raises the rater is told, and nothing counts.
    """

    def __init__(self, tally: Tally, append: Callable[[Mapping[str, Any]], None]):
        self.form = tally.form
        self._items, self._ballots = tally.items, tally.ballots
        self._append = append
        self._locks = {rater: threading.Lock() for rater in tally.ballots}

    def shown(self, rater: str) -> Shown | None:
        """The next texts of a rater; None when all are done."""
        with self._locks[rater]:
            ballot = self._ballots[rater]
            if (slot := ballot.current) is None:
                return None
            item = self._items[slot.item]
            texts = item.responses[::-1] if slot.swapped else item.responses
            before = ballot.taken_back.get(slot.position)
            return Shown(slot.position, len(ballot.slots), item.query, texts, before, ballot.last is not None)

    def choice(self, rater: str, position: int, said: str) -> Choice | None:
        """What ``left``, ``right``, ``tie`` or ``bad`` means at a position; None where it means nothing."""
        swapped = self._slot(rater, position).swapped
        sides = {"left": "b", "right": "a"} if swapped else {"left": "a", "right": "b"}
        return self.form.choice(sides.get(said, said) if said not in ("a", "b") else None)

    def side(self, vote: Vote) -> str | None:
        """The inverse of :meth:`choice`."""
        sides = ("left", "right", "tie", "bad")
        return next((side for side in sides if self.choice(vote.rater, vote.position, side) == vote.choice), None)

    def vote(self, vote: Vote) -> None:
        """Count a vote; one on a position that has one takes its place.

        Raises:
            InputError: the rater has not come to that position, or it answers something else.
            RunFolderError: it could not be written.
        """
        self.form.check(vote)
        vote = replace(vote, at=_now())
        with self._locks[vote.rater]:
            ballot, slot = self._ballots[vote.rater], self._slot(vote.rater, vote.position)
            if not ballot.may_vote(vote.position):
                raise InputError(f"position {vote.position} has not been shown yet")
            self._append(vote_row(vote, slot))
            ballot.add(vote)

    def undo(self, rater: str) -> bool:
        """Take a rater's latest vote back; False where there is none."""
        with self._locks[rater]:
            ballot = self._ballots[rater]
            if (last := ballot.last) is None:
                return False
            self._append({"rater": rater, "position": last.position, "undo": True, "at": _now()})
            ballot.take_back(last.position)
            return True

    def progress(self, rater: str) -> tuple[int, int]:
        """(votes of a rater, all that are planned)."""
        ballot = self._ballots[rater]
        return len(ballot.standing), len(ballot.slots)

    def _slot(self, rater: str, position: int) -> Slot:
        slots = self._ballots[rater].slots
        if not 1 <= position <= len(slots):
            raise InputError(f"there is no position {position}: the list has {len(slots)}")
        return slots[position - 1]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
