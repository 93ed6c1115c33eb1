"""Parts of a curation: disjoint, complete, and put together to the very bytes of the whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.debate.debate import Debate
from inkfire.debate.sampler import RejectionSampler, Tally
from inkfire.debate.shards import Shard, distinct
from inkfire.debate.writers import GivenWriter
from inkfire.errors import InputError, RunFolderError
from inkfire.files.run import Run
from inkfire.records import Candidate, Query
from inkfire.runs.curate import write_pairs
from inkfire.runs.shards import OUTPUTS, merge_outputs, open_merged, open_shards
from inkfire.tasks.task import Task

QUERIES = [Query.of(f"a wish number {i % 17}") for i in range(20)]  # three repeat
TEXTS = [
    Candidate(f"a wish number {i}", text, source)
    for i in range(17)
    for text, source in ((f"May the bells find you, {i}.", "sft"), (f"All the very best to number {i}!", "base"))
    if (i, source) != (5, "base")
]
SETTINGS = {"model": "panel"}


@given(st.lists(st.text(max_size=3)), st.integers(1, 5))
def test_every_query_is_in_one_shard(texts: list[str], of: int) -> None:
    for query in map(Query.of, texts):
        assert sum(Shard(i, of).owns(query) for i in range(1, of + 1)) == 1


def test_shards_are_of_similar_size_and_do_not_depend_on_the_order() -> None:
    queries = [Query.of(f"query {i}") for i in range(4000)]
    sizes = [sum(map(Shard(i, 4).owns, queries)) for i in range(1, 5)]
    assert all(900 < size < 1100 for size in sizes)
    assert Shard(2, 4).owns(Query.of("b"))  # for good: a resumed shard must find its queries again


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_a_shard_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="from 1 to n"):
        Shard.parse(text)


def test_each_query_once_where_it_comes_first() -> None:
    assert list(distinct(QUERIES)) == QUERIES[:17]


@pytest.fixture
async def made(task: Task, panel: Any, tmp_path: Path) -> dict[str, Run]:
    """The whole run and its three shards, finished."""
    runs = {}
    for name in (None, "1/3", "2/3", "3/3"):
        run = Run.open(
            tmp_path / (name or "whole").replace("/", "-of-"),
            command="curate",
            settings=SETTINGS | {"shard": name},
        )
        writers, _ = GivenWriter.of(TEXTS, Shard.parse(name or "1/1").owns)
        llm = panel(judge=lambda item: int("bells" in item))
        sampler = RejectionSampler(writers, Debate(task, llm), policy="all")
        result = await write_pairs(QUERIES, sampler, run.out, shard=Shard.parse(name or "1/1"))
        run.complete("curate", result, seconds=1)
        runs[name or "whole"] = run
    return runs


def test_the_parts_give_the_whole(made: dict[str, Run], tmp_path: Path) -> None:
    runs = open_shards([made[name].out for name in ("3/3", "1/3", "2/3")])
    merged = open_merged(runs, tmp_path / "merged")
    merge_outputs(runs, merged.out)
    for name in OUTPUTS:
        assert (merged.out / name).read_bytes() == (made["whole"].out / name).read_bytes()
    assert Tally.of([run.done("curate") or {} for run in runs]).result() == made["whole"].done("curate")
    assert merged.manifest == made["whole"].manifest
    positions = [json.loads(line)["position"] for line in (merged.out / "outcomes.jsonl").read_text().splitlines()]
    assert positions == list(range(17))


def test_parts_that_do_not_fit_are_named(made: dict[str, Run], tmp_path: Path) -> None:
    out = {name: run.out for name, run in made.items()}
    with pytest.raises(InputError, match="missing: 2/3"):
        open_shards([out["1/3"], out["3/3"]])
    with pytest.raises(InputError, match="both shard 1/3"):
        open_shards([out["1/3"], out["1/3"]])
    with pytest.raises(InputError, match="is no shard"):
        open_shards([out["whole"]])
    with pytest.raises(RunFolderError, match="holds no run"):
        open_shards([tmp_path / "nothing"])
    (out["2/3"] / "stages" / "curate.json").unlink()
    with pytest.raises(InputError, match=r"shard 2/3.*not finished"):
        open_shards([out["1/3"], out["2/3"], out["3/3"]])
    other = Run.open(tmp_path / "other", command="curate", settings=SETTINGS | {"shard": "2/3"}, seed=1)
    other.complete("curate", {}, seconds=1)
    with pytest.raises(InputError, match="not of the same run: seed was 0 and is 1"):
        open_shards([out["1/3"], other.out, out["3/3"]])
    divided = Run.open(tmp_path / "divided", command="curate", settings=SETTINGS | {"shard": "1/2"})
    divided.complete("curate", {}, seconds=1)
    with pytest.raises(InputError, match="one division"):
        open_shards([out["1/3"], divided.out])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("transcripts.jsonl", lambda lines: lines[:-1], "a file ends before"),
        ("pairs.jsonl", lambda lines: [*lines, lines[0]], "a file goes on"),
    ],
)
def test_a_damaged_part_is_found(made: dict[str, Run], tmp_path: Path, name: str, change: Any, message: str) -> None:
    path = next(run.out / name for part, run in made.items() if part != "whole" and (run.out / name).stat().st_size)
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))
    runs = open_shards([run.out for part, run in made.items() if part != "whole"])
    with pytest.raises(RunFolderError, match=message):
        merge_outputs(runs, tmp_path / "merged")
    assert not (tmp_path / "merged" / "pairs.jsonl").exists()


def test_a_query_in_two_parts_is_found(made: dict[str, Run], tmp_path: Path) -> None:
    runs = open_shards([run.out for part, run in made.items() if part != "whole"])
    with pytest.raises(RunFolderError, match="in two shards"):
        merge_outputs([runs[0], runs[0]], tmp_path / "merged")


def test_no_more_than_a_parcel_of_each_part_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def parcels(folder: Path) -> Iterator[tuple[int, tuple[list[bytes], ...]]]:
        for position in range(int(folder.name), 100, 2):
            read.append(position)
            yield position, ([b"%d\n" % position], [], [])

    class Folder:
        def __init__(self, out: Path) -> None:
            self.out = out

    monkeypatch.setattr("inkfire.runs.shards._parcels", parcels)
    merge_outputs([Folder(tmp_path / "0"), Folder(tmp_path / "1")], tmp_path)  # type: ignore[list-item]
    assert (tmp_path / "outcomes.jsonl").read_text().split() == [str(i) for i in range(100)]
    assert read == sorted(read)


def test_given_candidates_keep_the_writers_of_the_whole() -> None:
    candidates = [Candidate(f"q{i}", f"text {i}", "ab"[i % 2]) for i in range(12)]
    for index in (1, 2):
        writers, queries = GivenWriter.of(candidates, Shard(index, 2).owns)
        assert [writer.name for writer in writers] == ["a", "b"]
        assert 0 < len(queries) < 12
