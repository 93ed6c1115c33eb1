"""Weights that can be trained: a GGUF is dequantised once to bf16 safetensors, and kept beside it in the cache.

``trainable(name)`` is a folder that any Hugging Face loader takes: config, safetensors, tokenizer, chat template. A hub
id or a folder of one's own passes through unchanged.

>>> AutoModelForCausalLM.from_pretrained(trainable("local/smollm2-135m"))                       # doctest: +SKIP
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import filelock

from inkfire.errors import MissingExtraError, ModelNameError
from inkfire.files.jsonl import write_json
from inkfire.models import store

try:
    import gguf
    import torch
    import transformers
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
except ImportError as error:
    raise MissingExtraError(error.name or "torch", "train") from error

_NOTE = "inkfire_source.json"
_FORMAT = 3  # raise it when the conversion changes, so that old folders are made anew
_ONE_MATRIX = 0.9
"""Cosine of embedding and output from which on they are one: rounded to 2 bits 0.95, two matrices below 0.5."""
_COMPARED = 4096  # rows


def trainable(name: str) -> str:
    """What ``from_pretrained`` takes for a model's name.

    Args:
        name: ``local/NAME`` or a path of a .gguf (converted, the first time), a Hugging Face folder, or a hub id, with
            hf/ before it or not.

    Raises:
        ModelNameError: an unknown name, or a GGUF that transformers cannot read.
        EndpointDown: weights that could not be downloaded.
    """
    if not (name.startswith("local/") or name.endswith(".gguf")):
        return name if Path(name).is_dir() else name.removeprefix("hf/")
    file = store.pull(name)
    source = {"sha256": store.digest(file), "format": _FORMAT, "transformers": transformers.__version__}
    folder = store.cache_dir() / "trainable" / f"{file.stem}-{source['sha256'][:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if _source_of(folder) != source:
            sys.stderr.write(f"making {file.name} trainable: once, half a minute or so\n")
            _convert(file, folder, source)
    return str(folder)


def _source_of(folder: Path) -> dict[str, Any] | None:
    try:
        note: dict[str, Any] = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note


def _convert(file: Path, folder: Path, source: dict[str, Any]) -> None:
    """Dequantise ``file`` into ``folder``, which appears whole or not at all."""
    beside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with _quiet():
            model = transformers.AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.bfloat16, trust_remote_code=False
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                file.parent, gguf_file=file.name, trust_remote_code=False
            )
            _forget_quantisation(model)
            _tie(model)
            _split_digits(tokenizer, file)
            _set_tokens(model, tokenizer)
            model.save_pretrained(beside)
            tokenizer.save_pretrained(beside)
    except Exception as error:  # a stranger's file in a stranger's parser: anything may come out of it
        shutil.rmtree(beside, ignore_errors=True)
        raise ModelNameError(f"{file}: cannot be made trainable: {error}") from error
    write_json(beside / _NOTE, source)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def _forget_quantisation(model: Any) -> None:
    """The weights are plain bf16 now; ``save_pretrained`` refuses a model that says it is quantised."""
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        if mark in vars(model):
            delattr(model, mark)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _tie(model: Any) -> None:
    """Make embedding and output one matrix again where the original has one.

    A .gguf may hold it twice, rounded otherwise, and does not say that they are the same: 136 of the 630 million
    parameters of a 0.5B model. The output is what llama.cpp rounds less, so it is kept.
    """
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    if output is None or embedding.weight is output.weight or embedding.weight.shape != output.weight.shape:
        return
    step = -(-len(output.weight) // _COMPARED)
    own, other = (matrix.weight[::step].float().flatten() for matrix in (embedding, output))
    if torch.cosine_similarity(own, other, dim=0) < _ONE_MATRIX:
        return
    embedding.weight.data = output.weight.data
    model.config.get_text_config().tie_word_embeddings = model.config.tie_word_embeddings = True
    model.tie_weights()


def _split_digits(tokenizer: Any, file: Path) -> None:
    """Transformers reads a GGUF's vocabulary but not its pre-tokeniser's name; SmolLM's sets every digit apart.

    Without it the spaces before a number become other tokens than the model (and the engine) learnt.
    """
    name = gguf.GGUFReader(file).get_field("tokenizer.ggml.pre")
    if name is not None and name.contents() == "smollm":
        parts = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(parts)


def _set_tokens(model: Any, tokenizer: Any) -> None:
    """End at the chat template's end token, where there is one; pad with another, so that padding never looks like an
    end to learn."""
    end = "<|im_end|>"
    if tokenizer.chat_template is not None and end in tokenizer.get_vocab():
        tokenizer.eos_token = end
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        others = [token for token in tokenizer.all_special_tokens if token != tokenizer.eos_token]
        preferred = [token for token in ("<|endoftext|>", "<|fim_pad|>") if token in tokenizer.get_vocab()]
        if candidates := [*preferred, *others]:
            tokenizer.pad_token = candidates[0]
    for config in (model.config, model.generation_config):
        config.eos_token_id = tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id


@contextmanager
def _quiet() -> Iterator[None]:
    """Transformers warns of the very things that are done on purpose here, and draws bars that no setting hides."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
