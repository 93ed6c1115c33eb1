"""A policy's adapter as llama.cpp takes it: a GGUF LoRA, made once and kept beside the adapter as ``adapter.gguf``.

With it the embedded engine serves the policy as ``--model``: the weights are the base's .gguf and this on top. Where
llama.cpp has a layer's rows in another order than Hugging Face (query and key of Llama), the adapter's rows follow.

>>> served(Path("runs/sft"))                                                                      # doctest: +SKIP
(PosixPath('/home/ada/.cache/inkfire/models/qwen2.5-….gguf'), PosixPath('runs/sft/adapter.gguf'))
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inkfire.errors import MissingExtraError, ModelNameError
from inkfire.files.jsonl import ADAPTER_GGUF, open_input, parse_json, sha256_file, temporary, writing
from inkfire.models import store
from inkfire.models.card import CARD, Card, is_adapter, is_policy

try:
    import gguf
    import safetensors
except ImportError as error:
    raise MissingExtraError(error.name or "gguf", "train") from error

_FORMAT = 1  # raise it when the conversion changes, so that old files are made anew
_SOURCE = "inkfire.source"
_SAME_ORDER = ("qwen2", "qwen3", "gemma2", "gemma3", "phi3")
_PERMUTED = ("llama",)  # Mistral and SmolLM as well: llama.cpp pairs the rotary halves of query and key row by row
_UNKNOWN_TO_LLAMA_CPP = {
    "use_dora": "DoRA",
    "rank_pattern": "ranks that differ by layer",
    "alpha_pattern": "scales that differ by layer",
    "modules_to_save": "whole layers beside LoRA",
    "lora_bias": "trained biases",
}


def base_of(folder: Path) -> str:
    """The .gguf, by name, under a policy that the embedded engine can serve.

    Raises:
        ModelNameError: it is no policy, no adapter, or one whose base is no .gguf; the message says what works instead.
        DataError: its card is damaged.
    """
    if not is_policy(folder):
        raise ModelNameError(f"{folder}: no policy (it has no {CARD})")
    base = Card.read(folder).base
    if not is_adapter(folder):
        why = "it is whole weights"
    elif not (base.startswith("local/") or base.endswith(".gguf")):
        why = f"its base {base} is none"
    else:
        return base
    raise ModelNameError(
        f"{folder}: llama.cpp (the embedded engine) takes a .gguf and adapters of one, and {why}; run `inkfire export "
        f"{folder} --to merged --out DIR`, serve that (`vllm serve DIR`) and give --model DIR with its --base-url"
    )


def can_serve(folder: Path) -> bool:
    """Whether the embedded engine can serve a policy.

    Raises:
        DataError: its card is damaged.
    """
    try:
        base_of(folder)
    except ModelNameError:
        return False
    return True


def served(folder: Path) -> tuple[Path, Path]:
    """The base's .gguf and the adapter's, for the engine; the second is made where it is not of this adapter.

    Raises:
        ModelNameError: as ``base_of``, or an adapter that llama.cpp has no form for.
        RunFolderError: the folder cannot be written.
    """
    base, target = store.pull(base_of(folder)), folder / ADAPTER_GGUF
    if not _is_made_of(target, _source(folder, base)):
        write_lora(folder, base, target)
    return base, target


def write_lora(folder: Path, base: Path, target: Path) -> None:
    """Write the adapter of a policy as a GGUF LoRA for ``base``; it appears whole or not at all.

    Raises:
        ModelNameError: an adapter that llama.cpp has no form for, or one of another base.
        RunFolderError: ``target`` cannot be written.
    """
    config = parse_json((folder / "adapter_config.json").read_text(encoding="utf-8"), path=folder)
    _check(config, folder)
    model = _Base(base)
    # PEFT scales by alpha / rank, or by alpha / √rank (rslora); llama.cpp by the first alone.
    alpha = config["lora_alpha"] * (math.sqrt(config["r"]) if config.get("use_rslora") else 1.0)
    writer = gguf.GGUFWriter(None, model.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(alpha))
    writer.add_string(_SOURCE, _source(folder, base))
    for name, weights in _weights(folder):
        writer.add_tensor(*model.tensor(name, weights, folder))
    beside = temporary(target)
    try:
        with writing(target):
            writer.write_header_to_file(beside)
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


class _Base:
    """What of a base's .gguf an adapter must agree with."""

    def __init__(self, file: Path):
        self._file = file
        reader = gguf.GGUFReader(file)

        def field(name: str) -> Any:
            found = reader.get_field(name)
            return None if found is None else found.contents()

        self.architecture: str = field("general.architecture")
        if self.architecture not in (*_SAME_ORDER, *_PERMUTED):
            known = ", ".join((*_SAME_ORDER, *_PERMUTED))
            raise ModelNameError(
                f"{file}: adapters become a GGUF LoRA for {known}, not for {self.architecture}; `inkfire export POLICY "
                "--to merged` makes a model that vLLM serves"
            )
        self._shapes = {tensor.name: tuple(map(int, reversed(tensor.shape))) for tensor in reader.tensors}
        arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == self.architecture)
        self._names = gguf.get_tensor_name_map(arch, field(f"{self.architecture}.block_count"))
        heads = field(f"{self.architecture}.attention.head_count")
        groups = field(f"{self.architecture}.attention.head_count_kv") or heads
        self._heads = {"attn_q": heads, "attn_k": groups} if self.architecture in _PERMUTED else {}

    def tensor(self, name: str, weights: np.ndarray, folder: Path) -> tuple[str, np.ndarray]:
        """llama.cpp's name and rows of a LoRA matrix that PEFT calls ``….q_proj.lora_A.weight``."""
        module, _, which = name.removeprefix("base_model.model.").rpartition(".lora_")
        layer = self._names.get_name(module)
        shape = self._shapes.get(f"{layer}.weight")
        if which not in ("A.weight", "B.weight") or shape is None:
            raise ModelNameError(f"{folder}: {name} is nothing that llama.cpp adds to a layer of {self._file.name}")
        if weights.shape[which == "A.weight"] != shape[which == "A.weight"]:
            raise ModelNameError(f"{folder}: {name} does not fit {self._file.name}: it is another model's adapter")
        heads = self._heads.get(layer.rpartition(".")[2])
        if which == "B.weight" and heads is not None:
            halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, weights.shape[1])
            weights = halves.swapaxes(1, 2).reshape(weights.shape)
        return f"{layer}.weight.lora_{which[0].lower()}", np.ascontiguousarray(weights)


