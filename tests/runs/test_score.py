"""``inkfire score``: what it opens it closes, and what it says of a reward besides its scores."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import RULE, Counted, Model

from inkfire.errors import EndpointDown, InputError
from inkfire.files.jsonl import parse_json, read_jsonl, sha256_file, write_jsonl
from inkfire.judge.spec import JudgeSpec
from inkfire.records import Preference
from inkfire.report.findings import score as said
from inkfire.rewards.load import write_card
from inkfire.runs.context import Place
from inkfire.runs.score import ScoreInputs, rank, score
from inkfire.stats.twins import NgramPairModel

MEASURED = {"scored": 80, "auc": 0.8, "auc_ci": [0.7, 0.9]}


@pytest.fixture
def judge(tiny_task: Path, tmp_path: Path) -> str:
    JudgeSpec(str(tiny_task), "m", "logprob", measured=MEASURED).save(tmp_path / "judge")
    return str(tmp_path / "judge")


def test_a_judges_model_is_closed(judge: str, tiny_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = Counted(Model(RULE))
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    assert score(ScoreInputs(reward=judge, data=(tiny_task / "labelled.jsonl",)), None)["scored"] == 16
    assert llm.closes == 1
    assert len(rank(judge, "a wish", ["one", "two"])) == 2
    assert llm.closes == 2


def test_also_after_an_error(judge: str, tiny_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = Counted([EndpointDown("gone")] * 32)
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    with pytest.raises(EndpointDown):
        score(ScoreInputs(reward=judge, data=(tiny_task / "labelled.jsonl",)), None)
    assert llm.closes == 1


@pytest.fixture
def rm(tmp_path: Path) -> Path:
    """A reward model that likes the word lamp."""
    pairs = [Preference(f"q{i}", f"a lamp {i}", f"a wall {i}") for i in range(20)]
    NgramPairModel().fit(pairs).save(tmp_path / "rm")
    write_card(tmp_path / "rm", {"kind": "linear", "task": None, "threshold": 0.0})
    return tmp_path / "rm"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rng = random.Random(0)
    rows = [
        {
            "query": f"q{i // 2}",
            "response": f"My friend, {'a lamp' if i % 3 else 'a wall'} for you{'!' * rng.randint(1, 9)}",
        }
        for i in range(40)
    ]
    write_jsonl(tmp_path / "texts.jsonl", rows)
    return tmp_path / "texts.jsonl"


def test_each_part_and_check_is_shown_and_what_twins_explain(rm: Path, texts: Path, tmp_path: Path) -> None:
    inputs = ScoreInputs(reward=f"0.5*{rm} + 2*share:!", data=(texts,), checks=("length:..23", "finished"))
    found = score(inputs, Place(tmp_path / "out"))
    rows = list(read_jsonl(tmp_path / "out" / "scores.jsonl"))
    assert rows[0].keys() == {"query", "response", "score", "parts", "failed"}
    for row in rows:
        assert row["score"] == pytest.approx(0.5 * row["parts"]["rm:rm"] + 2 * row["parts"]["share:!"])
        assert row["failed"] == (["length:..23"] if len(row["response"]) > 23 else [])
    assert found["failed"] == {"length:..23": sum(len(row["response"]) > 23 for row in rows), "finished": 0}
    assert found["passed_rate"] == pytest.approx(1 - found["failed"]["length:..23"] / 40)
    model, share = found["parts"]
    assert (model["part"], model["weight"], model["missing"]) == ("rm:rm", 0.5, 0)
    assert model["correlation"] > 0.9 > abs(share["correlation"])
    assert found["ngram_r2"] > 0.8 > found["length_r2"]
    assert any(
        "Half of what it tells texts apart by, or more, is their n-grams" in line for line in said(found).warnings
    )


def test_a_reward_is_qualified_once_and_beside_its_card(
    rm: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sha256_file(rm)
    unlabelled = score(ScoreInputs(reward=str(rm), data=(texts,)), None)
    assert "qualified" not in unlabelled
    assert "no good texts are known to show it beside damaged ones" in capsys.readouterr().err
    found = score(ScoreInputs(reward=str(rm), data=(texts,), task="greetings-en"), None)
    assert found["qualified"]["swapped"]["n"] == 40
    assert not found["qualified"]["foreign"]["sees"]
    kept = parse_json((rm / "qualified.json").read_text(), path=rm)
    assert kept == {"qualified": found["qualified"]}
    assert sha256_file(rm) == before
    capsys.readouterr()
    again = score(ScoreInputs(reward=str(rm), data=(texts,), task="greetings-en"), None)
    assert "qualified" not in again
    assert f"{rm} is not shown to tell good texts from the same texts damaged" in capsys.readouterr().err

    rated: list[dict[str, Any]] = [
        {"query": f"r{i}", "response": f"{'lamp ' * n}and more", "rating": n} for i in range(20) for n in range(3)
    ]
    write_jsonl(tmp_path / "rated.jsonl", rated)
    ratings = (tmp_path / "rated.jsonl",)
    found = score(ScoreInputs(reward=str(rm), data=(texts,), ratings=ratings), None)
    assert found["within_query"]["correlation"] > 0.8
    kept = parse_json((rm / "qualified.json").read_text(), path=rm)
    assert kept.keys() == {"qualified", "within_query"}


def test_fluent_is_for_another_command(rm: Path, texts: Path) -> None:
    with pytest.raises(InputError, match="--check fluent needs texts to be as fluent as"):
        score(ScoreInputs(reward=str(rm), data=(texts,), checks=("fluent",)), None)
