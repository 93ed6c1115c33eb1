"""Real commands, killed, typed twice, out of disk and shut out of their folder: small runs of bench_kill.py."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench_kill.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "scenes", "kills"),
    [
        ("curate", "kills,two,full,readonly", 3),
        ("train sft", "full", 0),
        ("train rm", "kills,two,full,readonly", 2),
        ("evaluate", "kills", 2),
        ("run", "kills", 4),
    ],
)
def test_a_disturbed_run_ends_with_the_bytes_of_an_undisturbed_one(command: str, scenes: str, kills: int) -> None:
    if command not in ("curate", "train rm"):
        pytest.importorskip("trl")
    words = ["--queries", "4", "--kills", str(kills), "--commands", command, "--only", scenes]
    done = subprocess.run([sys.executable, str(BENCH), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("same bytes") + done.stdout.count("skipped: ") == len(scenes.split(","))
