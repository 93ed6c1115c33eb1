"""``inkfire models``."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from stub_endpoint import Body, served

from inkfire.cli.app import run


def inkfire(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["inkfire", "models", *arguments])
    return run()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF and more")
    return file


def test_list_says_what_is_not_here_yet(own: Path, monkeypatch, capsys) -> None:
    assert inkfire(monkeypatch, "list") == 0
    assert "inkfire models pull smollm2-135m" in capsys.readouterr().out
    assert inkfire(monkeypatch, "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert {"name", "path", "sha256", "bytes"} <= rows[0].keys()
    assert {row["path"] for row in rows} == {None}


@pytest.mark.parametrize("command", ["pull", "path"])
def test_a_file_of_ones_own(command: str, own: Path, monkeypatch, capsys) -> None:
    assert inkfire(monkeypatch, command, str(own), "--json") == 0
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    expected = {"name": str(own), "path": str(own), "sha256": sha256, "bytes": 13}
    assert json.loads(capsys.readouterr().out) == expected


def test_path_prints_the_path_alone(own: Path, monkeypatch, capsys) -> None:
    assert inkfire(monkeypatch, "path", str(own)) == 0
    assert capsys.readouterr().out == f"{own}\n"


@pytest.mark.parametrize("arguments", [("path", "smollm2-135m"), ("pull", "smollm"), ("pull", "absent.gguf")])
def test_wrong_input_is_one_line_and_exit_2(arguments: tuple[str, ...], own: Path, monkeypatch, capsys) -> None:
    assert inkfire(monkeypatch, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1


def test_check_says_what_an_endpoint_lacks(monkeypatch, capsys) -> None:
    def reply(body: Body) -> object:
        if body["messages"][0]["role"] == "system":
            return 400, {"error": {"message": "System role not supported"}}
        if "response_format" in body:
            return '{"reason": "warm", "judge": 1}'
        return 200, {"choices": [{"message": {"content": "Good", "reasoning_content": "hm"}}]}

    with served(reply) as stub:  # type: ignore[arg-type]
        assert inkfire(monkeypatch, "check", "m", "--base-url", stub.url, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert inkfire(monkeypatch, "check", "m", "--base-url", stub.url) == 0
    assert (found["log_probabilities"], found["schema"], found["verdict"], found["text"]) == (0, True, True, True)
    assert (found["system_role"], found["thinks"], found["price"]) == (False, True, None)
    assert found["lacking"] == ["system_role"]
    assert "--mode verdict" in capsys.readouterr().out
    assert len(stub.log) <= 12
