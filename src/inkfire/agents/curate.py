"""Rejection sampling: queries → candidates → debates → preference pairs, streamed.

For each query several writers write candidates, near-duplicates are dropped, each candidate is debated the moment it
is there, and a named policy makes pairs of those judged 1 and 0. A query without a pair is tried again with fresh
candidates, up to ``rounds`` times. Many queries are in flight at once and their results are written in input order,
so memory stays flat and the same replies give the same bytes. Everything asked of a model is in the ledger: a run
that was killed, run again, repeats no call that was answered.

    result = await curate(
        task, iter_queries("prompts.txt"), [ModelWriter(task, llm)], Debate(task, llm),
        pairs_path=run.path("pairs.jsonl"), transcripts_path=run.path("transcripts.jsonl"),
    )
    result["pairs"], result["no_pair"]       # 41, {"all_bad": 12, "lengths_apart": 7}
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from inkfire.agents.debate import Debate, Transcript
from inkfire.agents.pairs import MAX_LENGTH_RATIO, PairPolicy, choose_pairs
from inkfire.agents.retrieve import near_duplicate
from inkfire.agents.writers import Writer
from inkfire.datafiles import pair_row
from inkfire.llm.batch import Waiting
from inkfire.llm.stream import ordered
from inkfire.records import Preference, Query
from inkfire.statistics import wilson
from inkfire.tasks.task import Task
from inkfire.workspace import JsonlWriter

_SEEDS_PER_ROUND = 1_000_003  # rounds draw from seeds far apart, so that no draw repeats within a query


class Advances(Protocol):
    """The part of a progress bar that is used here."""

    def advance(self, n: int = 1, failed: int = 0) -> None: ...


@dataclass(slots=True)
class Sampled:
    """What became of one query."""

    query: Query
    transcripts: list[Transcript] = field(default_factory=list)
    pairs: list[tuple[Transcript, Transcript]] = field(default_factory=list)
    no_pair: str | None = None
    rounds: int = 0
    not_written: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class RejectionSampler:
    """Candidates of one query until they make a pair or ``rounds`` are over."""

    writers: Sequence[Writer]
    debate: Debate
    candidates: int
    policy: PairPolicy
    max_length_ratio: float
    rounds: int
    seed: int

    async def sample(self, query: Query) -> Sampled:
        out = Sampled(query)
        while not out.pairs and out.rounds < self.rounds:
            await self._round(out)
            chosen = choose_pairs(out.transcripts, self.policy, max_length_ratio=self.max_length_ratio)
            out.pairs, out.no_pair = ([], chosen) if isinstance(chosen, str) else (chosen, None)
        return out

    async def _round(self, out: Sampled) -> None:
        """One round: all writers at once, each new text into its debate, results in the writers' order."""
        seed = self.seed + out.rounds * _SEEDS_PER_ROUND
        out.rounds += 1
        query = out.query.query
        shares = _shares(self.candidates, len(self.writers))
        writing = [
            asyncio.ensure_future(writer.write(query, n, seed)) for writer, n in zip(self.writers, shares, strict=True)
        ]
        debating: list[asyncio.Task[Transcript]] = []
        texts = [transcript.candidate.response for transcript in out.transcripts]
        try:
            for writer, n, written in zip(self.writers, shares, writing, strict=True):
                fresh = await written
                out.not_written += max(0, n - len(fresh))
                for text in fresh:
                    if any(text == other or near_duplicate(text, other) for other in texts):
                        out.duplicates += 1
                        continue
                    texts.append(text)
                    debating.append(asyncio.ensure_future(self.debate.run(query, text, writer.name)))
            await asyncio.wait(debating) if debating else None
        except asyncio.CancelledError:
            for work in (*writing, *debating):
                work.cancel()
            raise
        finally:  # what was sent is paid for: let it end and reach the ledger, even when another call ended the run
            await asyncio.gather(*writing, *debating, return_exceptions=True)
        out.transcripts += [debated.result() for debated in debating]


