"""Public data sets that belong to a task, fetched on request: a pinned commit, every file accepted by its SHA-256.

Nothing of them ships with inkfire: they are others' work, and who fetches them looks to their terms.

>>> pull("greetings-zh", Path("~/.cache/inkfire/data/greetings-zh").expanduser())                # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from inkfire.errors import EndpointDown, InputError
from inkfire.files.jsonl import atomic, sha256_file
from inkfire.models.store import cache_dir
from inkfire.settings import Strict, load_toml, nearest

_SECONDS = 30.0
"""How long the server may be silent."""


class Pinned(Strict):
    """A file: where it is under the release's ``url``, and what it has to be."""

    path: str
    sha256: str


class Evaluation(Strict):
    """The part that measures, fetched only where it is asked for."""

    about: str
    files: dict[str, Pinned]


class Release(Strict):
    """``files`` by the name that they get in the folder."""

    about: str
    url: str
    files: dict[str, Pinned]
    evaluation: Evaluation | None = None


class _Table(Strict):
    releases: dict[str, Release]


RELEASES = load_toml(Path(__file__).with_name("releases.toml"), _Table).releases


def release_folder(name: str) -> Path:
    """Where a release lies in the cache.

    Raises:
        InputError: no release of that name.
    """
    if name not in RELEASES:
        raise InputError(f"no release {name!r}{nearest(name, list(RELEASES))}")
    return cache_dir() / "data" / name


def pull(name: str, folder: Path, release: Release | None = None, *, evaluation: bool = False) -> dict[str, Any]:
    """Fetch a release into ``folder``; files that are there and right are kept.

    Args:
        evaluation: fetch the part that measures as well.

    Raises:
        InputError: no release of that name, or it has no such part.
        EndpointDown: a file cannot be fetched, or its bytes are not the pinned ones. What is whole stays.
    """
    if release is None:
        if name not in RELEASES:
            raise InputError(f"no data release {name!r}{nearest(name, list(RELEASES))}")
        release = RELEASES[name]
    about, files = [release.about], dict(release.files)
    if evaluation:
        if release.evaluation is None:
            raise InputError(f"the release {name} has no evaluation set")
        about.append(release.evaluation.about)
        files |= release.evaluation.files
    fetched = 0
    for file, pinned in files.items():
        target = folder / file
        if target.is_file() and sha256_file(target) == pinned.sha256:
            continue
        url = f"{release.url}/{pinned.path}"
        content = _get(url, target)
        if (found := hashlib.sha256(content).hexdigest()) != pinned.sha256:
            raise EndpointDown(
                f"{url} is not the pinned file (SHA-256 {found}, expected {pinned.sha256}); nothing was kept"
            )
        with atomic(target) as out:
            out.write(content)
        fetched += 1
    hashes = {file: pinned.sha256 for file, pinned in files.items()}
    return {"name": name, "about": ". ".join(about), "path": str(folder), "files": hashes, "fetched": fetched}


def _get(url: str, target: Path) -> bytes:
    import httpx2  # it comes with openai

    try:
        return httpx2.get(url, timeout=_SECONDS, follow_redirects=True).raise_for_status().content
    except httpx2.HTTPStatusError as error:
        why = f"answered {error.response.status_code} {error.response.reason_phrase}"
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        why = str(error) or type(error).__name__
    raise EndpointDown(f"cannot fetch {url}: {why}; try again, or put the file at {target}")
