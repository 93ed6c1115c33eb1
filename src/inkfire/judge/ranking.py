"""Judges that compare: which of two texts answers a query better, asked in both orders; or the order of a whole group.

A judge that prefers a place and not a text makes a tie, which counts as half right. How often that happens is the rate
of order flips. Beside the accuracy stands what length alone gets right. A ranking is measured by the pairs in it: each
group is ranked twice, the second time in the reverse order, so that each pair meets both orders.

    comparison = await PairwiseJudge(task, llm).compare(query, chosen, rejected)
    ranking = await RankingJudge(task, llm).rank(query, texts)
    measure_pairs(pairs, comparisons)["accuracy"]
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from inkfire.judge.answers import REASON, NoAnswer, PromptedJudge, ask, object_schema
from inkfire.records import Comparison, Labelled, Preference, Ranking
from inkfire.stats.twins import like_length, rate

WINNER_SCHEMA = object_schema(reason=REASON, winner={"type": "string", "enum": ["A", "B"]})
_RIGHT = {"a": 1.0, "tie": 0.5, "b": 0.0}

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What the texts of a group are called; a group has no more of them."""


class PairwiseJudge(PromptedJudge):
    """Compares two responses in both orders; a judge that prefers a place and not a text makes a tie."""

    mode = "pairwise"

    async def compare(self, query: str, a: str, b: str) -> Comparison:
        examples = await self.examples.shown(query, a, b)
        try:
            first = await self._ask(query, a, b, examples)
            second = await self._ask(query, b, a, examples)
        except NoAnswer as failure:
            return Comparison(None, unscored=str(failure))
        if first["winner"] == second["winner"]:
            place: Literal[1, 2] = 1 if first["winner"] == "A" else 2
            return Comparison("tie", reason="the other order gave the other answer", place=place)
        return Comparison("a" if first["winner"] == "A" else "b", reason=first["reason"])

    async def _ask(self, query: str, a: str, b: str, examples: list[dict[str, Any]]) -> dict[str, Any]:
        rules = self.rules.texts
        messages = self.task.render(self.mode, query=query, a=a, b=b, principles=rules, examples=examples)
        return await ask(self.llm, messages, WINNER_SCHEMA, seed=self.seed)


class RankingJudge(PromptedJudge):
    """Orders a group in one call."""

    mode = "rank"

    async def rank(self, query: str, responses: Sequence[str], *, turned: bool = False) -> Ranking:
        """The order of at most 26 responses, the best first.

        The letters are dealt by a shuffle that the query, the texts and the seed decide. A reply that does not name
        each of them once is asked for again within the model's bound, and then the ranking is missing.

        Args:
            turned: deal the letters the other way round.
        """
        dealt = sorted(range(len(responses)), key=lambda i: (responses[i], i))
        random.Random(f"{self.seed} {query} {[responses[i] for i in dealt]}").shuffle(dealt)
        shown = tuple(reversed(dealt) if turned else dealt)
        texts = dict(zip(LETTERS, (responses[i] for i in shown), strict=False))
        if len(texts) < len(responses):
            return Ranking(None, shown, unscored=f"{len(responses)} texts are more than there are letters for")
        examples = await self.examples.shown(query, *responses)
        messages = self.task.render(self.mode, query=query, texts=texts, principles=self.rules.texts, examples=examples)
        try:
            said = await ask(
                self.llm, messages, order_schema(list(texts)), max_tokens=24 + 8 * len(texts), seed=self.seed
            )
        except NoAnswer as failure:
            return Ranking(None, shown, unscored=str(failure))
        return Ranking(tuple(shown[LETTERS.index(letter)] for letter in said["order"]), shown)


def order_schema(letters: list[str]) -> dict[str, Any]:
    """The schema of an object whose ``order`` names each of these letters once."""
    n = len(letters)
    items = {"type": "string", "enum": letters}
    return object_schema(order={"type": "array", "items": items, "minItems": n, "maxItems": n, "uniqueItems": True})


