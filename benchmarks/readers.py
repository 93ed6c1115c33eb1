"""A frozen model that reads, as ``python:`` rewards: what ``fluency`` and ``relevance`` see by themselves.

INKFIRE_TASK=greetings-zh inkfire score --reward python:benchmarks/readers.py:fluency --task greetings-zh --data F
"""

import os
from collections.abc import Sequence
from functools import cache

from inkfire.models.likelihood import Likelihood
from inkfire.rewards import reading
from inkfire.tasks.task import load_task


@cache
def _reader() -> tuple[Likelihood, list[str]]:
    task = load_task(os.environ.get("INKFIRE_TASK", "greetings-zh"))
    base = os.environ.get("INKFIRE_BASE", "local/qwen2.5-coder-0.5b")
    return Likelihood.load(base, task), [query.query for query in task.queries()]


def fluencies(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
    """Log-probability a token under the base, of each text."""
    return _reader()[0].per_token(queries, responses)


def relevances(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
    """The same, less its mean given three other queries of the task."""
    reader, others = _reader()
    return reading.relevance(reader, queries, responses, others, 0, reader.per_token(queries, responses))


def fluency(query: str, response: str) -> float | None:
    return fluencies([query], [response])[0]


def relevance(query: str, response: str) -> float | None:
    return relevances([query], [response])[0]
