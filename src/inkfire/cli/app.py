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


from inkfire.cli import models as _models  # noqa: E402

app.add_typer(_models.group, name="models")

from inkfire.cli import ledger as _ledger  # noqa: E402

app.command("ledger")(_ledger.ledger)

from inkfire.cli import curate as _curate  # noqa: E402

app.add_typer(_curate.curate_app, name="curate")

from inkfire.cli import judge as _judge  # noqa: E402
from inkfire.cli import refine as _refine  # noqa: E402

app.command("judge")(_judge.judge)
app.command("refine")(_refine.refine)

from inkfire.cli import audit as _audit  # noqa: E402
from inkfire.cli import data as _data  # noqa: E402
from inkfire.cli import tasks as _tasks  # noqa: E402

app.command("audit")(_audit.audit)
app.add_typer(_data.group, name="data")
app.add_typer(_tasks.group, name="tasks")

from inkfire.cli import evaluate as _evaluate  # noqa: E402
from inkfire.cli import run as _run  # noqa: E402

app.command("demo")(_run.demo)
app.command("run")(_run.run)
app.command("evaluate")(_evaluate.evaluate)
app.command("report")(_evaluate.report)

from inkfire.cli import score as _score  # noqa: E402
from inkfire.cli import train as _train  # noqa: E402
from inkfire.cli import write as _write  # noqa: E402

app.add_typer(_train.group, name="train")
app.command("score")(_score.score)
app.command("write")(_write.write)


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
