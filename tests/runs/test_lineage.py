"""A file that a reward or policy was trained on is known by the manifests, whatever it is called now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inkfire.files.jsonl import sha256_file, write_json, write_jsonl
from inkfire.files.run import Run
from inkfire.runs.context import Place, named_files
from inkfire.runs.judge import JudgeInputs
from inkfire.runs.lineage import seen
from inkfire.runs.score import ScoreInputs, score
from inkfire.runs.train import RewardModelInputs, reward_model
from inkfire.training.settings import RewardModelSettings


def file(path: Path, text: str) -> Path:
    write_jsonl(path, [{"query": text}])
    return path


def test_a_reward_models_own_pairs(tiny_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, copy, other = (tmp_path / name for name in ("pairs.jsonl", "copy.jsonl", "other.jsonl"))
    shutil.copy(tiny_task / "pairs.jsonl", pairs)
    shutil.copy(pairs, copy)
    write_jsonl(other, [{"query": "q", "chosen": "x", "rejected": "y"}])
    reward_model(RewardModelInputs(pairs=(other, pairs)), RewardModelSettings(), Place(tmp_path / "rm"))
    result = score(ScoreInputs(reward=str(tmp_path / "rm"), pairs=(copy,)), None)
    assert result["seen"] == [{"file": "copy.jsonl", "by": "rm", "run": "rm", "as": "pairs 2"}]
    assert "copy.jsonl is part of what rm was trained on (pairs 2): " in capsys.readouterr().err
    write_jsonl(other, [{"query": "r", "chosen": "x", "rejected": "y"}])
    assert score(ScoreInputs(reward=f"0.5*{tmp_path / 'rm'} + 0.5*share:!", pairs=(other,)), None)["seen"] == []


def test_what_went_before_counts_too(tmp_path: Path) -> None:
    names = ("prompts", "labelled", "texts", "measured", "held_out", "queries")
    files = {name: file(tmp_path / f"{name}.jsonl", name) for name in names}

    def run(name: str, command: str, settings: dict[str, float] | None = None, **inputs: Path) -> Path:
        Run.open(tmp_path / name, command=command, settings=settings or {}, inputs=inputs)
        return tmp_path / name

    curated = run("curated", "curate", prompts=files["prompts"])
    pairs = file(curated / "pairs.jsonl", "pairs")
    rm = run("rm", "train rm", pairs=pairs)
    judge = run("judge", "judge", calibration=files["labelled"], data=files["measured"])
    task = tmp_path / "task"
    task.mkdir()
    of_task = file(task / "labelled.jsonl", "of the task")
    run("whole", "run", queries=files["queries"])
    sft = run("whole/sft", "train sft", task=task)
    policy = run("policy", "train grpo", policy=sft, **{"reward 1": rm, "reward 2": judge, "prompts": files["texts"]})
    found = seen((*files.values(), pairs, of_task), {"rl": policy})
    assert {(row["file"], row["run"], row["as"]) for row in found} == {
        ("prompts.jsonl", "curated", "prompts"),
        ("pairs.jsonl", "rm", "pairs"),
        ("labelled.jsonl", "judge", "calibration"),
        ("labelled.jsonl", "sft", "data"),
        ("texts.jsonl", "policy", "prompts"),
        ("queries.jsonl", "whole", "queries"),
    }
    good = file(task / "good.jsonl", "good of the task")
    assert [row["run"] for row in seen((good, of_task), {"rl": policy})] == ["sft"]  # the one that is learnt from
    split = run("split", "judge", {"calibration_fraction": 0.3}, data=files["measured"])
    assert [row["as"] for row in seen((files["measured"],), {"judge": split})] == ["data"]
    shutil.rmtree(rm)  # what is gone is not asked
    assert seen((pairs,), {"rl": policy}) == []
    assert seen((pairs,), {"nothing": tmp_path / "absent"}) == []


def test_a_policy_that_serves_as_the_model_is_an_input(tmp_path: Path) -> None:
    """What it was trained on its judge has seen, and one that is trained anew is another model."""
    texts, policy = file(tmp_path / "texts.jsonl", "texts"), tmp_path / "sft"
    Run.open(policy, command="train sft", settings={}, inputs={"data": texts})
    write_json(policy / "policy.json", {"steps": 1})
    inputs = JudgeInputs(task="greetings-en", model=str(policy), data=(texts,))
    assert named_files(inputs)["model"] == policy
    judge = Run.open(tmp_path / "judge", command="judge", settings={}, inputs=named_files(inputs))
    assert [row["run"] for row in seen((texts,), {"judge": judge.out})] == ["sft"]
    before = judge.manifest["inputs"]["model"]["sha256"]
    write_json(policy / "policy.json", {"steps": 2})
    assert sha256_file(policy) != before
    assert "model" not in named_files(JudgeInputs(task="greetings-en", model=str(tmp_path / "judge"), data=(texts,)))
