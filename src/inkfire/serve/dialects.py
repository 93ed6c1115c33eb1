"""The reward server as engines ask for rewards that know no missing score.

    POST /openrlhf      OpenRLHF --reward.remote_url: {query: [prompt + response], prompts, labels}
                        → {rewards, scores (in 0..1), extra_logs}
    POST /slime         slime --rm-type remote_rm --rm-url: {prompt, response, label} → a number
    POST /llamafactory  LLaMA-Factory PPO, reward_model_type api: {model, messages: [text]} → {scores}

They crash on null, and so get none, the one place where inkfire gives a number for a missing score: what is missing is
asked for again, then answered with the mean of the last scores, which is counted. They post single texts, so a reward
that looks at the group is refused.

Their texts are those of the tokenizer, with the marks of the chat template. The query is the label, where the prompt
contains that (``inkfire export`` writes it so), else what the user says in the prompt.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inkfire.llm import thinking
from inkfire.rewards.judge import JudgeReward
from inkfire.serve.reward import read, unless_gone
from inkfire.serve.scoring import Desk, Failed, Full, Refused, Text

TRIES = 3
PATIENCE = 100.0
"""Seconds until an engine is answered; slime waits 120, OpenRLHF 180."""

_PAUSE = 1.0
_TURNS = (  # what stands before the user's turn, and before the assistant's
    ("<|im_start|>user\n", "<|im_start|>assistant\n"),  # Qwen and others
    ("<|start_header_id|>user<|end_header_id|>\n\n", "<|start_header_id|>assistant<|end_header_id|>\n\n"),  # Llama 3
    ("<start_of_turn>user\n", "<start_of_turn>model\n"),  # Gemma
    ("<|user|>", "<|assistant|>"),  # Phi, GLM
    ("[INST]", "[/INST]"),  # Mistral
    ("User:\n", "\n\nAssistant:\n"),  # models without a template, here
    ("Human: ", "\nAssistant:"),  # the same, in LLaMA-Factory
)
_ENDS = re.compile(r"(?:\s*(?:<\|\w+\|>|</s>|<eos>|<pad>|<end_of_turn>))*\s*\Z")


class OpenRLHF(BaseModel):
    query: list[str]
    prompts: list[str]
    labels: list[Any] | None = None


class Slime(BaseModel):
    prompt: str | list[dict[str, Any]]
    response: str
    label: Any = None


class LlamaFactory(BaseModel):
    messages: list[str]


def dialects(desk: Desk) -> list[Route]:
    """The paths of the engines."""

    async def openrlhf(request: Request) -> Response:
        asked = await read(request, OpenRLHF)
        labels = [None] * len(asked.query) if asked.labels is None else asked.labels
        if not len(asked.query) == len(asked.prompts) == len(labels):
            raise Refused("query, prompts and labels are not of one length")
        rows = zip(asked.query, asked.prompts, labels, strict=True)
        texts = [Text(query_of(prompt, label), response_of(whole, prompt)) for whole, prompt, label in rows]
        rewards, missing = await unless_gone(request, steady(desk, texts))
        scores = [reward if isinstance(desk.reward, JudgeReward) else _logistic(reward) for reward in rewards]
        return JSONResponse(
            {"rewards": rewards, "scores": scores, "extra_logs": {"missing": list(map(float, missing))}}
        )

    async def slime(request: Request) -> Response:
        asked = await read(request, Slime)
        text = Text(query_of(asked.prompt, asked.label), bare(asked.response))
        (reward,), _ = await unless_gone(request, steady(desk, [text]))
        return JSONResponse(reward)

    async def llamafactory(request: Request) -> Response:
        asked = await read(request, LlamaFactory)
        texts = [Text(query_of(prompt), bare(response)) for prompt, response in map(divided, asked.messages)]
        scores, _ = await unless_gone(request, steady(desk, texts))
        return JSONResponse({"scores": scores})

    paths = {"/openrlhf": openrlhf, "/slime": slime, "/llamafactory": llamafactory}
    return [Route(path, answer, methods=["POST"]) for path, answer in paths.items()]


async def steady(desk: Desk, texts: Sequence[Text]) -> tuple[list[float], list[bool]]:
    """Scores without a gap, and which of them are neutral values.

    Raises:
        Refused: the reward looks at the group.
        Full: the queue had no room all the time.
        Failed: a score is missing and there was none yet to take the mean of.
    """
    if desk.whole:
        raise Refused(
            "this reward compares the texts of a query, and the engine sends them one by one: serve one that looks at "
            "a text alone (no --check, no --diversity, no --length rescale; a sum with --mix raw), or ask at /score"
        )
    scores: list[float | None] = [None] * len(texts)
    why: Exception | None = None
    tries, until = 0, asyncio.get_running_loop().time() + PATIENCE
    try:
        async with asyncio.timeout_at(until):
            while (places := [i for i, score in enumerate(scores) if score is None]) and tries < TRIES:
                if tries or why:
                    await asyncio.sleep(_PAUSE)
                try:
                    for place, score in zip(places, await desk.ask([texts[i] for i in places]), strict=True):
                        scores[place] = score
                    tries, why = tries + 1, None
                except Failed as error:
                    tries, why = tries + 1, error
                except Full as error:
                    why = error
    except TimeoutError:
        if isinstance(why, Full):
            raise why from None
    missing = [score is None for score in scores]
    if any(missing) and desk.neutral is None:
        raise why or Failed("the score is missing, and there is none yet to take the mean of")
    desk.counts.neutral += sum(missing)
    neutral = desk.neutral or 0.0
    return [neutral if score is None else score for score in scores], missing


def query_of(prompt: str | list[dict[str, Any]], label: object = None) -> str:
    """The query that a prompt asks to write for.

    >>> query_of("<|im_start|>user\\nWrite: a wish<|im_end|>\\n<|im_start|>assistant\\n", label="a wish")
    'a wish'
    >>> query_of("<|im_start|>user\\na wish<|im_end|>\\n<|im_start|>assistant\\n"), query_of("a wish")
    ('a wish', 'a wish')

    Raises:
        Refused: messages without one of the user's in words.
    """
    if not isinstance(prompt, str):
        said = [turn.get("content") for turn in prompt if turn.get("role") == "user"]
        if not said or not isinstance(said[-1], str):
            raise Refused("prompt has no message of the user's in words")
        prompt = said[-1]
    if isinstance(label, str) and label.strip() and label in prompt:
        return label
    for user, assistant in _TURNS:
        if user in prompt and assistant in prompt:
            return _ENDS.sub("", prompt.rpartition(user)[2].partition(assistant)[0]).strip()
    return prompt.strip()


def response_of(whole: str, prompt: str) -> str:
    """What stands behind the prompt.

    Raises:
        Refused: as :func:`divided`, where the whole does not begin with the prompt.
    """
    return bare(whole.removeprefix(prompt) if whole.startswith(prompt) else divided(whole)[1])


def divided(text: str) -> tuple[str, str]:
    """A prompt of one turn, and the answer to it; what an answer says of further turns is its own.

    Raises:
        Refused: no mark of the assistant's turn is known in it.
    """
    for user, assistant in _TURNS:
        before, mark, after = text.partition(assistant)
        if mark and user in before:
            return before + mark, after
    raise Refused("where the response begins is not seen: the chat template is none of Qwen's, Llama 3's, Gemma's, …")


def bare(response: str) -> str:
    """A response without what it thought first and without the marks at its end."""
    return thinking.strip(_ENDS.sub("", response)).strip()


def _logistic(value: float) -> float:
    """Into 0..1, for OpenRLHF's filter of groups that are all good or all bad."""
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
