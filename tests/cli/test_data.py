"""``inkfire data pull`` against a server on the loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inkfire.cli.app import run
from inkfire.errors import EndpointDown, InputError
from inkfire.models.release import RELEASES, Evaluation, Pinned, Release, pull


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "below").mkdir()
    contents = {"a.json": b'[{"query": "q"}]', "below/b.txt": "生日".encode(), "below/test.txt": b"measured"}
    for name, content in contents.items():
        (served / name).write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        files = {
            Path(path).name: Pinned(path=path, sha256=hashlib.sha256(content).hexdigest())
            for path, content in contents.items()
        }
        measured = Evaluation(about="half of it was trained on", files={"test.txt": files.pop("test.txt")})
        yield Release(about="a test", url=f"http://127.0.0.1:{server.server_port}", files=files, evaluation=measured)
        server.shutdown()
        thread.join()


def call(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    monkeypatch.setattr("sys.argv", ["inkfire", *map(str, args)])
    return run()


def test_pull_checks_and_keeps(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(RELEASES, "greetings-zh", release)
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    assert call(monkeypatch, "data", "pull", "greetings-zh", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["fetched"] == 2
    folder = Path(result["path"])
    assert folder == tmp_path / "cache" / "data" / "greetings-zh"
    assert (folder / "b.txt").read_text() == "生日"
    (folder / "a.json").write_text("damaged")
    assert pull("greetings-zh", folder)["fetched"] == 1
    assert pull("greetings-zh", folder)["fetched"] == 0


def test_the_part_that_measures_comes_when_it_is_asked_for(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(RELEASES, "greetings-zh", release)
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path))
    assert call(monkeypatch, "data", "pull", "greetings-zh") == 0
    folder = tmp_path / "data" / "greetings-zh"
    assert not (folder / "test.txt").exists()
    assert call(monkeypatch, "data", "pull", "greetings-zh", "--evaluation") == 0
    assert (folder / "test.txt").read_text() == "measured"
    assert "half of it was trained on" in capsys.readouterr().out
    with pytest.raises(InputError, match="the release x has no evaluation set"):
        pull("x", tmp_path / "none", release.model_copy(update={"evaluation": None}), evaluation=True)
    assert not (tmp_path / "none").exists()


def test_other_bytes_are_refused(release: Release, tmp_path: Path) -> None:
    other = release.model_copy(update={"files": {"a.json": Pinned(path="a.json", sha256="0" * 64)}})
    with pytest.raises(EndpointDown, match="not the pinned file"):
        pull("x", tmp_path / "data", other)
    assert not (tmp_path / "data").exists()


def test_what_cannot_be_fetched_is_named(release: Release, tmp_path: Path) -> None:
    with pytest.raises(EndpointDown, match=r"cannot fetch .*/absent: answered 404"):
        pull("x", tmp_path, release.model_copy(update={"files": {"absent": Pinned(path="absent", sha256="0" * 64)}}))
    with pytest.raises(EndpointDown, match=r"cannot fetch http://127\.0\.0\.1:9/"):
        pull("x", tmp_path, release.model_copy(update={"url": "http://127.0.0.1:9"}))


def test_unknown_release(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "data", "pull", "greetings-zhh") == 2
    assert "did you mean 'greetings-zh'?" in capsys.readouterr().err


def test_the_pinned_hashes_are_those_of_the_release(release_data: Path) -> None:
    for name, pinned in RELEASES["greetings-zh"].files.items():
        assert hashlib.sha256((release_data / name).read_bytes()).hexdigest() == pinned.sha256
