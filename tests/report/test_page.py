"""The page: whole without a network, every text escaped, and what a run has not done is left out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inkfire.errors import RunFolderError
from inkfire.evaluation.compare import compare
from inkfire.evaluation.signals import LengthSignal
from inkfire.evaluation.texts import Texts
from inkfire.files.jsonl import sha256_file, write_jsonl
from inkfire.files.run import Run
from inkfire.records import Query
from inkfire.report.page import write_report
from inkfire.tasks.task import load_task

NASTY = "<script>alert(1)</script> </dd> {{ 7 * 7 }}"


@pytest.fixture
def run(tiny_task, tmp_path):
    run = Run.open(tmp_path / "run", command="run", settings={"name": "mine"})
    queries = [Query.of(f"{NASTY} {i}") for i in range(4)]
    responses = {"base": [NASTY] * 4, "rm-rl": ["x" * 60] * 4}
    signals = [LengthSignal(50, longer_is_better=True, name="rm")]
    result = compare(load_task(tiny_task), Texts.single(queries, responses), signals, rewards={"rm-rl": ["rm"]})
    write_jsonl(run.path("rm-rl", "metrics.jsonl"), [{"step": i, "loss": 0.1 * i, "reward": 0.5} for i in range(3)])
    run.complete("rm-rl", {"warnings": ["the reward follows length"], "calls": 8}, seconds=61)
    run.complete("evaluate", result | {"refused": {"judge-rl": "no better than a coin"}}, seconds=2)
    return run


def test_the_page_is_self_contained_and_safe(run):
    page = write_report(run.out).read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7 * 7 }}" in page  # shown as it is, not evaluated
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_page_shows_curves_warnings_and_refusals(run):
    page = write_report(run.out).read_text("utf-8")
    assert page.count("<svg") >= 3  # the comparison, and loss and reward of the training
    assert "the reward follows length" in page
    assert "judge-rl was not trained: no better than a coin" in page
    assert "own reward" in page
    assert "1 min 1 s" in page


def test_an_unfinished_run_has_a_page_too(tmp_path):
    run = Run.open(tmp_path / "run", command="run", settings={"name": "mine"})
    assert "has not been evaluated yet" in write_report(run.out).read_text("utf-8")
    run.complete("sft", {"steps": 3}, seconds=1)
    assert "Done so far: sft." in write_report(run.out).read_text("utf-8")


def test_the_same_run_draws_the_same_bytes(run):
    assert write_report(run.out).read_bytes() == write_report(run.out).read_bytes()


def test_a_folder_that_is_reported_is_still_the_same_input(run):
    write_jsonl(run.path("pairs.jsonl"), [{"query": "q"}])
    before = sha256_file(run.out)
    write_report(run.out)
    assert sha256_file(run.out) == before
    write_jsonl(run.path("pairs.jsonl"), [{"query": "another"}])
    assert sha256_file(run.out) != before


def test_reading_a_folder_loads_no_torch_and_no_matplotlib():
    code = "import sys, inkfire.report.page; print({'torch', 'matplotlib', 'openai'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder"):
        write_report(tmp_path)
