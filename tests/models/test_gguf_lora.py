"""A policy's adapter as a GGUF LoRA: the tensors, what the engine makes of them, and what has no such form."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_gguf import GROUPS, HEADS, edit

from inkfire.errors import DataError, ModelNameError, RunFolderError
from inkfire.files.jsonl import sha256_file

pytest.importorskip("peft")
np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")

from inkfire.models import engine, gguf_lora  # noqa: E402

Made = Callable[..., Path]
MESSAGES = [{"role": "user", "content": "a wish for the new house"}]


def deltas(policy: Path) -> dict[str, Any]:
    """What PEFT adds to each layer's weights, by its Hugging Face name."""
    from inkfire.models.policy import Policy

    model = Policy.load(policy).model.float()
    layers = {name.removeprefix("base_model.model."): m for name, m in model.named_modules() if hasattr(m, "lora_A")}
    return {name: layer.get_delta_weight("default").detach().numpy() for name, layer in layers.items()}


def added(file: Path) -> dict[str, Any]:
    """What llama.cpp adds to each tensor: B A alpha / rank."""
    reader = gguf.GGUFReader(file)
    alpha = reader.get_field("adapter.lora.alpha").contents()
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    names = [name.removesuffix(".lora_a") for name in tensors if name.endswith(".lora_a")]
    return {n: tensors[f"{n}.lora_b"] @ tensors[f"{n}.lora_a"] * alpha / len(tensors[f"{n}.lora_a"]) for n in names}


def unpermuted(weights: Any, heads: int) -> Any:
    """Llama's rows of llama.cpp in the order of Hugging Face, as transformers reads them out of a .gguf."""
    pairs = weights.reshape(heads, weights.shape[0] // heads // 2, 2, weights.shape[1])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


@pytest.mark.parametrize("config", [{}, {"use_rslora": True, "r": 8}], ids=["plain", "rslora"])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_what_is_added_is_what_peft_adds(tiny_policy: Made, architecture: str, config: dict[str, Any]) -> None:
    policy = tiny_policy(architecture, **config)
    base, adapter = gguf_lora.served(policy)
    assert (base.name, adapter) == (f"tiny-{architecture}.gguf", policy / "adapter.gguf")
    wanted, found = deltas(policy), added(adapter)
    assert len(wanted) == len(found) == 2 * 7
    for layer in range(2):
        for ours, theirs, heads in (
            ("self_attn.q_proj", "attn_q", HEADS),
            ("self_attn.k_proj", "attn_k", GROUPS),
            ("self_attn.v_proj", "attn_v", None),
            ("self_attn.o_proj", "attn_output", None),
            ("mlp.gate_proj", "ffn_gate", None),
            ("mlp.up_proj", "ffn_up", None),
            ("mlp.down_proj", "ffn_down", None),
        ):
            rows = found[f"blk.{layer}.{theirs}.weight"]
            if heads is not None and architecture == "llama":
                assert not np.allclose(rows, wanted[f"model.layers.{layer}.{ours}"], atol=0.01)
                rows = unpermuted(rows, heads)
            assert rows == pytest.approx(wanted[f"model.layers.{layer}.{ours}"], abs=1e-5)


def test_the_file_says_what_it_is(tiny_policy: Made) -> None:
    reader = gguf.GGUFReader(gguf_lora.served(tiny_policy("llama"))[1])
    wanted = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    assert {name: reader.get_field(name).contents() for name in wanted} == wanted


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_the_engine_thinks_as_the_policy(tiny_policy: Made, architecture: str) -> None:
    pytest.importorskip("xllamacpp")
    policy = tiny_policy(architecture)
    served = gguf_lora.served(policy)
    tokens, wanted, bare = in_process(policy)
    with_adapter, without = engine_says(tokens, *served), engine_says(tokens, served[0])
    assert with_adapter == pytest.approx(wanted, abs=0.2)  # llama.cpp keeps keys and values in half precision
    assert without == pytest.approx(bare, abs=0.2)
    assert max(abs(with_adapter[i] - without[i]) for i in wanted) > 2


def in_process(policy: Path) -> tuple[list[int], dict[int, float], dict[int, float]]:
    """A prompt's tokens; log-probabilities of every next token by the policy, and by its base."""
    import torch

    from inkfire.models.policy import Policy

    loaded = Policy.load(policy)
    model = loaded.model.float()
    encoded = loaded.tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )

    def last() -> dict[int, float]:
        with torch.no_grad():
            return dict(enumerate(torch.log_softmax(model(**encoded).logits[0, -1], -1).tolist()))

    adapted = last()
    with model.disable_adapter():
        return encoded["input_ids"][0].tolist(), adapted, last()


def engine_says(tokens: list[int], *weights: Path) -> dict[int, float]:
    running = engine.acquire(*weights)
    # A byte that is no whole letter is not shown: "d" is said whatever the model would.
    body = {"prompt": tokens, "n_predict": 1, "n_probs": 1000, "temperature": 0, "logit_bias": [["d", 100.0]]}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {running.api_key}"}
    url = running.base_url.removesuffix("/v1") + "/completion"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as response:
            [said] = json.load(response)["completion_probabilities"]
    finally:
        running.release()
    return {one["id"]: one["logprob"] for one in said["top_logprobs"]}


