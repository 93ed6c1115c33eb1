"""The real command, killed, out of disk and shut out of its folder: a small run of benchmarks/bench_kill.py."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench_kill.py"


@pytest.mark.slow
def test_a_disturbed_run_ends_with_the_bytes_of_an_undisturbed_one() -> None:
    command = [sys.executable, str(BENCH), "--queries", "4", "--kills", "3", "--only", "kills,full,readonly"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("same bytes") + done.stdout.count("skipped: ") == 3
