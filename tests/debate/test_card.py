"""The dataset card: what the hub reads, what people read, and the same bytes for the same folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.debate.sampler import Tally
from inkfire.files.formats import pair_row
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.llm.bill import Bill
from inkfire.records import Preference
from inkfire.runs.card import AUDITED, CARD, write_card

Make = Callable[..., str]
EMPTY = Tally().result() | {"calls": 0, "total_tokens": 0} | Bill().fields("total_") | {"currency": "EUR"}
SETTINGS = {
    "task": "tiny", "task_version": "abc", "language": "en", "shard": None, "pairs": "length-matched",
    "max_length_ratio": 1.25, "candidates": 4, "rounds": 2, "agents": {"judge": "big`model", "reflect": "small"},
    "writers": [{"model": "m", "prompt": "writer", "temperature": 0.8}],
}  # fmt: skip


def transcript(judge: int | None, reflect: int | None, *, sides: bool = True) -> dict[str, Any]:
    critique = {"point": "reason"} if sides else None
    verdicts = {name: None if v is None else {"judge": v} for name, v in (("judge", judge), ("reflect", reflect))}
    label = judge if reflect is None else reflect
    return {"label": label, "positive": critique, "negative": critique, **verdicts}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def call(
        transcripts: list[dict[str, Any]],
        pairs: list[tuple[str, str]],
        settings: dict[str, Any] = SETTINGS,
        **result: Any,
    ) -> str:
        run = Run.open(tmp_path / f"run-{len(list(tmp_path.iterdir()))}", command="curate", settings=settings)
        write_jsonl(run.path("transcripts.jsonl"), transcripts)
        rows = (Preference(f"q{i % 50}", chosen, rejected) for i, (chosen, rejected) in enumerate(pairs))
        write_jsonl(run.path("pairs.jsonl"), (pair_row(row, []) | {"prompt": row.query} for row in rows))
        write_card(run, EMPTY | {"pairs": len(pairs)} | result)
        return (run.out / CARD).read_text(encoding="utf-8")

    return call


def test_agreement_and_lengths_are_counted(make: Make) -> None:
    debates = [transcript(1, 1)] * 6 + [transcript(0, 0)] * 2 + [transcript(1, 0)] + [transcript(0, 1)]
    pairs = [("a" * 10, "b" * 8)] * 19 + [("a" * 50, "b" * 9)]
    card = make(debates, pairs, longer_wins=1.0, longer_wins_ci=[0.8, 1.0], total_cost=1.5)
    assert "| Judge: good | 6 | 1 |" in card
    assert "| Judge: bad | 1 | 2 |" in card
    assert "They agree on 80.0 % (95 % interval 49.0 to 94.3 %); Cohen's kappa 0.52." in card
    assert "with Positive in 70.0 %" in card
    assert "| chosen | 12.0 | 10 | 10 | 10 |" in card
    assert "| rejected | 8.1 | 8 | 8 | 8 |" in card
    assert "Length is a shortcut" in card
    assert "1.50 EUR" in card
    assert card == make(debates, pairs, longer_wins=1.0, longer_wins_ci=[0.8, 1.0], total_cost=1.5)


def test_what_is_not_there_is_not_claimed(make: Make) -> None:
    unpriced = Bill(known=0.5).fields("total_") | {"total_cost": None, "total_unpriced_calls": 3}
    unpriced["total_unpriced_models"] = {"gpt": 3}
    card = make([transcript(1, None, sides=False), transcript(None, None)], [], {**SETTINGS, "writers": []}, **unpriced)
    assert "Judge and Reflect did not both take part" in card
    assert "the final verdict was with" not in card
    assert "There are no pairs." in card
    assert "too few pairs to audit" in card
    assert "| given, 1 |" in card
    assert "cost unknown: 0.50 EUR and 3 calls without a price (gpt)" in card


def test_writers_and_occasions_are_told(make: Make, tmp_path: Path) -> None:
    words = {"festival": {"description": "F", "words": ["q1", "q2", "q99"], "pattern": None}}
    card = make([], [("one good text", "one bad text")] * 3, {**SETTINGS, "slices": words})
    assert "No pair says who wrote its texts." in card
    assert "The 3 queries are of these slices: festival 2, other 1." in card
    assert "2 are named (most often q1 1, q2 1). None is about: q99." in card
    run = Run.read(tmp_path / "run-0")
    who = [("big|one", "small")] * 2 + [("small", "big|one")]
    rows = [
        Preference(f"q{i}", "good", "bad", {"chosen_source": one, "rejected_source": other})
        for i, (one, other) in enumerate(who)
    ]
    write_jsonl(run.path("pairs.jsonl"), (pair_row(row, []) | {"prompt": row.query} for row in rows))
    write_card(run, EMPTY | {"pairs": 3})
    card = (run.out / CARD).read_text(encoding="utf-8")
    assert "| `big\\|one` | 2 | 1 |\n| `small` | 1 | 2 |\n" in card
    assert "The writer's name alone" in card


def test_the_reasons_are_listed(make: Make) -> None:
    card = make([], [], no_pair={"all_bad": 3, "lengths_apart": 1}, unscored_by={"judge": 2})
    assert "| queries without a pair: all bad | 3 |\n| queries without a pair: lengths apart | 1 |" in card
    assert "| unscored because of judge | 2 |" in card


def test_a_large_file_is_sampled_evenly(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkfire.runs.card.AUDITED", 10)
    card = make([], [(f"good text number {i} here", f"a bad one {i}") for i in range(95)])
    assert "(10 pairs, each 10th, stand for all)" in card
    assert AUDITED >= 1000


def test_the_hub_can_read_it(make: Make, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    card = make([], [("one good text", "one bad text")] * 3)
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["language"] == ["en"]
    assert head["size_categories"] == ["n<1K"]
    assert head["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "pairs.jsonl"}]}]
    assert head["pretty_name"] == "tiny preference pairs"


def test_datasets_loads_the_folder_by_its_card(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    make([], [("one good text", "one bad text")] * 3)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = datasets.load_dataset(str(tmp_path / "run-0"), cache_dir=str(tmp_path / "cache"))
    assert list(rows) == ["train"]
    assert rows["train"].num_rows == 3  # the pairs alone, not the transcripts beside them
