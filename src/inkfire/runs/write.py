"""``inkfire write``: a trained writer at work."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Le

from inkfire.rewards.load import check_reward
from inkfire.runs.context import Access
from inkfire.runs.score import rank
from inkfire.settings import option, settings
from inkfire.tasks.task import load_task

_CHOICE = 4  # texts to choose the best of, where nothing is said


@settings
class WriteInputs:
    """Who writes, and how."""

    policy: str
    """A policy folder, or (with --task) a model's name."""
    n: Annotated[int, Ge(1), Le(1000), option("-n", "--n")] | None = None
    """How many texts; 1, or 4 with --best-of."""
    best_of: str | None = None
    """A reward that orders them, the best first: a folder or share:X."""
    temperature: Annotated[float, Ge(0)] = 0.8
    """0 takes the likeliest token."""
    max_tokens: Annotated[int, Ge(1)] = 200
    """Of a text."""
    task: str | None = None
    """Whose template a bare model is asked with."""


def write(query: str, inputs: WriteInputs, *, access: Access = Access(), seed: int = 0) -> dict[str, Any]:
    """Texts for a query: ``responses``, with their ``scores`` and the best first where a reward orders them."""
    from inkfire.models.policy import Policy

    if inputs.best_of is not None:
        check_reward(inputs.best_of)
    count = inputs.n or (1 if inputs.best_of is None else _CHOICE)
    writer = Policy.load(inputs.policy, task=load_task(inputs.task) if inputs.task else None)
    texts = writer.generate(
        [query], n=count, temperature=inputs.temperature, max_new_tokens=inputs.max_tokens, seed=seed
    )[0]
    result: dict[str, Any] = {"query": query, "policy": writer.name, "responses": texts}
    if inputs.best_of is not None:
        ranked = rank(inputs.best_of, query, texts, access=access)
        result |= {"responses": [text for text, _ in ranked], "scores": [score for _, score in ranked]}
    return result
