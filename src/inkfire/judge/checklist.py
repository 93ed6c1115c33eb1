"""The judge by a checklist: a few yes/no criteria for each query, written once by a strong model, answered in one call.

A small judge that cannot say how good a text is can often say whether it names the wedding (Viswanathan et al.
2507.18624). The score is the weighted share of the criteria that a text meets; one that it ``must`` meet vetoes.

    judge = ChecklistJudge(task, llm, author=strong)
    (await judge.judge(query, response)).probability     # 0.75
    judge.lists[query].criteria                          # written by the first call for this query
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inkfire.judge.answers import NoAnswer, PromptedJudge, ask, object_schema, text_schema
from inkfire.llm.base import LLM
from inkfire.records import Candidate, Label, Labelled, Verdict

LEAST, MOST = 3, 8
"""Criteria of a query."""
_WEIGHTS = (1, 2, 3)
CRITERIA_SCHEMA = object_schema(
    criteria={
        "type": "array",
        "minItems": LEAST,
        "maxItems": MOST,
        "items": object_schema(
            text=text_schema(160),
            weight={"type": "integer", "enum": list(_WEIGHTS)},
            must={"type": "boolean"},
        ),
    }
)
_WRITTEN = 900
"""Tokens of a checklist."""


@dataclass(frozen=True)
class Criterion:
    """A question that is answered by yes or no; ``must``: without a yes the text is bad, whatever else it has."""

    text: str
    weight: int = 1
    must: bool = False


@dataclass(frozen=True)
class Checklist:
    """The criteria of a query; the ``dropped`` ones separated nothing on labelled texts and are not asked."""

    query: str
    criteria: tuple[Criterion, ...]
    dropped: tuple[Criterion, ...] = ()


@dataclass(frozen=True)
class ChecklistJudge(PromptedJudge):
    """Good from half of the weights on. ``examples`` are for the ``author`` (by default the judge's own model), who
    writes a checklist the first time that a query comes up; ``lists`` has them by query."""

    mode = "checklist"
    author: LLM | None = None
    lists: dict[str, Checklist] = field(default_factory=dict)
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def judge(self, query: str, response: str) -> Verdict:
        try:
            criteria = (await self._list_of(query)).criteria
            asked = {str(number): one.text for number, one in enumerate(criteria, 1)}
            said = await ask(
                self.llm,
                self.task.render(self.mode, query=query, response=response, criteria=asked),
                object_schema(**{number: {"type": "integer", "enum": [0, 1]} for number in asked}),
                max_tokens=24 + 10 * len(asked),
                seed=self.seed,
            )
        except NoAnswer as failure:
            return Verdict(None, unscored=str(failure))
        met = [said[number] == 1 for number in asked]
        share = sum(one.weight for one, yes in zip(criteria, met, strict=True) if yes) / sum(c.weight for c in criteria)
        if any(one.must and not yes for one, yes in zip(criteria, met, strict=True)):
            share = 0.0
        label: Label = 1 if share >= 0.5 else 0
        lacks = "; ".join(one.text for one, yes in zip(criteria, met, strict=True) if not yes)
        points = {one.text: int(yes) for one, yes in zip(criteria, met, strict=True)}
        return Verdict(label, probability=share, reason=f"not met: {lacks}" if lacks else "all met", points=points)

    async def _list_of(self, query: str) -> Checklist:
        async with self._turns.setdefault(query, asyncio.Lock()):  # texts of a query wait for its one checklist
            if query not in self.lists:
                self.lists[query] = Checklist(query, await self._written(query))
        return self.lists[query]

    async def _written(self, query: str) -> tuple[Criterion, ...]:
        examples = await self.examples.shown(query, query)
        rules = self.rules.texts
        messages = self.task.render("criteria", query=query, principles=rules, examples=examples)
        try:
            said = await ask(self.author or self.llm, messages, CRITERIA_SCHEMA, max_tokens=_WRITTEN, seed=self.seed)
        except NoAnswer as failure:
            raise NoAnswer(f"no checklist for its query: {failure}") from failure
        found = {text: one for one in said["criteria"] if (text := " ".join(one["text"].split()))}
        if len(found) < LEAST:
            raise NoAnswer(f"no checklist for its query: {len(found)} different criteria, {LEAST} are needed")
        vetoes = 2 * sum(one["must"] for one in found.values()) <= len(found)  # who vetoes by most of it means none
        return tuple(Criterion(text, one["weight"], one["must"] and vetoes) for text, one in found.items())

    async def close(self) -> None:
        await self.llm.close()
        if self.author is not None:
            await self.author.close()


def sifted(
    lists: Mapping[str, Checklist], texts: Sequence[Candidate | Labelled], verdicts: Sequence[Verdict]
) -> tuple[Checklist, ...]:
    """The checklists, sorted, without the criteria that separate nothing: of their query's labelled texts no more good
    ones than bad ones, by share, meet them. A query without texts of both labels keeps all, and so does one that would
    keep none."""
    answers: dict[str, dict[int, list[Mapping[str, int]]]] = {}
    for text, verdict in zip(texts, verdicts, strict=True):
        if isinstance(text, Labelled) and verdict.points is not None:
            answers.setdefault(text.query, {0: [], 1: []})[text.label].append(verdict.points)
    return tuple(_sifted(lists[query], answers.get(query, {})) for query in sorted(lists))


def _sifted(one: Checklist, answers: Mapping[int, Sequence[Mapping[str, int]]]) -> Checklist:
    if not answers or not all(answers.values()):
        return one
    good, bad = (
        {c: sum(row[c.text] for row in answers[label]) / len(answers[label]) for c in one.criteria} for label in (1, 0)
    )
    kept = tuple(c for c in one.criteria if good[c] > bad[c])
    gone = tuple(c for c in one.criteria if c not in kept)
    return Checklist(one.query, kept, (*one.dropped, *gone)) if kept else one


def counted(lists: Sequence[Checklist]) -> dict[str, Any]:
    """How many ``checklists`` and ``criteria`` there are, and the ``dropped_criteria`` with their queries."""
    dropped = [{"query": one.query, "criterion": gone.text} for one in lists for gone in one.dropped]
    criteria = sum(len(one.criteria) + len(one.dropped) for one in lists)
    return {"checklists": len(lists), "criteria": criteria, "dropped_criteria": dropped}
