"""What tests of the page share: sets of texts laid out, and servers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from annotating import NASTY, Served

from inkfire.evaluation.ballots import Plan
from inkfire.files.jsonl import write_jsonl
from inkfire.runs.annotate import AnnotateInputs, new
from inkfire.runs.context import Place


@pytest.fixture
def lay_out(tmp_path: Path, tiny_task: Path) -> Callable[..., Path]:
    """Pairs of two secret writers, or with ``mode="rubric"`` texts of one."""

    def make(n: int = 20, mode: str = "pairwise", lines: int = 1, **plan: Any) -> Path:
        for writer in ("secret-alpha", "secret-beta"):
            rows = ({"query": f"a wish {i}", "response": f"Text {i} of {len(writer)}\n" * lines} for i in range(n - 1))
            nasty = {"query": "a <i>wish</i>", "response": NASTY + f"{len(writer)}\n" * lines}
            write_jsonl(tmp_path / f"{writer}.jsonl", [nasty, *rows])
        names = ("secret-alpha", "secret-beta") if mode == "pairwise" else ("secret-alpha",)
        policies = tuple(str(tmp_path / f"{name}.jsonl") for name in names)
        inputs = AnnotateInputs(policies=policies, task=str(tiny_task), mode=mode)  # type: ignore[arg-type]
        new(inputs, Plan(**plan), Place(tmp_path / "set"))
        return tmp_path / "set"

    return make


@pytest.fixture
def serving() -> Iterator[Callable[[Path], Served]]:
    begun: list[Served] = []

    def begin(out: Path) -> Served:
        begun.append(Served(out))
        begun[-1].start()
        return begun[-1]

    yield begin
    for one in begun:
        one.kill()
