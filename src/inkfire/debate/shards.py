"""One curation in parts: which queries a shard has, and the parts put together again.

A shard i/n has the queries whose hash leaves i - 1 when divided by n: neither the order of the input nor the machine
decides. Each shard is a run folder of its own, made wherever there is room. Put together they are the folder that
one run over everything would have made, byte for byte given the same replies, and no more than a line of each file of
each shard is held at a time: every query has its place in the input and its numbers of lines in ``outcomes.jsonl``.

>>> shard = Shard.parse("2/4")
>>> [query.query for query in map(Query.of, "abcdefgh") if shard.owns(query)]
['b', 'h']
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from inkfire.errors import InputError, RunFolderError
from inkfire.files.jsonl import atomic, open_input, parse_json
from inkfire.files.run import Run
from inkfire.files.seen import Seen
from inkfire.records import Query

OUTPUTS = ("outcomes.jsonl", "transcripts.jsonl", "pairs.jsonl")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` of ``of``, counted from 1."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``2/8`` → the second of eight.

        Raises:
            InputError: anything else.
        """
        parts = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        index, of = map(int, parts.groups()) if parts else (0, 0)
        if not 1 <= index <= of:
            raise InputError(f"--shard {text!r}: write i/n with i from 1 to n, for instance 2/8")
        return cls(index, of)

    def owns(self, query: Query) -> bool:
        return query.number % self.of == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


def distinct(queries: Iterable[Query]) -> Iterator[Query]:
    """Each query once, where it comes first."""
    seen = Seen()
    return (query for query in queries if seen.add(query.number))


# ---- putting together ----------------------------------------------------------------------------------------------


def open_shards(folders: Sequence[Path]) -> list[Run]:
    """The finished runs in ``folders``, in the order of their shards.

    Raises:
        InputError: a folder is no finished shard, shards are of different runs, one is there twice, or some are
            missing (they are named).
    """
    runs: dict[int, Run] = {}
    total = 0
    for folder in folders:
        run = Run.read(folder)
        name = run.manifest.get("settings", {}).get("shard") if run.manifest.get("command") == "curate" else None
        if name is None:
            raise InputError(f"{folder} is no shard: it was not made by inkfire curate --shard i/n")
        if run.done("curate") is None:
            raise InputError(f"{folder} (shard {name}) is not finished: run its command again")
        shard = Shard.parse(name)
        total = total or shard.of
        if shard.of != total:
            raise InputError(f"{folder} is shard {name}, others are of {total}: all must be of one division")
        if shard.index in runs:
            raise InputError(f"{folder} and {runs[shard.index].out} are both shard {name}: leave one out")
        runs[shard.index] = run
    missing = [f"{index}/{total}" for index in range(1, total + 1) if index not in runs]
    if missing:
        raise InputError(f"shards are missing: {', '.join(missing)}; make them with inkfire curate --shard")
    ordered = [runs[index] for index in sorted(runs)]
    for run in ordered[1:]:
        if difference := _whole(ordered[0]).difference(_whole(run).manifest):
            raise InputError(f"{ordered[0].out} and {run.out} are not of the same run: {difference}")
    return ordered


def _whole(shard: Run) -> Run:
    """The run of which a shard is a part: the same manifest without the shard."""
    return Run(shard.out, {**shard.manifest, "settings": {**shard.manifest["settings"], "shard": None}})


def open_merged(runs: Sequence[Run], out: Path) -> Run:
    """The folder of the whole: its manifest is that of a run that was never divided.

    Raises:
        RunFolderError: ``out`` holds another run.
    """
    return Run.open_as(out, _whole(runs[0]).manifest)


def merge_outputs(runs: Sequence[Run], out: Path) -> None:
    """Write the shards' lines into ``out`` in the order of the input, as they are.

    Raises:
        RunFolderError: a shard's files do not fit each other, or two shards have a query in common.
    """
    last = -1
    with ExitStack() as stack:
        files = [stack.enter_context(atomic(out / name)) for name in OUTPUTS]
        parts = [stack.enter_context(_Part(run.out)) for run in runs]
        for position, parcel in heapq.merge(*parts, key=lambda item: item[0]):
            if position <= last:
                raise RunFolderError(
                    f"line {position} of the input is in two shards: they were made of different files"
                )
            last = position
            for file, lines in zip(files, parcel, strict=True):
                file.writelines(lines)


class _Part:
    """A shard's queries in order: (place in the input, the lines of each output). A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Iterator[tuple[int, tuple[list[bytes], ...]]]:
        outcomes, transcripts, pairs = (self._stack.enter_context(open_input(self._folder / name)) for name in OUTPUTS)
        return self._parcels(outcomes, transcripts, pairs)

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _parcels(
        self, outcomes: Iterable[bytes], transcripts: Iterable[bytes], pairs: Iterable[bytes]
    ) -> Iterator[tuple[int, tuple[list[bytes], ...]]]:
        for number, line in enumerate(outcomes, 1):
            row = parse_json(line.decode("utf-8"), path=self._folder / OUTPUTS[0], line=number)
            debated = list(islice(transcripts, row["candidates"]))
            paired = list(islice(pairs, row["pairs"]))
            if len(debated) < row["candidates"] or len(paired) < row["pairs"]:
                raise RunFolderError(f"{self._folder} is damaged: a file ends before {OUTPUTS[0]} does; make it anew")
            yield row["position"], ([line], debated, paired)
        if next(iter(transcripts), None) or next(iter(pairs), None):
            raise RunFolderError(f"{self._folder} is damaged: a file goes on after {OUTPUTS[0]}; make it anew")
