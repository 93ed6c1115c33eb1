"""A file or folder of any kind as numbered rows, recognised by its first bytes and not by its name.

JSON Lines, a JSON array, an object that holds one, Parquet, Arrow, a table (tables.py), plain text; each also in
gzip. A folder is a data set of Hugging Face: saved by ``save_to_disk``, or the files of its repository, by split.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any

from inkfire.errors import DataError
from inkfire.files.encoding import not_utf8, open_data
from inkfire.files.jsonl import json_kind, numbered_lines, parse_json
from inkfire.files.tables import delimiter_of, table_rows

_HEAD = 1 << 16
_KINDS = (".jsonl", ".json", ".ndjson", ".parquet", ".arrow", ".csv", ".tsv", ".txt")
_ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")
Numbered = Iterator[tuple[Path, int, Any]]
"""The file, the line (or number of the row) in it, and a JSON value."""


def rows(path: str | Path, *, known: Collection[str], split: str | None, plain_text: bool) -> Numbered:
    """The rows of a file, or of the files of a folder.

    Args:
        known: the names of columns by which a table is recognised.
        split: the part of a folder.
        plain_text: whether lines of text may be rows ``{query}``.

    Raises:
        DataError: it cannot be read; file and line are named.
    """
    for file in _files(Path(path), split):
        for number, row in _file_rows(file, known, split, plain_text):
            yield file, number, row


# ---- folders -------------------------------------------------------------------------------------------------------


def _files(path: Path, split: str | None) -> list[Path]:
    if not path.is_dir():
        return [path]
    if (path / "dataset_dict.json").is_file():
        splits = _json(path / "dataset_dict.json").get("splits") or []
        return _saved(path / _chosen(path, split, [name for name in splits if isinstance(name, str)]))
    if (path / "state.json").is_file():
        return _saved(path)
    if (path / "manifest.json").is_file():
        raise DataError("is a folder of a run; name the file in it, say its pairs.jsonl", path=path)
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and file.name not in _ABOUT
        and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
        and Path(file.name.removesuffix(".gz")).suffix.lower() in _KINDS
    ]
    if not found:
        raise DataError(f"is a folder without a data file; known are {', '.join(_KINDS)}, also with .gz", path=path)
    of_split: dict[str, list[Path]] = {}
    for file in found:
        of_split.setdefault(_split_of(file.relative_to(path), split), []).append(file)
    if split is None and len(of_split) == 1:
        return found
    return of_split[_chosen(path, split, [name for name in of_split if name] or list(of_split))]


def _chosen(folder: Path, split: str | None, splits: list[str]) -> str:
    chosen = split or (splits[0] if len(splits) == 1 else "")
    if chosen in splits:
        return chosen
    wrong = f"has no part {split!r}" if split else "has several parts"
    raise DataError(f"{wrong}; choose one with --split: {', '.join(splits)}", path=folder)


def _split_of(file: Path, wanted: str | None) -> str:
    """The part of a data set that a file of its folder belongs to, by the words of its name or else its folders'."""
    for part in (file.name, *reversed(file.parts[:-1])):
        words = re.split(r"[^a-z0-9]+", part.lower())
        if wanted and (wanted.lower() in words or part.lower().startswith(f"{wanted.lower()}-")):
            return wanted
        if found := [word for word in words if word in _SPLITS]:
            return found[0]
    return ""


def _saved(folder: Path) -> list[Path]:
    """The arrow files of a data set that ``save_to_disk`` wrote."""
    state = _json(folder / "state.json")
    if state.get("_indices_files"):
        raise DataError("was saved with a selection of rows beside it: save data.flatten_indices() anew", path=folder)
    names = [str(one.get("filename")) for one in state.get("_data_files") or [] if isinstance(one, dict)]
    if not names or any(Path(name).name != name for name in names):
        raise DataError("damaged data set: state.json names no files", path=folder)
    return [folder / name for name in names]


def _json(path: Path) -> dict[str, Any]:
    with open_data(path) as file:
        raw = file.read()
    value = parse_json(raw.decode("utf-8", "replace"), path=path)
    if not isinstance(value, dict):
        raise DataError(f"expected an object, found {json_kind(value)}", path=path)
    return value


# ---- files ---------------------------------------------------------------------------------------------------------


