"""What an inkfire of before the new house saved still opens: its files are here as they were written."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from inkfire.errors import RefusedReward
from inkfire.evaluation.claims import own_signals
from inkfire.judge.spec import JudgeSpec
from inkfire.models.card import Card, trained_against
from inkfire.records import Identity
from inkfire.rewards.load import load_reward

JUDGE = """{
  "task": "greetings-en", "model": "stub", "mode": "verdict", "principles": null,
  "examples": {"n": 2, "choice": "nearest", "seed": 0, "pool": [
    {"query": "ex 0", "response": "May window open 0.", "label": 1, "annotator": ""},
    {"query": "ex 0", "response": "May door open 0.", "label": 0, "annotator": ""}]},
  "votes": 1,
  "calibration": {"slope": 0.0, "intercept": 0.0, "threshold": 0.5, "n": 20, "n_good": 10, "method": "platt",
    "steps": [], "cost_false_good": null},
  "measured": {"n": 96, "scored": 96, "unscored": 0, "auc": 0.5, "auc_ci": [0.5, 0.5]}
}"""
REWARD = """{
  "kind": "linear", "task": "greetings-en", "n_train": 32, "n_test": 8, "steps": 1, "threshold": 0.3, "auc": 1.0
}"""
POLICY = """{
  "base": "local/qwen2.5-0.5b", "task": "greetings-en", "task_version": "9037824cb170",
  "template": {"source": "[system]\\nWrite {{ task.title }}.\\n[user]\\n{{ query }}\\n", "task": {"title": "wishes"}},
  "parent": "sft", "reward": "0.7*judge:judge + 0.3*rm:rm", "trained": "grpo", "steps": 10
}"""


def test_a_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(POLICY)
    card = Card.read(tmp_path)
    assert (card.base, card.parent, card.steps) == ("local/qwen2.5-0.5b", "sft", 10)
    assert card.template.messages("a query")[0]["content"] == "Write wishes."
    # Only the names of its rewards are known: whatever judge or reward model is a signal may have been one of them.
    signals = {"judge": [Identity("judge", "other", "a1")], "rm": [Identity("reward model", "x", "b2")], "checks": []}
    assert own_signals(signals, {"rl": trained_against(tmp_path)}) == {"rl": ["judge", "rm"]}


def test_a_judge(tmp_path: Path) -> None:
    (tmp_path / "judge.json").write_text(JUDGE)
    spec = JudgeSpec.read(tmp_path)
    assert (spec.task, spec.model, spec.mode, spec.votes) == ("greetings-en", "stub", "verdict", 1)
    assert (spec.examples.n, len(spec.examples.pool)) == (2, 2)
    assert spec.calibration is not None
    assert (spec.calibration.threshold, spec.calibration.n) == (0.5, 20)
    with pytest.raises(RefusedReward, match=r"its AUC is 0.50"):
        load_reward(tmp_path)


def test_a_reward_model(tmp_path: Path) -> None:
    (tmp_path / "reward.json").write_text(REWARD)
    (tmp_path / "ngram.json").write_text('{"ngrams": ["d", "do", "w", "wi"]}')
    np.savez_compressed(tmp_path / "ngram.npz", idf=np.ones(4), weights=np.array([-1.0, -2.0, 1.0, 2.0]))
    with contextlib.closing(load_reward(tmp_path)) as reward:
        good, bad = reward.score(["q", "q"], ["A window.", "A door."])
    assert good is not None
    assert bad is not None
    assert good > 0 > bad
