"""What a policy's texts turn into is said, at the step, and honest texts are left in peace."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest

from inkfire.records import Rollout
from inkfire.training.alarms import RULES, Cusum, Watch
from inkfire.training.readings import Readings, group_means, shared

PLACES = ["Rome", "Oslo", "Lima", "Cairo", "Quito", "Seoul", "Turin", "Perth", "Delhi", "Miami"]


def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "bench_alarms.py"
    spec = importlib.util.spec_from_file_location("bench_alarms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def step(number: int, text: str = "See you in {place} when the sun is up {n}.", **more: float | bool) -> list[Rollout]:
    """Ten texts for ten queries."""
    return [
        Rollout(number, f"a card from {place}", text.format(place=place, n="very " * ((i + number) % 3)), **more)
        for i, place in enumerate(PLACES)
    ]


def test_the_sum_by_hand() -> None:
    truncated = next(rule for rule in RULES if rule.what == "truncated")
    cusum = Cusum(truncated, mean=0.1, deviation=0.3, n=10_000)
    # e = 0.3 / 3 = 0.1; K = max(0.1, e) + 2 · 0.3 / 100 = 0.106; u = (0.5 - 0.1 - 0.106) / 0.1 = 2.94
    assert not cusum.see(7, [0.5] * 9)
    assert cusum.sum == pytest.approx(2.94, abs=0.01)
    assert cusum.see(8, [0.5] * 9)
    assert cusum.since == 7
    assert not cusum.see(9, [0.5] * 9)  # said once


def test_one_odd_step_is_no_trend_and_fewer_texts_say_less() -> None:
    truncated = next(rule for rule in RULES if rule.what == "truncated")
    odd = Cusum(truncated, mean=0.0, deviation=0.2, n=100)
    assert not odd.see(6, [1.0] * 100)
    assert odd.sum == 4
    few = Cusum(truncated, mean=0.0, deviation=0.2, n=5)
    few.see(6, [1.0])
    assert few.sum < 3


def test_readings() -> None:
    base = [Rollout(1, query, "") for query in ("tea for Ann", "snow in Oslo", "a song for Bo")]
    text = Rollout(1, "snow in Oslo", "Oslo lies under snow 🎉🎂✨")
    of = {name: column[0] for name, column in Readings(base).of([text], [text]).items()}
    assert (of["on_query"], of["emoji"], of["loops"], of["truncated"]) == (1.0, 1.0, 0.0, None)
    assert of["length"] == pytest.approx(math.log(len(text.response)))
    assert of["shared"] is of["own_share"] is of["outside_band"] is None


def test_what_texts_of_other_queries_share() -> None:
    texts = [Rollout(1, "q", "a b c"), Rollout(1, "q", "a b c"), Rollout(1, "r", "b c d"), Rollout(1, "s", "x y")]
    assert shared(texts, texts) == [1 / 4, 1 / 4, 1 / 3, 0.0]


def test_the_texts_of_a_query_are_one_number() -> None:
    texts = [Rollout(1, "q", ""), Rollout(1, "q", ""), Rollout(1, "r", ""), Rollout(1, "s", "")]
    assert group_means({"x": [0.0, 1.0, 1.0, None]}, texts) == {"x": [0.5, 1.0]}


def test_honest_texts_ring_nothing() -> None:
    watch = Watch()
    assert [alarm for n in range(1, 30) for alarm in watch.see(step(n))] == []
    assert watch.ready
    assert watch.numbers["length"] == pytest.approx(37, abs=5)
    assert watch.see([]) == []


def test_an_alarm_says_what_when_and_shows_three_texts() -> None:
    watch = Watch()
    for n in range(1, 9):
        assert watch.see(step(n)) == []
    alarms = [alarm for n in (9, 10) for alarm in watch.see(step(n, "See you in {place}, as sunny as a lark."))]
    phrase = next(alarm for alarm in alarms if alarm.what == "phrase")
    assert (phrase.step, phrase.since, phrase.value, phrase.baseline) == (10, 9, 0.4, 0.0)
    assert "as sunny as a lark" in phrase.said
    assert len(phrase.texts) == len({*phrase.queries}) == 3
    assert all("as sunny as a lark" in text for text in phrase.texts)


@pytest.mark.parametrize(
    ("what", "text", "more"),
    [
        ("length up", "See you in {place} when the sun is up {n} and the bread is warm and the sea is calm again.", {}),
        ("length down", "See {place}.", {}),
        ("unfinished", "See you in {place} when the sun is up {n} and the", {}),
        ("script", "See you in {place} 当太阳升起的时候我们再见 {n}.", {}),
        ("off query", "See you in June when the sun is up {n}.", {}),
        ("truncated", "See you in {place} when the sun is up {n}.", {"truncated": True}),
        ("likelihood", "See you in {place} when the sun is up {n}.", {"fluency": -4.0}),
        ("relevance", "See you in {place} when the sun is up {n}.", {"relevance": 0.0}),
    ],
)
def test_each_kind_has_its_alarm(what: str, text: str, more: dict[str, float | bool]) -> None:
    known: dict[str, float | bool] = {"truncated": False, "fluency": -2.0, "relevance": 0.5}
    watch = Watch()
    for n in range(1, 8):
        assert watch.see(step(n, **known)) == []
    rung = [alarm.what for n in range(8, 12) for alarm in watch.see(step(n, text, **known | more))]
    assert what in rung


def test_a_baseline_of_the_start_policy_watches_from_the_first_step() -> None:
    watch = Watch([text for n in range(5) for text in step(n)])
    rung = [alarm for n in (1, 2, 3) for alarm in watch.see(step(n, "{place}!"))]
    assert rung[0].what == "length down"
    assert rung[0].step == 2


def test_a_policy_that_turns_at_once_has_two_good_steps() -> None:
    many = [step(n) + [Rollout(n, f"{q.query} again", q.response) for q in step(n + 1)] for n in (1, 2)]
    watch = Watch()
    assert watch.see(many[0]) == watch.see(many[1]) == watch.see(step(3, "{place}!")) == []
    assert watch.see(step(4, "{place}!")) == []
    alarms = watch.see(step(5, "{place}!"))
    assert {(alarm.what, alarm.step) for alarm in alarms} >= {("length down", 4)}
    assert next(alarm.since for alarm in alarms if alarm.what == "length down") == 3


@pytest.mark.slow
def test_synthetic_rollouts() -> None:
    """The small twin of benchmarks/bench_alarms.py: two seeds."""
    made = bench()
    for task in made.TASKS:
        for seed in (100, 101):
            assert made.alarms(made.sequence(task, None, False, seed)[0]) == []
            for kind in made.TURNS:
                took, what = made.detected(task, kind, seed == 101, seed)
                assert took is not None, (task, kind, what)
