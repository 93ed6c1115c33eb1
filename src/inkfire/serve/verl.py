"""A reward for verl: the function that ``reward.custom_reward_function.path=pkg://inkfire.serve.verl`` names.

verl 0.9 asks for one sample a call. The score comes from a reward server (``reward`` is its URL; the token stands in
``INKFIRE_TOKEN``) or is worked out in the worker (``reward`` is what ``inkfire score --reward`` takes). A sample
without a score **raises**: verl's trainer then leaves that sample out and takes the survivors of its group, where None
would crash it, NaN poison the group, and a time-out of verl's own count as 0.0.

A reward that looks at the group (diversity, standardised parts, length) needs the server: it collects the ``group``
samples of a prompt by what ``inkfire export --to verl`` wrote into ``extra_info``.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx2

from inkfire.errors import InputError, ModelCallError
from inkfire.llm.retry import RETRIED, Fault, Retry, retry_after

if TYPE_CHECKING:
    from inkfire.rewards.base import Reward

TOKEN = "INKFIRE_TOKEN"


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str,
    seconds: float = 120.0,
    retries: int = 3,
    **more: Any,
) -> float:
    """The score of one text.

    Args:
        data_source: the task, as the export calls it.
        solution_str: the text.
        ground_truth: the query that it answers.
        extra_info: ``index`` and ``split`` of the prompt, which tell its group at the server.
        reward: the server's URL, or the reward that is loaded in this worker.
        seconds: that a try may take.
        retries: tries after the first one, where a failure may pass: no connection, 408, 409, 429, 5xx, a time-out.
        more: ``group``, the samples of a prompt that the server waits for; what verl adds is passed over.

    Raises:
        ModelCallError: there is no score. The sample is missing.
        InputError: no reward, or a server that refuses the request; no sample will have a score.
    """
    if not reward.startswith(("http://", "https://")):
        return await _here(reward, ground_truth, solution_str, seconds)
    body: dict[str, Any] = {"queries": [ground_truth], "responses": [solution_str]}
    group, about = int(more.get("group", 1)), extra_info or {}
    if group > 1 and about.get("split") == "train":
        body["groups"] = [{"id": f"{data_source}/{about['index']}", "size": group}]
    answer = await _asked(reward.rstrip("/") + "/score", body, seconds, retries)
    return _number(answer["scores"][0], "the server has no score for it")


async def _here(spec: str, query: str, text: str, seconds: float) -> float:
    from inkfire.rewards.base import why_unscored

    scorer = _loaded(spec)
    try:
        [score] = await asyncio.wait_for(asyncio.to_thread(scorer.score, [query], [text]), seconds)
    except TimeoutError as error:
        raise ModelCallError(f"no score in {seconds:g} s") from error
    return _number(score, ", ".join(why_unscored(scorer)) or "the reward gave none")


@functools.cache
def _loaded(spec: str) -> Reward:
    """The worker's own; it lives as long as the worker."""
    from inkfire.rewards.load import load_reward

    return load_reward(spec)


def _number(score: float | None, why: str) -> float:
    if score is None or not math.isfinite(score):
        raise ModelCallError(f"no score: {why}")
    return float(score)


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than a request."""
    return ssl.create_default_context()


async def _asked(url: str, body: Mapping[str, Any], seconds: float, retries: int) -> dict[str, Any]:
    """What the server answers.

    A text of a group that the server may have is not sent again: the others of its group are answered by then.
    """
    waits = Retry()
    headers = {"Authorization": f"Bearer {os.environ[TOKEN]}"} if os.environ.get(TOKEN) else {}
    for failures in range(1, retries + 2):
        try:
            async with httpx2.AsyncClient(verify=_certificates()) as client:
                answer = await client.post(url, json=body, headers=headers, timeout=seconds)
        except httpx2.TransportError as error:
            fault = Fault("no answer", words=str(error) or type(error).__name__)
            if "groups" in body and not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                raise ModelCallError(f"no score: {url}: {fault}") from error
        else:
            if answer.is_success:
                return dict(answer.json())
            if answer.status_code not in RETRIED and answer.status_code < 500:
                token = f"; {TOKEN} holds the server's token" if answer.status_code == 401 else ""
                raise InputError(f"{url} refuses the request (HTTP {answer.status_code}){token}")
            fault = Fault(str(answer.status_code), retry_after(answer.headers))
        if failures <= retries:
            await asyncio.sleep(waits.wait(failures, fault))
    raise ModelCallError(f"no score: {url}: {fault}, {retries + 1} times")
