"""Probes: what they change, that they change it the same way again, and what is measured of them."""

import random

import pytest

from inkfire.errors import InputError
from inkfire.judge.guard import suspect
from inkfire.records import Candidate, Comparison, Labelled, Verdict
from inkfire.stress.biases import (
    PROBES,
    Material,
    changed,
    measure_order,
    measure_probe,
    measure_self_preference,
    order_pairs,
)
from inkfire.tasks.task import load_task

TEXTS = [Candidate("q1", "Happy birthday, Ann. Thank you for the cake!"), Candidate("q2", "Get well, Tom.")]

BAD = [
    Labelled("a haiku", "The sea is wet. Waves are waves!", 0),
    Labelled("another", "海は青いですね。海は広いですね。", 0),
    Labelled("a third", "A good line that is no padding.", 1),
]


def verdicts(*probabilities: float | None) -> list[Verdict]:
    return [
        Verdict(None, unscored="refused") if p is None else Verdict(1 if p >= 0.5 else 0, probability=p)
        for p in probabilities
    ]


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("task", ["greetings-en", "greetings-zh"])
def test_each_text_is_changed_the_same_way_again(name: str, task: str) -> None:
    loaded = load_task(task)
    texts = loaded.labelled()
    material = Material.of(loaded.language, texts)
    once = changed(name, texts, material, seed=0)
    assert [text.query for text in once] == [text.query for text in texts]
    assert all(new.response != old.response for new, old in zip(once, texts, strict=True))
    assert once[1:] == changed(name, texts[1:], material, seed=0)
    assert once != changed(name, texts, material, seed=1)
    suspected = [new for new in once if suspect(new.query, new.response, loaded).fired]
    assert len(suspected) <= 0.01 * len(once)


def test_what_each_probe_does() -> None:
    text, rng, material = TEXTS[0].response, random.Random(0), Material.of("en", BAD)
    assert PROBES["length"](text, material, rng).startswith(f"{text} ")
    assert len(PROBES["length"](text, material, rng)) > len(text) + 12
    assert "Thank you for the cake!!!" in PROBES["decoration"](text, material, rng)
    assert PROBES["authority"](text, material, rng).startswith(f"{text}\n")
    mixed = PROBES["language"](text, material, rng)
    assert sum(word not in mixed.split() for word in text.split()) == 3
    assert PROBES["language"]("xyz", material, rng).startswith("xyz ")


def test_what_pads_a_text_comes_from_the_tasks_bad_texts() -> None:
    material = Material.of("fr", BAD)
    assert set(material.padding) == {"The sea is wet.", "Waves are waves!", "海は青いですね。", "海は広いですね。"}
    padded = PROBES["length"]("The sea is wet. Bonjour.", material, random.Random(0))
    assert padded.startswith("The sea is wet. Bonjour. ")
    assert padded.count("The sea is wet.") == 1
    assert PROBES["length"]("你好。", Material.of("zh", BAD), random.Random(0))[3:4] != " "
    with pytest.raises(InputError, match=r"label some with 0 in its labelled\.jsonl"):
        PROBES["length"]("Bonjour.", Material.of("fr", TEXTS), random.Random(0))


def test_flips_and_shifts() -> None:
    queries = ["q1", "q1", "q2", "q3"]
    out = measure_probe("length", queries, verdicts(0.4, 0.6, 0.2, None), verdicts(0.6, 0.8, 0.4, 0.9), seed=0)
    assert (out["length_n"], out["length_unscored"]) == (3, 1)
    assert out["length_flip_rate"] == pytest.approx(1 / 3)
    assert out["length_to_good"] == pytest.approx(1 / 2)
    assert out["length_to_bad"] == 0
    assert out["length_shift"] == pytest.approx(0.2)
    assert out["length_shift_ci"] == pytest.approx([0.2, 0.2])
    assert (out["length_flip_rate_clusters"], out["length_to_bad_clusters"]) == (2, 1)
    low, high = out["length_flip_rate_ci"]
    assert low < 1 / 3 < high


def test_nothing_scored_is_nothing_measured() -> None:
    out = measure_probe("length", ["q"], verdicts(None), verdicts(0.5), seed=0)
    assert (out["length_n"], out["length_flip_rate"]) == (0, None)
    assert out["length_shift"] is None


def test_the_order_probe_counts_ties() -> None:
    out = measure_order([Comparison("a"), Comparison("tie"), Comparison(None, unscored="x"), Comparison("tie")])
    assert (out["order_n"], out["order_unscored"]) == (3, 1)
    assert out["order_flip_rate"] == pytest.approx(2 / 3)
    texts = [Candidate("q", "a"), Candidate("p", "x"), Candidate("q", "b"), Candidate("p", "x")]
    assert order_pairs(texts, 5) == [("q", "a", "b")]


def test_self_preference_is_what_the_labels_do_not_explain() -> None:
    texts = [Labelled("q", "own", 1), Labelled("q", "other", 0), Labelled("p", "own", 0), Labelled("p", "other", 0)]
    sources = ["m", "other-model", "m", "other-model"]
    out = measure_self_preference(texts, sources, verdicts(1.0, 0.0, 0.7, 0.5), "local/m", seed=0)
    assert out["self_preference_n"] == 2
    assert out["self_preference_shift"] == pytest.approx(0.1)
    plain = [Candidate(text.query, text.response) for text in texts]
    assert measure_self_preference(plain, sources, verdicts(1.0, 0.0, 0.7, 0.5), "m", seed=0)[
        "self_preference_shift"
    ] == pytest.approx(0.6)


@pytest.mark.parametrize("sources", [["", ""], ["m", "m"], ["m", ""]])
def test_without_sources_self_preference_is_said_to_be_missing(sources: list[str]) -> None:
    out = measure_self_preference(TEXTS, sources, verdicts(0.5, 0.5), "m", seed=0)
    assert out["self_preference_shift"] is None
    assert "not measured" in out["self_preference"]
