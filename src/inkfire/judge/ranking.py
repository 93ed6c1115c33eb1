"""Judges that compare: which of two texts answers a query better, asked in both orders.

A judge that prefers a place and not a text makes a tie, which counts as half right. How often that happens is the rate
of order flips. Beside the accuracy stands what length alone gets right.

    comparison = await PairwiseJudge(task, llm).compare(query, chosen, rejected)
    measure_pairs(pairs, comparisons)["accuracy"]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from inkfire.judge.answers import REASON, NoAnswer, PromptedJudge, ask, object_schema
from inkfire.records import Comparison, Preference
from inkfire.stats.twins import like_length, rate

WINNER_SCHEMA = object_schema(reason=REASON, winner={"type": "string", "enum": ["A", "B"]})
_RIGHT = {"a": 1.0, "tie": 0.5, "b": 0.0}


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


def measure_pairs(pairs: Sequence[Preference], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """How often the judge prefers what the data prefers; ``a`` of a comparison is the pair's chosen text.

    ``accuracy`` (a tie is half right), ``accuracy_decided`` of the ``decided`` pairs, ``ties``, ``order_flip_rate``,
    ``first_place_rate`` of the flips; the accuracies of ``n_length_matched`` pairs; and ``longer_wins``, the length
    twin. Intervals are clustered by query. Unscored pairs are counted and left out.
    """
    rows = [(pair, said) for pair, said in zip(pairs, comparisons, strict=True) if said.winner is not None]
    matched = [row for row in rows if like_length(row[0])]
    out: dict[str, Any] = {"n": len(pairs), "scored": len(rows), "unscored": len(pairs) - len(rows)}
    out |= _accuracies(rows, "")
    queries = [pair.query for pair, _ in rows]
    flips = [(pair.query, said.place == 1) for pair, said in rows if said.place is not None]
    out |= {"ties": sum(said.winner == "tie" for _, said in rows)}
    out |= rate("order_flip_rate", [said.place is not None for _, said in rows], queries)
    out |= rate("first_place_rate", [first for _, first in flips], [query for query, _ in flips])
    out |= {"n_length_matched": len(matched)} | _accuracies(matched, "_length_matched")
    return out | rate("longer_wins", [len(pair.chosen) > len(pair.rejected) for pair, _ in rows], queries)


def _accuracies(rows: Sequence[tuple[Preference, Comparison]], suffix: str) -> dict[str, Any]:
    decided = [row for row in rows if row[1].winner != "tie"]
    out: dict[str, Any] = {f"decided{suffix}": len(decided)}
    for name, part in ((f"accuracy{suffix}", rows), (f"accuracy_decided{suffix}", decided)):
        right = [_RIGHT[said.winner or "tie"] for _, said in part]
        out |= rate(name, right, [pair.query for pair, _ in part])
    return out
