"""``inkfire import``: weights that another engine trained, as a policy folder.

What is copied are the weights (safetensors), the tokenizer and the configuration of a Hugging Face folder: whole
weights, or a LoRA adapter of PEFT's. policy.json is made of the task, the model that it was trained from and the reward
that it was trained against; from then on ``write``, ``evaluate``, ``train`` and ``export`` take it as their own.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import ModelNameError
from inkfire.files.jsonl import read_json, whole_folder
from inkfire.models.card import Card, is_adapter, trained_against
from inkfire.models.open import check_name
from inkfire.rewards.load import identities_of
from inkfire.tasks.task import load_task

_ADAPTER = "adapter_config.json"
_NESTED = "lora_adapter"  # where verl's merger leaves an adapter, beside the base's weights without it
_COPIED = ("*.safetensors", "*.safetensors.index.json", "*.jinja", "merges.txt", "vocab.json", "vocab.txt")
_CONFIGS = ("*config.json", "tokenizer.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json")


def import_policy(
    source: Path, task: str, out: Path, *, base: str | None = None, rewards: Sequence[str] = ()
) -> dict[str, Any]:
    """Write a policy folder of the weights in ``source``; ``out`` appears whole or not at all.

    Args:
        task: whose template the queries were put in.
        base: the model that it was trained from; that which the adapter names, if none.
        rewards: what it was trained against, as ``--reward`` names them: no claim about it may rest on these.

    Returns:
        out, base, task, adapter (whether it is one), own_rewards (how many), files, bytes, warnings.

    Raises:
        ModelNameError: no weights that can be taken, or a model that cannot be asked.
        RunFolderError: ``out`` is there and not empty, or cannot be written.
        InputError: no such task or reward.
    """
    from inkfire.models.policy import find_model

    of = load_task(task)
    found = base or _named_base(source)
    _check_weights(source)
    if is_adapter(source):
        check_name(found, weights=True)
    identities = tuple(dict.fromkeys(one for spec in rewards for one in identities_of(spec)))
    own = tuple(dict.fromkeys((*trained_against(found), *identities)))
    reward = ", ".join(dict.fromkeys(one.name for one in identities)) or None
    with whole_folder(out) as folder:
        for pattern in (*_COPIED, *_CONFIGS):
            for path in sorted(source.glob(pattern)):
                shutil.copyfile(path, folder / path.name)
        card = dataclasses.replace(Card.of(found, of), trained="import", reward=reward, own_rewards=own)
        card.write(folder)
        find_model(str(folder))
    files = sorted(path for path in out.iterdir())
    warnings = [] if rewards else [_UNKNOWN]
    return {
        "out": str(out),
        "base": found,
        "task": of.name,
        "adapter": is_adapter(out),
        "own_rewards": len(own),
        "files": [path.name for path in files],
        "bytes": sum(path.stat().st_size for path in files),
        "warnings": warnings,
    }


_UNKNOWN = (
    "What it was trained against is not known, so evaluate cannot mark the signals that were part of it: name the "
    "reward with --reward."
)


def _named_base(source: Path) -> str:
    named = read_json(source / _ADAPTER).get("base_model_name_or_path") if is_adapter(source) else None
    if not named:
        raise ModelNameError(f"{source}: it does not say what it was trained from: name that model with --base")
    return str(named)


def _check_weights(source: Path) -> None:
    """Raises ModelNameError where a folder holds no weights to take, or not those that were trained."""
    if not source.is_dir():
        raise ModelNameError(f"{source}: no such folder")
    if (source / _NESTED / _ADAPTER).is_file() and not is_adapter(source):
        raise ModelNameError(
            f"{source}: its weights are the base's; what was trained is the adapter in it: import {source / _NESTED}"
        )
    if not is_adapter(source) and not (source / "config.json").is_file():
        raise ModelNameError(f"{source}: neither whole weights (config.json) nor an adapter ({_ADAPTER})")
    if not any(source.glob("*.safetensors")):
        raise ModelNameError(
            f"{source}: it has no .safetensors; pickled weights are not loaded: save them anew with "
            "model.save_pretrained(FOLDER)"
        )
    if is_adapter(source) and not read_json(source / _ADAPTER).get("lora_alpha"):
        raise ModelNameError(
            f"{source / _ADAPTER}: lora_alpha is 0 or missing, so the adapter would change nothing: write down the one "
            "that it was trained with"
        )
