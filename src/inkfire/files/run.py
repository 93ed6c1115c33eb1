"""The run folder: a manifest that says what made it, atomic files, and stages that are done or not.

A command opens its ``--out`` folder; opening it again with the same command, settings, seed and inputs resumes
(finished stages are read back), with anything else it is refused and left untouched. Files appear whole or not at
all: they are written beside their place, synced, and renamed. Results carry no times, so that the same replies give
the same bytes; seconds are kept apart in ``timings.json``.

>>> run = Run.open(out, command="curate", settings={"candidates": 4}, inputs={"prompts": prompts})  # doctest: +SKIP
>>> if (result := run.done("pairs")) is None:                                                        # doctest: +SKIP
...     run.complete("pairs", {"pairs": write_jsonl(run.path("pairs.jsonl"), rows)}, seconds=12.5)
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import inkfire
from inkfire.errors import DataError, RunFolderError

_MANIFEST = "manifest.json"
_TIMINGS = "timings.json"
_VERSIONS = ("openai", "numpy", "scikit-learn", "torch", "transformers", "trl", "peft", "xllamacpp")


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file, one at a time; blank lines are skipped.

    Raises:
        DataError: no such file, not UTF-8, or a line that is not a JSON object (named by its number).
    """
    for number, line in numbered_lines(path):
        row = parse_json(line, path=path, line=number)
        if not isinstance(row, dict):
            raise DataError(f"expected a JSON object, found {json_kind(row)}", path=path, line=number)
        yield row


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """(1-based number, text) of the lines that are not blank. Only ``\\n`` ends a line: U+2028 is text."""
    with open_input(path) as file:
        for number, raw in enumerate(file, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"not UTF-8 at byte {error.start + 1} of the line; save the file as UTF-8", path=path, line=number
                ) from None
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


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def json_kind(value: object) -> str:
    """What a JSON value is, in words for an error message."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSON Lines, atomically; returns how many."""
    count = 0
    with atomic(Path(path)) as file:
        for row in rows:
            file.write(_dump(row).encode() + b"\n")
            count += 1
    return count


