"""The judge's seam, and the one place where many texts go through a judge.

Strategy B's judge, strategy A's debate and the rubric all stand behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from inkfire.errors import ModelCallError
from inkfire.llm import futile, stream
from inkfire.llm.entry import Entry
from inkfire.llm.watch import watch
from inkfire.models import engine
from inkfire.models.open import is_local
from inkfire.records import Candidate, Comparison, Labelled, Preference, Ranking, Verdict

if TYPE_CHECKING:
    from inkfire.judge.checklist import Checklist
    from inkfire.llm.base import LLM
    from inkfire.models.embeddings import Embedder

T = TypeVar("T")
R = TypeVar("R", Verdict, Comparison, Ranking)


class Judge(Protocol):
    """Judges one text at a time; many calls may run at once on one event loop."""

    @property
    def name(self) -> str: ...

    async def judge(self, query: str, response: str) -> Verdict: ...

    async def close(self) -> None:
        """Close the models that it was given, each once. Who opened them calls this, and nobody else."""
        ...


class Closes(Protocol):
    async def close(self) -> None: ...


class Compares(Protocol):
    """A judge of two texts: ``PairwiseJudge``, or what stands before one."""

    async def compare(self, query: str, a: str, b: str) -> Comparison: ...

    async def close(self) -> None: ...


class Ranks(Protocol):
    """A judge of a whole group: ``RankingJudge``, or what stands before one."""

    async def rank(self, query: str, responses: Sequence[str], *, turned: bool = False) -> Ranking: ...

    async def close(self) -> None: ...


Took = dict[tuple[str, str], tuple[Entry, ...]]
"""(query, text) → the replies that its verdict took, those from the ledger too: each knows its seconds and tokens."""


@dataclass(frozen=True)
class Metered:
    """A judge that notes what each text takes of models."""

    judged_by: Judge
    took: Took

    @property
    def name(self) -> str:
        return self.judged_by.name

    async def judge(self, query: str, response: str) -> Verdict:
        with watch() as seen:
            try:
                return await self.judged_by.judge(query, response)
            finally:
                self.took[query, response] = tuple(seen.values())

    async def close(self) -> None:
        await self.judged_by.close()


@dataclass(frozen=True)
class Owner:
    """A judge with what else was opened for it: closing it closes both."""

    judged_by: Judge
    others: tuple[Closes, ...]

    @property
    def name(self) -> str:
        return self.judged_by.name

    async def judge(self, query: str, response: str) -> Verdict:
        return await self.judged_by.judge(query, response)

    async def close(self) -> None:
        for one in (self.judged_by, *self.others):
            await one.close()


@dataclass(frozen=True)
class Besides:
    """What a judge asks besides its own model, open: other models of a debate's agents or a checklist's author by name,
    and an embedder; and the checklists that were written by now."""

    models: Mapping[str, LLM] = field(default_factory=dict)
    embedder: Embedder | None = None
    lists: dict[str, Checklist] = field(default_factory=dict)


REMOTE = 64
"""Texts judged at once by a remote model."""


def at_once(model: str, mode: str) -> int:
    """Texts that are judged at once by a model in a mode.

    On an embedded engine ``logprob`` takes one at a time: a verdict of one token is all reading, and prompts that are
    read together are no faster (on two cores 2.4 to 2.7 s a text, one at a time 1.5 to 1.8 s).
    """
    if not is_local(model):
        return REMOTE
    return 1 if mode == "logprob" else engine.slots()


async def judge_many(
    judge: Judge,
    texts: Sequence[Candidate | Labelled],
    *,
    concurrency: int,
    advance: Callable[[Verdict], None] = lambda verdict: None,
) -> list[Verdict]:
    """The verdicts of ``texts``, in their order; a call that failed for good is an unscored one.

    Args:
        concurrency: texts judged at once.
        advance: told each verdict as soon as those before it are there.

    Raises:
        InputError, EndpointDown: four in five of the first twenty failed for one reason (``llm.futile``).
    """
    return await _each(
        lambda text: judge.judge(text.query, text.response),
        texts,
        lambda why: Verdict(None, unscored=why),
        concurrency,
        advance,
    )


async def compare_many(
    judge: Compares,
    pairs: Sequence[Preference],
    *,
    concurrency: int,
    advance: Callable[[Comparison], None] = lambda said: None,
) -> list[Comparison]:
    """The comparisons of (chosen, rejected), in the order of the pairs; see :func:`judge_many`."""
    return await _each(
        lambda pair: judge.compare(pair.query, pair.chosen, pair.rejected),
        pairs,
        lambda why: Comparison(None, unscored=why),
        concurrency,
        advance,
    )


async def rank_many(
    judge: Ranks,
    groups: Sequence[tuple[str, Sequence[str], bool]],
    *,
    concurrency: int,
    advance: Callable[[Ranking], None] = lambda said: None,
) -> list[Ranking]:
    """The rankings of (query, responses, turned), in the order of the groups; see :func:`judge_many`."""
    return await _each(
        lambda group: judge.rank(group[0], group[1], turned=group[2]),
        groups,
        lambda why: Ranking(None, unscored=why),
        concurrency,
        advance,
    )


async def _each(
    ask: Callable[[T], Awaitable[R]],
    items: Sequence[T],
    failed: Callable[[str], R],
    concurrency: int,
    advance: Callable[[R], None],
) -> list[R]:
    async def one(item: T) -> R:
        try:
            return await ask(item)
        except ModelCallError as error:
            return failed(str(error))

    out = []
    futility = futile.Futility("the judge")
    async for said in stream.ordered(one, items, limit=concurrency):
        out.append(said)
        futility.add(said.unscored)
        advance(said)
    return out
