"""The run folder: a manifest that says what made it, atomic files, and stages that are done or not.

A command opens its ``--out`` folder; opening it again with the same command, settings, seed and inputs resumes
(finished stages are read back). With other ones it goes on only with consent: what depends on them is redone, the rest
stays. A try that left no result binds nobody. Files appear whole or not at all: they are written beside their place,
synced, and renamed. Results carry nothing that depends on when they were made or how often the command was stopped, so
that the same replies give the same bytes: seconds are apart in ``timings.json``, what was asked of models in
``used.json``, and where the inputs lay in ``places.json``, relative to the folder.

>>> run = Run.open(out, command="curate", settings={"candidates": 4}, inputs={"prompts": prompts})  # doctest: +SKIP
>>> if (result := run.done("pairs")) is None:                                                        # doctest: +SKIP
...     run.complete("pairs", {"pairs": write_jsonl(run.path("pairs.jsonl"), rows)}, seconds=12.5)
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inkfire
from inkfire.errors import DataError, InputError, RunFolderError
from inkfire.files.jsonl import PLACES, TIMINGS, USED, dump, json_kind, read_json, sha256_file, write_json

_MANIFEST = "manifest.json"
_VERSIONS = ("openai", "numpy", "scikit-learn", "torch", "transformers", "trl", "peft", "xllamacpp")
_FORMAT = 2
"""Of the manifest. Folders without one were made before settings were those of the command line."""

_BEFORE: Mapping[str, Any] = {
    "rollouts": "here",
    "vllm_server": None,
    "depth": "short",
    "agent": [],
    "retrieval": "bm25",
    "k_search": 20,
    "k_final": 2,
    "qualify": 0,
    "length_debias": False,
    "uncalibrated": False,
    "against": [],
    "negatives_share": 0.5,
    "margin": 0.0,
    "lora_rank": 16,
    "lora_alpha": 32,
    "lora_targets": [],
    "scale_rewards": "group",
    "mask_truncated": False,
    "redraw": 0,
    "validation_steps": 5,
}
"""What settings were before manifests named them."""

Consent = Callable[[str], bool]
"""Asked with what would be redone; True where that is wanted."""


@dataclass(frozen=True, slots=True)
class Redone:
    """What a change makes void: in words, and as the files and folders to remove (globs below the run folder)."""

    what: str
    files: tuple[str, ...]


EVERYTHING = Redone("all of it", ("*",))
Redo = Callable[[Sequence[str]], Redone]
"""The names of what changed (``settings.limit``, ``seed``, ``inputs.prompts``) → what depends on it."""


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
        consent: Consent = lambda question: False,
        redo: Redo = lambda changed: EVERYTHING,
    ) -> Run:
        """Begin a run in ``out``, or resume the one that is there.

        Args:
            settings: what decides the result, as JSON values.
            inputs: a name → a file or folder, known by its SHA-256.
            consent: whether what other settings make void may be removed and done again.
            redo: what that is.

        Raises:
            RunFolderError: the folder holds a run of another command, or of another setting, seed or input (the first
                difference is named) without consent, or something that is no run at all. Nothing in it is changed.
            DataError: an input does not exist.
        """
        wanted = {
            "format": _FORMAT,
            "command": command,
            "settings": json.loads(dump(settings)),
            "seed": seed,
            "inputs": {name: {"path": path.name, "sha256": sha256_file(path)} for name, path in inputs.items()},
        }
        run = cls._agree(out, wanted, _environment(), consent, redo)
        _sweep(out)
        write_json(out / PLACES, {name: os.path.relpath(path, out) for name, path in inputs.items()})
        return run

    @classmethod
    def open_as(cls, out: Path, manifest: Mapping[str, Any]) -> Run:
        """Like :meth:`open`, for a run that ``manifest`` describes: one that was made in parts elsewhere."""
        return cls._agree(out, manifest, {}, lambda question: False, lambda changed: EVERYTHING)

    @classmethod
    def _agree(
        cls, out: Path, wanted: Mapping[str, Any], beside: Mapping[str, Any], consent: Consent, redo: Redo
    ) -> Run:
        present = _read_manifest(out)
        if present is not None and (differences := _differences(present, wanted)):
            difference = next(iter(differences.values()))
            if present.get("format") != _FORMAT and _has_results(out):
                raise RunFolderError(
                    f"{out} was made by an earlier inkfire: what it holds still opens, but it cannot be gone on with; "
                    "use another --out"
                )
            if "command" in differences and _has_results(out):
                raise RunFolderError(f"{out} holds another run: {difference}; use another --out")
            void = redo(list(differences)) if _has_results(out) else EVERYTHING
            if _has_results(out) and not consent(f"{out}: {difference}. This redoes {void.what}."):
                raise RunFolderError(
                    f"{out} holds another run: {difference}; --yes redoes {void.what}, or use another --out"
                )
            _remove(out, void.files)
            present = None
        if present is None:
            present = {**wanted, **beside}
            write_json(out / _MANIFEST, present)
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

    def withdraw(self) -> None:
        """Leave no trace of a try that was wrong from the start; one that left results stays as it is."""
        if not _has_results(self.out):
            with suppress(OSError):  # it cannot be written, or something else is in it
                _remove(self.out, (_MANIFEST, PLACES, "*.partial"))
                self.out.rmdir()

    def difference(self, other: Mapping[str, Any]) -> str | None:
        """The first thing that decides the result and is not the same in ``other``'s manifest, in words."""
        return next(iter(_differences(self.manifest, other).values()), None)

    def path(self, *parts: str) -> Path:
        """A path inside the run folder; its parent folder exists when this returns."""
        path = self.out.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def done(self, stage: str) -> dict[str, Any] | None:
        """The result of a completed stage, None when it has not been completed."""
        return _read_object(self.out / "stages" / f"{stage}.json")

    def complete(
        self, stage: str, result: Mapping[str, Any], *, seconds: float, used: Mapping[str, Any] | None = None
    ) -> None:
        """Record a stage as done. ``seconds`` are added to what earlier attempts recorded; ``used`` is what it took of
        models: calls, tokens, cost."""
        if used is not None:
            write_json(self.out / USED, self.used() | {stage: used})
        timings = self.seconds()
        timings[stage] = round(timings.get(stage, 0.0) + seconds, 3)
        write_json(self.out / TIMINGS, timings)
        write_json(self.out / "stages" / f"{stage}.json", result)

    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds per stage."""
        return _read_object(self.out / TIMINGS) or {}

    def used(self) -> dict[str, dict[str, Any]]:
        """What the stages that said so took of models."""
        return _read_object(self.out / USED) or {}

    @property
    def ledger_path(self) -> Path:
        """The ledger beside the run folders, which all runs there share."""
        return self.out.absolute().parent / ".inkfire" / "ledger.sqlite"

    def places(self) -> dict[str, Path]:
        """Where the inputs lay when the run was opened last."""
        places = _read_object(self.out / PLACES) or {}
        return {name: Path(os.path.normpath(self.out / place)) for name, place in places.items()}

    def inputs(self, prefix: str = "") -> dict[str, Path]:
        """Where the inputs (whose names begin so) lie, each found to be what it was.

        Raises:
            InputError: one is no longer there, or has changed.
        """
        places, found = self.places(), {}
        for name, about in self.manifest["inputs"].items():
            if name.startswith(prefix):
                path = places.get(name)
                if path is None or not path.exists():
                    raise InputError(f"input {name} ({about['path']}) of {self.out} is not where it was: {path}")
                if sha256_file(path) != about["sha256"]:
                    raise InputError(f"input {name} of {self.out} has changed since: {path}")
                found[name] = path
        return found


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Within: no other process works in the folder. The lock falls with its process, however that ends.

    Raises:
        RunFolderError: another process holds it; the message has its number.
    """
    from filelock import FileLock, Timeout

    place = out.absolute().parent / ".inkfire"
    holder = place / f"{out.absolute().name}.pid"
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(holder.with_suffix(".lock"), blocking=False)
        lock.acquire()
    except Timeout:
        raise RunFolderError(
            f"{out} is in use by process {_pid(holder)}: wait for it, stop it, or use another --out"
        ) from None
    except OSError as error:
        raise RunFolderError(f"cannot write {place}: {error.strerror or error}") from error
    try:
        write_json(holder, os.getpid())
        yield
    finally:
        lock.release()


