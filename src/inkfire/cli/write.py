"""``inkfire write``: a trained writer at work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from inkfire.cli import common

_CHOICE = 4  # texts to choose the best of, where nothing is said


def write(
    query: Annotated[str, typer.Argument(help="What to write.")],
    policy: Annotated[str, typer.Option("--policy", help="A policy folder, or (with --task) a model's name.")],
    n: Annotated[
        int | None, typer.Option("-n", min=1, max=1000, help="How many texts; 1, or 4 with --best-of.")
    ] = None,
    best_of: Annotated[
        str | None, typer.Option("--best-of", help="A reward that orders them, the best first: a folder or share:X.")
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 takes the likeliest token.")] = 0.8,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Of a text.")] = 200,
    task: Annotated[str | None, typer.Option("--task", help="Whose template a bare model is asked with.")] = None,
    base_url: common.BaseUrl = None,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Write texts for a query.

    Example: inkfire write "给外婆的八十大寿祝福" --policy runs/demo/rm-rl -n 8 --best-of runs/demo/reward_model
    """
    from inkfire.models.policy import Policy
    from inkfire.rewards.load import check_reward
    from inkfire.runs.score import rank
    from inkfire.tasks.task import load_task

    if best_of is not None:
        check_reward(best_of)
    count = n or (1 if best_of is None else _CHOICE)
    writer = Policy.load(policy, task=load_task(task) if task else None)
    texts = writer.generate([query], n=count, temperature=temperature, max_new_tokens=max_tokens, seed=seed)[0]
    result: dict[str, Any] = {"query": query, "policy": writer.name, "responses": texts}
    if best_of is not None:
        ranked = rank(best_of, query, texts, base_url=base_url)
        result |= {"responses": [text for text, _ in ranked], "scores": [score for _, score in ranked]}
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    texts = result["responses"]
    scores = result.get("scores", [None] * len(texts))
    for text, score in zip(texts, scores, strict=True):
        typer.echo(f"{score:8.3f}  {text}" if score is not None else text)
