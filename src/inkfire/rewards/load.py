"""A reward by its name: the one line of a recipe or command that says who scores.

    runs/rm                      a folder with reward.json: a reward model, linear or transformer
    runs/judge                   a folder with judge.json: a judge, when its measurements allow it
    python:FILE.py:rhymes        a function of (query, response)
    share:!                      the share of a character, to see that training works
    0.8*runs/rm + 0.2*share:!    a weighted sum (with blanks around the plus)
    min(runs/rm, runs/judge)     the least of several
    rank:runs/rank               by groups: a judge of mode rank orders each; in place of the folder a model's name may
                                 stand, which nobody has measured
    tournament:runs/pairs        a judge of mode pairwise compares the texts of a group
    reference:runs/pairs         it compares each with a given text of its query
    checklist:runs/checklist     a judge of mode checklist, as its folder alone is one

>>> load_reward("share:!").name
'share:!'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inkfire.errors import DataError, InputError
from inkfire.files.jsonl import read_json, write_json
from inkfire.judge.spec import JudgeSpec
from inkfire.records import Identity
from inkfire.rewards.base import Among, Reward
from inkfire.rewards.identity import judge_identity, reward_model_identity
from inkfire.rewards.judge import (
    GROUPED,
    WAYS,
    identity_of,
    judge_behind,
    load_judge_reward,
    opened_as_reward,
    read_accepted,
    read_judge,
)
from inkfire.rewards.length import WithoutLength
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.python import PythonReward
from inkfire.rewards.ranking import load_group_reward
from inkfire.rewards.share import Share
from inkfire.stats.length import LengthPart

if TYPE_CHECKING:
    from inkfire.llm.ledger import Ledger

CARD = "reward.json"
_MIN = re.compile(r"\s*min\((.+,.+)\)\s*")
_PART = re.compile(r"\s*(-?\d+(?:\.\d+)?)\*(.+?)\s*")


def load_reward(
    spec: str | Path,
    *,
    ledger: Ledger | None = None,
    base_url: str | None = None,
    value: Literal["probability", "label"] = "probability",
    force: bool = False,
    among: Among = Among(),
) -> Reward:
    """The reward that ``spec`` names; all arguments but the first are for judges (see load_judge_reward). Close it.

    Args:
        among: how rewards by groups put texts beside each other.

    Raises:
        InputError: neither a reward's folder nor a check.
        DataError: the folder is damaged.
        RefusedReward: a judge that is not better than chance on labelled texts.
        MissingExtraError: a transformer reward model without the ``train`` extra.
    """
    text = str(spec)
    if parts := parts_of(text):
        loaded = []
        with ExitStack() as opened:  # what is open when a later part turns out to be none is closed
            for weight, part in parts:
                reward = load_reward(part, ledger=ledger, base_url=base_url, value=value, force=force, among=among)
                opened.callback(reward.close)
                loaded.append((weight, reward))
            opened.pop_all()
        return Mixture(tuple(loaded), "min" if _MIN.fullmatch(text) else "sum")
    if text.startswith("share:"):
        if len(text) != len("share:") + 1:
            raise InputError(f"reward {text!r}: share: is followed by one character, as in share:!")
        return Share(text[-1])
    if text.startswith("python:"):
        return PythonReward.load(text.removeprefix("python:"))
    if behind := behind_of(text):
        if behind[0] in GROUPED:
            return load_group_reward(*behind, ledger=ledger, base_url=base_url, force=force, among=among)
        judge = judge_behind(*behind, force=force, task=among.task)
        return opened_as_reward(judge, identity_of(*behind), ledger, base_url, value)
    folder = Path(text)
    if (folder / CARD).is_file():
        return _reward_model(folder)
    if (folder / "judge.json").is_file():
        return load_judge_reward(folder, ledger=ledger, base_url=base_url, value=value, force=force)
    raise InputError(
        f"{text}: no reward; a folder with reward.json (inkfire train rm) or judge.json (inkfire refine), "
        "python:FILE.py:FUNCTION, share:X, or rank:, tournament:, reference: or checklist: with a judge is needed"
    )


def check_reward(spec: str, *, force: bool = False) -> None:
    """Whether :func:`load_reward` will find a reward: raises what it would, without starting a model."""
    for name in [part for _, part in parts_of(spec)] or [spec]:
        folder = Path(name)
        if behind := behind_of(name):
            read_judge(*behind, force=force)
        elif (folder / CARD).is_file():
            read_card(folder)
        elif (folder / "judge.json").is_file():
            read_accepted(folder, force=force)
        else:
            load_reward(name)


def behind_of(name: str) -> tuple[str, str] | None:
    """(rank, tournament, reference or checklist; its judge's folder or model), where a reward's name says how a judge
    is asked, or its folder has one that compares; None of any other."""
    kind, _, judge = name.partition(":")
    if kind in WAYS and judge:
        return kind, judge
    if (Path(name) / "judge.json").is_file():
        mode = JudgeSpec.read(name).mode
        return next(((kind, name) for kind, takes in GROUPED.items() if takes == mode), None)
    return None


def is_relative(spec: str) -> bool:
    """Whether some of a reward's scores say nothing outside their group."""
    parts = parts_of(spec) or [(1.0, spec)]
    return any(weight and (behind_of(name) or ("", ""))[0] in GROUPED for weight, name in parts)


def folder_of(name: str) -> Path:
    """Where a single reward lies, whatever it is; of one that is no folder, no path of anything."""
    behind = behind_of(name)
    return Path(behind[1] if behind else name)


def renamed(spec: str, name: Callable[[str], str]) -> str:
    """The same sum, least or single reward of parts that are called otherwise."""
    parts = parts_of(spec)
    if not parts:
        return name(spec)
    if _MIN.fullmatch(spec):
        return f"min({', '.join(name(part) for _, part in parts)})"
    return " + ".join(f"{weight:g}*{name(part)}" for weight, part in parts)


def placeholders(spec: str, what: str = "reward", after: int = 0) -> tuple[str, dict[str, Path]]:
    """The name with its folders and files as ``<reward 1>``, …, and those: what a manifest says, wherever they lie.

    Args:
        what: they are; numbered from ``after`` on.
    """
    folders: dict[str, Path] = {}

    def said(name: str) -> str:
        kind, _, rest = name.partition(":")
        path = rest.rpartition(":")[0] if kind == "python" else rest if kind in WAYS else name
        if Path(path).exists():
            key = f"{what} {after + len(folders) + 1}"
            folders[key] = Path(path)
            return name.replace(path, f"<{key}>", 1)
        return name

    return renamed(spec, said), folders


def identities_of(spec: str) -> tuple[Identity, ...]:
    """The ``identities`` of what :func:`load_reward` loads, from the folders alone: no model is opened.

    Raises:
        InputError, DataError: as :func:`load_reward`.
    """
    if parts := parts_of(spec):
        return tuple(dict.fromkeys(known for weight, part in parts if weight for known in identities_of(part)))
    if behind := behind_of(spec):
        return (identity_of(*behind),)
    folder = Path(spec)
    if (folder / CARD).is_file():
        return (reward_model_identity(folder, read_card(folder)),)
    if (folder / "judge.json").is_file():
        return (judge_identity(JudgeSpec.read(folder), folder.name),)
    return load_reward(spec).identities


def parts_of(text: str) -> list[tuple[float, str]]:
    """(weight, reward) of a weighted sum, or of the least of several; [] for a single reward."""
    if least := _MIN.fullmatch(text):
        return [(1.0, part.strip()) for part in least[1].split(",")]
    matches = [_PART.fullmatch(part) for part in text.split(" + ")]
    return [(float(match[1]), match[2]) for match in matches if match is not None] if all(matches) else []


def _reward_model(folder: Path) -> Reward:
    card = read_card(folder)
    reward = _scorer(folder, card)
    if card["length"] is None:
        return reward
    try:
        return WithoutLength(reward, LengthPart(**card["length"]))
    except TypeError as error:
        raise DataError(f"damaged length part: {error}", path=folder / CARD) from None


def _scorer(folder: Path, card: Mapping[str, Any]) -> Reward:
    if card["kind"] == "linear":
        from inkfire.rewards.linear import LinearReward
        from inkfire.stats.twins import NgramPairModel

        identities = (reward_model_identity(folder, card),)
        return LinearReward(NgramPairModel.load(folder), f"rm:{folder.name}", card["threshold"], identities)
    from inkfire.rewards.transformer import TransformerReward

    return TransformerReward.load(folder, card)


def read_card(folder: Path) -> dict[str, Any]:
    """What reward.json says: kind, threshold, task and the measurements of a reward model.

    Raises:
        DataError: missing, damaged, or of an unknown kind.
    """
    path = folder / CARD
    try:
        card = read_json(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None
    if not isinstance(card, dict) or card.get("kind") not in ("linear", "transformer"):
        raise DataError("not the card of a reward model: kind must be linear or transformer", path=path)
    return {"threshold": None, "task": None, "length": None, **card}


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write reward.json, the last file of a reward's folder: with it the reward is complete."""
    write_json(folder / CARD, card)