async def curate(
    task: Task,
    queries: Iterable[Query],
    writers: Sequence[Writer],
    debate: Debate,
    *,
    pairs_path: Path,
    transcripts_path: Path,
    candidates_per_query: int = 4,
    pair_policy: PairPolicy = "length-matched",
    max_length_ratio: float = MAX_LENGTH_RATIO,
    rounds: int = 1,
    seed: int = 0,
    limit: int = 32,
    progress: Advances | None = None,
) -> dict[str, Any]:
    """Write pairs.jsonl and transcripts.jsonl for ``queries`` and say what came of them.

    Args:
        queries: read lazily; one that repeats is curated once.
        candidates_per_query: candidates a round, shared out among the writers.
        max_length_ratio: bound of the ``length-matched`` policy.
        rounds: how often at most a query is given fresh candidates.
        limit: queries in flight at once. Each has up to ``candidates_per_query`` debates in flight.

    Returns:
        Counts and shares: ``queries``, ``repeated_queries``, ``candidates``, ``labelled``, ``unscored``, ``good``,
        ``reflect_flips``, ``flips_to_good``, ``not_written``, ``duplicates``, ``pairs``, ``queries_with_pair``,
        ``pair_share`` with its Wilson interval, ``no_pair`` (reason → queries), ``unscored_by`` (agents → texts),
        ``longer_wins`` (share of pairs whose chosen text is longer) with its interval.

    Raises:
        BudgetExceeded, EndpointDown: the run stops; the same call resumes it from the ledger.
        Waiting: replies of so many queries are still to come by batch; the files are not complete.
    """
    sampler = RejectionSampler(
        writers, debate, candidates_per_query, pair_policy, max_length_ratio, rounds=rounds, seed=seed
    )
    count: Counter[str] = Counter()
    no_pair: Counter[str] = Counter()
    unscored_by: Counter[str] = Counter()

    async def sample(query: Query) -> Sampled | None:
        try:
            return await sampler.sample(query)
        except Waiting:
            return None

    with JsonlWriter(pairs_path) as pairs, JsonlWriter(transcripts_path) as transcripts:
        async for sampled in ordered(sample, distinct(queries, count), limit=limit):
            if sampled is None:
                count["waiting"] += 1
                continue
            for transcript in sampled.transcripts:
                transcripts.write(transcript.to_json())
            for chosen, rejected in sampled.pairs:
                pairs.write(_pair_row(task, chosen, rejected, pair_policy))
                count["longer_wins"] += len(chosen.candidate.response) > len(rejected.candidate.response)
            _tally(sampled, count, no_pair, unscored_by)
            if progress is not None:
                progress.advance(1, failed=sum(not t.verdict.scored for t in sampled.transcripts))
        if count["waiting"]:
            raise Waiting(count["waiting"])
    return _summary(count, no_pair, unscored_by)


def distinct(queries: Iterable[Query], count: Counter[str]) -> Iterator[Query]:
    """Each query once. 64 bits of its hash are kept: about 70 bytes a query."""
    seen: set[int] = set()
    for query in queries:
        key = int(query.id, 16)
        if key in seen:
            count["repeated_queries"] += 1
        else:
            seen.add(key)
            yield query


def _shares(total: int, parts: int) -> list[int]:
    """``total`` candidates shared out as evenly as can be, the first writers first."""
    return [total // parts + (i < total % parts) for i in range(parts)]


def _pair_row(task: Task, chosen: Transcript, rejected: Transcript, policy: PairPolicy) -> dict[str, Any]:
    query = chosen.candidate.query
    pair = Preference(
        query=query,
        chosen=chosen.candidate.response,
        rejected=rejected.candidate.response,
        provenance={
            "policy": policy,
            "chosen_id": chosen.id,
            "rejected_id": rejected.id,
            "chosen_source": chosen.candidate.source,
            "rejected_source": rejected.candidate.source,
        },
    )
    return pair_row(pair, task.messages(query))


def _tally(sampled: Sampled, count: Counter[str], no_pair: Counter[str], unscored_by: Counter[str]) -> None:
    count["queries"] += 1
    count["pairs"] += len(sampled.pairs)
    count["queries_with_pair"] += bool(sampled.pairs)
    count["not_written"] += sampled.not_written
    count["duplicates"] += sampled.duplicates
    if sampled.no_pair is not None:
        no_pair[sampled.no_pair] += 1
    for transcript in sampled.transcripts:
        verdict = transcript.verdict
        count["candidates"] += 1
        count["labelled"] += verdict.scored
        count["good"] += verdict.label == 1
        count["reflect_flips"] += transcript.flipped
        count["flips_to_good"] += transcript.flipped and verdict.label == 1
        if verdict.unscored is not None:
            unscored_by[verdict.unscored.partition(":")[0]] += 1


def _summary(count: Counter[str], no_pair: Counter[str], unscored_by: Counter[str]) -> dict[str, Any]:
    queries, pairs = count["queries"], count["pairs"]
    return {
        "queries": queries,
        "repeated_queries": count["repeated_queries"],
        "candidates": count["candidates"],
        "not_written": count["not_written"],
        "duplicates": count["duplicates"],
        "labelled": count["labelled"],
        "unscored": count["candidates"] - count["labelled"],
        "unscored_by": dict(sorted(unscored_by.items())),
        "good": count["good"],
        "reflect_flips": count["reflect_flips"],
        "flips_to_good": count["flips_to_good"],
        "pairs": pairs,
        "queries_with_pair": count["queries_with_pair"],
        "pair_share": count["queries_with_pair"] / queries if queries else None,
        "pair_share_ci": list(wilson(count["queries_with_pair"], queries)) if queries else None,
        "no_pair": dict(sorted(no_pair.items())),
        "longer_wins": count["longer_wins"] / pairs if pairs else None,
        "longer_wins_ci": list(wilson(count["longer_wins"], pairs)) if pairs else None,
    }
