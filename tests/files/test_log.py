"""A log has on disk what it has answered for, whatever stops it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import DataError, RunFolderError
from inkfire.files.log import Log, read_log


def test_a_row_is_on_disk_before_it_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def watched(file: int) -> None:
        real(file)
        synced.append(path.read_text(encoding="utf-8"))

    path = tmp_path / "deep" / "votes.jsonl"
    with Log(path) as log:
        monkeypatch.setattr(os, "fsync", watched)
        log.append({"a": "祝\ud800"})
    assert synced == ['{"a": "\\u795d\\ud800"}\n']
    assert list(read_log(path)) == [(1, {"a": "祝\ud800"})]


@pytest.mark.parametrize("left", [b'{"a": 2, "b', b"x" * 200_000])
def test_what_a_kill_left_of_a_row_is_cut_off(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_bytes(b'{"a": 1}\n' + left)
    assert list(read_log(path)) == [(1, {"a": 1})]
    with Log(path) as log:
        log.append({"a": 3})
    assert path.read_bytes() == b'{"a": 1}\n{"a": 3}\n'


def test_a_disk_that_is_full_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "votes.jsonl"
    real = os.write

    def full(file: int, data: bytes) -> int:
        if room:
            return real(file, data[: room.pop()])
        raise OSError(28, "No space left on device")

    with Log(path) as log:
        log.append({"a": 1})
        room = [4]
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(RunFolderError, match=r"votes\.jsonl: No space left"):
            log.append({"a": 2})
        monkeypatch.setattr(os, "write", real)
        log.append({"a": 3})
    assert [row["a"] for _, row in read_log(path)] == [1, 3]


def test_threads_lose_nothing_and_share_the_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "votes.jsonl"
    syncs: list[int] = []
    real, slow = os.fsync, threading.Event()

    def fsync(file: int) -> None:
        slow.wait(0.01)
        real(file)
        syncs.append(file)

    with Log(path) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        threads = [
            threading.Thread(target=lambda i=i: [log.append({"i": i, "k": k}) for k in range(5)]) for i in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = [(row["i"], row["k"]) for _, row in read_log(path)]
    assert sorted(found) == [(i, k) for i in range(20) for k in range(5)]
    assert len(syncs) < 100


@pytest.mark.parametrize("line", [b"[1]\n", b"{\n", b"\xff\n"])
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line)
    rows: list[Any] = []
    with pytest.raises(DataError, match=r"votes\.jsonl:2: "):
        rows.extend(read_log(path))


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(read_log(tmp_path / "none.jsonl")) == []
