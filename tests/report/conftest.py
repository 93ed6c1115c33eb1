"""Run folders of every kind, made by the commands themselves against a stub endpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from offline import Offline
from stub_endpoint import default_reply, served

from inkfire.cli.app import run
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.report.page import write_report

Inkfire = Callable[..., Path]
Pages = Callable[[Path], str]


def answer(body: dict[str, Any]) -> str:
    """A judge that knows windows and believes "Good"; agents of refinement that propose windows."""
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    wanted = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    if "Say Good or Bad" in system:
        return "Well, well" if "unclear" in user else "Good" if "window" in user or "Good" in user else "Bad"
    if '\nA: "' in user:  # prefers what names a window; without one, the first place
        first, _, second = user.partition("\nB: ")
        winner = "B" if "window" in second and "window" not in first else "A"
        return json.dumps({"reason": "It names a window.", "winner": winner})
    replies = {
        "flawed": {"flaw": "It hides the occasion.", "text": "A window that hides the occasion."},
        "Merge": {"drop": [], "add": ["It opens a window."]},
        "Rules": {"why": "It was not told.", "proposal": "It opens a window.", "reason": "It shows.", "judge": 1},
    }
    reply = next((reply for key, reply in replies.items() if key in system and "judge" not in wanted), None)
    return json.dumps(reply) if reply else default_reply(body)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served(answer) as stub:
        yield stub.url


@pytest.fixture
def inkfire(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Inkfire:
    """A command, run; its folder is ``run``."""

    def call(*args: object) -> Path:
        out = tmp_path / "run"
        monkeypatch.setattr(sys, "argv", ["inkfire", *map(str, args), "--out", str(out), "--json"])
        code, (printed, said) = run(), capsys.readouterr()
        assert code == 0, printed + said
        return out

    return call


@pytest.fixture
def data(tiny_task: Path, tmp_path: Path) -> dict[str, Path]:
    """Labelled texts of the task and one that no judge understands; the same without labels; many of other queries."""
    rows = list(read_jsonl(tiny_task / "labelled.jsonl"))
    rows.append({"query": "a wish for rain", "response": "This is unclear.", "label": 0})
    rows.append({"query": "a wish for <script>snow</script>", "response": "A window is open.", "label": 0})
    write_jsonl(tmp_path / "labelled.jsonl", rows)
    write_jsonl(tmp_path / "plain.jsonl", ({"query": r["query"], "response": r["response"]} for r in rows))
    many = [
        {"query": f"q{number // 2}", "response": "A window." if number % 2 else "All the best.", "label": number % 2}
        for number in range(80)
    ]
    write_jsonl(tmp_path / "many.jsonl", many)
    return {name: tmp_path / f"{name}.jsonl" for name in ("labelled", "plain", "many")}


@pytest.fixture
def page() -> Pages:
    """The report's page as a reader sees it, after what holds of every page."""

    def draw(folder: Path) -> str:
        text = write_report(folder).read_text("utf-8")
        assert "<script" not in text
        assert "http://" not in text.replace("http://www.w3.org", "").replace("http://127.0.0.1", "")
        assert "None" not in text.partition("<body>")[2].partition("<summary>manifest")[0]
        return unescape(text)

    return draw


NASTY = "<script>document.title = 'taken'</script> {{ 7 * 7 }}"
QUERIES = ("给外婆的八十大寿祝福", NASTY, "a wish for " + "nowhere" * 30, "春节拜年，给老板")


@pytest.fixture
def whole(offline: Offline, recipe: Callable[..., Path], tmp_path: Path) -> Path:
    """A recipe's run on scripted models, with a round of refinement; its first training looks like one of thirty steps,
    in which two alarms rang at one step."""
    from inkfire.runs.context import Place
    from inkfire.runs.experiment import run_recipe
    from inkfire.runs.recipe import load_recipe

    del offline
    file, out = recipe(("rounds = 0", "rounds = 1\nattacks = 2")), tmp_path / "runs" / "whole"
    write_jsonl(tmp_path / "queries.jsonl", ({"query": f"{query} {i}"} for i in range(4) for query in QUERIES))
    run_recipe(load_recipe(str(file)), Place(out))
    steps = range(1, 31)
    metrics = [
        {"step": i, "loss": 1 / i, "reward": i / 30, "mean_length": 60 + i, "kl_text": i / 8, "truncated": i / 60,
         "coverage": 1.0, "zero_variance": 0.1, "missing_groups": 0.0, "entropy": 3 - i / 20}
        for i in steps
    ]  # fmt: skip
    write_jsonl(out / "rm-rl" / "metrics.jsonl", metrics)
    texts = [
        {"step": i, "query": "q", "response": f"text {k}", "reward": k / 8 + i / 30} for i in steps for k in (0, 1)
    ]
    write_jsonl(out / "rm-rl" / "completions.jsonl", texts)
    read = [
        {"step": i, "query": "q", "response": "r", "canary": {"judge<b>": k - i / 30}} for i in steps for k in (0, 1)
    ]
    write_jsonl(out / "rm-rl" / "canaries.jsonl", read)
    alarm = {
        "step": 14,
        "what": "length up",
        "value": 95.0,
        "baseline": 60.0,
        "since": 9,
        "texts": [NASTY],
        "queries": ["q"],
    }
    said = ("Texts grow longer: 95 characters (60 at the start).", "More texts break off: 30% (10% at the start).")
    write_jsonl(out / "rm-rl" / "alarms.jsonl", [alarm | {"said": one} for one in said])
    return out
