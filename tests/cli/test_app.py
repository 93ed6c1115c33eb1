"""The command line as a whole: light, documented, and honest about whose fault an error is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

COMMANDS = [
    "demo", "run", "models list", "models pull", "tasks list", "tasks new", "data pull", "audit", "curate", "refine",
    "judge", "train sft", "train rm", "train grpo", "score", "write", "evaluate", "report", "ledger",
]  # fmt: skip


def inkfire(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "inkfire", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_help_loads_neither_torch_nor_a_client():
    code = (
        "import sys; sys.argv = ['inkfire', '--help']\n"
        "from inkfire.cli.app import run\n"
        "run()\n"
        "names = {'torch', 'transformers', 'openai', 'sklearn', 'scipy', 'numpy', 'pydantic', 'xllamacpp'}\n"
        "heavy = names & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    done = inkfire(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "no-such-recipe", "--out", "x"], "unknown recipe"),
        (["demo", "--task", "no-such-task", "--out", "x"], "no-such-task"),
        (["audit", "--pairs", "missing.jsonl"], "missing.jsonl: no such file"),
        (["report", "nowhere"], "not a run folder"),
        (["models", "path", "no-such-model"], "no-such-model"),
        (["evaluate", "--policy", "base", "--prompts", "q", "--task", "t", "--signal", "rm", "--out", "x"], "NAME="),
    ],
)  # fmt: skip
def test_wrong_input_is_one_message_and_exit_2(arguments, message, tmp_path):
    done = inkfire(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert message in json.loads(done.stdout)["error"]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_the_users_error():
    done = inkfire("audit", "--no-such-option")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
