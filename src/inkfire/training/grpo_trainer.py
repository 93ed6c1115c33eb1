"""TRL's GRPOTrainer, where a text that the loss may not see is in no part of it.

TRL 1.16 gives a text without a reward advantage 0 and goes on counting it: in the number of tokens or texts that a loss
is divided by, in the KL term and in the entropy. Here its ``completion_mask`` is 0, and rows whose mask is 0 never go
through the model (with several processes they do: TRL gathers numbers of as many texts from each; the mask leaves them
out); truncated completions that TRL masked (``mask_truncated_completions``) are such rows too. A text that is the only
one of its group with a reward has nothing to be compared with, so it is as good as without one.

TRL's own bonus for entropy is a mean a micro batch, in which the texts of a batch that lost some count more; the one
here is a mean over all tokens that are in the loss of an update.
"""

from __future__ import annotations

from typing import Any

import torch
import trl

_SHARE = "share_in_loss"  # of the texts of a generation; a scalar, which TRL hands to every micro batch
_DIVIDED_BY_TEXTS = ("grpo", "dr_grpo")


class GRPOTrainer(trl.GRPOTrainer):  # type: ignore[misc]
    """Leaves out what has no reward. One reward function; each process has whole groups.

    ``bonus`` is what a nat of the mean entropy a token is worth in the loss; 0 adds nothing to it.
    """

    bonus: float = 0.0
    _compared: torch.Tensor  # of this process's texts
    _entropies: torch.Tensor | None = None

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        rewards = compared(super()._calculate_rewards(*args, **kwargs), self.num_generations)
        self._compared = (~rewards.isnan().squeeze(1)).chunk(self.accelerator.num_processes)[
            self.accelerator.process_index
        ]
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        batch["completion_mask"] = batch["completion_mask"] * self._compared.unsqueeze(1)
        batch["num_items_in_batch"] = self.accelerator.gather(batch["completion_mask"].sum()).sum()
        batch[_SHARE] = self.accelerator.gather(batch["completion_mask"].any(dim=1).float().mean()).mean()
        return batch

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """The loss of the rows of a micro batch that are in it, as a part of that of the generation.

        The losses that TRL divides by the number of texts are divided by that of the texts in the loss.
        """
        rows = inputs["completion_mask"].any(dim=1)
        processes = self.accelerator.num_processes
        if processes > 1:
            rows = torch.ones_like(rows)
        if not rows.any():
            trained = [weight.sum() for weight in model.parameters() if weight.requires_grad]
            return torch.stack(trained).sum() * 0.0
        left = {
            name: value[rows] if isinstance(value, torch.Tensor) and value.ndim else value
            for name, value in inputs.items()
        }
        loss: torch.Tensor = super()._compute_loss(model, left)
        if self.loss_type in _DIVIDED_BY_TEXTS:
            loss = loss * rows.float().mean() / inputs[_SHARE].clamp(min=1e-9)
        entropies, self._entropies = self._entropies, None
        if self.bonus and entropies is not None:
            updates = self.args.steps_per_generation / self.current_gradient_accumulation_steps
            tokens = inputs["num_items_in_batch"].clamp(min=1) / updates / processes
            loss = loss - self.bonus * (entropies * left["completion_mask"]).sum() / tokens
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._entropies = found[1]
        return found


def compared(rewards: torch.Tensor, group: int) -> torch.Tensor:
    """Rewards (texts × 1, NaN where missing), without those that are the only ones of their group.

    >>> compared(torch.tensor([[1.0], [2.0], [3.0], [torch.nan]]), 2).flatten().tolist()
    [1.0, 2.0, nan, nan]
    """
    alone = (~rewards.isnan()).view(-1, group).sum(dim=1) < 2
    return rewards.masked_fill(alone.repeat_interleave(group).unsqueeze(1), torch.nan)
