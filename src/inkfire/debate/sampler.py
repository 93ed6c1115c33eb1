"""Rejection sampling: a query → candidates → debates → preference pairs.

Several writers write candidates, near-duplicates are dropped, each candidate is debated the moment it is there, and a
named policy makes pairs of those judged 1 and 0. A query without a pair is tried again with fresh candidates, up to
``rounds`` times.

    sampler = RejectionSampler([ModelWriter(task, llm)], Debate(task, llm))
    (await sampler.sample((0, Query.of("a wish for my aunt")))).pairs
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from inkfire.debate.debate import Debate, Transcript
from inkfire.debate.pairs import MAX_LENGTH_RATIO, PairPolicy, choose_pairs
from inkfire.debate.writers import GivenWriter, Writer
from inkfire.files.formats import pair_row
from inkfire.records import Preference, Query
from inkfire.search import near_duplicate
from inkfire.stats.intervals import wilson

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
    """Candidates of one query until they make a pair or ``rounds`` are over.

    ``candidates`` a round are shared out among the writers that are models; texts that are given come besides.
    ``max_length_ratio`` bounds the pairs of the ``length-matched`` policy.
    """

    writers: Sequence[Writer]
    debate: Debate
    candidates: int = 4
    policy: PairPolicy = "length-matched"
    max_length_ratio: float = MAX_LENGTH_RATIO
    rounds: int = 1
    seed: int = 0

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
        shares = self._shares()
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

    def _shares(self) -> list[int]:
        """Candidates of each writer: as even as can be, the first ones first; a given text is one in any case."""
        models = [writer for writer in self.writers if not isinstance(writer, GivenWriter)]
        of_model = {id(writer): len(range(i, self.candidates, len(models))) for i, writer in enumerate(models)}
        return [of_model.get(id(writer), 1) for writer in self.writers]

    def preference_row(self, chosen: Transcript, rejected: Transcript) -> dict[str, Any]:
        """A line of pairs.jsonl."""
        good, bad = chosen.candidate, rejected.candidate
        provenance = {
            "policy": self.policy,
            "chosen_id": chosen.id,
            "rejected_id": rejected.id,
            "chosen_source": good.source,
            "rejected_source": bad.source,
        }
        pair = Preference(good.query, good.response, bad.response, provenance)
        return pair_row(pair, self.debate.task.messages(good.query))


_ADDED = (
    *("queries", "repeated_queries", "candidates", "not_written", "duplicates", "labelled", "good"),
    *("reflect_flips", "flips_to_good", "pairs", "queries_with_pair"),
)


@dataclass(slots=True)
class Tally:
    """What came of many queries."""

    count: Counter[str] = field(default_factory=Counter)
    no_pair: Counter[str] = field(default_factory=Counter)
    unscored_by: Counter[str] = field(default_factory=Counter)

    def add(self, sampled: Sampled) -> None:
        row = sampled.to_json()
        self.count.update({name: row[name] for name in ("candidates", "good", "pairs", "not_written", "duplicates")})
        self.count.update(queries=1, queries_with_pair=bool(sampled.pairs))
        if sampled.no_pair is not None:
            self.no_pair[sampled.no_pair] += 1
        for transcript in sampled.transcripts:
            verdict = transcript.verdict
            self.count["labelled"] += verdict.scored
            self.count["reflect_flips"] += transcript.flipped
            self.count["flips_to_good"] += transcript.flipped and verdict.label == 1
            if verdict.unscored is not None:
                self.unscored_by[verdict.unscored.partition(":")[0]] += 1
        for chosen, rejected in sampled.pairs:
            self.count["longer_wins"] += len(chosen.candidate.response) > len(rejected.candidate.response)

    @classmethod
    def of(cls, results: Iterable[Mapping[str, Any]]) -> Self:
        """The whole from the :meth:`result` of each of its shards."""
        tally = cls()
        for result in results:
            tally.count.update({name: result[name] for name in _ADDED})
            tally.count["longer_wins"] += round((result["longer_wins"] or 0) * result["pairs"])
            tally.no_pair.update(result["no_pair"])
            tally.unscored_by.update(result["unscored_by"])
        return tally

    def result(self) -> dict[str, Any]:
        """The counts of ``_ADDED``, ``unscored`` texts and ``unscored_by`` (agents → texts), ``pair_share`` and
        ``longer_wins`` (share of pairs whose chosen text is longer) with their Wilson intervals, ``no_pair`` (reason →
        queries)."""
        count = self.count
        queries, pairs = count["queries"], count["pairs"]
        return {
            **{name: count[name] for name in _ADDED},
            "unscored": count["candidates"] - count["labelled"],
            "unscored_by": dict(sorted(self.unscored_by.items())),
            "pair_share": count["queries_with_pair"] / queries if queries else None,
            "pair_share_ci": list(wilson(count["queries_with_pair"], queries)) if queries else None,
            "no_pair": dict(sorted(self.no_pair.items())),
            "longer_wins": count["longer_wins"] / pairs if pairs else None,
            "longer_wins_ci": list(wilson(count["longer_wins"], pairs)) if pairs else None,
        }
