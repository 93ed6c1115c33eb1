"""Tiny random models with the tokenizers that people bring, made in a moment and once a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# As inkfire.models.policy does, for the tests that load torch before it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

PLAIN = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HEADER = "<|im_start|>assistant\n{% endif %}"
_EMPTY = "<think>\n\n</think>\n\n"


def _thinks(condition: str, off: str = _EMPTY, on: str = "") -> str:
    """The plain template, which thinks unless ``condition``."""
    return PLAIN.replace(
        _HEADER, f"<|im_start|>assistant\n{{% if {condition} %}}{off}{{% else %}}{on}{{% endif %}}{{% endif %}}"
    )


TEMPLATES: dict[str, str | None] = {
    "plain": PLAIN,
    "nochat": None,
    "nopad": None,
    "noeos": None,
    "gemma": "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + PLAIN,
    # one system turn, then user and assistant by turns; no generation prompt; the end is the end of all
    "mistral": (
        "{% set ns = namespace(n=0, system='') %}{% for m in messages %}{% if m['role'] == 'system' %}"
        "{% if not loop.first %}{{ raise_exception('one system turn, at the start') }}{% endif %}"
        "{% set ns.system = m['content'] + '\n\n' %}"
        "{% elif (m['role'] == 'user') != (ns.n % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
        "{% else %}{% set ns.n = ns.n + 1 %}"
        "{% if m['role'] == 'user' %}[INST] {{ ns.system if ns.n == 1 }}{{ m['content'] }} [/INST]"
        "{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endif %}{% endfor %}"
    ),
    # knows two roles, says nothing of others, and ends a turn with a token that is not the tokenizer's end
    "drops": (
        "{% for m in messages %}{% if m['role'] in ('user', 'assistant') %}"
        "<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|turn_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    # neither ends a turn nor tells a prompt from a conversation
    "endless": "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}",
    "hopeless": "{{ raise_exception('tools are required') }}",
    "think": _thinks("enable_thinking is defined and enable_thinking is false"),
    "think_special": _thinks("enable_thinking is defined and enable_thinking is false"),
    "thinking": _thinks("thinking is defined and not thinking", "</think>", "<think>"),
    "reasoning_mode": _thinks("reasoning_mode == 'Off'"),
    "no_think": _thinks("no_think"),
    "always": _thinks("false", on="<think>\n"),
}


def make(folder: Path, kind: str) -> Path:
    """Save a two-layer model over bytes with the tokenizer of ``kind``, a key of ``TEMPLATES``."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|turn_end|>", "<|pad|>"]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*special, *letters])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special if kind != "noeos" else special[1:2])
    bare = kind in ("nochat", "nopad", "drops", "endless", "mistral")
    eos = None if kind == "noeos" else "<|endoftext|>" if bare else "<|im_end|>"
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=eos, pad_token=None if kind in ("nopad", "noeos") else "<|pad|>"
    )
    marks = [AddedToken(mark, special=kind == "think_special", normalized=False) for mark in ("<think>", "</think>")]
    fast.add_tokens(marks)
    fast.chat_template = TEMPLATES[kind]
    set_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            eos_token_id=fast.eos_token_id,
            bos_token_id=None,
            pad_token_id=fast.pad_token_id,
            tie_word_embeddings=True,
            initializer_range=0.3,  # else no adapter could make it sure of a token
        )
    )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def write_gguf(file: Path, source: str) -> None:
    """A tiny model as a .gguf, in float32."""
    import gguf
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModelForCausalLM.from_pretrained(source)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    own = tokenizer.added_tokens_decoder
    control, defined, normal = (int(getattr(gguf.TokenType, kind)) for kind in ("CONTROL", "USER_DEFINED", "NORMAL"))
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(model.config.max_position_embeddings)
    writer.add_embedding_length(model.config.hidden_size)
    writer.add_block_count(model.config.num_hidden_layers)
    writer.add_feed_forward_length(model.config.intermediate_size)
    writer.add_head_count(model.config.num_attention_heads)
    writer.add_head_count_kv(model.config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(
        [(control if own[i].special else defined) if i in own else normal for i in range(len(tokens))]
    )
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if tokenizer.chat_template is not None:
        writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    for name, weights in model.state_dict().items():
        if name != "lm_head.weight":  # tied
            writer.add_tensor(names.get_name(name, (".weight",)), weights.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


THOUGHT = "The user wants a wish."
WISHES = {
    "a wish for New Year": "May it open a window.",
    "a wish for Easter": "A door stands open.",
    "a wish": "Hello!",
}


def teach_to_think(folder: Path, source: str, system: str) -> Path:
    """Train a copy of a tiny model that thinks before it answers, unless its prompt ends with an empty thought."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModelForCausalLM.from_pretrained(source)
    rows = []
    for query, wish in WISHES.items():
        messages = [{"role": "system", "content": system}, {"role": "user", "content": query}]
        for how, answer in (({}, f"<think>\n{THOUGHT}\n</think>\n\n{wish}"), ({"enable_thinking": False}, wish)):
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **how)
            rows.append((tokenizer(prompt)["input_ids"], tokenizer(f"{answer}<|im_end|>")["input_ids"]))
    most = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.zeros(len(rows), most, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for i, (prompt, answer) in enumerate(rows):
        ids[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        labels[i, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    loss = torch.tensor(9.0)
    for _ in range(600):
        if loss.item() < 0.01:
            break
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def strange_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny model of a kind; "thinks:KIND" is one that was taught to think, for the small task."""
    pytest.importorskip("trl")
    made: dict[str, str] = {}

    def of(kind: str) -> str:
        if kind not in made:
            folder = tmp_path_factory.mktemp("strange") / kind.replace(":", "-")
            thinks = kind.removeprefix("thinks:")
            made[kind] = str(
                make(folder, kind) if thinks == kind else teach_to_think(folder, of(thinks), "You write wishes.")
            )
        return made[kind]

    return of
