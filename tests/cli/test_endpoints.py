"""What a command does and says where its endpoint lacks something."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from endpoints import alternatives, fixed, refuses, says, shows, thinks
from stub_endpoint import served

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rows = [{"query": f"a wish for {n}", "response": f"Dear {n}, sail well.", "label": n % 2} for n in range(24)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "texts.jsonl"


@pytest.fixture
def judge(cli: Cli, texts: Path, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any], str]]:
    def run(url: str, *more: object, out: str = "run") -> tuple[int, dict[str, Any], str]:
        at = ["--model", "m", "--base-url", url, "--calibration-fraction", 0, "--out", tmp_path / out, "--json"]
        return cli("judge", "--task", "greetings-en", "--data", texts, *at, *more)

    return run


def test_what_a_judge_lost_stands_in_its_result_also_when_it_is_read_again(judge: Any, tmp_path: Path) -> None:
    with served(refuses("temperature", "'temperature' does not support 0.7 with this model")) as stub:
        votes = ("--mode", "verdict", "--votes", 3)
        first = judge(stub.url, *votes)[1]
        asked = len(stub.log)
        again, another = judge(stub.url, *votes)[1], judge(stub.url, *votes, out="another")[1]
        assert len(stub.log) == asked  # its replies are on file
    wanted = {"m": ["temperature"]}
    assert first["lacking"] == again["lacking"] == another["lacking"] == wanted
    for out in ("run", "another"):
        assert json.loads((tmp_path / out / "judge.json").read_text())["measured"]["lacking"] == wanted
        assert json.loads((tmp_path / out / "stages" / "judge.json").read_text())["lacking"] == wanted


@pytest.mark.parametrize(
    ("endpoint", "mode", "code", "first"),
    [
        (shows(None), "logprob", 2, "no log-probabilities. Use --mode verdict"),
        (
            refuses("logprobs", "logprobs are not allowed", 403),
            "logprob",
            2,
            "no log-probabilities. Use --mode verdict",
        ),
        (shows(alternatives({"Good": 0.0, "Bad": 0.0})), "logprob", 2, "cannot be told.*Use --mode verdict"),
        (
            shows(alternatives({"<think>": -0.0001, "Good": -12.0})),
            "logprob",
            2,
            "thinks before it answers. Use --mode verdict",
        ),
        (thinks(10**9), "verdict", 2, "raise --reply-tokens. Or name a model that does not think"),
        (fixed(413, b"<title>413 Request Entity Too Large</title>"), "verdict", 2, "Too Large.*fewer --examples"),
        (says('{"judge": 0, "judge": 1}'), "verdict", 4, "contradicts itself on judge"),
        (says("I'm sorry, but I can't help."), "verdict", 4, "no JSON object in the reply"),
        (says(""), "verdict", 4, "the reply is empty"),
        (fixed(200, {"choices": []}), "verdict", 4, "gives no completions .*check --base-url and --model"),
        (fixed(400, {"error": "Bad Request"}), "logprob", 4, "Bad Request"),
        (fixed(308, b"", Location="http://127.0.0.1:9/v1"), "logprob", 4, "check --base-url, it leads to http://127"),
    ],
)
def test_total_failure_says_the_reason_and_the_fix(judge: Any, endpoint: Any, mode: str, code: int, first: str) -> None:
    with served(endpoint) as stub:
        found, _, err = judge(stub.url, "--mode", mode)
    assert found == code
    assert re.search(f"^Error: .*{first}", err, re.MULTILINE)
    assert len(stub.log) <= 24 * 3 + 8


@pytest.mark.parametrize(
    ("endpoint", "found", "advice"),
    [
        (says(), {"log_probabilities": 3, "schema": True, "verdict": True, "text": True, "thinks": False}, []),
        (shows(None), {"log_probabilities": 0}, ["no log-probabilities: use --mode verdict"]),
        (
            shows(alternatives({"<think>": -0.1, "Good": -3.0})),
            {"log_probabilities": 0},
            ["no log-probabilities: use --mode verdict"],
        ),
        (
            refuses("response_format", "This response_format type is unavailable now"),
            {"schema": False, "verdict": True},
            ["no schema: it stands in the prompt, and more replies may not be usable"],
        ),
        (
            says(""),
            {"schema": True, "verdict": False, "text": False},
            [
                "no verdict: the reply is empty",
                "no text: the reply is empty",
            ],
        ),
        (thinks(1000), {"verdict": True, "text": True, "thinks": True}, ...),
    ],
)
def test_what_an_endpoint_lacks_is_said_before_it_is_paid_for(
    cli: Cli, endpoint: Any, found: dict[str, Any], advice: Any
) -> None:
    with served(endpoint) as stub:
        code, result, _ = cli("models", "check", "m", "--base-url", stub.url, "--json")
    assert code == 0
    assert len(stub.log) <= 6
    assert result.items() >= found.items()
    if advice is not ...:
        assert [line for line in result["advice"] if "price" not in line] == advice


def test_who_checks_is_not_kept_waiting(cli: Cli) -> None:
    with served(fixed(503, {"error": {"message": "Loading model"}})) as stub:
        code, _, err = cli("models", "check", "m", "--base-url", stub.url, "--json")
    assert code == 4
    assert "503: Loading model" in err
    assert len(stub.log) == 3
