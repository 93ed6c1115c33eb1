"""What the benchmarks share: the tests' stub endpoint in a process of its own, and what its log says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = Path(__file__).parents[1] / "tests" / "stub_endpoint.py"


@dataclass(frozen=True)
class Endpoint:
    """A running stub; ``log`` is the file that it writes a line into for every request it has answered."""

    url: str
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@contextmanager
def endpoint(log: Path, **options: float | str) -> Iterator[Endpoint]:
    """The stub with ``options`` (``latency=0.4``, ``http_500=0.1``: its command line's), stopped at the end."""
    command = [sys.executable, str(SERVER), "--log", str(log)]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Endpoint(process.stdout.readline().strip(), log)
        finally:
            process.stdin.close()
            process.wait()
