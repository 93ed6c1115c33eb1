"""The ``inkfire`` command: its groups, and the one place where an error becomes an exit code.

Exit codes: 0 done; 2 the user's input is wrong; 3 stopped by the spend limit; 4 the endpoint kept failing;
5 done, and what was asked to fail on was found (monitor --fail-on-alarm); 130 interrupted (a training: by SIGTERM too);
1 a bug (the only case that prints a traceback).

A command is imported when it is called. The list of commands has a line for each, so that it needs none of them; a
command's own page is its docstring, which begins with the same line.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import Any, get_type_hints

from cyclopts import (
    App,
    ArgumentCollection,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    UnknownCommandError,
    UnusedCliTokensError,
    ValidationError,
)
from cyclopts.config import Dict

import inkfire
from inkfire.cli.common import exact, shown_default
from inkfire.errors import InkfireError
from inkfire.files.jsonl import dump, visible

# The order is that of the work, and of `inkfire --help`.
COMMANDS = {
    "demo": ("run:demo", "Run the whole pipeline, small, on models embedded in the process."),
    "run": ("run:app", "Run all stages of a recipe: data, SFT, strategies A and B, GRPO, comparison."),
    "recipes": ("recipes:app", "Whole experiments as data: list, look at, begin your own."),
    "models": ("models:app", "Models: list, download, locate weights; check an endpoint."),
    "tasks": ("tasks:app", "What to write: list, look at, begin your own, check it."),
    "data": ("data:app", "Public data sets that belong to a task."),
    "audit": ("audit:audit", "Find shortcuts, leaks and repeats in data."),
    "check": ("check:check", "Hold texts to checks: length, whole sentences, loops, language, fluency."),
    "curate": ("curate:app", "Write candidates for queries, debate each, and make preference pairs."),
    "refine": ("refine:app", "Evolve principles and flaw strategies against each other."),
    "judge": ("judge:app", "Judge texts, and measure the judge where they are labelled."),
    "train": ("train:app", "Train a writer or a reward model."),
    "monitor": ("monitor:monitor", "Say what the texts of a training turned into, and when, whatever its reward says."),
    "score": ("score:score", "Apply a reward, beside what length explains."),
    "probe": ("probe:probe", "Find the edits of a text that a reward pays for, and no reader would."),
    "write": ("write:write", "Write texts for a query, or for a file of queries."),
    "export": (
        "export:export",
        "Write a policy for vLLM, llama.cpp or Ollama, a training for verl or OpenRLHF.",
    ),
    "import": ("imports:imports", "Make a policy folder of weights that another engine trained."),
    "serve": ("serve:app", "Serve a reward to a trainer that runs elsewhere."),
    "annotate": ("annotate:app", "Let people rate texts, blind, on a local page or in the terminal."),
    "evaluate": ("evaluate:evaluate", "Compare policies on held-out queries."),
    "agree": ("agree:agree", "Say whether raters agree, and which reward ranks texts as they do."),
    "ablate": ("ablate:ablate", "Leave one part after the other out of a recipe's strategies, on the same texts."),
    "report": ("evaluate:report", "Draw a page of what a run's stages left, or of two runs."),
    "cost": ("cost:cost", "Count what each strategy took, and what came of it."),
    "ledger": ("ledger:app", "Calls, tokens, cost and latency by model and run; the prices."),
}
TABLES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("curate",): ("curate",),
    ("refine",): ("refine",),
    ("judge",): ("judge",),
    ("judge", "curve"): ("judge",),
    ("train", "rm"): ("reward_model",),
    ("train", "grpo"): ("judge", "grpo"),
}
"""Commands that take a preset, and the recipe's tables that have keys of the same names: what a judge gives as a reward
is a key of the judge's there, and an option of GRPO here."""
_HELP = ("--help", "-h")


def command_line(*, listed: bool = False) -> App:
    """The parser. ``listed``: for the list of commands, which imports none of them."""
    root = App(
        name="inkfire",
        help="Turn a small language model into a creative writer with reinforcement learning from AI feedback."
        "\n\nExample: inkfire demo --lang en",
        version=f"inkfire {inkfire.__version__}",
        help_flags=_HELP,
        help_format="plaintext",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        config=_preset,
        default_parameter=Parameter(
            negative_bool=(), negative_iterable=(), allow_repeating=True, converter=exact, show_default=shown_default
        ),
    )
    root.register_install_completion_command(help="Make the shell complete commands and options.")
    for number, (name, (place, line)) in enumerate(COMMANDS.items()):
        root.command(f"inkfire.cli.{place}", name=name, help=line if listed else None, sort_key=number)
    return root


