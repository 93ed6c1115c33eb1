"""What TRL forgets when a GRPO training goes on: how often its prompts were shuffled."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class Shuffled(TrainerCallback):  # type: ignore[misc]
    """Draws the orders of the passes that are over.

    TRL's sampler draws the order of each pass from one generator, which a training that goes on begins anew: its prompts
    would come in the order of the first pass.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        for _pass in range(int(state.epoch or 0)):
            next(iter(train_dataloader.batch_sampler.sampler))
