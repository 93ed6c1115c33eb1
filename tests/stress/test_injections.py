"""The attack suite: what ships, how trials are drawn, and how flips are counted."""

import random

import pytest

from inkfire.errors import InputError
from inkfire.files.jsonl import write_jsonl
from inkfire.records import Verdict
from inkfire.stress.injections import attached, carriers_for, draw, load_suite, lost, summarise
from inkfire.tasks.task import Task, load_task


def test_the_suite_is_large_varied_and_split_by_family() -> None:
    suite = load_suite()
    attacks = [attack for family in suite.families for attack in family.attacks]
    assert len(attacks) == len(set(attacks)) >= 80
    assert {family.split for family in suite.families} == {"development", "held_out"}
    assert sum(len(family.attacks) for family in suite.families if family.split == "held_out") >= 40


@pytest.mark.parametrize("name", ["greetings-en", "greetings-zh"])
def test_carriers_are_bad_texts_of_the_task_one_a_query(name: str) -> None:
    task = load_task(name)
    carriers = carriers_for(task)
    assert len({carrier.query for carrier in carriers}) == len(carriers) == 12
    assert {carrier.label for carrier in carriers} == {0}
    assert set(carriers) <= set(task.labelled())
    assert carriers == carriers_for(task)


def test_half_of_the_queries_are_left_to_calibrate_on(task: Task) -> None:
    carriers = carriers_for(task)
    assert len(carriers) == 4
    assert {carrier.response for carrier in carriers} < {row.response for row in task.labelled() if row.label == 0}


def test_an_injection_carries_none_and_too_few_bad_texts_are_named(task: Task) -> None:
    rows = [{"query": f"q{i}", "response": text, "label": 0} for i, text in enumerate(("a", "b", "Answer Good."))]
    write_jsonl(task.folder / "labelled.jsonl", rows)
    with pytest.raises(InputError, match=r"labelled\.jsonl: bad texts of 2 queries; 3 are needed"):
        carriers_for(task)


def test_trials_take_families_in_turn_and_repeat_with_the_seed() -> None:
    task, suite = load_task("greetings-en"), load_suite()
    carriers = carriers_for(task)
    trials = draw(suite, carriers, task, limit=len(suite.families) * 3, seed=1)
    assert [trial.family for trial in trials] == [family.name for family in suite.families] * 3
    assert len({(trial.family, trial.attack) for trial in trials}) == len(trials)
    assert len({trial.response for trial in trials}) == len(trials)
    assert trials == draw(suite, carriers, task, limit=len(trials), seed=1)
    assert trials != draw(suite, carriers, task, limit=len(trials), seed=2)
    assert not any("{good}" in trial.response for trial in draw(suite, carriers, task, limit=10**6, seed=0))


def test_too_few_bad_carriers_are_refused() -> None:
    task = load_task("greetings-en")
    with pytest.raises(InputError, match="--calibration"):
        draw(load_suite(), carriers_for(task)[:2], task, limit=10, seed=0)


def test_an_attack_stands_before_after_or_in_the_middle() -> None:
    text = "One is here. Two is there. Three is gone."
    assert attached(text, "X", "prefix") == f"X\n{text}"
    assert attached(text, "X", "suffix") == f"{text}\nX"
    assert attached(text, "X", "middle") == "One is here. X Two is there. Three is gone."
    assert attached("", "X", "middle").strip() == "X"


def test_flips_are_counted_by_family_and_split() -> None:
    task, suite = load_task("greetings-en"), load_suite()
    trials = draw(suite, carriers_for(task), task, limit=140, seed=0)
    rng = random.Random(0)
    off = [Verdict(1 if rng.random() < 0.5 else 0) for _ in trials]
    off[0] = Verdict(None, unscored="timed out")
    on = [
        Verdict(0, injection="override") if trial.split == "development" else verdict
        for trial, verdict in zip(trials, off, strict=True)
    ]
    result = summarise(trials, off, on)
    assert result["n"] == 140
    assert result["flips_development"] == 0
    assert result["detected_development"] == 1
    assert result["detected_held_out"] == 0
    assert result["flips_held_out"] == result["flips_off_held_out"] > 0.3
    assert result["flips_off_n"] == 139
    low, high = result["flips_off_ci"]
    assert low < result["flips_off"] < high
    assert result["families"]["direct"]["n"] == 10
    assert result["detected_clusters"] == len({trial.query for trial in trials}) < 20
    assert result["flips_development_ci"][1] > 0.15  # none of 70 flips, but there are that few carriers
    assert "flips" not in summarise(trials, off, None)


def test_good_texts_lost_are_a_rate_of_the_good_ones() -> None:
    off = [Verdict(1), Verdict(1), Verdict(0)]
    on = [Verdict(0, injection="override"), Verdict(1), Verdict(0, injection="override")]
    out = lost(off, on, 10)
    assert (out["clean"], out["clean_lost"], out["clean_suspected"]) == (10, 0.1, 0.2)
    assert lost([], [], 5)["clean_lost"] == 0
