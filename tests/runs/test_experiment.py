"""A whole recipe on real models: every stage, killed in the middle of GRPO, resumed, and repeated at no cost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from inkfire.files.jsonl import read_jsonl, sha256_file, write_jsonl
from inkfire.records import to_json
from inkfire.tasks.task import load_task

RECIPE = """
name = "small"
task = "greetings-en"
[models]
writer = "local/smollm2-135m"
agents = "local/qwen2.5-coder-0.5b"
[data]
labelled = "labelled.jsonl"
[sft]
epochs = 0.1
[curate]
limit = 1
candidates = 1
[refine]
rounds = 0
[reward_model]
qualify = 0
[judge]
fit_fraction = 0.7
qualify = 0
labelled = 28
examples = 2
examples_choice = "nearest"
[grpo]
max_steps = 3
batch_size = 1
max_completion_length = 12
[[policies]]
name = "rm-rl"
reward = "rm"
[[policies]]
name = "check-rl"
reward = "share:!"
[evaluate]
queries = 4
signals = ["rm"]
"""


def run(tmp_path):
    command = [sys.executable, "-m", "inkfire", "run", "small.toml", "--out", "runs/small", "--json"]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.model
def test_a_recipe_runs_is_killed_resumes_and_repeats(tmp_path, smollm2, qwen_coder):
    (tmp_path / "small.toml").write_text(RECIPE)
    labelled = sorted(load_task("greetings-en").labelled(), key=lambda row: row.query)[:48]
    write_jsonl(tmp_path / "labelled.jsonl", map(to_json, labelled))
    out = tmp_path / "runs" / "small"

    first = run(tmp_path)
    deadline = time.monotonic() + 1800
    while not (out / "rm-rl" / "checkpoints" / "checkpoint-1").exists():
        assert first.poll() is None, first.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (out / "rm-rl" / "policy.json").exists()
    sft = sha256_file(out / "sft" / "adapter_model.safetensors")

    second = run(tmp_path)
    printed, complaints = second.communicate(timeout=1800)
    assert second.returncode == 0, complaints
    assert "sft: done before" in complaints
    result = json.loads(printed)
    assert [row["step"] for row in read_jsonl(out / "rm-rl" / "metrics.jsonl")] == [1, 2, 3]
    adapters = {sha256_file(out / name / "adapter_model.safetensors") for name in ("sft", "rm-rl", "check-rl")}
    assert len(adapters) == 3
    assert sha256_file(out / "sft" / "adapter_model.safetensors") == sft
    assert set(result["evaluation"]) == {"base", "sft", "rm-rl", "check-rl"}
    assert result["evaluation"]["rm-rl"]["own_reward"] == ["rm"]
    assert result["evaluation"]["check-rl"]["own_reward"] == []  # no signal is the check
    assert result["calls"] > 48
    assert result["cached"] > 0  # what the process that was killed had asked
    judge = json.loads((out / "judge" / "judge.json").read_text("utf-8"))
    assert (judge["examples"]["n"], judge["examples"]["choice"]) == (2, "nearest")
    assert "examples_auc" in judge["measured"]
    page = (out / "report.html").read_text("utf-8")
    assert "held-out queries" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page

    third = run(tmp_path)
    printed, complaints = third.communicate(timeout=120)
    assert third.returncode == 0, complaints
    again = json.loads(printed)
    assert again["cached"] == again["calls"] == result["calls"]
    assert again["evaluation"] == result["evaluation"]
