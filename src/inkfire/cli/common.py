"""What every command shares: its options, how it prints, and how an error ends the process.

With ``--json`` standard output carries exactly one JSON object and everything else goes to standard error.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and everything else on stderr.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Out = Annotated[Path, typer.Option("--out", help="The run folder. The same command on the same folder resumes.")]
TaskName = Annotated[str, typer.Option("--task", help="A task's name (inkfire tasks list) or its folder.")]
Model = Annotated[
    str,
    typer.Option("--model", help="local/NAME or a .gguf for the embedded engine; anything else goes to --base-url."),
]
# A group that has commands of its own cannot require an option: its callback says what is missing.
GroupTask = Annotated[str | None, typer.Option("--task", help="A task's name (inkfire tasks list) or its folder.")]
GroupModel = Annotated[
    str | None,
    typer.Option("--model", help="local/NAME or a .gguf for the embedded engine; anything else goes to --base-url."),
]
GroupOut = Annotated[
    Path | None, typer.Option("--out", help="The run folder. The same command on the same folder resumes.")
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", envvar="OPENAI_BASE_URL", help="OpenAI-compatible endpoint of remote models."),
]
BudgetMoney = Annotated[
    float | None, typer.Option("--budget", help="Spend limit in the currency of the prices; a run stops with exit 3.")
]
BudgetTokens = Annotated[int | None, typer.Option("--budget-tokens", help="Spend limit in tokens.")]
Rpm = Annotated[int | None, typer.Option("--rpm", min=1, help="Requests a minute, at most, to each remote model.")]
Tpm = Annotated[int | None, typer.Option("--tpm", min=1, help="Tokens a minute, at most, to each remote model.")]
JudgeMode = Annotated[
    Literal["verdict", "logprob", "rubric", "debate"],
    typer.Option("--mode", help="logprob: one token; verdict: a reason, then 0/1; rubric: five ratings; debate."),
]
PrinciplesFile = Annotated[
    Path | None, typer.Option("--principles", help="A principles.toml; the task's own by default.")
]
CalibrationMethod = Annotated[
    Literal["platt", "isotonic"],
    typer.Option("--calibration-method", help="platt: for dozens of labels; isotonic: any shape, for hundreds."),
]
CostFalseGood = Annotated[
    float | None,
    typer.Option(
        "--cost-false-good",
        help="Cost of a bad text called good, the opposite costing 1; by default the threshold balances accuracy.",
    ),
]
Votes = Annotated[
    int, typer.Option("--votes", min=1, help="Samples a text; the majority decides. For verdict and rubric.")
]
ExamplesShown = Annotated[
    int, typer.Option("--examples", min=0, help="Labelled texts shown before each text (to a debate half as many).")
]
ExamplesChoice = Annotated[
    Literal["nearest", "fixed"],
    typer.Option(
        "--examples-choice",
        help="nearest: those most like the text; fixed: the same for every text, half of them good.",
    ),
]
ExamplesFrom = Annotated[
    Path | None,
    typer.Option("--examples-from", help="Labelled texts to choose examples from; by default --calibration's."),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency", min=1, help="Texts at once; default: 64 at an endpoint, embedded 1 (logprob) or 2 to 4."
    ),
]
RetryUnscored = Annotated[
    bool, typer.Option("--retry-unscored", help="Ask again for replies that could not be parsed before.")
]


def finite(value: Any) -> Any:
    """JSON has no NaN: a number that could not be computed is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value


def emit(result: Mapping[str, Any], *, as_json: bool, show: Callable[[Mapping[str, Any]], None] | None = None) -> None:
    """Print a command's result: as one JSON object, or for people (``show``, by default field by field)."""
    if as_json:
        sys.stdout.write(json.dumps(finite(result), ensure_ascii=False) + "\n")
    elif show is not None:
        show(result)
    else:
        for key, value in result.items():
            typer.echo(f"{key}: {_plain(value)}")


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)) and all(isinstance(v, float) for v in value):
        return "[" + ", ".join(f"{v:.3f}" for v in value) + "]"
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(finite(value), ensure_ascii=False)
    return str(value)


def note(message: str) -> None:
    """A line for the person watching; never on stdout."""
    typer.echo(message, err=True)
