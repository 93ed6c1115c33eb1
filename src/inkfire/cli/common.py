"""What every command shares: the options that belong to no settings class, and how it prints.

With ``--json`` standard output carries exactly one JSON object and everything else goes to standard error.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, Token, convert
from cyclopts.annotations import resolve_optional

from inkfire.files.jsonl import dump, visible

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


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of which names its row; with or without a head."""

    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()


@dataclass(frozen=True)
class Shown:
    """What people are shown of a result, in this order: what was found, the numbers, what was written, what to type."""

    said: Sequence[str]
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    details: Sequence[str] = ()
    out: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    next: str = ""
    last: str = ""


def emit(result: Mapping[str, Any], *, as_json: bool, show: Callable[[Mapping[str, Any]], Shown | str | None]) -> None:
    """Print a command's result: as one JSON object, or for people. ``show`` may print it by itself."""
    shown = None if as_json else show(result)
    if as_json:
        print(dump(result))
    elif isinstance(shown, str):
        say(shown)
    elif shown is not None:
        display(shown)


def display(shown: Shown) -> None:
    """Sentences are wrapped on a terminal; what is to be copied stays on one line."""
    for line in [*shown.said, *(f"! {line}" for line in shown.warnings)]:
        _paragraph(line)
    for table in shown.tables:
        if table.rows:
            say()
            grid(table)
    if shown.details:
        say()
    for line in shown.details:
        _paragraph(line)
    if shown.out is not None and shown.files:
        say(f"\nWritten to {shown.out}:")
        width = max(map(len, shown.files))
        for name, what in shown.files.items():
            say(f"  {name:{width}}  {what}".rstrip())
    if shown.next:
        say(f"{'' if shown.files else chr(10)}Next: {shown.next}")
    if shown.last:
        say(shown.last)


def _paragraph(text: str) -> None:
    if sys.stdout.isatty():
        console().print(visible(text))
    else:
        say(text)


def grid(table: Table) -> None:
    """Columns in line, whatever script their cells are in; the widest gives way where there is little room."""
    from rich.table import Table as Columns

    drawn = Columns(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(table.head))
    for head in table.head or [""] * len(table.rows[0]):
        drawn.add_column(head, overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(visible, row))
    target = console()
    with target.capture() as captured:
        target.print(drawn)
    for line in captured.get().splitlines():
        print(line.rstrip())


def console() -> Console:
    """For stdout: names stand in it as they are."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)
