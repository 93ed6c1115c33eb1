"""Files as inkfire reads and writes them: JSON Lines, JSON, whole or not at all.

A file that is written appears whole or not at all: it is written beside its place, synced, and renamed. What the system
refuses, and what is no JSON, is an error that names the file and the line.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from inkfire.errors import DataError, RunFolderError
from inkfire.files.encoding import not_utf8, open_data

TIMINGS, USED, PLACES = "timings.json", "used.json", "places.json"
REPORT, COMPARED = "report.html", "compared.html"
SECONDS = "seconds.jsonl"
ADAPTER_GGUF = "adapter.gguf"
QUALIFIED, PROBED = "qualified.json", "probed.json"
SAMPLES, VALIDATION = "samples.jsonl", "validation.jsonl"
"""What lies in a run folder and is no part of its result: no hash of a folder counts these, at any depth."""


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file, one at a time; blank lines are skipped.

    Raises:
        DataError: no such file, not UTF-8, or a line that is not a JSON object (named by its number).
    """
    for number, line in numbered_lines(path):
        yield parse_object(line, path=path, line=number)


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """(1-based number, text) of the lines that are not blank. Only ``\\n`` ends a line: U+2028 is text."""
    with open_data(path) as file:
        for number, raw in enumerate(file, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise not_utf8(path, number, error.start + 1) from None
            if text:
                yield number, text


@contextmanager
def open_input(path: str | Path) -> Iterator[BufferedReader]:
    """A user's file, opened for reading; whatever the system refuses is a DataError."""
    try:
        with Path(path).open("rb") as file:
            yield file
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except IsADirectoryError:
        raise DataError("is a folder, a file is needed", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None


def parse_json(text: str, *, path: str | Path, line: int | None = None) -> Any:
    """Strict JSON (no NaN, no Infinity); an error names its place in the file."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        at = line if line is not None else error.lineno
        raise DataError(f"not valid JSON: {error.msg} (column {error.colno})", path=path, line=at) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON: {error}", path=path, line=line) from None


def read_json(path: Path) -> Any:
    """The one JSON value of a file.

    Raises:
        DataError: not valid JSON.
        OSError, UnicodeDecodeError: it cannot be read.
    """
    return parse_json(path.read_text(encoding="utf-8"), path=path)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def parse_object(text: str, *, path: str | Path, line: int) -> dict[str, Any]:
    """A line of JSON Lines; an error names its place in the file."""
    row = parse_json(text, path=path, line=line)
    if not isinstance(row, dict):
        raise DataError(f"expected a JSON object, found {json_kind(row)}", path=path, line=line)
    return row


def json_kind(value: object) -> str:
    """What a JSON value is, in words for an error message."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSON Lines, atomically; returns how many."""
    count = 0
    with atomic(Path(path)) as file:
        for row in rows:
            file.write(dump(row).encode() + b"\n")
            count += 1
    return count


def write_json(path: str | Path, obj: Any) -> None:
    """Write one indented JSON value, atomically."""
    with atomic(Path(path)) as file:
        file.write(dump(obj, indent=2).encode() + b"\n")


def temporary(path: Path) -> Path:
    """Where ``path`` is made before it is whole, in this process; what a kill leaves there is known by its name."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` when the block ends well, and vanishes when it does not."""
    beside = temporary(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _rename(beside, path)
    finally:
        with suppress(OSError):  # what refused the file may refuse this, too
            beside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, which becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        RunFolderError: ``path`` is there and not empty, or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunFolderError(f"{path} is there and not empty; name a new folder")
    beside = temporary(path)
    try:
        with writing(path):
            beside.mkdir(parents=True)
            yield beside
            if path.exists():
                path.rmdir()  # it is empty
            beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within: what the system refuses is a RunFolderError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error


def _rename(source: Path, target: Path) -> None:
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the new name survives a power cut
    finally:
        os.close(folder)


def dump(value: Any, indent: int | None = None) -> str:
    """JSON as people read it. NaN becomes null; text that UTF-8 cannot carry (a lone surrogate) is escaped."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, default=_plain)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, indent=indent, default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(_finite(value), allow_nan=False, indent=indent, default=_plain)
    return text


def visible(text: str) -> str:
    """A text with what a terminal would obey escaped, and lone surrogates."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", lambda found: ascii(found[0])[1:-1], text)


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder, in hex: the names and contents of its files but what is apart."""
    path = Path(path)
    if not path.is_dir():
        with open_input(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    left_out = (TIMINGS, USED, SECONDS, PLACES, REPORT, COMPARED, ADAPTER_GGUF, QUALIFIED, PROBED)
    for inner in sorted(p for p in path.rglob("*") if p.is_file() and p.name not in left_out):
        digest.update(f"{inner.relative_to(path).as_posix()}\0{sha256_file(inner)}\n".encode())
    return digest.hexdigest()


class JsonlWriter:
    """A long output written row by row: ``PATH.partial`` grows a line at a time and becomes PATH on close.

    Used as a context manager, an exception leaves the partial file to be looked at and PATH as it was.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.count = 0
        self._partial = self.path.with_name(self.path.name + ".partial")
        with writing(self._partial):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._partial.open("w", encoding="utf-8", newline="\n", buffering=1)

    def write(self, row: Mapping[str, Any]) -> None:
        with writing(self._partial):
            self._file.write(dump(row) + "\n")
        self.count += 1

    def close(self) -> None:
        """Sync and rename to PATH. A second call does nothing."""
        if self._file.closed:
            return
        with writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _rename(self._partial, self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
