"""Rejection sampling end to end on scripted models."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from inkfire.debate.debate import Debate
from inkfire.debate.sampler import RejectionSampler
from inkfire.debate.writers import GivenWriter, ModelWriter
from inkfire.errors import BudgetExceeded, ModelCallError
from inkfire.files.formats import read_pairs
from inkfire.files.jsonl import read_jsonl
from inkfire.records import Candidate, Query
from inkfire.runs.curate import write_pairs
from inkfire.tasks.task import Task

QUERIES = [Query.of(f"a wish for {occasion}") for occasion in ("Easter", "a wedding", "an exam")]


def good_if_odd(item: str) -> int:
    """Texts begin with their number: the odd ones are good."""
    return int(item.split('"')[3][0]) % 2 if '"' in item else 0


async def run(task: Task, folder: Path, llm: Any, queries: Any = None, writers: Any = None, **options: Any) -> Any:
    queries = QUERIES if queries is None else queries
    if writers is None:
        writers = [ModelWriter(task, llm), ModelWriter(task, llm, variant="writer_alt")]
    how = {name: options.pop(name) for name in ("limit", "bar") if name in options}
    return await write_pairs(queries, RejectionSampler(writers, Debate(task, llm), **options), folder, **how)


def given(*texts: str) -> tuple[list[GivenWriter], list[Query]]:
    return GivenWriter.of([Candidate(QUERIES[0].query, text, "given") for text in texts])


async def test_candidates_become_pairs(task: Task, panel: Any, tmp_path: Path) -> None:
    writers, queries = given("1 may the bells find you", "2 all the very best now", "3 chocolate before breakfast")
    result = await run(task, tmp_path, panel(judge=good_if_odd), queries, writers, candidates=1)
    assert (result["queries"], result["candidates"], result["labelled"], result["unscored"]) == (1, 3, 3, 0)
    assert (result["pairs"], result["good"], result["pair_share"], result["no_pair"]) == (1, 2, 1.0, {})
    (pair,) = read_pairs(tmp_path / "pairs.jsonl")
    assert (pair.query, pair.chosen, pair.rejected) == (
        QUERIES[0].query,
        "1 may the bells find you",
        "2 all the very best now",
    )
    (row,) = read_jsonl(tmp_path / "pairs.jsonl")
    assert row["prompt"] == task.messages(QUERIES[0].query)
    transcripts = list(read_jsonl(tmp_path / "transcripts.jsonl"))
    assert row["provenance"]["chosen_id"] == transcripts[0]["id"]
    assert [t["label"] for t in transcripts] == [1, 0, 1]
    assert transcripts[0]["positive"] == {"positive point": "it says so"}


async def test_writers_share_the_candidates(task: Task, panel: Any, tmp_path: Path) -> None:
    llm = panel(write=lambda query, n: f"{n} {'abcdefghijkl'[n] * 9} {query}")
    result = await run(task, tmp_path, llm, candidates=3)
    assert [llm.asked.count(writer) for writer in ("writer", "writer_alt")] == [6, 3]
    assert result["candidates"] == 9


async def test_near_duplicates_are_debated_once(task: Task, panel: Any, tmp_path: Path) -> None:
    writers, queries = given("1 May the bells ring", "1 may the bells ring!", "2 something else entirely")
    llm = panel(judge=good_if_odd)
    result = await run(task, tmp_path, llm, queries, writers)
    assert (result["duplicates"], result["candidates"]) == (1, 2)
    assert llm.asked.count("judge") == 2


async def test_rounds_go_on_until_there_is_a_pair(task: Task, panel: Any, tmp_path: Path) -> None:
    texts = ["1 alpha beta gamma", "3 delta epsilon z", "4 eta theta iota k", "5 lambda mu nu xi"]
    llm = panel(judge=good_if_odd, write=lambda query, n: texts[n - 1])
    result = await run(task, tmp_path, llm, QUERIES[:1], candidates=2, rounds=5)
    assert (result["pairs"], result["candidates"]) == (1, 4)
    seeds = [call.sampling.seed for call in llm.calls if llm.agent(call.messages).startswith("writer")]
    assert len(set(seeds)) == 2
    assert seeds[0] == seeds[1]  # two prompts, so equal seeds are different draws


async def test_rounds_are_bounded_and_the_reason_is_told(task: Task, panel: Any, tmp_path: Path) -> None:
    llm = panel(judge=lambda item: 0, write=lambda query, n: f"{random.Random(n).random()} {n}")
    result = await run(task, tmp_path, llm, QUERIES[:2], candidates=2, rounds=3)
    assert (result["pairs"], result["pair_share"], result["no_pair"]) == (0, 0.0, {"all_bad": 2})
    assert result["candidates"] == 12
    assert result["longer_wins"] is None


async def test_failures_are_counted_with_their_agent(task: Task, panel: Any, tmp_path: Path) -> None:
    llm = panel(failing={"judge": ModelCallError("refused"), "writer_alt": ""})
    result = await run(task, tmp_path, llm, candidates=2)
    assert (result["unscored"], result["unscored_by"], result["not_written"]) == (3, {"judge": 3}, 3)
    assert result["no_pair"] == {"all_unscored": 3}


async def test_flips_are_counted_both_ways(task: Task, panel: Any, tmp_path: Path) -> None:
    writers, queries = given("1 may the bells find you", "2 all the very best now")
    llm = panel(judge=lambda item: 0, reflect=good_if_odd)
    result = await run(task, tmp_path, llm, queries, writers)
    assert (result["reflect_flips"], result["flips_to_good"], result["pairs"]) == (1, 1, 1)


async def test_a_repeated_query_is_curated_once(task: Task, panel: Any, tmp_path: Path) -> None:
    result = await run(task, tmp_path, panel(), [*QUERIES, QUERIES[0], QUERIES[0]], candidates=2)
    assert (result["queries"], result["repeated_queries"]) == (3, 2)


async def test_no_queries_is_an_empty_result(task: Task, panel: Any, tmp_path: Path) -> None:
    result = await run(task, tmp_path, panel(), [])
    assert (result["queries"], result["pair_share"]) == (0, None)
    assert (tmp_path / "pairs.jsonl").read_text() == ""


async def test_order_and_bytes_do_not_depend_on_timing(task: Task, panel: Any, tmp_path: Path) -> None:
    class Jittery:
        name = "panel"

        def __init__(self, seed: int) -> None:
            self.rng = random.Random(seed)
            self.inner = panel(judge=good_if_odd)

        async def chat(self, messages: Any, **options: Any) -> Any:
            await asyncio.sleep(self.rng.random() * 0.005)
            if self.inner.agent(messages).startswith("writer"):
                sample = options["sampling"].sample + 2 * messages[0]["content"].count("unusual")
                return await panel(write=lambda query, n: f"{sample} {'abcd'[sample] * 12} {query}").chat(messages)
            return await self.inner.chat(messages, **options)

        async def close(self) -> None: ...

    outputs = set()
    for seed in range(3):
        await run(task, tmp_path / str(seed), Jittery(seed), candidates=4, limit=2)
        outputs.add(
            (tmp_path / str(seed) / "pairs.jsonl").read_bytes()
            + (tmp_path / str(seed) / "transcripts.jsonl").read_bytes()
        )
    assert len(outputs) == 1
    queries = [row["query"] for row in read_jsonl(tmp_path / "0" / "transcripts.jsonl")]
    assert queries == [query.query for query in QUERIES for _ in range(4)]


async def test_the_spend_limit_stops_it_and_leaves_no_half_result(task: Task, panel: Any, tmp_path: Path) -> None:
    llm = panel(failing={"reflect": BudgetExceeded("spent")})
    with pytest.raises(BudgetExceeded):
        await run(task, tmp_path, llm, candidates=2)
    assert not (tmp_path / "pairs.jsonl").exists()


async def test_queries_are_read_as_they_are_needed(task: Task, panel: Any, tmp_path: Path) -> None:
    read = 0
    ahead = []

    def many() -> Any:
        nonlocal read
        for i in range(60):
            read += 1
            yield Query.of(f"wish {i}")

    class Bar:
        done = 0

        def advance(self, n: int = 1, failed: int = 0) -> None:
            self.done += n
            ahead.append(read - self.done)

    result = await run(task, tmp_path, panel(), many(), candidates=1, limit=1, bar=Bar())
    assert result["queries"] == 60
    assert max(ahead) <= 20


async def test_transcripts_are_json_without_times(task: Task, panel: Any, tmp_path: Path) -> None:
    await run(task, tmp_path, panel(judge=good_if_odd), candidates=2)
    for line in (tmp_path / "transcripts.jsonl").read_text().splitlines():
        assert list(json.loads(line)) == [
            "id", "query", "response", "source", "label", "probability", "unscored", "flipped",
            "examples", "positive", "negative", "judge", "reflect", "models",
        ]  # fmt: skip
