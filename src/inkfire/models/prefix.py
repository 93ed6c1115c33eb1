"""What many texts begin with (a task's own words, say) goes through a model once.

>>> common([[7, 7, 1, 2], [7, 7, 3]])
2
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from inkfire.errors import MissingExtraError

try:
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer
except ImportError as error:
    raise MissingExtraError(error.name or "torch", "train") from error


@dataclass(frozen=True)
class Prefix:
    """The ``tokens`` that all texts begin with, and a model's keys and values of them."""

    tokens: int = 0
    cache: DynamicCache | None = None

    @classmethod
    def of(cls, model: Any, ids: Sequence[list[int]]) -> Self:
        """Read it, without gradients; each text keeps a token of its own.

        None are shared where a layer does not keep them all (sliding windows, recurrent layers).
        """
        if not (shared := common(ids)):
            return cls()
        ones = torch.tensor([[*ids[0][:shared]]], device=model.device)
        with torch.no_grad():
            cache = model.base_model(input_ids=ones, use_cache=True).get("past_key_values")
        whole = isinstance(cache, DynamicCache) and all(type(layer) is DynamicLayer for layer in cache.layers)
        return cls(shared, cache) if whole else cls()

    def before(self, mask: Any) -> dict[str, Any]:
        """What a model takes beside rows that go on from here: ``mask`` (rows × tokens) is that of the rows alone."""
        cache = None
        if self.cache is not None:
            cache = copy.deepcopy(self.cache)  # the model adds to what it is given
            cache.batch_repeat_interleave(len(mask))
        whole = torch.cat([mask.new_ones(len(mask), self.tokens), mask], dim=1)
        return {"attention_mask": whole, "past_key_values": cache, "use_cache": cache is not None}


def common(ids: Sequence[list[int]]) -> int:
    """How many tokens all texts begin with; none of a single one, and less than the whole of any."""
    if len(ids) < 2:
        return 0
    first, last = min(ids), max(ids)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return max(0, min(same, len(first) - 1))
