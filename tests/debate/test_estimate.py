"""What a sample says about the whole run, and that it says no more than it knows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stub_endpoint import Body, Stub, default_reply

from inkfire.cli import tables
from inkfire.debate.debate import Debate
from inkfire.debate.sampler import RejectionSampler
from inkfire.debate.writers import ModelWriter
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Price
from inkfire.llm.watch import watch
from inkfire.records import Query
from inkfire.report import findings
from inkfire.runs.curate import write_pairs
from inkfire.runs.estimate import Capacity, draw, estimate, project
from inkfire.tasks.task import Task


def said(result: dict[str, Any]) -> str:
    """What a person is told: sentences, warnings and table."""
    finding = findings.estimate(result)
    cells = [cell for table in tables.estimate(result) for row in table.rows for cell in row]
    return "\n".join([*finding.said, *finding.warnings, *cells])


QUERIES = [Query.of(f"a wish for occasion {i}") for i in range(40)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite", prices={"stub": Price(1.0, 4.0)}) as ledger:
        yield ledger


def sampler(task: Task, llm: Any, rounds: int = 2) -> RejectionSampler:
    return RejectionSampler([ModelWriter(task, llm)], Debate(task, llm), 3, "all", 1.25, rounds, seed=0)


def spent(ledger: Ledger) -> tuple[int, int, float]:
    stats = ledger.stats()
    return stats["calls"] - stats["cached"], stats["tokens"], stats["cost"]


async def test_a_sample_of_everything_is_exact_and_the_run_pays_nothing_again(
    task: Task, ledger: Ledger, tmp_path: Path
) -> None:
    async with Stub() as stub, Client("stub", base_url=stub.url, ledger=ledger) as llm:
        result = await estimate(QUERIES[:6], sampler(task, llm), capacity={"stub": Capacity(16)}, sample=8)
        calls, tokens, cost = spent(ledger)
        assert (result["n"], result["queries"], result["unpriced"]) == (6, 6, [])
        assert (result["estimate_calls"], result["estimate_calls_ci"]) == (calls, [calls, calls])
        assert result["estimate_prompt_tokens"] + result["estimate_completion_tokens"] == tokens
        assert result["estimate_cost"] == pytest.approx(cost)
        text = said(result | {key: ledger.stats()[key] for key in ("calls", "cached", "tokens", "cost", "currency")})
        assert re.search(r"[\d.,]+ USD", text)
        asked = len(stub.log)
        made = await write_pairs(QUERIES[:6], sampler(task, llm), tmp_path)
        assert len(stub.log) == asked
        assert result["estimate_pair_share"] == made["pair_share"]
        assert result["estimate_pair_share_ci"] == made["pair_share_ci"]


async def test_the_whole_run_is_within_the_range_of_its_sample(task: Task, ledger: Ledger) -> None:
    async with Stub() as stub, Client("stub", base_url=stub.url, ledger=ledger) as llm:
        result = await estimate(QUERIES, sampler(task, llm), capacity={"stub": Capacity(4)}, sample=8, seed=1)
        assert (result["n"], result["queries"]) == (8, 40)
        sampled = spent(ledger)
        whole = await estimate(QUERIES, sampler(task, llm), capacity={"stub": Capacity(4)}, sample=40)
        assert spent(ledger)[0] > 4 * sampled[0]
        for name in ("calls", "prompt_tokens", "completion_tokens", "cost"):
            low, high = result[f"estimate_{name}_ci"]
            assert low <= whole[f"estimate_{name}"] <= high
            assert low < result[f"estimate_{name}"] < high


async def test_replies_that_had_to_be_asked_again_count(task: Task, ledger: Ledger) -> None:
    def reply(body: Body) -> str:  # the judge is understood only the second time
        judging = body["messages"][0]["content"] == "Judge."
        return "no idea" if judging and len(body["messages"]) == 2 else default_reply(body)

    async with Stub(reply=reply) as stub, Client("stub", base_url=stub.url, ledger=ledger) as llm:
        result = await estimate(QUERIES[:2], sampler(task, llm, rounds=1), capacity={"stub": Capacity(16)})
        assert result["estimate_calls"] == len(stub.log) == 2 * 3 * 6


async def test_without_a_price_money_is_unknown(task: Task, tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with Stub() as stub, Client("stub", base_url=stub.url, ledger=ledger) as llm:
            result = await estimate(QUERIES, sampler(task, llm), capacity={"stub": Capacity(16)}, sample=1)
    assert (result["estimate_cost"], result["estimate_cost_ci"], result["unpriced"]) == (None, None, ["stub"])
    assert result["estimate_calls"] > 0
    assert result["estimate_calls_ci"] is None  # one query says nothing about how queries differ
    text = said(result | {"calls": 5, "cached": 0, "tokens": 9, "cost": None, "currency": "USD", "unpriced": ["stub"]})
    assert "an unknown cost" in text
    assert "unknown: no price of stub" in text
    assert "needs two queries" in text
    assert "None" not in text


async def test_time_is_that_of_the_narrowest_limit(task: Task, ledger: Ledger) -> None:
    async with Stub(latency=0.02) as stub, Client("stub", base_url=stub.url, ledger=ledger) as llm:
        work = sampler(task, llm)
        wide = await estimate(QUERIES[:4], work, capacity={"stub": Capacity(4)})
        narrow = await estimate(QUERIES[:4], work, capacity={"stub": Capacity(1)})
        slow = await estimate(QUERIES[:4], work, capacity={"stub": Capacity(4, rpm=10)})
        tokens = await estimate(QUERIES[:4], work, capacity={"stub": Capacity(4, rpm=10, tpm=60)})
    assert wide["estimate_seconds"] >= wide["estimate_calls"] * 0.02 / 4 * 0.9
    assert narrow["estimate_seconds"] == pytest.approx(4 * wide["estimate_seconds"], abs=0.5)
    assert slow["estimate_seconds"] == pytest.approx(6 * slow["estimate_calls"])
    assert tokens["estimate_seconds"] == tokens["estimate_prompt_tokens"] + tokens["estimate_completion_tokens"]


@pytest.mark.parametrize(("chance", "most"), [(0.0, 1), (0.03, 2), (0.1, 2), (0.3, 2), (0.5, 3), (0.9, 4)])
def test_the_range_covers_the_total_as_often_as_it_says(chance: float, most: int) -> None:
    random = np.random.default_rng(1)
    covered = 0
    for seed in range(400):
        tries = random.random((150, most)) >= chance
        paired = tries.any(axis=1)
        rounds = np.where(paired, tries.argmax(axis=1) + 1, most)
        took = rounds * random.gamma(16.0, 1.25, 150)  # 20 calls a round, more or less
        ends = project(took[:8], rounds[:8], paired[:8], total=150, most=most, seed=seed)
        assert ends is not None
        assert took[:8].sum() <= ends[0] <= ends[1]
        covered += ends[0] <= took.sum() <= ends[1]
    assert covered >= 0.92 * 400


def test_what_was_not_seen_may_still_come() -> None:
    ends = project([20.0] * 8, [1] * 8, [True] * 8, total=1000, most=2)
    assert ends is not None
    assert 20_000 <= ends[0] < 20_500
    assert 24_000 < ends[1] < 28_000  # one round in ten may fail, though none of eight did
    assert project([20.0] * 8, [1] * 8, [True] * 8, total=1000, most=1) == pytest.approx((20_000, 20_000))
    assert project([20.0, 21.0], [1, 1], [True, True], total=2, most=5) == (41.0, 41.0)
    assert project([20.0], [1], [True], total=2, most=5) is None


def test_queries_are_drawn_evenly_once_each_and_in_order() -> None:
    drawn = [draw([*QUERIES, *QUERIES[:5]], 8, seed) for seed in range(500)]
    assert {total for _, total in drawn} == {40}
    assert all(len({query.id for query in chosen}) == 8 for chosen, _ in drawn)
    assert all(chosen == sorted(chosen, key=QUERIES.index) for chosen, _ in drawn)
    for query in QUERIES:  # each is drawn 100 ± 9 times
        assert 60 < sum(query in chosen for chosen, _ in drawn) < 140
    assert draw(QUERIES[:3], 8, 0) == (QUERIES[:3], 3)


async def test_each_watcher_sees_the_replies_of_its_own_tasks(ledger: Ledger) -> None:
    async def ask(texts: str) -> int:
        with watch() as seen:
            await asyncio.gather(*(llm.chat([{"role": "user", "content": text}]) for text in texts))
        return len(seen)

    async with Stub(latency=0.01) as stub, Client("stub", base_url=stub.url, ledger=ledger) as llm:
        assert await asyncio.gather(ask("ab"), ask("cdefg")) == [2, 5]
        assert await ask("abch") == 4  # recalled ones too
        await llm.chat([{"role": "user", "content": "nobody watches"}])