# ---- made once ------------------------------------------------------------------------------------------------------


def test_it_is_made_once_and_again_for_another_adapter(tiny_policy: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, made = tiny_policy("qwen2"), []
    write = gguf_lora.write_lora
    monkeypatch.setattr(gguf_lora, "write_lora", lambda *where: made.append(where[-1]) or write(*where))
    adapter = gguf_lora.served(policy)[1]
    first = adapter.read_bytes()
    gguf_lora.served(policy)
    assert made == [adapter]
    edit(policy / "adapter_config.json", lora_alpha=8)
    gguf_lora.served(policy)
    assert made == [adapter] * 2
    assert adapter.read_bytes() != first
    for broken in (b"", b"GGUF", b"no file of ours"):
        adapter.write_bytes(broken)
        gguf_lora.served(policy)
        assert adapter.stat().st_size > 1000
    assert len(made) == 5


def test_a_policy_that_was_served_is_the_same_input(tiny_policy: Made) -> None:
    policy = tiny_policy("qwen2")
    before = sha256_file(policy)
    gguf_lora.served(policy)
    assert sha256_file(policy) == before


def test_half_precisions_are_read(tiny_policy: Made) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    policy = tiny_policy("llama")
    wanted = added(gguf_lora.served(policy)[1])
    weights = policy / "adapter_model.safetensors"
    for dtype in (torch.bfloat16, torch.float16):
        save_file({name: tensor.to(dtype) for name, tensor in load_file(weights).items()}, weights)
        found = added(gguf_lora.served(policy)[1])
        assert found.keys() == wanted.keys()
        assert all(rows == pytest.approx(wanted[name]) for name, rows in found.items())


# ---- what cannot be served ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"use_dora": True}, "cannot hold DoRA; `inkfire export .*--to merged` can"),
        ({"bias": "all"}, "trained biases"),
        ({"modules_to_save": ["lm_head"]}, "whole layers beside LoRA"),
        ({"rank_pattern": {"q_proj": 8}}, "ranks that differ by layer"),
        ({"peft_type": "LOHA"}, "cannot hold LOHA"),
    ],
)
def test_an_adapter_that_llama_cpp_does_not_know(tiny_policy: Made, changed: dict[str, Any], said: str) -> None:
    policy = tiny_policy("qwen2")
    edit(policy / "adapter_config.json", **changed)
    with pytest.raises(ModelNameError, match=said):
        gguf_lora.served(policy)
    assert not (policy / "adapter.gguf").exists()


def test_another_models_adapter(tiny_policy: Made) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    policy = tiny_policy("qwen2")
    weights = policy / "adapter_model.safetensors"
    tensors = safetensors.load_file(weights)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    for other, said in (
        ({name: tensors[name][:, :16]}, "does not fit tiny-qwen2.gguf: it is another model's adapter"),
        ({name.replace("q_proj", "qkv_proj"): tensors[name]}, "is nothing that llama.cpp adds"),
        ({name.replace("lora_A.weight", "lora_magnitude_vector"): tensors[name]}, "is nothing that llama.cpp adds"),
        ({name: tensors[name][0]}, "is no matrix"),
    ):
        safetensors.save_file({key: np.ascontiguousarray(value) for key, value in other.items()}, weights)
        with pytest.raises(ModelNameError, match=said):
            gguf_lora.served(policy)
    weights.write_bytes(b"cut off")
    with pytest.raises(ModelNameError, match="the weights cannot be read"):
        gguf_lora.served(policy)
    weights.unlink()
    with pytest.raises(DataError, match="no such file"):
        gguf_lora.served(policy)


def test_a_base_that_is_no_gguf_says_what_works(tiny_policy: Made) -> None:
    policy = tiny_policy("qwen2")
    edit(policy / "policy.json", base="Qwen/Qwen2.5-0.5B-Instruct")
    with pytest.raises(ModelNameError, match=r"its base Qwen/Qwen2.5-0.5B-Instruct is none; run .*export .*vllm"):
        gguf_lora.served(policy)
    (policy / "adapter_config.json").unlink()
    with pytest.raises(ModelNameError, match="it is whole weights; run `inkfire export"):
        gguf_lora.served(policy)


def test_an_architecture_whose_order_is_not_known(tiny_policy: Made, tmp_path: Path) -> None:
    policy, base = tiny_policy("qwen2"), tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(base, "bloom")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelNameError, match=r"odd.gguf: .* qwen2, .* not for bloom"):
        gguf_lora.write_lora(policy, base, tmp_path / "adapter.gguf")


def test_a_folder_that_cannot_be_written(tiny_policy: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy("qwen2")
    (policy / "adapter.gguf").mkdir()  # what root may not replace either
    (policy / "adapter.gguf" / "file").touch()
    with pytest.raises(RunFolderError, match=r"cannot write .*adapter\.gguf"):
        gguf_lora.served(policy)
    assert not list(policy.glob(".*.tmp"))
