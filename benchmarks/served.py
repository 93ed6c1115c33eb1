"""What benchmarks of the reward server share: the command in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def served(*args: str) -> Iterator[dict[str, Any]]:
    """``inkfire serve reward``: what it says where it is. At the end it is told to stop.

    Raises:
        RuntimeError: it did not end as it should.
    """
    command = [sys.executable, "-m", "inkfire", "serve", "reward", *args, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
    if process.returncode:
        raise RuntimeError(f"the server ended with {process.returncode}")