def _file_rows(path: Path, known: Collection[str], split: str | None, plain_text: bool) -> Iterator[tuple[int, Any]]:
    with open_data(path) as file:
        raw = file.read(_HEAD)
    head = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:4] == b"PAR1":
        return enumerate(_parquet(path), 1)
    if head[:6] == b"ARROW1" or raw[:4] == b"\xff\xff\xff\xff":
        return enumerate(_arrow(path, stream=head[:6] != b"ARROW1"), 1)
    if b"\0" in raw or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise not_utf8(path, 1)
    if head[:1] == b"[" and head[1:].lstrip()[:1] in (b"{", b"[", b'"', b"]", b""):
        return enumerate(_array(_whole(path), known, split, path), 1)
    if head[:1] in (b"{", b""):
        return _json_lines(path, known, split)
    name = path.name.removesuffix(".gz").lower()
    # A head that was cut off ends with its last whole line.
    lines = raw if len(raw) < _HEAD else raw[: raw.rfind(b"\n") + 1] or raw
    text = lines.decode("utf-8-sig", "replace")
    delimiter = delimiter_of(text, known=known, sure=name.endswith((".csv", ".tsv")))
    return _lines(path, plain_text) if delimiter is None else _table(path, delimiter)


def _table(path: Path, delimiter: str) -> Iterator[tuple[int, Any]]:
    with open_data(path) as file:
        yield from table_rows(file, delimiter, path)


def _lines(path: Path, plain_text: bool) -> Iterator[tuple[int, Any]]:
    for number, line in numbered_lines(path):
        if not plain_text:
            raise DataError(
                "not a JSON object; a file of plain text has queries only, here rows with texts are needed (a table "
                "begins with the names of its columns)",
                path=path,
                line=number,
            )
        if line.startswith("{") and _is_json(line):
            raise DataError(
                "a JSON object, in a file whose first line is none; take that one away", path=path, line=number
            )
        yield number, {"query": line}


def _json_lines(path: Path, known: Collection[str], split: str | None) -> Iterator[tuple[int, Any]]:
    """JSON Lines; a file whose first line is no whole object may be one object."""
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None:
        return
    number, line = first
    try:
        row = parse_json(line, path=path, line=number)
    except DataError as error:
        if _is_json(line):  # what is wrong with it is another thing than where it ends
            raise
        try:
            whole = _whole(path)
        except DataError:
            raise error from None
        yield from enumerate(_array(whole, known, split, path), 1)
        return
    second = next(lines, None)
    if second is None:
        yield from ((number, one) for one in _array(row, known, split, path))
        return
    yield number, row
    yield second[0], parse_json(second[1], path=path, line=second[0])
    for number, line in lines:
        yield number, parse_json(line, path=path, line=number)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _array(value: Any, known: Collection[str], split: str | None, path: Path) -> list[Any]:
    """The rows of a JSON value: an array, an object that holds one (of several the ``split``), an object of columns, or
    one row."""
    if not isinstance(value, dict):
        return value if isinstance(value, list) else [value]
    if any(key in known for key in value):
        return _columns(value) or [value]
    lists = {key: rows for key, rows in value.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict)}
    if not lists:
        return [value]
    return lists[_chosen(path, split if len(lists) > 1 else None, list(lists))]


def _columns(value: dict[str, Any]) -> list[Any] | None:
    """The rows of ``{column: [cell, …]}`` or ``{column: {row: cell}}``, as data frames are saved."""
    columns = list(value.values())
    if all(isinstance(column, dict) and all(map(str.isdecimal, column)) for column in columns):
        rows = list(dict.fromkeys(row for column in columns for row in column))
        return [{name: cells.get(row) for name, cells in value.items()} for row in rows]
    told = any(isinstance(cell, dict) for column in columns if isinstance(column, list) for cell in column[:1])
    if told or not all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return None  # one row, perhaps of messages
    return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _whole(path: Path) -> Any:
    with open_data(path) as file:
        raw = file.read()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path, raw.count(b"\n", 0, error.start) + 1) from None
    return parse_json(text, path=path)


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet

    def batches(file: IO[bytes]) -> Iterator[Any]:
        with pyarrow.parquet.ParquetFile(file) as table:
            yield from table.iter_batches(batch_size=1024)

    return _batches(path, "Parquet", batches)


def _arrow(path: Path, *, stream: bool) -> Iterator[Any]:
    import pyarrow.ipc

    def batches(file: IO[bytes]) -> Iterator[Any]:
        if stream:
            yield from pyarrow.ipc.open_stream(file)
        else:
            reader = pyarrow.ipc.open_file(file)
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))

    return _batches(path, "Arrow", batches)


def _batches(path: Path, kind: str, batches: Callable[[IO[bytes]], Iterator[Any]]) -> Iterator[Any]:
    import pyarrow

    with open_data(path) as file:
        try:
            seekable = file if isinstance(file, io.BufferedReader) else io.BytesIO(file.read())
            for batch in batches(seekable):
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"not readable as {kind}: {error}", path=path) from None
