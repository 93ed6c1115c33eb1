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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inkfire.debate.debate import Debate, Transcript
from inkfire.debate.pairs import MAX_LENGTH_RATIO, PairPolicy, choose_pairs
from inkfire.debate.shards import Shard
from inkfire.debate.writers import Writer
from inkfire.files.formats import pair_row
from inkfire.files.jsonl import JsonlWriter
from inkfire.files.seen import Seen
from inkfire.llm.batch import Waiting
from inkfire.llm.progress import Bar
from inkfire.llm.stream import ordered
from inkfire.records import Preference, Query
from inkfire.search import near_duplicate
from inkfire.stats.intervals import wilson
from inkfire.tasks.task import Task

_SEEDS_PER_ROUND = 1_000_003  # rounds draw from seeds far apart, so that no draw repeats within a query


@dataclass(slots=True)
class Sampled:
    """What became of one query, the ``position``-th of the input."""

    query: Query
    position: int
    transcripts: list[Transcript] = field(default_factory=list)
    pairs: list[tuple[Transcript, Transcript]] = field(default_factory=list)
    no_pair: str | None = None
    rounds: int = 0
    not_written: int = 0
    duplicates: int = 0

    def to_json(self) -> dict[str, Any]:
        """One line of outcomes.jsonl."""
        return {
            "position": self.position,
            "query": self.query.query,
            "candidates": len(self.transcripts),
            "good": sum(transcript.verdict.label == 1 for transcript in self.transcripts),
            "unscored": sum(not transcript.verdict.scored for transcript in self.transcripts),
            "pairs": len(self.pairs),
            "no_pair": self.no_pair,
            "rounds": self.rounds,
            "not_written": self.not_written,
            "duplicates": self.duplicates,
        }


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

    async def sample(self, item: tuple[int, Query]) -> Sampled:
        out = Sampled(item[1], item[0])
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
    outcomes_path: Path | None = None,
    shard: Shard = Shard(1, 1),
    candidates_per_query: int = 4,
    pair_policy: PairPolicy = "length-matched",
    max_length_ratio: float = MAX_LENGTH_RATIO,
    rounds: int = 1,
    seed: int = 0,
    limit: int = 32,
    progress: Bar | None = None,
) -> dict[str, Any]:
    """Write pairs.jsonl and transcripts.jsonl for ``queries`` and say what came of them.

    Args:
        queries: read lazily; one that repeats is curated once.
        outcomes_path: for a line a query: its candidates and pairs, or why it made none.
        shard: the part of ``queries`` that is curated.
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

    async def sample(item: tuple[int, Query]) -> Sampled | None:
        try:
            return await sampler.sample(item)
        except Waiting:
            return None

    with ExitStack() as stack:
        pairs, transcripts = (stack.enter_context(JsonlWriter(path)) for path in (pairs_path, transcripts_path))
        outcomes = stack.enter_context(JsonlWriter(outcomes_path)) if outcomes_path else None
        async for sampled in ordered(sample, _own(queries, shard, count), limit=limit):
            if sampled is None:
                count["waiting"] += 1
                continue
            if outcomes is not None:
                outcomes.write(sampled.to_json())
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


def _own(queries: Iterable[Query], shard: Shard, count: Counter[str]) -> Iterator[tuple[int, Query]]:
    """The shard's queries, each once, with their places in the input."""
    seen = Seen()
    for position, query in enumerate(queries):
        if shard.owns(query):
            if seen.add(query.number):
                yield position, query
            else:
                count["repeated_queries"] += 1


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


_ADDED = (
    *("queries", "repeated_queries", "candidates", "not_written", "duplicates", "labelled", "good"),
    *("reflect_flips", "flips_to_good", "pairs", "queries_with_pair"),
)


def add_up(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of the whole from those of its shards."""
    count: Counter[str] = Counter()
    no_pair: Counter[str] = Counter()
    unscored_by: Counter[str] = Counter()
    for result in results:
        count.update({name: result[name] for name in _ADDED})
        count["longer_wins"] += round((result["longer_wins"] or 0) * result["pairs"])
        no_pair.update(result["no_pair"])
        unscored_by.update(result["unscored_by"])
    return _summary(count, no_pair, unscored_by)


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
