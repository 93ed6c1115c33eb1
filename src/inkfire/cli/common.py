"""What every command shares: the options that belong to no settings class, and how it prints.

With ``--json`` standard output carries exactly one JSON object and everything else goes to standard error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, Token, convert
from cyclopts.annotations import resolve_optional

from inkfire.files.jsonl import dump

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, Parameter(help="Print one JSON object on stdout and everything else on stderr.")]
Seed = Annotated[int, Parameter(help="Seed of everything random.")]
Out = Annotated[Path, Parameter(help="The run folder. The same command on the same folder resumes.")]
Yes = Annotated[bool, Parameter(help="Agree to redo what a changed setting makes void.")]

flat = Parameter(name="*", allow_leading_hyphen=True)
"""The fields of a settings class as options; what stands after one is its value, also "-0.5*A + B"."""


def exact(hint: Any, tokens: Sequence[Token]) -> Any:
    """An option's value as it is written: cyclopts alone rounds "1.7" to a whole number and reads "none" as none given.

    Raises:
        ValueError: the value is none of the option's type.
    """
    kind = resolve_optional(hint)
    if kind is int and not re.fullmatch(r"[+-]?\d+", tokens[0].value):
        raise ValueError
    return convert(kind, tokens)


def shown_default(value: Any) -> str | None:
    """A default as the help shows it; a switch that is off and a list that is empty go without saying."""
    return None if value is None or value is False or value in ((), "") else str(value)


def say(text: str = "") -> None:
    """A line on stdout. What a terminal would obey (a model may write it) is shown escaped, as is a lone surrogate."""
    print(visible(text))


def visible(text: str) -> str:
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", lambda found: ascii(found[0])[1:-1], text)


def emit(result: Mapping[str, Any], *, as_json: bool, show: Callable[[Mapping[str, Any]], None] | None = None) -> None:
    """Print a command's result: as one JSON object, or for people (``show``, by default field by field)."""
    if as_json:
        print(dump(result))
    elif show is not None:
        show(result)
    else:
        for key, value in result.items():
            say(f"{key}: {_plain(value)}")


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)) and all(isinstance(v, float) for v in value):
        return "[" + ", ".join(f"{v:.3f}" for v in value) + "]"
    if isinstance(value, (Mapping, list, tuple)):
        return dump(value)
    return str(value)


def measured(row: Mapping[str, Any], name: str, form: str = ".3f", gap: str = " ") -> str:
    """A number with its interval, "0.912 [0.850, 0.950]"; "-" where there is none."""
    if row.get(name) is None:
        return "-"
    low, high = row[f"{name}_ci"]
    return f"{row[name]:{form}}{gap}[{low:{form}}, {high:{form}}]"


def say_measured(row: Mapping[str, Any], names: Mapping[str, str], width: int) -> None:
    """A line for each of ``names`` (name → label, ``width`` characters) that there is, with its interval."""
    for name, label in names.items():
        if row.get(name) is not None:
            say(f"{label:{width}} {measured(row, name, gap='  ')}")


def console() -> Console:
    """For tables on stdout: names stand in them as they are."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)
