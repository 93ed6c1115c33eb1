"""A frozen model that reads, as ``python:`` rewards: what ``fluency`` and ``relevance`` see by themselves.

INKFIRE_TASK=greetings-zh inkfire score --reward python:benchmarks/readers.py:fluency --task greetings-zh --data F
"""

import os
from functools import cache

from inkfire.models.likelihood import Likelihood
from inkfire.rewards import reading
from inkfire.tasks.task import load_task


@cache
def _reader() -> tuple[Likelihood, list[str]]:
    task = load_task(os.environ.get("INKFIRE_TASK", "greetings-zh"))
    base = os.environ.get("INKFIRE_BASE", "local/qwen2.5-coder-0.5b")
    return Likelihood.load(base, task), [query.query for query in task.queries()]


def fluency(query: str, response: str) -> float | None:
    """Log-probability a token under the base."""
    return _reader()[0].per_token([query], [response])[0]


def relevance(query: str, response: str) -> float | None:
    """The same, less its mean given three other queries of the task."""
    reader, queries = _reader()
    own = reader.per_token([query], [response])
    return reading.relevance(reader, [query], [response], queries, 0, own)[0]
