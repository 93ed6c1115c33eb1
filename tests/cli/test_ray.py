"""``--engine ray`` on a local cluster of two workers: the bytes of one process, also when it is typed again."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (inkfire[ray])")

STUB = Path(__file__).parents[1] / "stub_endpoint.py"


def curate(prompts: Path, out: Path, *options: str) -> dict[str, Any]:
    given = ["--task", "greetings-en", "--prompts", str(prompts), "--model", "stub", "--out", str(out), "--json"]
    command = [sys.executable, "-m", "inkfire", "curate", *given, "--pairs", "all", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_shards_on_ray_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"a wish for friend number {i}\n" for i in range(12)))
    with subprocess.Popen(
        [sys.executable, str(STUB), "--latency", "0.02"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        alone = curate(prompts, tmp_path / "alone" / "run", "--base-url", url)
        ray = curate(prompts, tmp_path / "ray" / "run", "--base-url", url, "--engine", "ray", "--shards", "2")
        server.communicate()
    again = curate(prompts, tmp_path / "ray" / "run", "--base-url", url, "--engine", "ray")  # nobody answers any more
    for name in ("pairs.jsonl", "transcripts.jsonl", "outcomes.jsonl", "README.md", "stages/curate.json"):
        assert (tmp_path / "ray" / "run" / name).read_bytes() == (tmp_path / "alone" / "run" / name).read_bytes()
    assert (ray["shards"], ray["calls"], ray["cached"]) == (2, alone["calls"], 0)
    assert again["cached"] == again["calls"] == alone["calls"]
