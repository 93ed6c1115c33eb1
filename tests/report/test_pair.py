"""Two runs on one page, and what the files of one run have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import RunFolderError
from inkfire.evaluation.compare import compare
from inkfire.evaluation.signals import LengthSignal
from inkfire.evaluation.texts import Texts
from inkfire.files.jsonl import sha256_file, write_jsonl
from inkfire.files.run import Run
from inkfire.records import Query
from inkfire.report.across import across
from inkfire.report.folder import Folder
from inkfire.report.pair import write_comparison
from inkfire.tasks.task import load_task

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """The run folder of a comparison by a length signal: ``rl`` writes so many characters."""

    def make(name: str, length: int, judge: str = "one", **settings: Any) -> Path:
        (tmp_path / judge).write_text(judge)
        about = {"task": "greetings-en", "signals": ["judge"], **settings}
        inputs = {"signal judge": tmp_path / judge}
        run = Run.open(tmp_path / name, command="evaluate", settings=about, inputs=inputs)
        texts = {"base": ["x" * 10] * 12, "rl": ["x" * length] * 12}
        signals = [LengthSignal(50, longer_is_better=True, name="judge")]
        queries = [Query.of(f"q{i}") for i in range(12)]
        result = compare(load_task("greetings-en"), Texts.single(queries, texts), signals)
        used = {"calls": 5, "tokens": 10 * length, "cost": 0.5, "currency": "USD"}
        run.complete("evaluate", result, seconds=60, used=used)
        return run.out

    return make


def words(path: Path) -> str:
    text = unescape(path.read_text("utf-8"))
    assert "None" not in text.partition("<body>")[2]
    return text


def test_findings_settings_signals_and_costs_side_by_side(made: Made) -> None:
    a, b = made("a", 20), made("b", 90, temperature=0.9)
    before = sha256_file(b)
    path = write_comparison(a, b)
    assert (path, sha256_file(b)) == (b / "compared.html", before)
    text = words(path)
    assert "<title>inkfire · A · a and B · b</title>" in text
    assert "temperature" in text
    assert "+100<small>100 to 100</small>" in text  # rl's texts are longer in B, query by query
    assert "+0<small>0 to 0</small>" in text  # base's are not
    assert "1 min 0 s" in text
    assert text.index("200") < text.index("900")  # tokens
    assert "settings, seed and inputs are the same" not in text


def test_a_signal_that_was_made_anew_is_another_one(made: Made) -> None:
    text = words(write_comparison(made("a", 20), made("b", 90, judge="two")))
    assert "another signal" in text
    assert "+100" not in text


def test_two_other_runs_have_their_numbers_side_by_side(tmp_path: Path) -> None:
    for name, auc in (("a", 0.6), ("b", 0.9)):
        run = Run.open(tmp_path / name, command="monitor", settings={"every": 5}, seed=int(name == "b"))
        run.complete("monitor", {"auc": auc, "auc_ci": [auc - 0.1, auc + 0.1]}, seconds=1)
    text = words(write_comparison(tmp_path / "a", tmp_path / "b", tmp_path / "out" / "both.html"))
    assert "0.6 (0.5 to 0.7)" in text
    assert "0.9 (0.8 to 1)" in text
    assert "A · a is a run of inkfire monitor, B · b of inkfire monitor." in text
    with pytest.raises(RunFolderError, match="not a run folder"):
        write_comparison(tmp_path / "a", tmp_path)


def test_the_command_compares_and_says_where(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from inkfire.cli.app import run

    a, b = made("a", 20), made("b", 90)
    for args, page in (
        ([a], a / "report.html"),
        ([a, b], b / "compared.html"),
        ([a, "--out", a / "x.html"], a / "x.html"),
    ):
        monkeypatch.setattr("sys.argv", ["inkfire", "report", *map(str, args), "--json"])
        assert run() == 0
        assert json.loads(capsys.readouterr().out) == {"report": str(page)}
        assert page.is_file()


# ---- across the files of a run -------------------------------------------------------------------------------------


def test_what_is_held_out_and_was_learnt_from_is_a_leak(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", command="run", settings={})
    assert across(Folder(run.out)) == ([], [])
    write_jsonl(run.path("data", "held_out_queries.jsonl"), [{"query": "q0"}, {"query": "q1"}])
    write_jsonl(run.path("data", "test.jsonl"), [{"query": "t", "response": "A text of the test.", "label": 1}])
    write_jsonl(run.path("data", "good.jsonl"), [{"query": "t2", "response": "A text of the test!"}])
    said, rows = across(Folder(run.out))
    assert said == ["No held-out query is part of what was learnt from."]
    assert ("texts that measure the judge", "good texts (SFT)", 1, 0, 1, 0) in rows
    pair = {"query": "q1", "chosen": "a", "rejected": "b"}
    write_jsonl(run.path("curate", "pairs.jsonl"), [pair])
    said, rows = across(Folder(run.out))
    assert said == ["Leak: 1 query of the held-out queries with the pairs curated here."]


def test_the_inputs_of_a_command_are_held_against_each_other(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.jsonl" for name in ("data", "calibration")}
    for path in files.values():
        write_jsonl(path, [{"query": "q", "response": "the same", "label": 1}])
    run = Run.open(tmp_path / "run", command="judge", settings={}, inputs=files)
    assert across(Folder(run.out)) == ([], [("data", "calibration", 1, 1, 1, 1)])
    files["data"].write_text("changed")
    assert across(Folder(run.out)) == ([], [])
