"""Which signals a claim may rest on: those that see every kind of damage (``stress/qualify.py``), and people.

A number on labels qualifies nothing: a judge and a reward that learnt from the same labels share their blind spots, and
a policy goes where its reward is blind. Two kinds are counted by code in the policies' own texts, whoever judges:
looped and cut ones. Being blind to these spoils a signal only where a policy has more of them.

>>> sight_of({"looped": {"auc": 0.5, "sees": False}, "strung": {"auc": 0.9, "sees": True}}).qualified
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inkfire.stress.qualify import blind

COUNTED: Mapping[str, str] = {"looped": "loops", "cut": "unfinished"}
"""Kind of damage → the share of texts by which code counts it."""


@dataclass(frozen=True)
class Sight:
    """The kinds of damage that a signal ``sees`` and is ``blind`` to; ``why`` it is what it is, in words.

    ``known``: whether anybody has looked.
    """

    sees: Sequence[str] = ()
    blind: Sequence[str] = ()
    known: bool = False
    why: str = ""

    @property
    def qualified(self) -> bool:
        return self.known and not [kind for kind in self.blind if kind not in COUNTED]

    def to_json(self) -> dict[str, Any]:
        return {"qualified": self.qualified, "sees": list(self.sees), "blind": list(self.blind), "why": self.why}


PEOPLE = Sight(known=True, why="people")
LENGTH = Sight(why="it only counts characters")
UNKNOWN = Sight(why="nobody has looked at which damage it sees")


def sight_of(qualified: Mapping[str, Mapping[str, Any]] | None) -> Sight:
    """What ``qualified`` of a card, or of an exam, says; :data:`UNKNOWN` without."""
    measured = {kind: row for kind, row in (qualified or {}).items() if row["auc"] is not None}
    if not measured:
        return UNKNOWN
    unseen = blind(measured)
    sees = [kind for kind in measured if kind not in unseen]
    open_to = [kind for kind in unseen if kind not in COUNTED]
    why = f"it does not see {', '.join(open_to)} texts" if open_to else "it sees every kind of damage that was made"
    if unseen and not open_to:
        why = f"it sees damage; {', '.join(unseen)} texts are counted by code"
    return Sight(sees, unseen, True, why)
