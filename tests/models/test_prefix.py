"""What texts begin with is read once, and only where a model keeps all of it."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, set_seed

from inkfire.models.prefix import Prefix, common

SIZE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
ROWS = [[*range(1, 13), 20, 21], [*range(1, 13), 30, 31]]


@pytest.mark.parametrize(
    ("ids", "shared"),
    [
        ([], 0),
        ([[1, 2, 3]], 0),
        ([[1, 2, 3], [1, 2, 4]], 2),
        ([[1, 2], [1, 2, 4]], 1),  # the short one keeps a token
        ([[1, 2], [1, 2]], 1),
        ([[1], [1, 2]], 0),
        ([[1, 2], [3, 4]], 0),
        ([[1, 5], [1, 2, 9], [1, 2, 8]], 1),
    ],
)
def test_what_all_begin_with(ids: list[list[int]], shared: int) -> None:
    assert common(ids) == shared


@pytest.mark.parametrize(
    ("model", "shared"),
    [
        (lambda: LlamaForCausalLM(LlamaConfig(**SIZE)), 12),
        (lambda: MistralForCausalLM(MistralConfig(**SIZE, sliding_window=None)), 12),
        (lambda: MistralForCausalLM(MistralConfig(**SIZE, sliding_window=4)), 0),  # it forgets the beginning
    ],
    ids=["llama", "mistral", "sliding"],
)
def test_rows_that_go_on_are_read_as_whole_ones(model, shared: int) -> None:
    set_seed(0)
    reader = model().eval()
    prefix = Prefix.of(reader, ROWS)
    assert prefix.tokens == shared
    rest = torch.tensor([row[shared:] for row in ROWS])
    for _ in range(2):  # the model adds to what it is given
        with torch.no_grad():
            parts = reader(input_ids=rest, **prefix.before(torch.ones_like(rest))).logits
            whole = reader(input_ids=torch.tensor(ROWS)).logits
        assert torch.allclose(parts[:, -2:], whole[:, -2:], atol=1e-5)
