"""What tests of commands share: the command line, called in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from inkfire.cli.app import run

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*args: object) -> tuple[int, dict[str, Any], str]:
        monkeypatch.setattr(sys, "argv", ["inkfire", *map(str, args)])
        code = run()
        out, err = capsys.readouterr()
        return code, json.loads(out) if out.startswith("{") else {"text": out}, err

    return call
