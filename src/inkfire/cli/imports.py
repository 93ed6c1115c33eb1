"""``inkfire import``: a policy from another engine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Shown, emit
from inkfire.runs.imported import import_policy


def imports(
    folder: Annotated[Path, Parameter(help="Whole weights or a LoRA adapter, as Hugging Face saves them.")],
    /,
    *,
    task: Annotated[str, Parameter(help="A task's name (inkfire tasks list) or its folder: whose prompt it knows.")],
    base: Annotated[str | None, Parameter(help="The model it was trained from; an adapter may name it itself.")] = None,
    reward: Annotated[tuple[str, ...], Parameter(help="What it was trained against; repeatable.")] = (),
    out: Annotated[Path, Parameter(help="A new folder.")],
    json: Json = False,
) -> None:
    r"""Make a policy folder of weights that another engine trained.

    Example: inkfire import trained --task greetings-zh \
        --base Qwen/Qwen2.5-7B-Instruct --reward runs/judge --out policy
    """
    emit(import_policy(folder, task, out, base=base, rewards=reward), as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> Shown:
    kind = "An adapter on" if result["adapter"] else "Whole weights, trained from"
    said = f"{kind} {result['base']}, {result['bytes'] / 1e6:,.0f} MB, is a policy of {result['task']} now."
    following = f"inkfire write --policy {shlex.quote(result['out'])} 'QUERY'"
    files = dict.fromkeys(result["files"], "")
    return Shown([said], result["warnings"], out=Path(result["out"]), files=files, next=following)
