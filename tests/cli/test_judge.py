"""``inkfire judge`` and ``inkfire refine`` against a stub endpoint, and what they say when the input is wrong."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkfire.cli.app import run
from inkfire.judge.principles import Principles, read_principles
from inkfire.llm import loop
from inkfire.workspace import read_jsonl, write_jsonl

Cli = Callable[..., tuple[int, dict[str, Any], str]]


def answer(body: dict[str, Any]) -> str:
    """One word for a judge that knows windows; an object for the agents of refinement."""
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    if "Say Good or Bad" in system:
        return "Well, well" if "unclear" in user else "Good" if "window" in user else "Bad"
    replies = {
        "flawed": {"flaw": "It hides the occasion.", "text": "A window that hides the occasion."},
        "Merge": {"items": ["It fits the occasion.", "It says a thing of its own.", "It opens a window."]},
        "Rules": {"why": "It was not told.", "proposal": "It opens a window.", "reason": "It shows.", "judge": 1},
    }
    return json.dumps(next((reply for key, reply in replies.items() if key in system), {}))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    path = Path(__file__).parents[1] / "stub_endpoint.py"
    spec = importlib.util.spec_from_file_location("stub_endpoint_for_judges", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stub = module.Stub(reply=answer)
    loop.run(stub.__aenter__())
    yield stub.url
    loop.run(stub.__aexit__(None, None, None))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*args: object) -> tuple[int, dict[str, Any], str]:
        monkeypatch.setattr(sys, "argv", ["inkfire", *map(str, args)])
        code = run()
        out, err = capsys.readouterr()
        return code, json.loads(out) if out.startswith("{") else {"text": out}, err

    return call


@pytest.fixture
def files(tiny_task: Path, tmp_path: Path) -> dict[str, Path]:
    """``data`` (labelled), ``plain`` (no labels), ``labels`` (other queries, and one of data's)."""
    rows = list(read_jsonl(tiny_task / "labelled.jsonl"))
    rows.append({"query": "a wish for rain", "response": "This is unclear.", "label": 0})
    write_jsonl(tmp_path / "data.jsonl", rows)
    write_jsonl(tmp_path / "plain.jsonl", ({"query": r["query"], "response": r["response"]} for r in rows))
    labels = [
        {"query": f"q{number}", "response": "window" if number % 2 else "all the best", "label": number % 2}
        for number in range(60)
    ]
    write_jsonl(tmp_path / "labels.jsonl", [*labels, rows[0]])
    return {name: tmp_path / f"{name}.jsonl" for name in ("data", "plain", "labels")}


@pytest.fixture
def judge(tiny_task: Path, files: dict[str, Path], tmp_path: Path, endpoint: str) -> list[object]:
    return [
        "judge", "--task", tiny_task, "--data", files["data"], "--model", "stub", "--base-url", endpoint,
        "--out", tmp_path / "run", "--json",
    ]  # fmt: skip


def replace(command: list[object], **options: object) -> list[object]:
    args = list(command)
    for name, value in options.items():
        if f"--{name}" in args:
            args[args.index(f"--{name}") + 1] = value
        else:
            args += [f"--{name}", value]
    return args


def test_labelled_texts_are_judged_and_the_judge_measured(cli: Cli, judge: list[object], tmp_path: Path) -> None:
    code, result, err = cli(*judge)
    assert code == 0
    assert "uncalibrated" in err
    assert {"n", "accuracy", "precision", "recall", "f1", "kappa", "auc", "length_auc", "calls"} <= result.keys()
    assert (result["n"], result["scored"], result["unscored"], result["calls"]) == (17, 16, 1, 17)
    assert result["auc"] == result["accuracy"] == 1.0
    assert result["calibrated"] is False
    rows = list(read_jsonl(tmp_path / "run" / "verdicts.jsonl"))
    assert [row["label"] for row in rows] == [1, 0] * 8 + [None]
    assert "probability" in rows[-1]["unscored"]
    assert rows[-1]["expected"] == 0

    code, again, _ = cli(*judge)
    assert (code, again["calls"], again["auc"]) == (0, 0, 1.0)
    code, other, _ = cli(*replace(judge, out=tmp_path / "other"))
    assert (code, other["cached"]) == (0, 17)
    for name in ("verdicts.jsonl", "judge.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_it_calibrates_on_other_queries_only(
    cli: Cli, judge: list[object], files: dict[str, Path], tmp_path: Path
) -> None:
    code, result, err = cli(*replace(judge, calibration=files["labels"]))
    assert code == 0
    assert "1 of 61 calibration texts share a query" in err
    assert result["calibrated"] is True
    assert result["uncalibrated"]["accuracy"] == 1.0
    assert result["ece"] < 0.2

    code, reused, _ = cli(*replace(judge, calibration=tmp_path / "run", out=tmp_path / "reused"))
    assert code == 0
    assert reused["calibrated"] is True
    rules = tmp_path / "rules.toml"
    Principles.of(["Other rules."]).write(rules, task="tiny")
    foreign = replace(judge, calibration=tmp_path / "run", principles=rules, out=tmp_path / "foreign")
    code, _, err = cli(*foreign)
    assert code == 2
    assert "of another principle set" in err


def test_texts_without_labels_have_verdicts_only(cli: Cli, judge: list[object], files: dict[str, Path]) -> None:
    code, result, _ = cli(*replace(judge, data=files["plain"]))
    assert code == 0
    assert result.keys() == {"n", "scored", "unscored", "injections", "calls", "cached", "seconds"}


@pytest.mark.parametrize("mode", ["verdict", "rubric", "debate"])
def test_other_modes_report_what_they_could_not_score(cli: Cli, judge: list[object], mode: str) -> None:
    code, result, _ = cli(*replace(judge, mode=mode))
    assert code == 0
    assert result["n"] == result["scored"] + result["unscored"] == 17


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "greetings-xx"}, "no task 'greetings-xx'"),
        ({"data": "missing.jsonl"}, "missing.jsonl: no such file"),
        ({"mode": "guess"}, "guess"),
        ({"principles": "missing.toml"}, "missing.toml: no such file"),
        ({"calibration": "missing.jsonl"}, "missing.jsonl: no such file"),
    ],
)
def test_wrong_input_exits_2_and_writes_nothing(
    cli: Cli, judge: list[object], tmp_path: Path, change: dict[str, str], message: str
) -> None:
    code, result, err = cli(*replace(judge, **change))
    assert code == 2
    assert message in err
    assert message in result["error"]
    assert not (tmp_path / "run").exists()


