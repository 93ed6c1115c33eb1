"""``inkfire export``: a policy, or a recipe's training, for another engine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Seed, Shown, emit
from inkfire.errors import InputError
from inkfire.runs.engines import Engine, export_training
from inkfire.runs.export import Form
from inkfire.runs.export import export as write_export

_FORMS = {"merged": "whole weights", "gguf-lora": "an adapter of llama.cpp", "ollama": "a model of Ollama"}
_NEXT = {
    "merged": "vllm serve {out}",
    "gguf-lora": "llama-server -m BASE.gguf --lora {out}/adapter.gguf",
    "ollama": "cd {out} && ollama create NAME -f Modelfile",
}


def export(
    source: Annotated[str, Parameter(help="A policy's folder; for verl and openrlhf a recipe.")],
    /,
    *,
    to: Annotated[
        Form | Engine,
        Parameter(help="merged (vLLM, transformers), gguf-lora (llama.cpp), ollama; of a recipe: verl, openrlhf."),
    ],
    out: Annotated[Path, Parameter(help="A new folder.")],
    policy: Annotated[str | None, Parameter(help="Of a recipe: which GRPO training, where it has several.")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write a policy for vLLM, llama.cpp or Ollama, a training for verl or OpenRLHF.

    Example: inkfire export runs/sft --to merged --out exported
    Example: inkfire export greetings-zh-7b --to verl --policy judge-rl --out for-verl
    """
    if to == "verl" or to == "openrlhf":
        emit(export_training(source, to, out, policy=policy, seed=seed), as_json=json, show=_handed)
        return
    if policy is not None:
        raise InputError(f"--policy names a training of a recipe, for --to verl or openrlhf; --to {to} takes a folder")
    emit(write_export(source, to, out), as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> Shown:
    said = f"Exported as {_FORMS[result['to']]}, {result['bytes'] / 1e6:,.0f} MB; README.md says how to serve it."
    following = _NEXT[result["to"]].format(out=shlex.quote(result["out"]))
    return Shown([said], out=Path(result["out"]), files=dict.fromkeys(result["files"], ""), next=following)


def _handed(result: Mapping[str, Any]) -> Shown:
    said = (
        f"{result['policy']} for {result['to']}: {result['train']} queries, {result['steps']} steps, scored by "
        f"{result['reward']}. README.md says what to start before."
    )
    lost = [f"{result['to']} does not do: {words}" for words in result["left_out"]]
    names = dict.fromkeys(result["files"], "")
    return Shown([said], lost, out=Path(result["out"]), files=names, next=f"{shlex.quote(result['out'])}/launch.sh")
