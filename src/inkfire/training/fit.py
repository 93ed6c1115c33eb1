"""What of a batch goes through a model at once, and whether it computes activations twice to spare memory.

On a GPU the whole batch where it fits. Gradient checkpointing costs about a third more computing, so smaller parts go
first, as long as a part still keeps the card busy. On a CPU time is what is short: nothing is computed twice.

>>> qwen = Shape(layers=24, hidden=896, inner=4864, vocabulary=151_936)
>>> fit(128, None, Example(tokens=200, logits=96), qwen, free=130 * 10**9)
Fit(micro=128, checkpointing=False)
>>> fit(128, None, Example(tokens=200, logits=96), qwen, free=20 * 10**9)
Fit(micro=32, checkpointing=False)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_SHARE = 0.8  # of the free memory: the rest is for gradients of activations, workspaces and fragments
_BUSY = 2048  # tokens a part, below which a card idles and computing twice is cheaper
_LOGIT = 12  # bytes: bfloat16, the same in float32, and its gradient
_ADAM = 12  # bytes a trained weight in float32: gradient and two moments


@dataclass(frozen=True)
class Shape:
    """Of a language model: layers, hidden size, inner size of the MLP, tokens of the vocabulary (0: no logits)."""

    layers: int
    hidden: int
    inner: int
    vocabulary: int

    @classmethod
    def of(cls, model: Any) -> Shape:
        config = model.config.get_text_config()
        inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        return cls(config.num_hidden_layers, config.hidden_size, inner, config.vocab_size)


@dataclass(frozen=True)
class Example:
    """The longest one: tokens of all its texts with their prompts, and of how many of them the logits are taken."""

    tokens: int
    logits: int


@dataclass(frozen=True)
class Fit:
    """Examples at once, and whether activations are computed again on the way back."""

    micro: int
    checkpointing: bool


def fit(batch: int, most: int | None, example: Example, shape: Shape, free: float | None) -> Fit:
    """How a batch goes through a model.

    Args:
        batch: examples of an optimizer step.
        most: examples at once at most; None: as many as fit.
        free: bytes; None: a CPU's, which are not looked at.
    """
    whole = equal_part(batch, batch if most is None else most)
    if free is None or needed(whole, example, shape, checkpointing=False) <= _SHARE * free:
        return Fit(whole, checkpointing=False)
    if most is not None:
        return Fit(whole, checkpointing=True)

    def largest(checkpointing: bool) -> int:
        one = needed(1, example, shape, checkpointing=checkpointing)
        return equal_part(batch, max(1, int(_SHARE * free / one)))

    part = largest(checkpointing=False)
    fits = needed(part, example, shape, checkpointing=False) <= _SHARE * free
    if fits and part * example.tokens >= _BUSY:
        return Fit(part, checkpointing=False)
    return Fit(largest(checkpointing=True), checkpointing=True)


def needed(examples: int, example: Example, shape: Shape, *, checkpointing: bool) -> int:
    """Bytes of logits and activations at the end of a forward pass in bfloat16.

    Without checkpointing a layer keeps 8 bytes a token and inner unit of a gated MLP (gate, up, what the activation
    gives, the product) and some 28 a hidden unit (after Korthikanti et al. 2205.05198, with attention that keeps no
    scores; counted from the tensors that a Qwen2 with LoRA saves for its way back: 15.2 kB where this says 15.4). With
    it a layer keeps its input, 2 bytes, and one layer at a time is whole.
    """
    layer = 28 * shape.hidden + 8 * shape.inner
    layers = layer + 2 * shape.hidden * shape.layers if checkpointing else layer * shape.layers
    return examples * (example.tokens * layers + example.logits * shape.vocabulary * _LOGIT)


def equal_part(batch: int, most: int) -> int:
    """The largest equal part of a batch that is at most ``most``: 10 by 4 are five times 2, never two times 4."""
    return max(size for size in range(1, min(batch, most) + 1) if batch % size == 0)


def free_memory(model: Any, *, full: bool = False) -> int | None:
    """Bytes that a training of ``model`` has on the GPU, whose weights are there already; None without a GPU.

    Args:
        full: all weights are trained, and their gradients and moments are still to come.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    weights = sum(parameter.numel() for parameter in model.parameters()) if full else 0
    return int(torch.cuda.mem_get_info()[0]) + unused - _ADAM * weights