def _preset(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """What ``--preset NAME`` gives the options that are not on the command line."""
    from inkfire.settings import preset

    chosen = next((a.tokens[0].value for a in arguments if a.name == "--preset" and a.tokens), None)
    if chosen is not None:
        values = {key: value for table in TABLES[commands] for key, value in preset(chosen, table).items()}
        given = Dict(values, use_commands_as_keys=False, allow_unknown=True, source=f"--preset {chosen}")
        given(app, commands, arguments)


def run() -> int:
    """Run the command line and return the exit code."""
    if _silent():
        logging.disable(logging.WARNING)
    tokens = sys.argv[1:]
    root = command_line(listed=not tokens or tokens[0] in _HELP)
    try:
        _, apps, rest = root.parse_commands(tokens)
        if not rest and apps[-1].default_command is None:
            from rich.console import Console

            root.help_print(tokens, console=Console(stderr=True))
            return 2
        command, given, _ = root.parse_args(tokens, exit_on_error=False, print_error=False)
        _check_columns(given.arguments.values())
        code = command(*given.args, **given.kwargs)
    except InkfireError as error:
        return _fail(str(error), error.exit_code)
    except CycloptsError as error:
        return _fail(in_words(error), 2)
    except BrokenPipeError:  # who read stdout has seen enough: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _fail("interrupted; the same command resumes", 130)
    return code if isinstance(code, int) else 0


def _check_columns(options: Iterable[Any]) -> None:
    """Whether the columns that are called otherwise are there, in one of the files that the command reads."""
    parts: list[Any] = [one for one in options if is_dataclass(one)]
    how = next((one.reading for one in parts if getattr(one, "reading", None)), None)
    if how is not None and how.column:
        from inkfire.files.formats import check_columns
        from inkfire.files.reading import Data

        named = ((one, name) for one in parts for name, hint in get_type_hints(type(one)).items() if hint == Data)
        check_columns([path for one, name in named for path in getattr(one, name)], how)


def main() -> None:
    sys.exit(run())


def _silent() -> bool:
    """Whether another process of a launcher's says what is to be said."""
    return os.environ.get("RANK", "0") != "0"


def _fail(message: str, code: int) -> int:
    """One clear message on stderr; with --json also one object on stdout. Of several processes the first one's."""
    if _silent():
        return code
    if "--json" in sys.argv[1:]:
        print(dump({"error": message, "exit_code": code}))
    print(f"Error: {visible(message)}", file=sys.stderr)
    return code


def in_words(error: CycloptsError) -> str:
    """What is wrong with the command line, in one line."""
    import pydantic

    from inkfire.settings import nearest

    left = error.unused_tokens or [""]
    commands = [name for name in error.app or () if not name.startswith("-")]
    if isinstance(error, UnknownCommandError) or (commands and left[0][:1] not in ("", "-")):
        return f"unknown command {left[0]!r}{nearest(left[0], commands)}"
    if isinstance(error, UnusedCliTokensError):
        before = sys.argv[max(sys.argv.index(left[0]) - 1, 0)] if left[0] in sys.argv else ""
        if before.startswith("--"):  # a misspelt option, taken for what the command asks for first
            return f"unknown option {before!r}; see inkfire {' '.join(error.command_chain or ())} --help"
        return f"unexpected argument {left[0]!r}"
    said = str(error)
    if isinstance(error, ValidationError) and isinstance(error.__cause__, pydantic.ValidationError):
        reason = error.__cause__.errors()[0]["msg"]  # its message is a paragraph
        return f"{said.removesuffix(error.exception_message).rstrip(' .')}: {reason}"
    if isinstance(error, MissingArgumentError):
        page = f"inkfire {' '.join(error.command_chain or ())} --help"
        missing = "requires an argument" if error.keyword else f"is missing; see {page}"
        return re.sub(r'^Command "[^"]*" parameter (\S+) requires an argument', rf"\1 {missing}", said).rstrip(".")
    return said.replace("|None", "")
