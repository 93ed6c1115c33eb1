"""Canaries: what is read beside a reward, when it falls, and what a training does then."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from test_grpo import CONFIG, Scores, capitals, rows

from inkfire.errors import BudgetExceeded, InputError
from inkfire.files.formats import read_texts
from inkfire.models.card import Card
from inkfire.records import Identity, Rollout
from inkfire.rewards.checks import Checks
from inkfire.rewards.shaped import Shaped, Shaping
from inkfire.tasks.task import load_task
from inkfire.training.alarm_log import hard_negatives
from inkfire.training.alarms import Alarm
from inkfire.training.budget import Budget
from inkfire.training.canaries import Canaries, Reading, beside, falls, last_good
from inkfire.training.grpo import train_grpo
from inkfire.training.number_alarms import NumberWatch
from inkfire.training.watched import Watched

pytestmark = pytest.mark.slow


class Canary(Scores):
    """A canary by rule: ``rule(reading, place, text)``."""

    name = "sings"
    identities = (Identity("check", "sings", "b2"),)

    def score(self, queries: Sequence[str], responses: Sequence[str], *, truncated=None) -> list[float | None]:
        self.calls += 1
        return [self.rule(self.calls, i, text) for i, text in enumerate(responses)]


def sinking(reading: int, place: int, text: str) -> float:
    """From its third reading on it is low."""
    return (0.2 if reading > 2 else 0.9) + 0.01 * place


def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "bench_canaries.py"
    spec = importlib.util.spec_from_file_location("bench_canaries", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(base: str, folder: Path, out: Path, canary: Callable[..., Any] = sinking, stop_at=None, **config: Any) -> dict:
    task = load_task(folder)
    reward = Scores(capitals, stop_at)
    config = {"canary_steps": 2, "max_steps": 10} | config
    return train_grpo(
        task, task.queries(), base, Watched(reward, [Canary(canary)]), out, dataclasses.replace(CONFIG, **config)
    )


# ---- the rule ------------------------------------------------------------------------------------------------------


def readings(*means: float, spread: float = 0.1, queries: int = 8, seed: int = 0) -> list[Reading]:
    random = np.random.default_rng(seed)
    return [Reading(5 * i + 1, tuple(mean + spread * random.normal(size=queries))) for i, mean in enumerate(means)]


def test_a_fall_is_of_two_readings_and_of_more_than_their_spread() -> None:
    assert not falls(readings(1, 0.2, 0.2), 1)  # three readings: two of them are the first
    assert falls(readings(1, 1, 0.5, 0.5), 1)
    assert not falls(readings(1, 1, 0.5, 1, 1), 1)  # it came back
    assert not falls(readings(1, 1, 1.5, 1.5), 1)
    assert not falls(readings(1, 1, 0.5, 0.5, spread=3), 1)
    assert not falls([Reading(step, (value,)) for step, value in ((1, 0.9), (2, 0.9), (5, 0.1), (10, 0.1))], 1)


def test_one_look_of_many_has_to_see_more() -> None:
    slight = readings(1, 1, 0.91, 0.91)
    assert falls(slight, 1)
    assert not falls(slight, 30)


@pytest.mark.parametrize("judge", [False, True])
@pytest.mark.parametrize(("queries", "looks", "canaries"), [(2, 10, 1), (8, 5, 3)])
def test_an_honest_training_hardly_ever_alarms(queries: int, looks: int, canaries: int, judge: bool) -> None:
    """Aim: 1 of 20, over all looks and canaries. By chance more than 17 of 200 come once in a hundred."""
    now, before = bench().honest(200, queries, looks, canaries, np.random.default_rng(queries), judge=judge)
    assert now <= 17 / 200
    assert now < before


@pytest.mark.parametrize(("queries", "drop"), [(8, 1.0), (16, 0.75), (32, 0.5)])
def test_a_planted_fall_is_seen_within_three_looks(queries: int, drop: float) -> None:
    """Aim: 18 of 20; in a training of ten looks."""
    assert bench().seen(200, queries, drop, 10, 1, np.random.default_rng(queries), judge=False) >= 0.87


def test_the_looks_are_those_of_the_whole_training(tmp_path: Path) -> None:
    two = Canaries(tmp_path, {"a": lambda q, r: [], "b": lambda q, r: []}, every=5)
    assert two.looks(50) == 2 * (12 - 3)  # readings at 1, 2, 5, 10, …, 50
    assert two.looks(2) == 1


def test_a_fall_began_after_the_last_good_reading() -> None:
    assert last_good(readings(1, 1, 0.5, 0.5), 1) == 6
    assert last_good(readings(1, 1, 1, 0.2), 1) == 11


# ---- alarms on numbers ---------------------------------------------------------------------------------------------


def texts(step: int) -> list[Rollout]:
    return [Rollout(step, f"query {i}", f"text {i} of {step}") for i in range(4)]


def read(step: int, level: float) -> list[dict[str, Any]]:
    return [
        {"step": step, "query": text.query, "response": text.response, "canary": {"sings": level + 0.01 * i}}
        for i, text in enumerate(texts(step))
    ]


def replay(rewards: Sequence[float], levels: dict[int, float]) -> list[Alarm]:
    watch, found = NumberWatch(None), []
    for step, reward in enumerate(rewards, 1):
        found += watch.see({"step": step, "reward": reward}, read(step, levels[step]) if step in levels else (), [])
    return found


def test_reward_up_while_a_canary_falls() -> None:
    levels = {1: 0.9, 2: 0.9, 5: 0.4, 10: 0.4}
    (alarm,) = replay([0.1 * step for step in range(15)], levels)
    assert (alarm.step, alarm.what, alarm.since) == (10, "reward up while sings falls", 3)
    assert alarm.said == "The reward rises while sings falls: 0.415 (0.915 at first)."
    assert alarm.texts == ("text 0 of 10", "text 1 of 10", "text 2 of 10")  # the lowest
    assert [alarm.what for alarm in replay([1.0 - 0.1 * step for step in range(15)], levels)] == ["sings falls"]
    assert replay([0.1 * step for step in range(15)], dict.fromkeys(levels, 0.9)) == []


def test_the_score_counts_where_the_reward_is_of_ranks() -> None:
    watch = NumberWatch(None)
    found = []
    for step in range(1, 11):
        row = {"step": step, "reward": 0.5, "score": 0.1 * step}
        found += watch.see(row, read(step, 0.9 if step < 3 else 0.2), [])
    assert "reward up while sings falls" in [alarm.what for alarm in found]


def test_kl_past_the_budget_and_entropy_that_collapses() -> None:
    budget, found = Budget(1.0, steps=10, beta=0.1), []
    watch = NumberWatch(budget)
    for step in range(1, 11):
        kl, entropy = 0.3 * step, 3.0 + 0.02 * (step % 2) if step < 7 else 1.0
        budget.see(step, kl)
        found += watch.see({"step": step, "entropy": entropy}, (), texts(step))
    assert [(alarm.what, alarm.step) for alarm in found] == [("kl", 5), ("entropy", 8)]
    assert found[0].said == "Texts are past the budget: 1.2 nats a text from the start's (of 1)."
    assert found[0].since == budget.kept() + 2 == 4
    assert len(found[1].texts) == 3
    calm, found = NumberWatch(None), []
    for step in range(1, 41):  # a reward narrows by itself
        found += calm.see({"step": step, "entropy": 3.0 - 0.015 * step + 0.02 * (step % 2)}, (), texts(step))
    assert found == []


# ---- what is read --------------------------------------------------------------------------------------------------


class Reader:
    def per_token(self, queries, responses):
        return [-1.0 for _ in responses]

    def relevance(self, queries, responses, others, own):
        return [2.0 for _ in responses]

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("shaping", "names"),
    [
        (Shaping(fluency=1.0), ["relevance"]),
        (Shaping(relevance=1.0), ["likelihood"]),
        (Shaping(fluency=1.0, relevance=1.0), []),
        (Shaping(relevance=1.0, checks=("fluent",)), []),
    ],
)
def test_a_reader_that_is_there_says_what_the_reward_does_not_ask(shaping: Shaping, names: list[str]) -> None:
    reward = Shaped(Scores(capitals), shaping, Checks.parse(shaping.checks))
    assert beside(reward) == {}
    reward.reader = Reader()
    assert [*beside(reward)] == names


def test_what_fails_is_missing_and_not_zero(tmp_path: Path) -> None:
    said = iter([None, 1.0, float("nan"), 3.0])
    reads = {"some": lambda q, r: [next(said) for _ in r], "none": lambda q, r: [None for _ in r]}
    canaries = Canaries(tmp_path, reads, every=5)
    canaries.see(1, ["a", "a", "b", "b"], ["1", "2", "3", "4"])
    assert canaries.numbers() == {"canary": {"some": 2.0, "none": None}, "canary_n": {"some": 2, "none": 0}}
    assert [row["canary"]["some"] for row in rows(tmp_path / "canaries.jsonl")] == [None, 1, None, 3]
    canaries.see(3, ["a"], ["1"])
    assert canaries.numbers() == {}


# ---- trainings -----------------------------------------------------------------------------------------------------


def test_a_part_of_the_reward_is_no_canary(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    task = load_task(tiny_task)
    with pytest.raises(InputError, match="canary rule: rule is a part of the reward"):
        train_grpo(
            task, task.queries(), tiny_base, Watched(Scores(capitals), [Scores(capitals)]), tmp_path / "out", CONFIG
        )


def test_a_fall_under_a_budget_ends_a_training_and_keeps_the_policy_from_before(
    tiny_base: str, tiny_task: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    result = run(tiny_base, tiny_task, out, kl_budget=50.0, max_steps=20)
    read_at = [row["step"] for row in rows(out / "metrics.jsonl") if "canary" in row]
    assert read_at[:4] == [1, 2, 4, 6][: len(read_at)]
    (alarm,) = rows(out / "alarms.jsonl")
    assert alarm["what"].endswith("sings falls")
    assert result["steps"] == alarm["step"] == read_at[-1] < 20
    assert alarm["since"] == 3  # the reading of step 2 was good
    assert result["steps_kept"] == Card.read(out).steps == 1  # the policy that wrote it
    assert "kept the policy as it was after 1 steps" in result["warnings"][-1]
    assert "sings falls" in capfd.readouterr().err
    assert result["canaries"]["sings"][0] > 0.9 > result["canaries"]["sings"][1]
    assert result["seconds_canaries"] >= 0
    assert not any("seconds" in key for row in rows(out / "metrics.jsonl") for key in row)


def test_without_a_budget_it_is_noted_or_stops(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    noted = run(tiny_base, tiny_task, tmp_path / "note", kl_budget="off")
    assert noted["steps"] == 10
    assert "steps_kept" not in noted
    assert any("sings falls" in line for line in noted["warnings"])
    stopped = run(tiny_base, tiny_task, tmp_path / "stop", kl_budget="off", on_alarm="stop")
    assert stopped["steps"] < 10
    assert stopped["steps_kept"] == 1


def test_a_kill_is_no_loss(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    """What the canaries said before it is known after it: a fall that began then is seen."""

    def whole_or_parts(out: Path, **more: Any) -> dict[str, Any]:
        def by_step(_: int, place: int, text: str) -> float | None:
            early = len(rows(out / "metrics.jsonl") if (out / "metrics.jsonl").exists() else ()) < 2
            return None if place == 3 else (0.9 if early else 0.2) + 0.01 * place

        return run(tiny_base, tiny_task, out, by_step, kl_budget="off", max_steps=4, canary_steps=1, **more)

    whole = whole_or_parts(tmp_path / "whole")
    with pytest.raises(BudgetExceeded):
        whole_or_parts(tmp_path / "parts", stop_at=3)
    assert not (tmp_path / "parts" / "alarms.jsonl").exists()
    parts = whole_or_parts(tmp_path / "parts")
    assert parts | {"seconds_canaries": 0} == whole | {"seconds_canaries": 0}
    assert any("sings falls" in line for line in whole["warnings"])
    for name in ("metrics.jsonl", "canaries.jsonl", "alarms.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


# ---- hard negatives ------------------------------------------------------------------------------------------------


def test_caught_texts_are_kept_where_an_honest_one_is_known(tmp_path: Path) -> None:
    from inkfire.files.jsonl import write_jsonl

    early = [Rollout(0, "a", "good a"), Rollout(2, "b", "good b"), Rollout(9, "c", "late")]
    alarms = [
        Alarm(10, "loops", 1.0, 0.0, 8, "said", ("bad a", "bad b", "bad c"), ("a", "b", "c")),
        Alarm(12, "kl", 5.0, 4.0, 11, "said", ("far a",), ("a",)),
    ]
    kept = hard_negatives(alarms, early)
    assert [(row["query"], row["response"], row["chosen"]) for row in kept] == [
        ("a", "bad a", "good a"),
        ("b", "bad b", "good b"),
    ]
    assert {row["what"] for row in kept} == {"loops"}
    write_jsonl(tmp_path / "hard_negatives.jsonl", kept)
    read = read_texts((tmp_path / "hard_negatives.jsonl",))  # as train rm --hard-negatives does
    assert [(text.query, text.response) for text in read] == [("a", "bad a"), ("b", "bad b")]
