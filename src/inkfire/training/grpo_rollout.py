"""What TRL's GRPO trainer is given: its prompts, our generation, and the one function that scores its texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import DataError
from inkfire.models import chat
from inkfire.models import policy as policies
from inkfire.models.card import Card
from inkfire.records import Query, Rollout
from inkfire.rewards.base import Reward
from inkfire.rewards.shaped import Shaped
from inkfire.training import begin, trl
from inkfire.training.monitors import Monitor
from inkfire.training.settings import GrpoSettings


def short(card: Card, queries: Sequence[Query], tokenizer: Any, limit: int) -> list[Query]:
    """The queries whose prompts have at most ``limit`` tokens.

    Raises:
        DataError: no prompt is that short.
    """
    prompts = chat.encode(tokenizer, [card.template.messages(query.query) for query in queries])
    kept = [query for query, prompt in zip(queries, prompts, strict=True) if len(prompt) <= limit]
    if not kept:
        shortest = min(map(len, prompts))
        raise DataError(f"every prompt is longer than max_prompt_length = {limit}: the shortest has {shortest} tokens")
    return kept


def examples(card: Card, queries: Sequence[Query], batch_size: int) -> list[dict[str, Any]]:
    """Prompts, repeated where there are fewer than a step takes."""
    rows = [{"prompt": card.template.messages(query.query), "query": query.query} for query in queries]
    return rows * math.ceil(batch_size / len(rows))


def rollout(tokenizer: Any, settings: GrpoSettings) -> Callable[[Sequence[Any], Any], dict[str, Any]]:
    """Our own generation, the one that evaluation and ``write`` use."""

    def write(prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        prompt_ids = chat.encode(tokenizer, prompts)
        completion_ids = begin.completed(model, tokenizer, prompt_ids, settings)
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}

    return write


def reward_function(
    reward: Reward,
    model: Any,
    tokenizer: Any,
    monitor: Monitor,
    watch: Callable[[list[Rollout]], None],
    log: Path,
) -> Callable[..., list[float | None]]:
    """The one function TRL gets: synchronous, and None for a text that has no finite score."""
    ends = {*policies.end_tokens(model, tokenizer)}

    def score(
        completion_ids: Sequence[Sequence[int]], query: Sequence[str], trainer_state: Any, draw: int = 0, **_: Any
    ) -> list[float | None]:
        responses = [chat.answer(tokenizer, ids) for ids in completion_ids]
        step, cut = trainer_state.global_step + 1, [not {*ids[-1:]} & ends for ids in completion_ids]
        found = reward.score(query, responses, truncated=cut)
        scores = [s if s is not None and math.isfinite(s) else None for s in found]
        details = reward.details if isinstance(reward, Shaped) else [{} for _ in responses]
        texts = []
        for asked, response, value, long, detail in zip(query, responses, scores, cut, details, strict=True):
            row = {"step": step, "query": asked, "response": response, "reward": value, "truncated": long}
            trl.append(log, row | detail | ({"draw": draw} if draw else {}))
            texts.append(Rollout(**row, fluency=detail.get("fluency"), relevance=detail.get("relevance")))
        if not draw:
            monitor.observe(query, responses, scores, [chat.length(tokenizer, text) for text in responses])
            watch(texts)
        return scores

    return score
