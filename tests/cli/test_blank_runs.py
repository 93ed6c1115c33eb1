"""A task that was begun blank goes through every command that asks a model, to its end."""

from __future__ import annotations

import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from endpoints import Body, alternatives, completion
from stub_endpoint import default_reply, served

from inkfire.files.jsonl import write_jsonl
from inkfire.tasks.task import BLANK

Cli = Callable[..., tuple[int, dict[str, Any], str]]


def reply(body: Body) -> Any:
    text = body["messages"][-1]["content"]
    likely, other = ("Good", "Bad") if "lantern" in text else ("Bad", "Good")
    sure = random.Random(text).uniform(-0.5, -0.1)
    shown = alternatives({likely: sure, other: sure - 1.5}) if body.get("logprobs") else None
    return 200, completion(body, default_reply(body), logprobs=shown)


@pytest.fixture
def at(cli: Cli, tmp_path: Path) -> Iterator[list[object]]:
    """The options of a blank task at the stub, with data beside it."""
    code, _, err = cli("tasks", "new", tmp_path / "verse", "--blank", "--language", "fa")
    assert code == 0, err
    queries = [f"a verse on number {n}" for n in range(30)]
    write_jsonl(tmp_path / "queries.jsonl", ({"query": query} for query in queries))
    texts = [(q, f"A lantern, {q}.", 1) for q in queries] + [(q, f"All the best, {q}.", 0) for q in queries]
    write_jsonl(tmp_path / "labelled.jsonl", ({"query": q, "response": t, "label": x} for q, t, x in texts))
    with served(reply) as stub:
        yield ["--task", tmp_path / "verse", "--model", "m", "--base-url", stub.url, "--json"]


def test_it_is_judged_curated_refined_and_compared(cli: Cli, at: list[object], tmp_path: Path) -> None:
    queries, labelled = tmp_path / "queries.jsonl", tmp_path / "labelled.jsonl"

    def run(*command: object) -> dict[str, Any]:
        code, result, err = cli(*command, *at)
        assert code == 0, err
        return result

    for mode in ("logprob", "verdict", "rubric", "debate"):
        found = run("judge", "--data", labelled, "--mode", mode, "--out", tmp_path / f"runs/{mode}")
        assert found["unscored"] == 0, mode
    assert run("curate", "--prompts", queries, "--limit", 3, "--out", tmp_path / "runs/pairs")["labelled"] > 0
    refined = ("--prompts", queries, "--labelled", labelled, "--rounds", 1, "--out", tmp_path / "runs/refine")
    assert run("refine", *refined)["rounds"] == 1
    signal = ("--signal", f"judge={tmp_path / 'runs/logprob'}", "--length-from", labelled, "--limit", 3)
    compared = ("--policy", "a=m", "--policy", "b=m", "--prompts", queries, *signal, "--out", tmp_path / "runs/compare")
    at.remove("--model")
    at.remove("m")
    assert run("evaluate", *compared)["n"] == 3


@pytest.mark.slow
def test_it_is_in_the_wheel(tmp_path: Path) -> None:
    """Built as a user's pip does; where no builder can be fetched there is nothing to look at."""
    source = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr.strip()[-200:]}")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name.removeprefix("inkfire/tasks/blank/") for name in archive.namelist()}
    assert inside >= {path.relative_to(BLANK).as_posix() for path in BLANK.rglob("*") if path.is_file()}
