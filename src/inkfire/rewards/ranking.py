"""Rewards that look at the group: its texts beside each other, where scores of one text at a time are all alike.

    rank         one call orders the whole group
    tournament   pairs of the group, each in both orders: wins less losses
    reference    each text against one that is given for its query, in both orders: 1, 0 or -1

Scores lie in [-1, 1] and are centred in the group: they say nothing of one group beside another. Texts that are equal
are asked about once. What could not be told is missing, and so is a group with fewer than two texts that have a score.
A text that is suspected of telling the judge what to answer loses, or is missing, by rule of the task.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from inkfire.errors import InputError
from inkfire.files.formats import read_texts
from inkfire.judge.base import Closes, Compares, Ranks, at_once, compare_many, rank_many
from inkfire.judge.ranking import LETTERS, positions
from inkfire.judge.spec import JudgeSpec
from inkfire.llm import loop
from inkfire.llm.ledger import Ledger
from inkfire.records import Comparison, Identity, Preference, Ranking
from inkfire.rewards import group
from inkfire.rewards.base import PAIRS_PER_TEXT, Among
from inkfire.rewards.judge import identity_of, judge_behind

Sets = Sequence[tuple[str, Sequence[str]]]
"""(query, its different texts) of each group."""


class Way(Protocol):
    """How the texts of groups are put beside each other."""

    def scores(self, sets: Sets, unscored: Counter[str]) -> list[list[float | None]]:
        """Those of each group in [-1, 1]; why one is missing is counted in ``unscored``."""
        ...


@dataclass(frozen=True)
class GroupReward:
    """Scores each text beside the others of its group; see the module. ``others`` are what is open for it."""

    name: str
    way: Way
    identities: tuple[Identity, ...] = (Identity("judge", "not saved"),)
    others: tuple[Closes, ...] = ()
    unscored: Counter[str] = field(default_factory=Counter, compare=False)
    threshold = None

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        groups = group.members([query for query, _ in zip(queries, responses, strict=True)])
        sets = [(queries[rows[0]], list(dict.fromkeys(responses[i] for i in rows))) for rows in groups]
        out: list[float | None] = [None] * len(responses)
        for rows, (_, texts), found in zip(groups, sets, self.way.scores(sets, self.unscored), strict=True):
            of = dict(zip(texts, found, strict=True))
            for i, value in zip(rows, group.centred([of[responses[i]] for i in rows]), strict=True):
                out[i] = value
        return out

    def close(self) -> None:
        for one in self.others:
            loop.run(one.close())


@dataclass(frozen=True)
class Rank:
    """One call a group: of n places the best is worth almost 1 and the last almost -1. A group of more texts than
    there are letters is ranked in parts."""

    judge: Ranks
    concurrency: int = 4

    def scores(self, sets: Sets, unscored: Counter[str]) -> list[list[float | None]]:
        parts = [(number, part) for number, (_, texts) in enumerate(sets) for part in _parts(texts)]
        asked = [(sets[number][0], part, False) for number, part in parts if len(part) > 1]
        said = iter(loop.run(rank_many(self.judge, asked, concurrency=self.concurrency)))
        out: list[list[float | None]] = [[] for _ in sets]
        for number, part in parts:
            ranking = next(said) if len(part) > 1 else Ranking((0,))
            if ranking.order is None:
                unscored[ranking.unscored or "the judge gave no order"] += len(part)
            out[number] += _of_places(ranking, len(part))
        return out


def _parts(texts: Sequence[str]) -> list[Sequence[str]]:
    count = -(-len(texts) // len(LETTERS))
    return [texts[i::count] for i in range(count)] if count > 1 else [texts]


def _of_places(ranking: Ranking, n: int) -> list[float | None]:
    if ranking.order is None:
        return [None] * n
    places = positions(ranking)
    ranks = group.ranked([-places[i] if i in places else None for i in range(n)])
    return [None if rank is None else 2 * rank - 1 for rank in ranks]


@dataclass(frozen=True)
class Tournament:
    """Each text against ``pairs_per_text`` others of its group (one fewer for some where their number is odd), each in
    both orders: its wins less its losses, over those of its pairs that were told; a tie is neither."""

    judge: Compares
    concurrency: int = 4
    pairs_per_text: int = PAIRS_PER_TEXT
    seed: int = 0

    def scores(self, sets: Sets, unscored: Counter[str]) -> list[list[float | None]]:
        drawn = [pairings(len(texts), self.pairs_per_text, f"{self.seed} {query}") for query, texts in sets]
        pairs = [Preference(q, texts[a], texts[b]) for (q, texts), of in zip(sets, drawn, strict=True) for a, b in of]
        said = iter(loop.run(compare_many(self.judge, pairs, concurrency=self.concurrency)))
        out: list[list[float | None]] = []
        for (_, texts), of in zip(sets, drawn, strict=True):
            won: list[list[float]] = [[] for _ in texts]
            for a, b in of:
                value = _won(next(said), unscored)
                if value is not None:
                    won[a].append(value)
                    won[b].append(-value)
            if len(texts) == 1:  # all texts of the group are this one
                won[0].append(0.0)
            out.append([sum(values) / len(values) if values else None for values in won])
        return out


def pairings(n: int, each: int, seed: str) -> list[tuple[int, int]]:
    """Pairs of ``n`` in which each meets ``each`` others, or all of them: the rounds of a schedule (the circle method).

    >>> sorted(map(sorted, pairings(4, 3, "0")))
    [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    """
    players: list[int] = random.Random(seed).sample(range(n), n) + [-1] * (n % 2)
    half = len(players) // 2
    out = []
    for _ in range(min(each, len(players) - 1)):
        out += [(a, b) for a, b in zip(players[:half], players[: half - 1 : -1], strict=True) if -1 not in (a, b)]
        players = [players[0], players[-1], *players[1:-1]]
    return out


@dataclass(frozen=True)
class Against:
    """Each text against its query's ``references``, in both orders. A query without one has no score."""

    judge: Compares
    references: Mapping[str, str]
    concurrency: int = 4

    def scores(self, sets: Sets, unscored: Counter[str]) -> list[list[float | None]]:
        known = [(query, texts) for query, texts in sets if query in self.references]
        pairs = [Preference(query, text, self.references[query]) for query, texts in known for text in texts]
        said = iter(loop.run(compare_many(self.judge, pairs, concurrency=self.concurrency)))
        out: list[list[float | None]] = []
        for query, texts in sets:
            if query in self.references:
                out.append([_won(next(said), unscored) for _ in texts])
            else:
                unscored["there is no text to compare with for its query"] += len(texts)
                out.append([None] * len(texts))
        return out


def _won(said: Comparison, unscored: Counter[str]) -> float | None:
    if said.winner is None:
        unscored[said.unscored or "the judge gave no answer"] += 1
        return None
    return {"a": 1.0, "tie": 0.0, "b": -1.0}[said.winner]


def load_group_reward(
    kind: str, judge: str, *, ledger: Ledger | None, base_url: str | None, force: bool, among: Among
) -> GroupReward:
    """The reward ``kind:judge``. Close it.

    Raises:
        InputError, RefusedReward: as :func:`~inkfire.rewards.judge.judge_behind`; or nothing to compare with.
    """
    spec = judge_behind(kind, judge, force=force, task=among.task)
    references = _references(kind, judge, among.references) if kind == "reference" else {}
    at = at_once(spec.model, spec.mode)
    way: Way
    if kind == "rank":
        ranks, held = spec.open_as(JudgeSpec.ranks, ledger=ledger, base_url=base_url)
        way = Rank(ranks, at)
    else:
        compares, held = spec.open_as(JudgeSpec.compares, ledger=ledger, base_url=base_url)
        way = (
            Against(compares, references, at)
            if references
            else Tournament(compares, at, among.pairs_per_text, among.seed)
        )
    return GroupReward(f"{kind}:{spec.model}", way, (identity_of(kind, judge),), tuple(held))


def _references(kind: str, judge: str, path: Path | None) -> dict[str, str]:
    if path is None:
        raise InputError(
            f"{kind}:{judge} compares each text with one of its query: --reference F; inkfire write --policy P "
            "--prompts Q --out DIR writes those of a policy"
        )
    found: dict[str, str] = {}
    for text in read_texts((path,)):
        found.setdefault(text.query, text.response)
    return found
