"""The command line as a whole: light, documented, and honest about whose fault an error is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from inkfire import __version__
from inkfire.cli.app import COMMANDS, command_line
from inkfire.cli.common import say

Cli = Callable[..., tuple[int, dict[str, Any], str]]


def pages() -> Iterator[tuple[str, App]]:
    """Every command that can be called, by its name: ``judge attack``."""
    root = command_line()
    for name in COMMANDS:
        app = root[name]
        if app.default_command is not None:
            yield name, app
        yield from ((f"{name} {sub}", app[sub]) for sub in app if not sub.startswith("-"))


PAGES = dict(pages())


def parsed(*tokens: str) -> dict[str, Any]:
    """What a command would be called with."""
    _, bound, _ = command_line().parse_args(tokens, exit_on_error=False, print_error=False)
    return bound.arguments


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


def test_no_page_of_help_loads_what_is_heavy():
    code = (
        "import sys\n"
        "from inkfire.cli.app import run\n"
        f"for name in {list(PAGES)}:\n"
        "    sys.argv = ['inkfire', *name.split(), '--help']\n"
        "    run()\n"
        "    heavy = {'torch', 'transformers', 'sklearn', 'xllamacpp'} & set(sys.modules)\n"
        "    if heavy: sys.exit(f'{name} loaded {heavy}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", PAGES)
def test_every_command_explains_itself(cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, shown, _ = cli(*command.split(), "--help")
    assert code == 0
    assert "--json" in shown["text"]
    assert f"Example: inkfire {command}" in shown["text"]
    assert max(map(len, shown["text"].splitlines())) <= 80


@pytest.mark.parametrize("command", PAGES)
def test_every_option_has_one_line_of_help_and_a_name_of_its_own(command: str) -> None:
    options = [
        option for option in PAGES[command].assemble_argument_collection(parse_docstring=True) if not option.children
    ]
    names = [name for option in options for name in option.names]
    assert len(names) == len(set(names))
    for option in options:
        assert option.parameter.help, option.name
        assert "\n" not in option.parameter.help, option.name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_and_a_commands_page_begin_with_the_same_line(name: str) -> None:
    assert command_line()[name].help.splitlines()[0] == COMMANDS[name][1]


@pytest.mark.parametrize("command", [[], ["train"], ["models"], ["tasks"], ["data"], ["recipes"]])
def test_what_does_nothing_by_itself_shows_its_commands(cli: Cli, command: list[str]) -> None:
    code, shown, err = cli(*command)
    assert (code, shown["text"]) == (2, "")
    assert "Commands" in err
    assert "Error" not in err


def test_version(cli: Cli) -> None:
    code, shown, _ = cli("--version")
    assert (code, shown["text"]) == (0, f"inkfire {__version__}\n")


def test_completion_for_the_shell_knows_options(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert cli("--install-completion", "--shell", "bash")[0] == 0
    script = "".join(path.read_text() for path in tmp_path.rglob("completions/inkfire"))
    words = set(re.split(r"[^\w-]+", script))
    assert {"--calibration-method", "--max-length-ratio", "--json"} <= words
    assert "--no-json" not in words


JUDGE = ["judge", "--task", "t", "--model", "m", "--data", "d", "--out", "o"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jugde"], "unknown command 'jugde'; did you mean 'judge'?"),
        (["judge", "curv"], "unknown command 'curv'; did you mean 'curve'?"),
        (["train", "rmm", "--pairs", "x"], "unknown command 'rmm'; did you mean 'rm'?"),
        (["audit", "x"], "unexpected argument 'x'"),
        (["judge"], "--task is missing; see inkfire judge --help"),
        (["write", "--policy", "x"], "inkfire write needs a query or --prompts F, and not both"),
        (["write", "q", "--policy", "x", "--prompts", "f"], "a query or --prompts F, and not both"),
        (["write", "--policy", "x", "--prompts", "f"], "--prompts writes into a folder: add --out DIR"),
        (["write", "q", "--policy", "x", "--out", "o"], "--out is the folder of --prompts F"),
        ([*JUDGE, "--exmples", "3"], "Unknown option: --exmples. Did you mean --examples?"),
        ([*JUDGE, "--seed"], "--seed requires an argument"),
        ([*JUDGE, "--examples", "-3"], 'Invalid value "-3" for --examples: Input should be greater than or equal to 0'),
        ([*JUDGE, "--rpm", "0"], 'Invalid value "0" for --rpm: Input should be greater than or equal to 1'),
        ([*JUDGE, "--votes", "1.7"], 'Invalid value for --votes: unable to convert "1.7" into int.'),
        ([*JUDGE, "--rpm", "none"], 'Invalid value for --rpm: unable to convert "none" into int.'),
        ([*JUDGE, "--mode", "gues"], 'Invalid value "gues" for --mode. Choose from: "verdict", "logprob", "rubric", '
         '"checklist", "debate", "pairwise", "rank".'),
        ([*JUDGE, "--no-retry-unscored"], "Unknown option: --no-retry-unscored. Did you mean --retry-unscored?"),
        (["run", "--out", "x"], "name a recipe"),
        (["run", "demo-zh", "--like", "y", "--out", "x"], "name a recipe"),
        (["run", "--like", "y", "--dry-run", "--out", "x"], "leave it or --like out"),
        (["run", "--like", "y", "--out", "x"], "y holds no run"),
    ],
)  # fmt: skip
def test_a_command_line_that_is_wrong_is_one_line(cli: Cli, arguments: list[str], message: str) -> None:
    for asked in ([], ["--json"]):
        code, result, err = cli(*arguments, *asked)
        assert code == 2
        assert message in err
        assert err.startswith("Error: ")
        assert err.count("\n") == 1
        assert result == ({"error": err.strip()[len("Error: ") :], "exit_code": 2} if asked else {"text": ""})


def test_a_value_is_taken_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    write = ["--policy", "p", "--json"]
    for query in ("-5 greeting", "-5", "--odd", "", "none", "[bold]", '{"a": 1}', "a=b"):
        given = parsed("write", query, *write)
        assert (given["query"], given["json"]) == (query, True)
    assert parsed("write", "--json", "--policy", "p", "--", "--json")["query"] == "--json"
    given = parsed("write", "q", *write, "-n", "3", "--task", "none", "--best-of", "-0.5*a + b", "--policy", "later")
    assert given["inputs"].n == parsed("write", "q", *write, "--n=3")["inputs"].n == 3
    assert (given["inputs"].task, given["inputs"].best_of, given["inputs"].policy) == ("none", "-0.5*a + b", "later")
    given = parsed("audit", "--against", "A", "--against", "B,C", "--seed", "-1")
    assert given["inputs"].against == (Path("A"), Path("B,C"))
    assert given["seed"] == -1
    evaluate = ["--task", "t", "--prompts", "p", "--out", "o", "--signal", "length"]
    given = parsed("evaluate", *evaluate, "--policy", "a=x/y", "--policy=b=local/z")
    assert given["inputs"].policies == ("a=x/y", "b=local/z")
    assert parsed("curate", "merge", "1", "--out", "o", "2")["folders"] == (Path("1"), Path("2"))


def test_defences_can_be_left_out() -> None:
    attack = ["judge", "attack", "--judge", "j", "--out", "o"]
    for options, wanted in (([], None), (["--no-defences"], False), (["--no-defences", "--defences"], True)):
        given = parsed(*attack, *options).get("settings")
        assert (given and given.defences) == wanted


def test_the_endpoint_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://a/v1")
    assert parsed(*JUDGE)["access"].base_url == "http://a/v1"
    assert parsed(*JUDGE, "--base-url", "http://b/v1")["access"].base_url == "http://b/v1"


def test_an_interrupted_command_says_how_it_goes_on_and_a_bug_is_not_hidden(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: BaseException) -> Callable[..., Any]:
        def audit(*_: object, **__: object) -> None:
            raise error

        return audit

    monkeypatch.setattr("inkfire.cli.audit.look", fail(KeyboardInterrupt()))
    code, result, err = cli("audit", "--json")
    assert (code, result) == (130, {"error": "interrupted; the same command resumes", "exit_code": 130})
    assert err == "Error: interrupted; the same command resumes\n"
    monkeypatch.setattr("inkfire.cli.audit.look", fail(ValueError("a bug")))
    with pytest.raises(ValueError, match="a bug"):
        cli("audit")


def test_what_a_terminal_would_obey_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2Jb\ud83d 你好\n\tc\x9b")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\ud83d 你好\n\tc\\x9b\n"


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
