"""The stages of a recipe: whose rewards are whose, and that what a stage opens it closes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import RULE, Counted, Model

from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.judge.calibration import Calibration
from inkfire.judge.spec import JudgeSpec
from inkfire.llm.ledger import Ledger
from inkfire.records import Identity
from inkfire.rewards.load import identities_of
from inkfire.runs import stages
from inkfire.runs.context import Context
from inkfire.runs.recipe import Evaluate, Models, PolicySpec, Recipe
from inkfire.training.reward_model import train_reward_model

pytest.importorskip("trl")
from inkfire.models.policy import Card

POLICIES = (
    PolicySpec(name="judge-rl", reward="judge"),
    PolicySpec(name="mix-rl", reward="0.5*elsewhere/rm + 0.5*share:!"),
    PolicySpec(name="on-top", start="judge-rl", reward="share:!"),
)


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Counted:
    llm = Counted(Model(RULE))
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    return llm


@pytest.fixture
def context(tmp_path: Path, llm: Counted) -> Iterator[Context]:
    """A run whose judge and reward model are there; the judge is a scripted one."""
    models = Models(writer="local/smollm2-135m", agents="m")
    recipe = Recipe(name="small", task="greetings-en", models=models, policies=POLICIES, evaluate=Evaluate(queries=4))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        context = Context(recipe, Run.open(tmp_path / "run", command="run", settings={}), ledger)
        train_reward_model(context.task.pairs()[:40], context.folder("reward_model"))
        measured = {"scored": 80, "auc": 0.8, "auc_ci": [0.7, 0.9]}
        judge = JudgeSpec("greetings-en", "m", "logprob", calibration=Calibration(1, 0, 0.4, 80, 40))
        dataclasses.replace(judge, measured=measured).save(context.folder("judge"))
        yield context


def train(context: Context, name: str, own: tuple[Identity, ...]) -> None:
    context.folder(name).mkdir(parents=True, exist_ok=True)
    dataclasses.replace(Card.of("base", context.task), own_rewards=own).write(context.folder(name))
    context.run.complete(name, {}, seconds=0)


def test_own_rewards_of_a_recipes_policies(context: Context, llm: Counted) -> None:
    judge, rm = (identities_of(str(context.folder(name))) for name in ("judge", "reward_model"))
    train(context, "sft", ())
    train(context, "judge-rl", judge)
    train(context, "mix-rl", (*rm, *identities_of("share:!")))
    train(context, "on-top", (*judge, *identities_of("share:!")))
    for name in ("base", "sft", *(policy.name for policy in POLICIES)):
        rows = ({"query": query.query, "responses": ["May it open."]} for query in context.splits.held_out)
        write_jsonl(context.run.path("evaluate", f"responses-{name}.jsonl"), rows)
    result = stages.evaluate(context)
    assert {name: policy["own_reward"] for name, policy in result["policies"].items()} == {
        "base": [],
        "sft": [],
        "judge-rl": ["judge"],
        "mix-rl": ["rm"],
        "on-top": ["judge"],
    }
    assert llm.closes == 1


def test_a_training_that_fails_closes_its_reward(
    context: Context, llm: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("inkfire.training.grpo.train_grpo", fail)
    with pytest.raises(KeyboardInterrupt):
        stages.grpo(context, POLICIES[0])
    assert llm.closes == 1
