"""What the card of a reward says that it sees, and whether checks cover what it does not.

Train against a reward that cannot see a kind of damage, and that kind is where the policy goes. Cards have it from
``train rm`` and ``judge``; ``inkfire score`` and ``inkfire probe`` leave what they find in the reward's folder, beside
the card. None of it is part of what a reward is.

>>> card = {"qualified": {"looped": {"auc": 0.5, "sees": False}, "cut": {"auc": 0.9, "sees": True}}}
>>> uncovered(card, ["finished"], fluency=0, relevance=0), uncovered(card, ["no-repeat"], fluency=0, relevance=0)
(['looped'], [])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import DataError
from inkfire.files.jsonl import PROBED, QUALIFIED, read_json, write_json
from inkfire.judge.spec import JudgeSpec
from inkfire.rewards.load import CARD, folder_of, parts_of, read_card
from inkfire.stress.qualify import blind, said_blind

FIXES: Mapping[str, str] = {
    "shuffled": "--check fluent",
    "looped": "--check no-repeat",
    "strung": "--relevance 1",
    "cut": "--check finished",
    "foreign": "--relevance 1",
    "swapped": "--check fluent",
}
"""Kind of damage → what covers it; fluency does what the check ``fluent`` does."""


def uncovered(card: Mapping[str, Any], checks: Sequence[str], fluency: float, relevance: float) -> list[str]:
    """The kinds of damage that a reward was shown and does not see, and that nothing beside it sees.

    Args:
        card: with ``qualified``, where the reward was shown any.
        checks: as they are written: ``length:20..90``, ``finished``, …
        fluency, relevance: their weights.
    """
    there = {f"--check {spec.partition(':')[0]}" for spec in checks}
    there |= {"--check fluent"} if fluency else set()
    there |= {"--relevance 1"} if relevance else set()
    return [kind for kind in blind(card.get("qualified") or {}) if FIXES[kind] not in there]


def read_qualified(folder: Path) -> dict[str, Any]:
    """``qualified`` and ``within_query`` of a reward model or judge, each where it is known: by ``inkfire score``, or
    else by its card.

    Raises:
        DataError: a damaged file.
    """
    if (folder / CARD).is_file():
        card = read_card(folder)
    elif (folder / "judge.json").is_file():
        spec = JudgeSpec.read(folder)
        card = {"qualified": spec.qualified, "within_query": spec.within_query}
    else:
        return {}
    known = {name: card[name] for name in ("qualified", "within_query") if card.get(name)}
    return known | (_read(folder / QUALIFIED) or {})


def read_probed(folder: Path) -> dict[str, Any] | None:
    """What ``inkfire probe`` found of a reward or judge; None where it was not run."""
    return _read(folder / PROBED)


def blind_of(reward: str) -> list[str]:
    """A line for each part of a reward that does not see some damage."""
    lines = ((folder, said_blind(read_qualified(folder).get("qualified") or {})) for folder in _folders(reward))
    return [f"{folder} is {said}" for folder, said in lines if said]


def _folders(reward: str) -> list[Path]:
    return [
        folder for name in [part for _, part in parts_of(reward)] or [reward] if (folder := folder_of(name)).is_dir()
    ]


def keep(folder: Path, name: str, found: Mapping[str, Any]) -> None:
    """Leave what was found of a reward beside its card, with what was found before."""
    write_json(folder / name, {**(_read(folder / name) or {}), **found})


def together(cards: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The card of several rewards in one: it sees what one of them is shown to see; who was shown nothing adds none."""
    rows: dict[str, Any] = {}
    for card in cards:
        for kind, row in (card.get("qualified") or {}).items():
            if kind not in rows or row["sees"]:
                rows[kind] = row
    return {"qualified": rows} if rows else {}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError("damaged: no object; remove it, or make it again", path=path)
    return found