def _pid(holder: Path) -> str:
    try:
        return holder.read_text().strip()
    except OSError:  # it was only now begun
        return "(unknown)"


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
        if manifest is None and any(p.suffix != ".tmp" and p.name != PLACES for p in out.iterdir()):
            raise RunFolderError(f"{out} is not empty and holds no run of inkfire; use another --out")
    except OSError as error:
        raise RunFolderError(f"cannot read {out}: {error.strerror or error}") from None
    return manifest


def _read_object(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except (DataError, OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"cannot read {path}: {error}") from None
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} is damaged: expected an object, found {json_kind(value)}")
    return value


def _has_results(out: Path) -> bool:
    """Whether a try left anything that was worth its while: more than a manifest and files that are not whole."""
    return any(
        path.stat().st_size
        for path in out.rglob("*")
        if path.is_file() and path.name not in (_MANIFEST, PLACES) and path.suffix not in (".tmp", ".partial")
    )


def _sweep(out: Path) -> None:
    """Remove what a kill left of files that were being written: the hash of a folder would count it."""
    with suppress(OSError):  # a folder that cannot be written is said where something is written
        for path in out.rglob(".*.[0-9]*.tmp"):
            path.unlink(missing_ok=True)


def _remove(out: Path, globs: Sequence[str]) -> None:
    for path in [path for pattern in globs for path in out.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _differences(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, str]:
    """What is not the same (``command``, ``settings.KEY``, ``seed``, ``inputs.NAME``) → the difference in words."""
    old, new = present.get("settings", {}), wanted["settings"]
    values = {"command": (present.get("command"), wanted["command"])}
    values |= {f"settings.{key}": (_was(old, key, new), new.get(key)) for key in {**new, **old}}
    values["seed"] = (present.get("seed"), wanted["seed"])
    found = {name: words for name, (before, now) in values.items() if (words := _compare(before, now, name))}
    before, now = present.get("inputs", {}), wanted["inputs"]
    for name in sorted(before.keys() | now.keys()):
        was, is_now = before.get(name), now.get(name)
        if was is None or is_now is None:
            found[f"inputs.{name}"] = f"input {name} was {was and was['path']} and is {is_now and is_now['path']} now"
        elif was["sha256"] != is_now["sha256"]:
            contents = f"the contents of input {name} ({is_now['path']})"
            found[f"inputs.{name}"] = f"{contents} differ from what the run began with"
    return found


def _compare(before: Any, now: Any, name: str) -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(k for k in before if k not in now)]:
            if difference := _compare(_was(before, key, now), now.get(key), f"{name}.{key}"):
                return difference
        return None
    if before == now and type(before) is type(now):
        return None
    return f"{name} was {json.dumps(before, ensure_ascii=False)} and is {json.dumps(now, ensure_ascii=False)} now"


def _was(before: Mapping[str, Any], key: str, now: Mapping[str, Any]) -> Any:
    """A setting of a manifest; one that it does not name yet is none, or what it was then."""
    return before.get(key) if now.get(key) is None else before_named(before, key)


def before_named(settings: Mapping[str, Any], name: str) -> Any:
    """A setting of a manifest, also of one that does not name it yet."""
    return settings.get(name, _BEFORE.get(name))
