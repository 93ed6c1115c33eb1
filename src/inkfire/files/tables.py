r"""Tables in text: CSV with comma, semicolon, tab or bar, told from plain text by their first lines.

>>> delimiter_of("query;chosen;rejected\na, b;c;d\n", known={"query"})
';'
>>> delimiter_of("A note for Vera, who keeps bees\nA card for Obi, who fixed the gate\n", known={"query"}) is None
True
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

from inkfire.errors import DataError
from inkfire.files.encoding import not_utf8

DELIMITERS = ("\t", ";", "|", ",")
_SEP = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)  # how a spreadsheet names its delimiter, before the header
_RULE = re.compile(r"\s*(?::?-+:?)?\s*")  # under the header of a table in Markdown
_NAME = re.compile(r"\w[\w.\-]*(?: [\w.\-]+)?")  # what a column is called where nothing else is known of it

_LISTS = (
    "messages", "conversations", "prompt", "chosen", "rejected", "completion", "completions", "responses", "scores",
    "history", "tags",
)  # fmt: skip

csv.field_size_limit(2**31 - 1)  # a text may be longer than csv's own 128 KiB


def delimiter_of(head: str, *, known: Collection[str], sure: bool = False) -> str | None:
    """The delimiter of the table that a file begins with; None where it is plain text.

    A table has a column of a known name, or is even: cells of one number in every line, below names or quoted.

    Args:
        head: whole lines from the file's beginning.
        sure: it is a table (by the file's name), whatever its columns are called.
    """
    if (told := _SEP.match(head)) is not None:
        return told[1]
    best: tuple[int, int, bool, str] | None = None
    for delimiter in DELIMITERS:
        records = _records(head, delimiter)
        if not records:
            continue
        header = [cell.strip() for cell in records[0]]
        found = sum(cell in known or cell.lower() in known for cell in header)
        even = {len(cells) for cells in records} == {len(header)}
        quoted = head.startswith('"') and f'"{delimiter}"' in head.partition("\n")[0]
        if found or sure or (len(header) > 1 and _even(records, named=not quoted and delimiter != "\t")):
            best = max(best or (0, 0, False, ""), (found, len(header), even, delimiter))
    return best and best[3]


def _records(head: str, delimiter: str) -> list[list[str]]:
    try:
        return [cells for cells in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if cells]
    except csv.Error:
        return []


def _even(records: list[list[str]], *, named: bool) -> bool:
    """Whether all lines have one number of cells, below what are names where these are asked for."""
    if len(records) < 2 or {len(cells) for cells in records} != {len(records[0])}:
        return False
    return not named or all(_NAME.fullmatch(cell.rstrip()) for cell in records[0])


class _Lossy(Exception):
    """A cell from which what was saved cannot be read back."""


def table_rows(file: IO[bytes], delimiter: str, path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of its first line, row) of a table; every cell is a string.

    Raises:
        DataError: a line with other cells than the header, a quote that is not closed, or not UTF-8.
    """
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    header: list[str] | None = None
    start = before = 1
    try:
        first = lines.readline()
        if _SEP.match(first):
            first, before = lines.readline(), 2
        blanks = first.count(delimiter) == first.count(f"{delimiter} ") > 0  # a blank after each, as people write lists
        reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True, skipinitialspace=blanks)
        start = before
        for cells in reader:
            line, start = start, reader.line_num + before
            if not any(cells):
                continue
            if header is None:
                header = _header(cells, path, line)
                continue
            if delimiter == "|" and all(map(_RULE.fullmatch, cells)) and "-" in "".join(cells):
                raise DataError("a table in Markdown: save it as CSV", path=path, line=line)
            if len(cells) != len(header):
                raise DataError(
                    f"{len(cells)} cells, the header has {len(header)}; put a cell in quotes that contains "
                    f"{delimiter!r} or a line end",
                    path=path,
                    line=line,
                )
            try:
                row = {name: _value(name, cell) for name, cell in zip(header, cells, strict=True) if name}
            except _Lossy as problem:
                raise DataError(str(problem), path=path, line=line) from None
            yield line, row
    except csv.Error as error:
        raise DataError(
            f"not a whole table: {error} (a cell that begins with a quote ends with one; write quotes in it twice)",
            path=path,
            line=start,
        ) from None
    except UnicodeDecodeError:
        raise not_utf8(path) from None
    finally:
        lines.detach()


def _header(cells: list[str], path: str | Path, line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise DataError(f"two columns are called {min(twice)!r}; rename one", path=path, line=line)
    return names


def _value(name: str, cell: str) -> Any:
    """A cell; a list that a table was saved with as text is a list again."""
    if name not in _LISTS or not cell.startswith("["):
        return cell
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, list):
            return value
    if cell.startswith("[{"):
        raise _Lossy(f"{name} was a list of objects that the table does not hold whole: save it as JSON Lines")
    return cell
