"""A reward by its name: the one line of a recipe or command that says who scores.

    runs/rm                      a folder with reward.json: a reward model, linear or transformer
    runs/judge                   a folder with judge.json: a judge, when its measurements allow it
    share:!                      the share of a character, to see that training works
    0.8*runs/rm + 0.2*share:!    a weighted sum (with blanks around the plus)

>>> load_reward("share:!").name
'share:!'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkfire.errors import DataError, InputError
from inkfire.rewards.base import Reward
from inkfire.rewards.checks import Share
from inkfire.rewards.mixture import Mixture
from inkfire.workspace import parse_json, write_json

if TYPE_CHECKING:
    from inkfire.llm.ledger import Ledger

CARD = "reward.json"
_PART = re.compile(r"\s*(-?\d+(?:\.\d+)?)\*(.+?)\s*")


def load_reward(spec: str | Path, *, ledger: Ledger | None = None, base_url: str | None = None) -> Reward:
    """The reward that ``spec`` names; ``ledger`` and ``base_url`` are for judges.

    Raises:
        InputError: neither a reward's folder nor a check.
        DataError: the folder is damaged.
        RefusedReward: a judge that is not better than chance on labelled texts.
        MissingExtraError: a transformer reward model without the ``train`` extra.
    """
    text = str(spec)
    parts = [_PART.fullmatch(part) for part in text.split(" + ")]
    if all(parts):
        matches = [match for match in parts if match is not None]
        return Mixture(tuple((float(m[1]), load_reward(m[2], ledger=ledger, base_url=base_url)) for m in matches))
    if text.startswith("share:"):
        if len(text) != len("share:") + 1:
            raise InputError(f"reward {text!r}: share: is followed by one character, as in share:!")
        return Share(text[-1])
    folder = Path(text)
    if (folder / CARD).is_file():
        return _reward_model(folder)
    if (folder / "judge.json").is_file():
        from inkfire.rewards.judge_reward import load_judge_reward

        return load_judge_reward(folder, ledger=ledger, base_url=base_url)
    raise InputError(
        f"{text}: no reward; a folder with reward.json (inkfire train rm) or judge.json (inkfire refine), "
        "or share:X is needed"
    )


def _reward_model(folder: Path) -> Reward:
    card = read_card(folder)
    if card["kind"] == "linear":
        from inkfire.rewards.linear import LinearReward
        from inkfire.twins import NgramPairModel

        return LinearReward(NgramPairModel.load(folder), name=f"rm:{folder.name}", threshold=card["threshold"])
    from inkfire.rewards.reward_model import TransformerReward

    return TransformerReward.load(folder)


def read_card(folder: Path) -> dict[str, Any]:
    """What reward.json says: kind, threshold, task and the measurements of a reward model.

    Raises:
        DataError: missing, damaged, or of an unknown kind.
    """
    path = folder / CARD
    try:
        card = parse_json(path.read_text(encoding="utf-8"), path=path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None
    if not isinstance(card, dict) or card.get("kind") not in ("linear", "transformer"):
        raise DataError("not the card of a reward model: kind must be linear or transformer", path=path)
    return {"threshold": None, "task": None, **card}


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write reward.json, the last file of a reward's folder: with it the reward is complete."""
    write_json(folder / CARD, card)
