"""The rollouts of any trainer are the same rows."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inkfire.errors import DataError
from inkfire.files.jsonl import write_jsonl
from inkfire.files.rollouts import by_step, read_rollouts
from inkfire.records import Rollout

TURNS = {
    "prompt": [{"role": "system", "content": "You write."}, {"role": "user", "content": "tea"}],
    "completion": [{"role": "assistant", "content": "Tea!"}],
}


def test_ours_has_what_the_frozen_model_said(tmp_path: Path) -> None:
    row = {
        "step": 3,
        "query": "tea",
        "response": "Tea!",
        "reward": None,
        "truncated": True,
        "fluency": -2,
        "failed": [],
    }
    write_jsonl(tmp_path / "completions.jsonl", [row])
    assert read_rollouts(tmp_path) == [Rollout(3, "tea", "Tea!", None, True, -2.0)]


@pytest.mark.parametrize("talk", [TURNS, {"prompt": "tea", "completion": "Tea!"}])
@pytest.mark.parametrize("below", ["completions", ""])
def test_trl_adds_its_reward_functions(tmp_path: Path, talk: dict[str, Any], below: str) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    for step in (10, 9):
        row = {"step": step, **talk, "length": 1.0, "judge": 0.5, "advantage": 0.1}
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / below / f"completions_{step:05d}.parquet")
    assert read_rollouts(tmp_path) == [Rollout(9, "tea", "Tea!", 1.5), Rollout(10, "tea", "Tea!", 1.5)]


def test_verl_names_its_files_by_step(tmp_path: Path) -> None:
    for step in (10, 9):
        write_jsonl(tmp_path / f"{step}.jsonl", [{"input": "tea", "output": "Tea!", "gts": None, "score": step / 10}])
    assert [list(step) for step in by_step(read_rollouts(tmp_path))] == [
        [Rollout(9, "tea", "Tea!", 0.9)],
        [Rollout(10, "tea", "Tea!", 1.0)],
    ]


def test_a_table_and_a_file_of_another_trainer(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,query,response,reward\n1,tea,Tea!,0.5\n2,tea,Tea?,\n")
    assert [(one.step, one.reward) for one in read_rollouts(tmp_path / "a.csv")] == [(1, 0.5), (2, None)]
    (tmp_path / "b.jsonl").write_text(json.dumps({"query": "tea", "response": "Tea!"}))
    assert read_rollouts(tmp_path / "b.jsonl", steps=False) == [Rollout(0, "tea", "Tea!")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": "q", "response": "r"}, "a.jsonl:1: no step: every row needs"),
        ({"query": "q", "response": "r", "step": 1.5}, "no step"),
        ({"step": 1, "response": "r"}, "no 'query' or 'prompt' or 'input'"),
        ({"step": 1, "query": "q", "text": "r"}, "no 'response' or"),
        ({"step": 1, "prompt": 5, "completion": "r"}, "prompt must be a list of messages"),
    ],
)
def test_what_is_no_rollout_is_named_by_its_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    write_jsonl(tmp_path / "a.jsonl", [row])
    with pytest.raises(DataError, match=said):
        read_rollouts(tmp_path / "a.jsonl")


def test_a_folder_without_rollouts_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no rollouts: completions.jsonl \(ours\)"):
        read_rollouts(tmp_path)
    (tmp_path / "completions.jsonl").write_text("")
    with pytest.raises(DataError, match="has no texts"):
        read_rollouts(tmp_path)
