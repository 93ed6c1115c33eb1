"""Whole commands and recipes without weights: a model that plays every agent, and a writer that is a table of texts."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import RULE, Counted, Model, word

from inkfire.files.jsonl import write_jsonl
from inkfire.llm.base import Message, Reply
from inkfire.models.card import Card, is_policy
from inkfire.rewards.base import Reward
from inkfire.tasks.task import Task
from inkfire.training.watched import Watched


class Everyone(Model):
    """The judge, the adversary and the debate of the tiny task: what names a window is good."""

    def __call__(self, messages: list[Message]) -> str | Reply:
        system, user = messages[0]["content"], messages[-1]["content"]
        good = int("window" in user)
        if system.startswith("You write"):
            return f"May it open {'a window' if len(user) % 2 else 'a door'}, {user}."
        if system.startswith("Argue"):
            return json.dumps({"points": [{"point": "it", "reason": "says so"}]})
        if system in ("Judge.", "Audit."):
            return json.dumps({"reason": "It shows.", "judge": good})
        if system.startswith("language:"):
            return json.dumps(dict.fromkeys(("language", "creativity", "emotion", "culture", "richness"), 1 + 2 * good))
        if "Say Good or Bad" in system:
            return word(3.0 if good else -3.0)
        return super().__call__(messages)


class Offline:
    """What took part: ``closes`` of the model, ``trained`` (folder → the texts or rewards it met), ``loaded``."""

    def __init__(self) -> None:
        self.llm = Counted(Everyone(RULE))
        self.opened = 0
        self.trained: list[str] = []
        self.wrote: list[str] = []
        self.open_at_training: list[int] = []
        self.stop_at: str | None = None

    def train(self, card: Card, out: Path) -> dict[str, Any]:
        self.open_at_training.append(self.opened - self.llm.closes)
        self.trained.append(out.name)
        if self.stop_at == out.name:
            raise KeyboardInterrupt
        out.mkdir(parents=True, exist_ok=True)
        (out / "adapter_model.safetensors").write_bytes(out.name.encode())
        write_jsonl(out / "metrics.jsonl", [{"step": 1, "loss": 1.0, "reward": 0.5}])
        card.write(out)
        if card.trained == "sft":
            return {"steps": 1, "n": 24, "loss_first": 2.0, "loss_last": 1.0, "warnings": []}
        return {"steps": 1, "warnings": []}


def forget(names: set[str]) -> None:
    """Takes modules back as if nobody had imported them: a module that met a stub would keep it for the next test."""
    for name in names:
        parent, _, child = name.rpartition(".")
        del sys.modules[name]
        if parent in sys.modules and hasattr(sys.modules[parent], child):
            delattr(sys.modules[parent], child)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Offline]:
    """The trainers, the policies and the models behind an endpoint replaced, so that no torch is loaded."""
    world = Offline()

    def open_model(*_: Any, **__: Any) -> Counted:
        world.opened += 1
        return world.llm

    def train_sft(task: Task, rows: Sequence[Any], base: str, out: Path, *_: Any, **__: Any) -> dict[str, Any]:
        return world.train(dataclasses.replace(Card.of(base, task), trained="sft"), out)

    def against(
        method: str, task: Task, queries: Any, start: str, given: Reward | Watched, out: Path, *_: Any, **__: Any
    ) -> dict[str, Any]:
        reward = given.reward if isinstance(given, Watched) else given
        reward.score(["a wish"] * 2, ["a window", "a door"])
        card = Card.read(Path(start)) if is_policy(start) else Card.of(str(start), task)
        own = (*card.own_rewards, *reward.identities)
        return world.train(dataclasses.replace(card, trained=method, reward=reward.name, own_rewards=own), out)

    class Policy:
        def __init__(self, name: str) -> None:
            self.name = name
            self.model = types.SimpleNamespace(dtype="torch.float32")

        @classmethod
        def load(cls, source: str, *, task: Task | None = None) -> Policy:
            return cls(Path(source).name)

        def generate(self, queries: Sequence[str], *, n: int = 1, **_: Any) -> list[list[str]]:
            world.wrote.append(self.name)
            thing = "a door" if self.name.startswith("smollm2") else "a window"
            return [[f"May it open {thing} for {query}, {i}." for i in range(n)] for query in queries]

    policy = types.ModuleType("inkfire.models.policy")
    policy.__dict__.update(Policy=Policy, find_model=lambda source: None)
    for name, module in (
        ("inkfire.models.policy", policy),
        ("inkfire.training.sft", types.ModuleType("sft")),
        *((f"inkfire.training.{method}", types.ModuleType(method)) for method in ("grpo", "bon", "dpo")),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["inkfire.training.sft"].__dict__["train_sft"] = train_sft
    for method, name in (("grpo", "train_grpo"), ("bon", "train_bon"), ("dpo", "train_dpo_rounds")):
        sys.modules[f"inkfire.training.{method}"].__dict__[name] = partial(against, method)
    sys.modules["inkfire.training.dpo"].__dict__["train_dpo"] = None
    monkeypatch.setattr("inkfire.models.open.open_model", open_model)
    for module in ("writers", "experiment"):  # there is no model whose memory would have to go back
        monkeypatch.setattr(f"inkfire.runs.{module}.give_back", lambda: None)
    monkeypatch.setattr("inkfire.report.page.write_report", lambda out: out / "report.html")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    before = set(sys.modules)
    yield world
    forget({name for name in set(sys.modules) - before if name.startswith("inkfire.")})


RECIPE = """
name = "small"
task = "tiny"
[models]
writer = "local/smollm2-135m"
agents = "m"
[data]
labelled = "labelled.jsonl"
queries = "queries.jsonl"
[curate]
limit = 2
candidates = 1
[refine]
rounds = 0
[reward_model]
qualify = 0
[judge]
fit_fraction = 0.5
qualify = 0
[grpo]
max_steps = 1
batch_size = 1
[[policies]]
name = "rm-rl"
reward = "rm"
[[policies]]
name = "judge-rl"
reward = "judge"
[[policies]]
name = "on-top"
start = "judge-rl"
reward = "0.5*rm + 0.5*share:!"
[evaluate]
queries = 4
signals = ["judge", "rm", "rubric", "debate"]
"""


@pytest.fixture
def recipe(tiny_task: Path, tmp_path: Path) -> Callable[..., Path]:
    """A recipe's file; ``recipe(("old", "new"), …)`` is one in which that was changed."""
    words = ("window", "door")
    rows = [
        {"query": f"a wish for day {i}", "response": f"May day {i} open a {word}.", "label": int(word == "window")}
        for i in range(48)
        for word in words
    ]
    write_jsonl(tmp_path / "labelled.jsonl", rows)
    write_jsonl(tmp_path / "queries.jsonl", ({"query": f"a wish for night {i}"} for i in range(16)))

    def made(*changes: tuple[str, str]) -> Path:
        text = RECIPE.replace('"tiny"', json.dumps(str(tiny_task)))
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "small.toml").write_text(text)
        return tmp_path / "small.toml"

    return made
