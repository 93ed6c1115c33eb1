"""What keeps a training near its start while TRL runs it: beta after the budget, the bonus for entropy after the
target, and the policies of the way.

A policy is kept in kept/kl-N when the KL of its texts passed N nats a text, one of :data:`MARKS`.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from inkfire.models.card import Card, is_policy
from inkfire.training import trl
from inkfire.training.budget import Budget
from inkfire.training.entropy import Floor

KEPT = "kept"
MARKS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Nats a text at which a policy of the way is kept."""


class Steering(TrainerCallback):  # type: ignore[misc]
    """Adds to a step's numbers ``kl_text`` and ``beta``, and sets the next step's beta; with a floor the same of
    ``entropy_bonus``.

    TRL's KL is k3, a mean over tokens: times the mean number of tokens it is that of a text.
    """

    def __init__(self, trainer: Any, budget: Budget | None, floor: Floor | None = None):
        self._trainer, self._budget, self._floor = trainer, budget, floor
        if budget is not None:
            trainer.beta = budget.beta
        if floor is not None:
            trainer.bonus = floor.bonus

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "train_runtime" in logs:  # the summary at the end
            return
        if self._floor is not None:
            logs["entropy_bonus"] = self._trainer.bonus
            self._trainer.bonus = self._floor.see(logs.get("entropy"))
        if "kl" not in logs:
            return
        tokens = logs.get("completions/mean_length", self._tokens)
        self._tokens = tokens
        logs |= {"kl_text": logs["kl"] * tokens, "beta": self._trainer.beta}
        if self._budget is not None:
            self._trainer.beta = self._budget.see(state.global_step, logs["kl_text"])

    _tokens: float = 0.0  # of the last texts: several updates share them


class OnTheWay(TrainerCallback):  # type: ignore[misc]
    """Makes a policy of each checkpoint, and keeps those of the last ``keep`` marks that a training passed."""

    def __init__(self, trainer: Any, tokenizer: Any, out: Path, card: Card, keep: int):
        self._trainer, self._tokenizer, self._out, self._card, self._keep = trainer, tokenizer, out, card, keep

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After a checkpoint. A training that goes on from it does what a kill at this moment left undone."""
        card = dataclasses.replace(self._card, steps=state.global_step)
        if (checkpoint := self._out / "checkpoints" / f"checkpoint-{state.global_step}").is_dir():
            card.write(checkpoint)
        known = [row["kl_text"] for row in trl.rows(self._out / trl.METRICS) if row.get("kl_text") is not None]
        passed = max((mark for mark in MARKS if known and mark <= max(known)), default=None)
        if not self._keep or passed is None or is_policy(place := self._out / KEPT / f"kl-{passed:g}"):
            return
        trl.save(self._trainer, self._tokenizer, place, self._card.base)
        card.write(place)
        for mark in [mark for mark in MARKS if (self._out / KEPT / f"kl-{mark:g}").exists()][: -self._keep]:
            shutil.rmtree(self._out / KEPT / f"kl-{mark:g}")

    on_train_begin = on_save
