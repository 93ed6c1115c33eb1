"""A log that loses nothing it has answered for: JSON Lines that only grow, on disk before ``append`` returns.

>>> with Log(Path("votes.jsonl")) as log:                                                        # doctest: +SKIP
...     log.append({"rater": "rater-1", "position": 1, "choice": "a"})
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from inkfire.files.jsonl import dump, open_input, parse_object, writing

_CHUNK = 65536


class Log:
    """The one writer of a file of rows. Its owner sees to it that no other process has it open (``run.locked``).

    What a kill left of a row is not whole and was never answered for: it is cut off when the log is opened. Threads
    that append at once share one sync of the disk.
    """

    def __init__(self, path: Path):
        self.path = path
        self._writing, self._syncing = threading.Lock(), threading.Lock()
        self._written = self._synced = 0  # rows
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            os.ftruncate(self._file, _whole(self._file))
            os.fsync(self._file)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # so that the file itself survives a power cut
            finally:
                os.close(folder)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row and wait until the disk has it.

        Raises:
            RunFolderError: it could not be written, or the disk does not say that it has it: append it again.
        """
        with writing(self.path):
            number = self._write(dump(row).encode() + b"\n")
            with self._syncing:
                if self._synced < number:
                    covered = self._written
                    os.fsync(self._file)
                    self._synced = covered

    def _write(self, line: bytes) -> int:
        """The number of the row; a line that does not fit leaves nothing behind."""
        with self._writing:
            before = os.fstat(self._file).st_size
            try:
                while line:
                    line = line[os.write(self._file, line) :]
            except OSError:
                os.ftruncate(self._file, before)
                raise
            self._written += 1
            return self._written

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_log(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(1-based line, row) of a log, also while another process writes it: a last line that is not whole is none.

    Raises:
        DataError: a line that is no JSON object, or the file cannot be read; none is an empty log.
    """
    if not path.is_file():
        return
    with open_input(path) as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            yield number, parse_object(line.decode("utf-8", "replace"), path=path, line=number)


def _whole(file: int) -> int:
    """How many bytes of an open file are whole lines."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _CHUNK)
        if (found := os.pread(file, end - start, start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0
