"""What tests of commands share: the command line, called in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
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


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The folder of a random language model over bytes."""
    torch = pytest.importorskip("torch")
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    from tiny import make_tiny_model

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))
    torch.set_num_threads(before)
