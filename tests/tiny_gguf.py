"""A base of some thousand random weights as a .gguf that llama.cpp serves, and policies: random adapters of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH, INNER, LAYERS, HEADS, GROUPS = 32, 64, 2, 4, 2


def make_tiny_gguf(file: Path, architecture: str = "qwen2", output: str = "tied") -> Path:
    """Two layers over bytes, grouped query attention; the same weights whenever it is called.

    Args:
        output: tied (the embedding, which stands there once), rounded (it once more, rounded otherwise), or own.
    """
    import gguf
    import numpy as np
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *letters, "th"]
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_name("tiny")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(letters) + 1))
    writer.add_token_merges(["t h"])
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    draw = np.random.default_rng(0)

    def add(name: str, *shape: int, around: float = 0.0) -> Any:
        numbers = around + draw.integers(-63, 64, shape) / 128  # that bf16 holds exactly
        writer.add_tensor(name, numbers.astype(np.float32))
        return numbers

    narrow = WIDTH // HEADS * GROUPS
    embedding = add("token_embd.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH, around=1.0)
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", narrow, WIDTH),
            ("attn_v", narrow, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", INNER, WIDTH),
            ("ffn_up", INNER, WIDTH),
            ("ffn_down", WIDTH, INNER),
        ):
            add(f"blk.{layer}.{name}.weight", rows, columns)
            if architecture == "qwen2" and name in ("attn_q", "attn_k", "attn_v"):
                add(f"blk.{layer}.{name}.bias", rows)
        add(f"blk.{layer}.attn_norm.weight", WIDTH, around=1.0)
        add(f"blk.{layer}.ffn_norm.weight", WIDTH, around=1.0)
    if output == "rounded":
        writer.add_tensor("output.weight", (np.round(embedding * 8) / 8).astype(np.float32))
    elif output == "own":
        add("output.weight", len(tokens), WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def make_policy(folder: Path, base: str, **config: Any) -> Path:
    """A policy of greetings with a random adapter on every linear layer, that changes what is written; ``config`` is
    more of LoRA's."""
    import torch
    from peft import LoraConfig, get_peft_model

    from inkfire.models.card import Card
    from inkfire.models.policy import load_model, quiet
    from inkfire.tasks.task import load_task

    card = Card.of(base, load_task("greetings-en"))
    with quiet():
        model, tokenizer = load_model(None, card, trainable=True)
        options = {"r": 4, "lora_alpha": 16, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | config
        adapted = get_peft_model(model, LoraConfig(**options))
        torch.manual_seed(1)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.data = torch.randint(-63, 64, parameter.shape) / 128
        adapted.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    card.write(folder)
    return folder


def edit(file: Path, **values: Any) -> None:
    """Change fields of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture
def tiny_policy(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``tiny_policy("llama", r=8)``: a policy's folder, the test's own, on a base of that architecture; the cache of
    weights is another one than the user's."""
    pytest.importorskip("peft")
    monkeypatch.setenv("INKFIRE_CACHE", str(tiny_folder / "cache"))

    def made(architecture: str = "qwen2", **config: Any) -> Path:
        base = tiny_folder / f"tiny-{architecture}.gguf"
        kept = tiny_folder / "-".join(map(str, (architecture, *sorted(config.items()))))
        if not base.exists():
            make_tiny_gguf(base, architecture)
        if not kept.exists():
            make_policy(kept, str(base), **config)
        own = Path(shutil.copytree(kept, tmp_path / "policy", dirs_exist_ok=True))
        edit(own / "policy.json", base=str(base))  # it is said relative to the folder, which was moved
        return own

    return made