def _check(config: Mapping[str, Any], folder: Path) -> None:
    found = [said for key, said in _UNKNOWN_TO_LLAMA_CPP.items() if config.get(key)]
    if config.get("peft_type") != "LORA":
        found.append(str(config.get("peft_type")))
    if config.get("bias", "none") != "none":
        found.append("trained biases")
    if found:
        raise ModelNameError(
            f"{folder}: a GGUF LoRA cannot hold {' and '.join(found)}; `inkfire export {folder} --to merged` can"
        )


def _weights(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The adapter's matrices as float32, by PEFT's names."""
    file = folder / "adapter_model.safetensors"
    with open_input(file) as content:
        try:
            tensors = safetensors.deserialize(content.read())  # type: ignore[no-untyped-call]
        except safetensors.SafetensorError as error:
            raise ModelNameError(f"{file}: the weights cannot be read: {error}") from error
    for name, tensor in sorted(tensors):
        kind = gguf.GGMLQuantizationType.__members__.get(tensor["dtype"])
        if kind is None or len(tensor["shape"]) != 2:
            raise ModelNameError(f"{file}: {name} is no matrix of F32, F16 or BF16")
        rows = np.frombuffer(tensor["data"], np.uint8).reshape(tensor["shape"][0], -1)
        yield name, gguf.dequantize(rows, kind)


def _source(folder: Path, base: Path) -> str:
    """What decides the file: adapter, base and this conversion."""
    names = ("adapter_config.json", "adapter_model.safetensors")
    decides = [_FORMAT, *(sha256_file(folder / name) for name in names), store.digest(base)]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def _is_made_of(target: Path, source: str) -> bool:
    if not target.is_file():
        return False
    try:
        found = gguf.GGUFReader(target).get_field(_SOURCE)
    except (ValueError, IndexError, KeyError):  # another program's file, or a broken one
        return False
    return found is not None and found.contents() == source
