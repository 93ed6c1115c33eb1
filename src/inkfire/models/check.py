"""What an endpoint lacks, before anything is paid: three short calls, and what each found out.

(await check(llm))["log_probabilities"]     # alternatives that it shows; 0: none
"""

from __future__ import annotations

import dataclasses
from typing import Any

from inkfire.errors import ModelCallError
from inkfire.llm import thinking
from inkfire.llm.base import Message, Reply, Sampling, object_schema
from inkfire.llm.client import Client

_ASK: list[Message] = [
    {"role": "system", "content": "You judge greetings. Say Good or Bad."},
    {"role": "user", "content": "Dear aunt, may your hives be full."},
]
_VERDICT = object_schema({"reason": {"type": "string", "maxLength": 60}, "judge": {"type": "integer", "enum": [0, 1]}})


async def check(llm: Client) -> dict[str, Any]:
    """What a model and its endpoint can do, ``lacking`` (the features that it refused) and ``advice`` in words.

    Raises:
        EndpointDown: it cannot be reached, keeps failing, or refuses the key or the model.
    """
    failed: list[str] = []
    llm.retry = dataclasses.replace(llm.retry, tries=3, hopeless=3)  # who checks is waiting

    async def ask(**more: Any) -> Reply:
        try:
            return await llm.chat(_ASK, **more)
        except ModelCallError as error:
            failed.append(str(error))
            return Reply("", lacking=str(error))

    token = await ask(sampling=Sampling(max_tokens=1, top_logprobs=20, seed=1))
    verdict = await ask(schema=_VERDICT, sampling=Sampling(temperature=0.7, top_p=0.9, max_tokens=160))
    text = await ask(sampling=Sampling(temperature=0.7, max_tokens=160))
    lacking = llm.lacking
    mark = bool(token.logprobs) and thinking.carries(token.logprobs[0][0].token)  # these are of its thinking
    found: dict[str, Any] = {
        "model": llm.name,
        "log_probabilities": len(token.logprobs[0]) if token.logprobs and not mark else 0,
        "schema": "json_schema" not in lacking,
        "verdict": verdict.parsed is not None,
        "text": text.lacking is None,
        "system_role": "system_role" not in lacking,
        "temperature": "temperature" not in lacking,
        "thinks": llm.thinks,
        "price": None if llm.price is None else [llm.price.prompt, llm.price.completion],
        "lacking": sorted(lacking),
        "failed": failed,
    }
    return found | {"advice": list(_advice(found, verdict, text))}


def _advice(found: dict[str, Any], verdict: Reply, text: Reply) -> list[str]:
    advice = {
        "no log-probabilities: use --mode verdict": not found["log_probabilities"],
        "no schema: it stands in the prompt, and more replies may not be usable": not found["schema"],
        f"no verdict: {verdict.lacking}": not found["verdict"],
        f"no text: {text.lacking}": not found["text"],
        "no system role: its text goes to the first user turn": not found["system_role"],
        "no temperature: votes and texts are drawn at the model's own": not found["temperature"],
        "it thinks before it answers: raise --reply-tokens, or switch it off with --extra-body": found["thinks"],
        "no price is known: --budget needs one in .inkfire/prices.toml beside the run folders": found["price"] is None,
    }
    return [words for words, holds in advice.items() if holds]
