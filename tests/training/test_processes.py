"""Two processes on this machine's CPU, as ``accelerate launch`` starts them: one policy, one folder, one log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from inkfire.errors import InputError
from inkfire.models.card import is_policy
from inkfire.training import ranks

LAUNCH = "--multi_gpu --num_processes 2 --num_machines 1 --main_process_port 0 --mixed_precision no --dynamo_backend no"
WATCHED = """\
import os
from pathlib import Path

def score(query, response):
    log = Path({log!r})
    with log.open("a") as file:
        file.write(f"{{os.environ.get('RANK')}}\\n")
    if Path({stop!r}).exists() and len(log.read_text().splitlines()) > 16:
        os._exit(9)
    return float(response.count("e"))
"""


def run(out: Path, *words: object, processes: int = 2) -> tuple[int, dict[str, Any], str]:
    """``inkfire … --out OUT --json``: its exit code, its result, stderr."""
    before = [sys.executable, "-m"]
    if processes > 1:
        before += ["accelerate.commands.launch", *LAUNCH.split(), "-m"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*before, "inkfire", *map(str, words), "--out", str(out), "--json"]
    said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    found = [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]
    assert len(found) <= 1, "a result is printed once"
    return said.returncode, found[0] if found else {}, said.stderr


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def both_and_one(folder: Path, *words: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The results of two processes and of one, which end at the same losses."""
    code, both, err = run(folder / "both", *words)
    assert code == 0, err
    _, one, _ = run(folder / "one", *words, processes=1)
    assert both["loss_first"] == pytest.approx(one["loss_first"], rel=0.02)
    assert both["loss_last"] == pytest.approx(one["loss_last"], rel=0.02)
    return both, one


@pytest.mark.slow
def test_sft_ends_where_one_process_ends(tiny_task: Path, tiny_base: str, tmp_path: Path) -> None:
    sizes = ("--epochs", 6, "--batch-size", 4, "--learning-rate", 0.01)
    how = ("train", "sft", "--task", tiny_task, "--base", tiny_base, *sizes)
    both, one = both_and_one(tmp_path, *how)
    assert is_policy(tmp_path / "both")
    assert one["loss_last"] < 0.97 * one["loss_first"]
    assert [row["step"] for row in rows(tmp_path / "both" / "metrics.jsonl")] == list(range(1, 13))
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in ("both", "one")]
    assert names[0] == names[1]
    code, again, _ = run(tmp_path / "both", *how)
    assert (code, again["loss_last"]) == (0, both["loss_last"])


@pytest.mark.slow
def test_a_reward_model_ends_where_one_process_ends(tiny_task: Path, tiny_base: str, tmp_path: Path) -> None:
    sizes = ("--epochs", 4, "--qualify", 0, "--batch-size", 2, "--learning-rate", 0.001)
    how = ("train", "rm", "--task", tiny_task, "--base", tiny_base, "--kind", "transformer", *sizes)
    both, one = both_and_one(tmp_path, *how)
    assert both["steps"] == one["steps"]


@pytest.mark.slow
def test_dpo_trains_in_two_processes(tiny_task: Path, tiny_base: str, tmp_path: Path) -> None:
    pairs = tiny_task / "pairs.jsonl"
    how = (
        "train",
        "dpo",
        "--task",
        tiny_task,
        "--policy",
        tiny_base,
        "--pairs",
        pairs,
        "--epochs",
        2,
        "--batch-size",
        4,
    )
    code, both, err = run(tmp_path / "both", *how, "--samples", 0)
    assert code == 0, err
    assert [row["step"] for row in rows(tmp_path / "both" / "metrics.jsonl")] == [1, 2, 3, 4]
    assert is_policy(tmp_path / "both")
    assert both["steps"] == 4


@pytest.mark.slow
def test_grpo_logs_each_completion_once_and_goes_on_after_a_kill(
    tiny_task: Path, tiny_base: str, tmp_path: Path
) -> None:
    log, stop, source, out = (tmp_path / name for name in ("log", "stop", "mine.py", "rl"))
    source.write_text(WATCHED.format(log=str(log), stop=str(stop)))
    how = (
        "train",
        "grpo",
        "--task",
        tiny_task,
        "--policy",
        tiny_base,
        "--reward",
        f"python:{source}:score",
        "--max-steps",
        4,
    )
    how = (*how, "--batch-size", 2, "--num-generations", 4, "--max-completion-length", 8, "--kl-budget", 50)
    stop.touch()
    code, _, _ = run(out, *how)
    assert code != 0
    assert not is_policy(out)
    stop.unlink()
    code, result, err = run(out, *how)
    assert code == 0, err
    assert Counter(row["step"] for row in rows(out / "completions.jsonl")) == dict.fromkeys((1, 2, 3, 4), 8)
    assert [row["step"] for row in rows(out / "metrics.jsonl")] == [1, 2, 3, 4]
    asked = [row["query"] for row in rows(out / "completions.jsonl")]
    assert all(len({*asked[i : i + 4]}) == 1 for i in range(0, 32, 4))
    assert {*log.read_text().split()} == {"0"}, "the first process alone scores"
    assert (result["steps"], result["completions"]) == (4, 32)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["dapo", "grpo"])
