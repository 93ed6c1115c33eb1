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
from inkfire.training import begin, ranks, trl
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


def by_vllm(settings: GrpoSettings, tokenizer: Any) -> dict[str, Any]:
    """What TRL is told where vLLM writes: its own generation, with the correction for vLLM's other probabilities.

    A cut of the distribution (top_p, top_k, min_p) would bias that correction, so there is none.
    """
    if settings.rollouts == "here":
        return {}
    where = settings.rollouts.removeprefix("vllm-")
    server = {"vllm_server_base_url": settings.vllm_server or "http://127.0.0.1:8000"} if where == "server" else {}
    cut = {"top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    quiet = {"chat_template_kwargs": dict(chat.switches(tokenizer.get_chat_template()))}
    return (
        cut
        | quiet
        | server
        | {
            "use_vllm": True,
            "vllm_mode": where,
            "vllm_importance_sampling_correction": True,
        }
    )


def reward_function(
    reward: Reward,
    model: Any,
    tokenizer: Any,
    monitor: Monitor,
    watch: Callable[[list[Rollout]], None],
    log: Path,
) -> Callable[..., list[float | None]]:
    """What scores a step's texts: synchronous, and None for a text that has no finite score."""
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


def of_all(score: Callable[..., list[float | None]], group: int) -> Callable[..., list[float | None]]:
    """The one function TRL gets. Of several processes each has whole groups; the first one scores, and logs, those of
    all."""

    def scored(completion_ids: Sequence[Sequence[int]], query: Sequence[str], **more: Any) -> list[float | None]:
        whole = all({*query[i : i + group]} == {query[i]} for i in range(0, len(query), group))
        if not whole or len(query) % group:
            raise AssertionError(f"a group of {group} texts is divided among processes: {list(query)}")
        texts = ranks.gathered([(list(ids), asked) for ids, asked in zip(completion_ids, query, strict=True)])
        every, asked = [ids for ids, _ in texts], [one for _, one in texts]
        found = ranks.told(lambda: score(completion_ids=every, query=asked, **more))
        mine = ranks.number() * len(query)
        return found[mine : mine + len(query)]

    return scored