def test_a_label_that_is_no_label_is_named_by_line(
    cli: Cli, judge: list[object], files: dict[str, Path], tmp_path: Path
) -> None:
    files["data"].write_text('{"query": "q", "response": "r", "label": 1}\n{"query": "q", "response": "r"}\n')
    code, _, err = cli(*judge)
    assert code == 2
    assert "data.jsonl:2: no label" in err
    files["data"].write_text('{"query": "q", "response": "r", "label": 2}\n')
    code, _, err = cli(*judge)
    assert code == 2
    assert "data.jsonl:1: label must be 0 or 1" in err
    assert not (tmp_path / "run").exists()


def test_refinement_writes_its_history_and_resumes(
    cli: Cli, tiny_task: Path, files: dict[str, Path], tmp_path: Path, endpoint: str
) -> None:
    command = [
        "refine", "--task", tiny_task, "--model", "stub", "--base-url", endpoint, "--prompts",
        tiny_task / "queries.jsonl", "--labelled", files["labels"], "--rounds", 2, "--out", tmp_path / "refined",
        "--json",
    ]  # fmt: skip
    code, result, _ = cli(*command)
    assert code == 0
    assert {"before", "after", "accepted", "rejected", "calls"} <= result.keys()
    assert (result["accepted"], result["rejected"]) == (0, 2)
    assert result["before"] == result["after"]
    assert read_principles(tmp_path / "refined" / "principles.toml").version == result["principles"]
    assert len(list(read_jsonl(tmp_path / "refined" / "history.jsonl"))) == 2
    assert list(read_jsonl(tmp_path / "refined" / "attacks.jsonl"))

    code, again, _ = cli(*command)
    assert (code, again["calls"]) == (0, 0)
    other = [tmp_path / "other" if arg == tmp_path / "refined" else arg for arg in command]
    code, third, _ = cli(*other)
    assert code == 0
    assert third["calls"] == third["cached"] > 0
    for name in ("principles.toml", "flaws.toml", "history.jsonl", "attacks.jsonl", "judge.json"):
        assert (tmp_path / "refined" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
