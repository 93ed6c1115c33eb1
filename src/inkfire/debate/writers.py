"""Writers: who writes the candidates that are debated.

A writer is anything with a ``name`` and ``async write(query, n, seed) -> list[str]``; it returns fewer texts than asked
for when some failed. ``ModelWriter`` asks a model, ``GivenWriter`` hands out texts that are already there; a policy
in training is adapted by who trains it.

    writers = [ModelWriter(task, llm), ModelWriter(task, llm, variant="writer_alt", temperature=0.7)]
    await writers[0].write("祝外婆八十大寿", 2, seed=0)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from inkfire.errors import ModelCallError
from inkfire.llm.base import LLM, Sampling
from inkfire.records import Candidate, Query
from inkfire.tasks.task import Task

_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』", "'": "'"}


class Writer(Protocol):
    @property
    def name(self) -> str:
        """Becomes ``Candidate.source``."""
        ...

    async def write(self, query: str, n: int, seed: int) -> list[str]:
        """At most ``n`` responses. Equal arguments ask for equal draws, another seed for others."""
        ...


@dataclass(frozen=True)
class ModelWriter:
    """Writes by asking a model with one of the task's two writer prompts.

    A reply that was cut off at the task's ``max_tokens`` is no text to learn from and is left out.
    """

    task: Task
    llm: LLM
    _: KW_ONLY
    variant: str = "writer"
    temperature: float = 1.0
    top_p: float = 0.95

    @property
    def name(self) -> str:
        return f"{self.llm.name},prompt={self.variant},temperature={self.temperature:g}"

    async def write(self, query: str, n: int, seed: int) -> list[str]:
        replies = await asyncio.gather(*(self._one(query, seed, i) for i in range(n)), return_exceptions=True)
        texts = []
        for reply in replies:
            if isinstance(reply, BaseException):
                if not isinstance(reply, ModelCallError):
                    raise reply
            elif reply:
                texts.append(reply)
        return texts

    async def _one(self, query: str, seed: int, i: int) -> str:
        sampling = Sampling(self.temperature, self.top_p, self.task.max_tokens, seed=seed + i, sample=i)
        reply = await self.llm.chat(self.task.messages(query, self.variant), sampling=sampling)
        return "" if reply.finish_reason == "length" else clean(reply.text)


class GivenWriter:
    """Hands out candidates that were written before; one writer for each source of them.

    >>> writers, queries = GivenWriter.of([Candidate("q", "a", "sft"), Candidate("q", "b", "base")])
    >>> [writer.name for writer in writers], [query.query for query in queries]
    (['sft', 'base'], ['q'])
    """

    def __init__(self, name: str):
        self.name = name
        self._texts: dict[str, list[str]] = {}

    @classmethod
    def of(
        cls, candidates: Iterable[Candidate], owns: Callable[[Query], bool] = lambda query: True
    ) -> tuple[list[GivenWriter], list[Query]]:
        """The writers and the distinct queries of some candidates, both in order of appearance.

        Args:
            owns: whether a query's texts are kept. A shard has all of the writers and its own texts, so that its
                writers come in the order that the whole would have.
        """
        writers: dict[str, GivenWriter] = {}
        queries: dict[str, Query] = {}
        for candidate in candidates:
            writer = writers.setdefault(candidate.source, cls(candidate.source))
            query = queries.get(candidate.query) or Query.of(candidate.query)
            if owns(query):
                writer._texts.setdefault(candidate.query, []).append(candidate.response)
                queries.setdefault(candidate.query, query)
        return list(writers.values()), list(queries.values())

    async def write(self, query: str, n: int, seed: int) -> list[str]:
        """All texts for the query, however small ``n`` is; none the second time."""
        return self._texts.pop(query, [])


def clean(text: str) -> str:
    """A reply as a text: outer blanks and one pair of quotes around all of it removed."""
    text = text.strip()
    if len(text) >= 2 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1] and text[-1] not in text[1:-1]:
        return text[1:-1].strip()
    return text
