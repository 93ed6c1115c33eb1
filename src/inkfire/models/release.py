"""Public data sets that belong to a task, fetched on request: a pinned commit, every file accepted by its SHA-256.

Nothing of them ships with inkfire: they are others' work, and who fetches them looks to their terms.

>>> pull("greetings-zh", Path("~/.cache/inkfire/data/greetings-zh").expanduser())                # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from inkfire.errors import EndpointDown, InputError
from inkfire.files.jsonl import atomic, sha256_file
from inkfire.settings import nearest

_SECONDS = 30.0


@dataclass(frozen=True)
class Release:
    """``files`` maps a file under ``url`` to its SHA-256."""

    about: str
    url: str
    files: dict[str, str]


RELEASES = {
    "greetings-zh": Release(
        about="Chinese greetings: the release of arXiv 2508.21476, training part; it names no licence",
        url="https://raw.githubusercontent.com/"
        "weixiaolong94-hub/Igniting-Creative-Writing-in-Small-Language-Models/992c228/dataset",
        files={
            "sft_data.json": "b617fea34d4b7519eaeef2215cca3edb1b5136e236ccf2fd73c37b666a40cbfc",
            "reward_data_train.json": "4086e5fc4f566dbe3b48dad4fb002ba6b118ad454f1fc34643299fc88dd6f842",
            "grpo_train.parquet": "3fba5999ed5d18660ae0ddff4ca52f5a4206df3450824252886019d441b05ef7",
            "grpo_test.parquet": "a82c54bec6669a2d2b8cecb5f30ba771c026afdaae41d7891918daad5417336c",
            "random_query.txt": "b0f620023adc25fc3870a24e37fe63434898b797608bbc3d74be02e54f665cb8",
        },
    )
}


def pull(name: str, folder: Path, release: Release | None = None) -> dict[str, Any]:
    """Fetch a release into ``folder``; files that are there and right are kept.

    Raises:
        InputError: no release of that name.
        EndpointDown: a file cannot be fetched, or its bytes are not the pinned ones. What is whole stays.
    """
    if release is None:
        if name not in RELEASES:
            raise InputError(f"no data release {name!r}{nearest(name, list(RELEASES))}")
        release = RELEASES[name]
    fetched = 0
    for file, sha256 in release.files.items():
        target = folder / file
        if target.is_file() and sha256_file(target) == sha256:
            continue
        url = f"{release.url}/{file}"
        content = _get(url, folder)
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise EndpointDown(f"{url} is not the pinned file (SHA-256 {found}, expected {sha256}); nothing was kept")
        with atomic(target) as out:
            out.write(content)
        fetched += 1
    return {"name": name, "about": release.about, "path": str(folder), "files": release.files, "fetched": fetched}


def _get(url: str, folder: Path) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as response:
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        error.close()
        why: object = f"answered {error.code} {error.reason}"
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", error)
    else:
        return content
    raise EndpointDown(f"cannot fetch {url}: {why}; try again, or put the file into {folder}")
