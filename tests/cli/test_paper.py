"""A run with ``--preset paper`` has the paper's settings in its manifest, but for those that are given beside it."""

import json
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import served

from inkfire.files.jsonl import read_jsonl

Cli = Callable[..., tuple[int, dict[str, Any], str]]
PAPER: dict[str, dict[str, Any]] = tomllib.loads(
    (resources.files("inkfire.recipes") / "presets" / "paper.toml").read_text(encoding="utf-8")
)


def manifest(out: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["settings"]
    assert about["preset"] == "paper"
    return about


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("curate", {"limit": 1, "candidates": 2, "embedder": "vectors"}),
        ("refine", {"rounds": 1, "attacks": 2, "training": 10, "validation": 8, "test": 8}),
        ("judge", {"calibration-fraction": 0}),
    ],
)
def test_a_run_at_an_endpoint(cli: Cli, tmp_path: Path, command: str, options: dict[str, Any]) -> None:
    with served() as stub:
        args = [part for name, value in options.items() for part in (f"--{name}", value)]
        asked = ["--task", "greetings-zh", "--model", "stub", "--base-url", stub.url, "--out", tmp_path / "run"]
        code, result, err = cli(command, "--preset", "paper", *asked, *args, "--json")
        paths = set(stub.paths)
    assert code == 0, err
    about = manifest(tmp_path / "run")
    wanted = {key: options.get(key, value) for key, value in PAPER[command].items() if key != "value"}  # of a reward
    assert {key: about[key] for key in wanted} == wanted
    if command == "curate":
        assert len(paths) == 2  # dense: the vectors are another address
        assert all(row["examples"] for row in read_jsonl(tmp_path / "run" / "transcripts.jsonl"))
    elif command == "judge":
        assert (result["calibrated"], result["n"]) == (False, 172)


@pytest.mark.slow
def test_a_training(cli: Cli, base: str, tiny_task: Path, tmp_path: Path) -> None:
    common = ["--task", tiny_task, "--json", "--preset", "paper"]
    code, _, err = cli("train", "rm", *common, "--base", base, "--epochs", 1, "--out", tmp_path / "rm")
    assert code == 0, err
    about, wanted = manifest(tmp_path / "rm"), PAPER["reward_model"] | {"epochs": 1}
    assert {key: about[key] for key in wanted} == wanted

    small = {
        "max-steps": 1,
        "batch-size": 2,
        "mini-batch-size": 1,
        "max-prompt-length": 999,
        "max-completion-length": 4,
    }
    args = [part for name, value in small.items() for part in (f"--{name}", value)]
    code, result, err = cli(
        "train", "grpo", *common, "--policy", base, "--reward", "share:!", *args, "--out", tmp_path / "rl"
    )
    assert code == 0, err
    assert (result["completions"], result["steps"]) == (8, 2)  # two updates a rollout
    wanted = PAPER["grpo"] | {"value": "label"} | {name.replace("-", "_"): value for name, value in small.items()}
    about = manifest(tmp_path / "rl")
    assert {key: about[key] for key in wanted} == wanted