def write_json(path: str | Path, obj: Any) -> None:
    """Write one indented JSON value, atomically."""
    with atomic(Path(path)) as file:
        file.write(_dump(obj, indent=2).encode() + b"\n")


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` when the block ends well, and vanishes when it does not."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _rename(beside, path)
    except OSError as error:
        # Only a write of ours; a DataError raised by the block is no OSError and passes through.
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the new name survives a power cut
    finally:
        os.close(folder)


def _dump(value: Any, indent: int | None = None) -> str:
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
    """SHA-256 of a file, or of a folder (the names and contents of its files, timings left out), in hex."""
    path = Path(path)
    if not path.is_dir():
        with open_input(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for inner in sorted(p for p in path.rglob("*") if p.is_file() and p.name != _TIMINGS):
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
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._partial.open("w", encoding="utf-8", newline="\n", buffering=1)
        except OSError as error:
            raise RunFolderError(f"cannot write {self._partial}: {error.strerror or error}") from error

    def write(self, row: Mapping[str, Any]) -> None:
        try:
            self._file.write(_dump(row) + "\n")
        except OSError as error:
            raise RunFolderError(f"cannot write {self._partial}: {error.strerror or error}") from error
        self.count += 1

    def close(self) -> None:
        """Sync and rename to PATH. A second call does nothing."""
        if self._file.closed:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _rename(self._partial, self.path)
        except OSError as error:
            raise RunFolderError(f"cannot write {self.path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


class Run:
    """A run folder that agrees with the command that opened it. Make one with :meth:`open`."""

    def __init__(self, out: Path, manifest: dict[str, Any]):
        self.out = out
        self.manifest = manifest

    @classmethod
    def open(
        cls,
        out: Path,
        *,
        command: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Path] = {},
        seed: int = 0,
    ) -> Run:
        """Begin a run in ``out``, or resume the one that is there.

        ``settings`` is what decides the result, as JSON values; ``inputs`` maps a name to a file or folder, known
        by its SHA-256.

        Raises:
            RunFolderError: the folder holds a run of another command, setting, seed or input (the first difference
                is named), or something that is no run at all. Nothing in it is changed.
            DataError: an input does not exist.
        """
        wanted = {
            "command": command,
            "settings": json.loads(_dump(settings)),
            "seed": seed,
            "inputs": {name: _input(Path(path)) for name, path in inputs.items()},
        }
        return cls._agree(out, wanted, _environment())

    @classmethod
    def open_as(cls, out: Path, manifest: Mapping[str, Any]) -> Run:
        """Like :meth:`open`, for a run that ``manifest`` describes: one that was made in parts elsewhere."""
        return cls._agree(out, manifest, {})

    @classmethod
    def _agree(cls, out: Path, wanted: Mapping[str, Any], beside: Mapping[str, Any]) -> Run:
        present = _read_manifest(out)
        if present is None:
            present = {**wanted, **beside}
            write_json(out / _MANIFEST, present)
        elif difference := _first_difference(present, wanted):
            raise RunFolderError(f"{out} holds another run: {difference}; use another --out")
        return cls(out, present)

    @classmethod
    def read(cls, out: Path) -> Run:
        """The run that is in ``out``.

        Raises:
            RunFolderError: there is none.
        """
        manifest = _read_manifest(out)
        if manifest is None:
            raise RunFolderError(f"{out} holds no run of inkfire")
        return cls(out, manifest)

    def difference(self, other: Mapping[str, Any]) -> str | None:
        """The first thing that decides the result and is not the same in ``other``'s manifest, in words."""
        return _first_difference(self.manifest, other)

    def path(self, *parts: str) -> Path:
        """A path inside the run folder; its parent folder exists when this returns."""
        path = self.out.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def done(self, stage: str) -> dict[str, Any] | None:
        """The result of a completed stage, None when it has not been completed."""
        return _read_object(self.out / "stages" / f"{stage}.json")

    def complete(self, stage: str, result: Mapping[str, Any], *, seconds: float) -> None:
        """Record a stage as done. ``seconds`` are added to what earlier attempts recorded."""
        timings = self.seconds()
        timings[stage] = round(timings.get(stage, 0.0) + seconds, 3)
        write_json(self.out / _TIMINGS, timings)
        write_json(self.out / "stages" / f"{stage}.json", result)

    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds per stage."""
        return _read_object(self.out / _TIMINGS) or {}

    @property
    def ledger_path(self) -> Path:
        """The ledger beside the run folders, which all runs there share."""
        return self.out.absolute().parent / ".inkfire" / "ledger.sqlite"


def _input(path: Path) -> dict[str, str]:
    return {"path": path.name, "sha256": sha256_file(path)}


def _environment() -> dict[str, Any]:
    versions: dict[str, str] = {}
    for name in _VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "inkfire": inkfire.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _read_manifest(out: Path) -> dict[str, Any] | None:
    """The manifest in ``out``; None when the folder is absent or empty."""
    try:
        if not out.exists():
            return None
        if not out.is_dir():
            raise RunFolderError(f"{out} is a file; --out names a folder")
        manifest = _read_object(out / _MANIFEST)
        # A kill during the very first write leaves only its temporary file.
        if manifest is None and any(p.suffix != ".tmp" for p in out.iterdir()):
            raise RunFolderError(f"{out} is not empty and holds no run of inkfire; use another --out")
    except OSError as error:
        raise RunFolderError(f"cannot read {out}: {error.strerror or error}") from None
    return manifest


def _read_object(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        value = parse_json(path.read_text(encoding="utf-8"), path=path)
    except (DataError, OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"cannot read {path}: {error}") from None
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} is damaged: expected an object, found {json_kind(value)}")
    return value


def _first_difference(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    for key in ("command", "settings", "seed"):
        if difference := _compare(present.get(key), wanted[key], key):
            return difference
    old, new = present.get("inputs", {}), wanted["inputs"]
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before is None or now is None:
            return f"input {name} was {before and before['path']} and is {now and now['path']} now"
        if before["sha256"] != now["sha256"]:
            return f"the contents of input {name} ({now['path']}) differ from what the run began with"
    return None


def _compare(before: Any, now: Any, name: str) -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(k for k in before if k not in now)]:
            if difference := _compare(before.get(key), now.get(key), f"{name}.{key}"):
                return difference
        return None
    if before == now and type(before) is type(now):
        return None
    return f"{name} was {json.dumps(before, ensure_ascii=False)} and is {json.dumps(now, ensure_ascii=False)} now"
