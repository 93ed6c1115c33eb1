"""``inkfire evaluate``: which signals are a policy's own, and that nothing stays open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import RULE, Counted, Model

from inkfire.errors import InputError
from inkfire.files.jsonl import sha256_file, write_json, write_jsonl
from inkfire.judge.calibration import Calibration
from inkfire.judge.principles import Principles
from inkfire.judge.spec import JudgeSpec
from inkfire.models.card import Card
from inkfire.records import Identity, Query
from inkfire.rewards.load import identities_of
from inkfire.runs.context import Place
from inkfire.runs.evaluate import EvaluateInputs, EvaluateSettings, evaluate
from inkfire.tasks.task import load_task
from inkfire.training.reward_model import train_reward_model

MEASURED = {"scored": 80, "auc": 0.8, "auc_ci": [0.7, 0.9]}


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Counted:
    llm = Counted(Model(RULE))
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    return llm


@pytest.fixture
def judge(tiny_task: Path, tmp_path: Path) -> Callable[..., Path]:
    """A judge's folder by name; what is said of it is a field of the judge."""

    def made(name: str, **fields: Any) -> Path:
        saved = JudgeSpec(str(tiny_task), "m", "logprob", calibration=Calibration(1, 0, 0.4, 80, 40))
        dataclasses.replace(saved, measured=MEASURED, **fields).save(tmp_path / name)
        return tmp_path / name

    return made


@pytest.fixture
def policy(tiny_task: Path, tmp_path: Path) -> Callable[..., str]:
    """A policy's folder by name, trained against some rewards."""

    def made(name: str, reward: str, own: tuple[Identity, ...]) -> str:
        (tmp_path / name).mkdir()
        card = Card.of("base", load_task(tiny_task))
        dataclasses.replace(card, reward=reward, own_rewards=own).write(tmp_path / name)
        return str(tmp_path / name)

    return made


@pytest.fixture
def compared(tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The comparison of policies that write one text whatever they are asked."""
    write_jsonl(tmp_path / "q.jsonl", [{"query": f"a wish {i}"} for i in range(4)])

    def written(context: Any, name: str, source: str, task: Any, queries: list[Query], *_: Any) -> list[list[str]]:
        return [["May it open like a window."] for _ in queries]

    monkeypatch.setattr("inkfire.runs.evaluate.written", written)

    def compared(policies: dict[str, str], signals: dict[str, str | None]) -> dict[str, Any]:
        inputs = EvaluateInputs(
            task=str(tiny_task),
            prompts=(tmp_path / "q.jsonl",),
            model="m",
            policies=tuple(f"{name}={at}" for name, at in policies.items()),
            signals=tuple(kind if at is None else f"{kind}={at}" for kind, at in signals.items()),
        )
        return evaluate(inputs, EvaluateSettings(), Place(tmp_path / "out", yes=True))

    return compared


def test_own_signals_are_told_by_identity_and_descent(
    compared: Callable[..., dict[str, Any]],
    judge: Callable[..., Path],
    policy: Callable[..., str],
    llm: Counted,
    tiny_task: Path,
    tmp_path: Path,
) -> None:
    train_reward_model(load_task(tiny_task).pairs(), tmp_path / "rm")
    rm = identities_of(str(tmp_path / "rm"))
    trained = identities_of(str(judge("trained")))
    (tmp_path / "rm").rename(tmp_path / "moved")
    fitted = judge("fitted", calibration=Calibration(2, 0, 0.5, 90, 40))
    other = judge("other", principles=Principles.of(["It rhymes."]))
    policies = {
        "base": "local/smollm2-135m",
        "judged": policy("judged", "judge:logprob:m", trained),
        "grandchild": policy("grandchild", "share:!", (*rm, *identities_of("share:!"))),
        "mixed": policy("mixed", "0.5*rm:rm + 0.5*judge:logprob:m", (*rm, *trained)),
        "old": policy("old", "judge:logprob:m", (Identity("judge", "judge:logprob:m"),)),
    }

    def own(**signals: Path | None) -> dict[str, list[str]]:
        named = {kind: None if at is None else str(at) for kind, at in signals.items()}
        result = compared(policies=policies, signals=named)
        return {name: policy["own_reward"] for name, policy in result["policies"].items()}

    same = own(rm=tmp_path / "moved", judge=fitted, length=None)
    assert same == {
        "base": [],
        "judged": ["judge"],
        "grandchild": ["rm"],
        "mixed": ["rm", "judge"],
        "old": ["judge"],
    }
    independent = own(judge=other)
    assert independent == {"base": [], "judged": [], "grandchild": [], "mixed": [], "old": ["judge"]}
    assert llm.closes == 2


def test_a_mode_asked_for_by_name_is_the_judge_that_was_the_reward(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path], policy: Callable[..., str], llm: Counted
) -> None:
    rubric = identities_of(str(judge("rubric", mode="rubric")))
    result = compared(policies={"rl": policy("rl", "judge:rubric:m", rubric)}, signals={"rubric": None, "debate": None})
    assert result["policies"]["rl"]["own_reward"] == ["rubric"]
    assert llm.closes == 1  # both ask the model that was opened once


def test_an_error_closes_what_is_open(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path], policy: Callable[..., str], llm: Counted
) -> None:
    uncalibrated = judge("uncalibrated", calibration=None)
    with pytest.raises(InputError, match="no threshold"):
        compared(policies={"rl": policy("rl", "share:!", ())}, signals={"judge": str(uncalibrated)})
    assert llm.closes == 1


@pytest.mark.usefixtures("llm")
def test_queries_that_a_policy_was_trained_on_are_said(
    policy: Callable[..., str], compared: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any
) -> None:
    rl = policy("rl", "share:!", ())
    known = {"prompts": {"path": "train.jsonl", "sha256": sha256_file(tmp_path / "q.jsonl")}}
    manifest = {"format": 2, "command": "train grpo", "settings": {}, "seed": 0, "inputs": known}
    write_json(Path(rl) / "manifest.json", manifest)
    result = compared({"base": policy("base", "", ()), "mine": rl}, {"length": None})
    assert result["seen"] == [{"file": "q.jsonl", "by": "mine", "run": "rl", "as": "prompts"}]
    assert "q.jsonl is part of what mine was trained on (prompts of rl)" in capsys.readouterr().err
