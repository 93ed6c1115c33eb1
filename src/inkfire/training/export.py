"""A policy in the forms that other engines take: whole weights, a GGUF LoRA, an Ollama model.

Each function fills a folder that is there and empty.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from inkfire.errors import MissingExtraError, ModelNameError
from inkfire.files.jsonl import ADAPTER_GGUF
from inkfire.models.card import Card, is_adapter
from inkfire.models.gguf_lora import served
from inkfire.models.policy import Policy, base_source, load_tokenizer, quiet, tokenizer_of
from inkfire.training.settings import TEMPERATURE

try:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
except ImportError as error:
    raise MissingExtraError(error.name or "torch", "train") from error

_QUERY = "INKFIREQUERY"


def write_merged(folder: Path, out: Path) -> None:
    """Whole weights in the base's own precision (safetensors), with tokenizer and chat template.

    Raises:
        ModelNameError: weights that cannot be loaded, or a quantised base.
    """
    adapted = is_adapter(folder)
    whole = base_source(Card.read(folder).base) if adapted else str(folder)
    try:
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(whole, dtype="auto", trust_remote_code=False)
            if getattr(model.config, "quantization_config", None) is not None:
                raise ModelNameError(
                    f"{folder}: its base is quantised, and no adapter can be merged into rounded weights; serve both "
                    f"(`vllm serve BASE --enable-lora --lora-modules {folder.name}={folder}`)"
                )
            if adapted:
                model = PeftModel.from_pretrained(model, str(folder)).merge_and_unload(safe_merge=True)
            tokenizer = load_tokenizer(whole, folder)
            model.generation_config.pad_token_id = tokenizer.pad_token_id
            vars(model.config).pop("_model_name_or_path", None)  # a .gguf's own name of itself, "… AWQ" say
            model.save_pretrained(out)
            tokenizer.save_pretrained(out)
    except (OSError, ValueError) as error:
        raise ModelNameError(f"{folder}: cannot be merged: {error}") from error


def write_gguf_lora(folder: Path, out: Path) -> None:
    """The adapter for llama.cpp: ``adapter.gguf``.

    Raises:
        ModelNameError: a policy that has no such form (``gguf_lora``).
    """
    shutil.copyfile(served(folder)[1], out / ADAPTER_GGUF)


def write_ollama(folder: Path, out: Path) -> None:
    """A Modelfile with what it names: the base's .gguf (linked where the disk can, else copied) and the adapter.

    Its TEMPLATE is the policy's own prompt with the query's place in it, so that it writes as it was trained.

    Raises:
        ModelNameError: a policy that has no such form (``gguf_lora``), or whose template does not hold the query as
            it is.
    """
    base, adapter = served(folder)
    tokenizer = tokenizer_of(folder)
    [ids] = Policy(folder.name, Card.read(folder), None, tokenizer).encode([_QUERY])
    prompt = tokenizer.decode(ids, skip_special_tokens=False)
    if _QUERY not in prompt:
        raise ModelNameError(f"{folder}: its template changes the query, which Ollama's cannot; use --to gguf-lora")
    if tokenizer.bos_token_id in tokenizer("a")["input_ids"][:1]:  # every text begins so: llama.cpp puts it there
        prompt = prompt.removeprefix(tokenizer.bos_token)
    try:
        os.link(base, out / base.name)
    except OSError:
        shutil.copyfile(base, out / base.name)
    shutil.copyfile(adapter, out / ADAPTER_GGUF)
    lines = (
        f"FROM ./{base.name}",
        f"ADAPTER ./{ADAPTER_GGUF}",
        f'TEMPLATE """{_in_go(prompt)}{{{{ .Response }}}}{tokenizer.eos_token}"""',
        f"PARAMETER temperature {TEMPERATURE}",
        "PARAMETER top_k 0",
        "PARAMETER top_p 1",
        "PARAMETER min_p 0",
        "PARAMETER repeat_penalty 1",
        f'PARAMETER stop "{tokenizer.eos_token}"',
    )
    (out / "Modelfile").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _in_go(prompt: str) -> str:
    """A prompt as a template of Go's, within three quotes of a Modelfile."""
    plain = prompt.replace("{{", '{{"{{"}}').replace('"""', r'{{"\"\"\""}}')
    return plain.replace(_QUERY, "{{ .Prompt }}")
