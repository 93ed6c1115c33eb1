"""What other programs may import: the list itself, that it costs nothing to import, and the examples of docs/api.md."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import served

import inkfire
from inkfire.files.jsonl import write_jsonl
from inkfire.judge.spec import JudgeSpec
from inkfire.records import to_json
from inkfire.runs.context import Place
from inkfire.runs.train import RewardModelInputs, reward_model
from inkfire.tasks.task import load_task
from inkfire.training.settings import RewardModelSettings

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = [
    (bool(mark), code) for mark, code in re.findall(r"(<!-- needs weights -->\n)?```python\n(.*?)```", PAGE, re.S)
]


def test_the_list_is_a_promise() -> None:
    assert inkfire.__all__ == [
        "Candidate",
        "InkfireError",
        "Labelled",
        "Ledger",
        "Preference",
        "audit",
        "judge_many",
        "load_judge",
        "load_policy",
        "load_reward",
        "load_task",
        "open_model",
        "read_labelled",
        "read_pairs",
        "read_queries",
        "run",
    ]
    assert set(inkfire.__all__) <= set(dir(inkfire))


@pytest.mark.parametrize("name", [name for name in inkfire.__all__ if name != "load_policy"])
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(inkfire, name) is getattr(inkfire, name)
    assert getattr(inkfire, name).__doc__


@pytest.mark.parametrize("name", inkfire.__all__)
def test_the_page_shows_every_name(name: str) -> None:
    assert any(re.search(rf"inkfire\.{name}\b", code) for _, code in BLOCKS)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'inkfire' has no attribute 'load_jugde'"):
        inkfire.load_jugde  # noqa: B018


@pytest.mark.parametrize("code", ["import inkfire", "import inkfire, inkfire.errors, inkfire.records"])
def test_importing_it_loads_nothing_that_is_heavy(code: str) -> None:
    check = f"{code}\nimport sys\nprint({{'torch', 'numpy', 'pydantic', 'openai', 'httpx'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files that the page speaks of, and an endpoint that answers."""
    task = load_task("greetings-en")
    monkeypatch.chdir(tmp_path)
    Path("queries.txt").write_text("a wish for Easter\na wish for a new job\n")
    write_jsonl(Path("labelled.jsonl"), map(to_json, task.labelled()))
    write_jsonl(Path("pairs.jsonl"), map(to_json, task.pairs()))
    reward_model(RewardModelInputs(pairs=(Path("pairs.jsonl"),)), RewardModelSettings(), Place(Path("runs/rm")))
    measured = {"auc": 0.8, "auc_ci": [0.7, 0.9], "scored": 100}
    JudgeSpec(task=task.name, model="gpt-5-mini", mode="verdict", measured=measured).save(Path("runs/judge"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with served() as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
        yield tmp_path


@pytest.mark.usefixtures("desk")
def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    said = []
    for needs_weights, code in BLOCKS:
        if not needs_weights:
            exec(compile(code, "docs/api.md", "exec"), names)
            said.append(capsys.readouterr().out)
    assert len(said) == 9
    assert said[0] == "Greetings in English 195 172 88\n"
    assert (len(names["mine"]), names["labels"], len(names["lengths"])) == (2, {0, 1}, 88)
    assert "length" in said[1].lower()
    assert all(isinstance(score, float) for score in names["scores"])
    assert names["verdict"].scored
    assert len(names["verdicts"]) == 2
    assert said[-2] == "runs/no-such-judge: no such file; a judge's folder holds judge.json\n"
    assert said[-1] == "1.0\n"


@pytest.mark.model
@pytest.mark.usefixtures("smollm2")
def test_the_examples_that_need_weights_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"inkfire": inkfire}
    for code in [code for needs_weights, code in BLOCKS if needs_weights]:
        exec(compile(code, "docs/api.md", "exec"), names)
    assert [len(texts) for texts in names["texts"]] == [2]
    assert capsys.readouterr().out
