"""The ``inkfire`` command: its groups, and the one place where an error becomes an exit code.

Exit codes: 0 done; 2 the user's input is wrong; 3 stopped by the spend limit; 4 the endpoint kept failing;
1 a bug (the only case that prints a traceback).
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

import inkfire
from inkfire.cli import (
    attack,
    audit,
    curate,
    data,
    evaluate,
    judge,
    ledger,
    models,
    probe,
    refine,
    score,
    tasks,
    train,
    write,
)
from inkfire.cli import run as experiments
from inkfire.errors import InkfireError

app = typer.Typer(
    name="inkfire",
    help="Turn a small language model into a creative writer with reinforcement learning from AI feedback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"inkfire {inkfire.__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn a small language model into a creative writer with reinforcement learning from AI feedback."""


def _fail(message: str, code: int) -> int:
    """One clear message on stderr; with --json also one object on stdout."""
    if "--json" in sys.argv[1:]:
        sys.stdout.write(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False) + "\n")
    typer.echo(f"Error: {message}", err=True)
    return code


# The order is that of the work, and of `inkfire --help`.
app.command("demo")(experiments.demo)
app.command("run")(experiments.run)
app.add_typer(models.group, name="models")
app.add_typer(tasks.group, name="tasks")
app.add_typer(data.group, name="data")
app.command("audit")(audit.audit)
app.add_typer(curate.curate_app, name="curate")
app.add_typer(refine.refine_app, name="refine")
judge.judge_app.command("attack")(attack.attack)
judge.judge_app.command("probe")(probe.probe)
app.add_typer(judge.judge_app, name="judge")
app.add_typer(train.group, name="train")
app.command("score")(score.score)
app.command("write")(write.write)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(evaluate.report)
app.command("ledger")(ledger.ledger)


def run() -> int:
    """Run the command line and return the exit code."""
    command = typer.main.get_command(app)
    try:
        result = command.main(prog_name="inkfire", standalone_mode=False)
    except InkfireError as error:
        return _fail(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted; the same command resumes", 130)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text, not a complaint
            typer.echo(error.format_message(), err=True)
            return 2
        return _fail(error.format_message(), 2)
    return result if isinstance(result, int) else 0


def main() -> None:
    sys.exit(run())