def pairs_of(texts: Sequence[Labelled], rankings: tuple[Ranking, Ranking]) -> list[tuple[Preference, Comparison]]:
    """Each good text of a query against each bad one, as a group that was ranked in both orders says it; ``a`` is the
    good one."""
    first, second = rankings
    out = []
    for good in [i for i, text in enumerate(texts) if text.label == 1]:
        for bad in [i for i, text in enumerate(texts) if text.label == 0]:
            pair = Preference(texts[good].query, texts[good].response, texts[bad].response)
            out.append((pair, _compared(good, bad, first, second)))
    return out


def _compared(a: int, b: int, first: Ranking, second: Ranking) -> Comparison:
    if first.order is None or second.order is None:
        return Comparison(None, unscored=first.unscored or second.unscored)
    won = [positions(ranking)[a] - positions(ranking)[b] for ranking in (first, second)]
    if won[0] * won[1] > 0:
        return Comparison("a" if won[0] < 0 else "b")
    if {a, b} & {*first.last}:  # suspected, so that the order they were shown in says nothing
        return Comparison("tie", reason="suspected injection in both")
    shown_first = a if first.shown.index(a) < first.shown.index(b) else b
    return Comparison(
        "tie",
        reason="the other order gave the other answer",
        place=1 if shown_first == (a if won[0] < 0 else b) else 2,
    )


def positions(ranking: Ranking) -> dict[int, int]:
    """The place of each text of a ranking that is there, from 0; the suspected ones share the last."""
    order = ranking.order or ()
    return {text: place for place, text in enumerate(order)} | dict.fromkeys(ranking.last, len(order))


def measure_pairs(pairs: Sequence[Preference], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """How often the judge prefers what the data prefers; ``a`` of a comparison is the pair's chosen text.

    ``accuracy`` (a tie is half right), ``accuracy_decided`` of the ``decided`` pairs, ``ties``; of each order by
    itself ``accuracy_better_first`` and ``accuracy_worse_first``, by which of the two texts was shown first;
    ``order_flip_rate``, the share of pairs whose other order contradicts the first, ``first_place_rate`` of these, and
    ``first_share``, how many of all answers name the text shown first (0.5: the place decides nothing); the accuracies
    of ``n_length_matched`` pairs; and ``longer_wins``, the length twin. Intervals are clustered by query. Unscored
    pairs are counted and left out.
    """
    rows = [(pair, said) for pair, said in zip(pairs, comparisons, strict=True) if said.winner is not None]
    matched = [row for row in rows if like_length(row[0])]
    out: dict[str, Any] = {"n": len(pairs), "scored": len(rows), "unscored": len(pairs) - len(rows)}
    out |= _accuracies(rows, "")
    queries = [pair.query for pair, _ in rows]
    flips = [(pair.query, said.place == 1) for pair, said in rows if said.place is not None]
    out |= {"ties": sum(said.winner == "tie" for _, said in rows)}
    for name, place in (("better", 1), ("worse", 2)):
        right = [_RIGHT[said.winner or "tie"] if said.place is None else said.place == place for _, said in rows]
        out |= rate(f"accuracy_{name}_first", right, queries)
    out |= rate("order_flip_rate", [said.place is not None for _, said in rows], queries)
    out |= rate("first_place_rate", [first for _, first in flips], [query for query, _ in flips])
    out |= rate("first_share", [0.5 if said.place is None else said.place == 1 for _, said in rows], queries)
    out |= {"n_length_matched": len(matched)} | _accuracies(matched, "_length_matched")
    return out | rate("longer_wins", [len(pair.chosen) > len(pair.rejected) for pair, _ in rows], queries)


def _accuracies(rows: Sequence[tuple[Preference, Comparison]], suffix: str) -> dict[str, Any]:
    decided = [row for row in rows if row[1].winner != "tie"]
    out: dict[str, Any] = {f"decided{suffix}": len(decided)}
    for name, part in ((f"accuracy{suffix}", rows), (f"accuracy_decided{suffix}", decided)):
        right = [_RIGHT[said.winner or "tie"] for _, said in part]
        out |= rate(name, right, [pair.query for pair, _ in part])
    return out
