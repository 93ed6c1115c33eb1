"""``inkfire export``: a policy for another engine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Shown, emit
from inkfire.runs.export import Form
from inkfire.runs.export import export as write_export

_FORMS = {"merged": "whole weights", "gguf-lora": "an adapter of llama.cpp", "ollama": "a model of Ollama"}
_NEXT = {
    "merged": "vllm serve {out}",
    "gguf-lora": "llama-server -m BASE.gguf --lora {out}/adapter.gguf",
    "ollama": "cd {out} && ollama create NAME -f Modelfile",
}


def export(
    policy: Annotated[str, Parameter(help="A policy's folder.")],
    /,
    *,
    to: Annotated[Form, Parameter(help="merged (vLLM, transformers), gguf-lora (llama.cpp) or ollama.")],
    out: Annotated[Path, Parameter(help="A new folder.")],
    json: Json = False,
) -> None:
    """Write a policy for vLLM, llama.cpp or Ollama, with a model card.

    Example: inkfire export runs/sft --to merged --out exported
    """
    emit(write_export(policy, to, out), as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> Shown:
    said = f"Exported as {_FORMS[result['to']]}, {result['bytes'] / 1e6:,.0f} MB; README.md says how to serve it."
    following = _NEXT[result["to"]].format(out=shlex.quote(result["out"]))
    return Shown([said], out=Path(result["out"]), files=dict.fromkeys(result["files"], ""), next=following)