def test_a_process_whose_texts_have_no_reward_waits_for_nobody(
    loss: str, tiny_task: Path, tiny_base: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "mine.py", tmp_path / "rl"
    source.write_text(
        "asked = []\n\ndef score(query, response):\n    asked.append(query)\n"
        "    return None if query == asked[0] else float(len(response))\n"
    )
    how = ("train", "grpo", "--task", tiny_task, "--policy", tiny_base, "--reward", f"python:{source}:score")
    how = (*how, "--max-steps", 3, "--batch-size", 2, "--num-generations", 4, "--max-completion-length", 8)
    code, result, err = run(out, *how, "--loss-type", loss, "--learning-rate", 0.01)
    assert code == 0, err
    found = rows(out / "metrics.jsonl")
    assert found[0]["coverage"] == 0.5
    assert found[0]["grad_norm"] > 0.01
    assert all(row["loss"] is not None and row["grad_norm"] is not None for row in found)  # finite
    assert result["steps"] == 3


@pytest.mark.slow
def test_a_recipe_does_its_trainings_together_and_the_rest_once(
    recipe: Callable[..., Path], tiny_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe(
        ('"local/smollm2-135m"', json.dumps(tiny_base)),
        ("batch_size = 1", "batch_size = 2\nnum_generations = 2\nmax_completion_length = 4"),
        ("[curate]", "[sft]\nsamples = 0\nbatch_size = 4\nepochs = 0.5\n[curate]"),
        ("[judge]", '[judge]\nmode = "verdict"'),
        ("rounds = 0", 'rounds = 0\ndetector = "verdict"'),
        ('start = "judge-rl"', 'start = "rm-rl"'),
        ('signals = ["judge", "rm", "rubric", "debate"]', 'signals = ["rm"]\nmax_tokens = 4'),
    )
    stub = [sys.executable, str(Path(__file__).parents[1] / "stub_endpoint.py"), "--latency", "0"]
    with subprocess.Popen(stub, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as endpoint:
        assert endpoint.stdout is not None
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.stdout.readline().strip())
        code, result, err = run(tmp_path / "runs" / "two", "run", file)
        assert endpoint.stdin is not None
        endpoint.stdin.close()
    assert code == 0, err
    out = tmp_path / "runs" / "two"
    assert {"sft", "reward_model", "rm-rl", "on-top", "evaluate"} <= result["stages"].keys()
    for policy in ("sft", "rm-rl", "on-top"):
        assert is_policy(out / policy)
        steps = [row["step"] for row in rows(out / policy / "metrics.jsonl") if "loss" in row]
        assert steps == list(range(1, len(steps) + 1))
    assert len(rows(out / "on-top" / "completions.jsonl")) == 4
    assert err.count("] evaluate") == 1


@pytest.mark.slow
def test_what_one_process_does_is_refused_and_said_once(tiny_task: Path, tiny_base: str, tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "out", "train", "sft", "--task", tiny_task, "--base", tiny_base, "--batch-size", 3)
    assert code != 0
    assert err.count("Error: batch_size = 3 cannot be divided among 2 processes") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["multi-gpu", "zero2"])
def test_the_launchers_settings_on_the_page_are_read_by_accelerate(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(Path(__file__).parents[2] / "docs" / "accelerate" / f"{name}.yaml"))
    assert found.num_processes == 8
    assert found.mixed_precision == "bf16"
    assert str(getattr(found, "deepspeed_config", {}).get("zero_stage")) == ("2" if name == "zero2" else "None")


def test_parts_and_refusals_by_the_launchers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ranks.count(), ranks.first(), ranks.share("x"), ranks.gathered([1]), ranks.part(3, "n")) == (
        1, True, "x", [1], 3,
    )  # fmt: skip
    ranks.alone("x")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "1")
    assert ranks.part(8, "n") == 2
    with pytest.raises(InputError, match="n = 6 cannot be divided among 4 processes"):
        ranks.part(6, "n")
    with pytest.raises(InputError, match="is done by one process"):
        ranks.alone("train bon")
    with pytest.raises(SystemExit):
        ranks.leave()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="ZeRO-2"):
        ranks.check_whole_weights()
