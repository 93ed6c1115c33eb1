"""Every kind of endpoint that people were seen to have, asked for a token, a verdict and a text.

Each gives the right value, or says why there is none.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from endpoints import (
    GOOD,
    TEXT,
    VERDICT,
    Body,
    Endpoint,
    alternatives,
    completion,
    delta,
    events,
    fixed,
    refused,
    refuses,
    says,
    shows,
    thinks,
    words,
    wraps,
)
from stub_endpoint import Stub

from inkfire.errors import InkfireError
from inkfire.judge.logprob import LogprobJudge
from inkfire.llm.base import Message, Sampling, object_schema
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.retry import Retry
from inkfire.llm.terms import Terms
from inkfire.tasks.task import load_task

ASK: list[Message] = [{"role": "system", "content": "You judge."}, {"role": "user", "content": "Dear aunt"}]
SCHEMA = object_schema({"reason": {"type": "string", "maxLength": 40}, "judge": {"type": "integer", "enum": [0, 1]}})
NONE = "no log-probabilities"
THINKS = "thinks before it answers"
UNTOLD = "cannot be told"
JSON = json.dumps(VERDICT)
CHANNELS = "<|channel|>analysis<|message|>Short?<|end|><|start|>assistant<|channel|>final<|message|>"
REASON = "It names her bees and the hives, speaks warmly to an aunt, and nobody else could have been meant by it."


def client(stub: Stub, **more: Any) -> Client:
    return Client("m", **{"base_url": stub.url, "retry": Retry(tries=4, first=0.001, longest=0.01), **more})


async def token(llm: Client) -> Any:
    said = await LogprobJudge(load_task("greetings-en"), llm).judge("a wish", "Dear aunt")
    return said.unscored if said.probability is None else round(said.probability, 2)


async def verdict(llm: Client) -> Any:
    said = await llm.chat(ASK, schema=SCHEMA, sampling=Sampling(0.7, 0.9, seed=1))
    return said.unparsed if said.parsed is None else said.parsed


async def text(llm: Client) -> Any:
    said = await llm.chat(ASK, sampling=Sampling(0.7, 0.9, max_tokens=160, seed=1))
    return said.lacking or said.text


async def outcome(ask: Any, llm: Client) -> Any:
    try:
        return await ask(llm)
    except InkfireError as error:
        return str(error)


def strict(body: Body) -> Any:
    """OpenAI's strict mode, with a model that writes a long reason."""
    if "chat_template_kwargs" in body:
        return refused(400, "Unrecognized request argument supplied: chat_template_kwargs")
    if "maxLength" in json.dumps(body.get("response_format")):
        return refused(400, "Invalid schema for response_format 'reply': 'maxLength' is not permitted.")
    return 200, completion(body, json.dumps({"reason": REASON, "judge": 1}) if "response_format" in body else None)


def long_context(body: Body) -> Any:
    said = (
        "This model's maximum context length is 3 tokens. However, you requested 400 tokens (200 in the messages, 200 "
    )
    return refused(400, said + "in the completion). max_tokens may be too large.", code="context_length_exceeded")


def at_most(most: int, message: str) -> Endpoint:
    def reply(body: Body) -> Any:
        top = body.get("top_logprobs", 0)
        return refused(400, message.format(top)) if top > most else (200, completion(body))

    return reply


# name → (endpoint, P(Good) or why there is none, the verdict or why not, the text or why not)
ENDPOINTS: dict[str, tuple[Endpoint, Any, Any, Any]] = {
    "plain": (says(), 0.83, VERDICT, TEXT),
    # ---- log-probabilities
    "none": (shows(None), NONE, VERDICT, TEXT),
    "an empty object": (shows({}), NONE, VERDICT, TEXT),
    "no content": (shows({"content": None}), NONE, VERDICT, TEXT),
    "the written token alone": (shows(alternatives(GOOD, 0)), 0.82, VERDICT, TEXT),
    "the written token, half sure": (shows(alternatives({"Good": -0.7}, 1)), UNTOLD, VERDICT, TEXT),
    "as completions have them": (
        shows({"tokens": ["Good"], "token_logprobs": [-0.2], "top_logprobs": [{"Good": -0.2, "Bad": -1.8}]}),
        *(0.83, VERDICT, TEXT),
    ),
    "alternatives by name": (
        shows({"content": [{"token": "Good", "logprob": -0.2, "top_logprobs": {"Good": -0.2, "Bad": -1.8}}]}),
        *(0.83, VERDICT, TEXT),
    ),
    "a null value": (shows(alternatives({**GOOD, "Ok": None}, 4)), 0.83, VERDICT, TEXT),
    "-9999": (shows(alternatives({"Good": 0.0, "Bad": -9999.0, "The": -9999.0})), 1.0, VERDICT, TEXT),
    "the lowest float": (shows(alternatives({"Bad": 0.0, "Good": -3.4028234663852886e38})), 0.0, VERDICT, TEXT),
    "minus infinity": (shows(alternatives({"Bad": 0.0, "Good": -float("inf")})), 0.0, VERDICT, TEXT),
    "every value 0": (shows(alternatives({"Good": 0.0, "Bad": 0.0})), UNTOLD, VERDICT, TEXT),
    "raw pieces": (shows(alternatives({"\u0120Good": -0.2, "\u0120Bad": -1.8})), 0.83, VERDICT, TEXT),
    "pieces of sentencepiece": (shows(alternatives({"▁Good": -0.2, "▁Bad": -1.8})), 0.83, VERDICT, TEXT),
    "another letter case": (shows(alternatives({"good": -0.2, "BAD": -1.8})), 0.83, VERDICT, TEXT),
    "at most 5": (
        at_most(5, "Requested sample logprobs of {}, which is greater than max allowed: 5"),
        0.83,
        VERDICT,
        TEXT,
    ),
    "at most 8": (at_most(8, "top_logprobs: Input should be less than or equal to 8"), 0.83, VERDICT, TEXT),
    "at most 1": (at_most(1, "too many logprobs"), 0.82, VERDICT, TEXT),
    "refused, 403": (refuses("logprobs", "You are not allowed to request logprobs", 403), NONE, VERDICT, TEXT),
    "refused, 422": (
        refuses("logprobs", [{"loc": ["body", "logprobs"], "msg": "Extra inputs are not permitted"}], 422),
        *(NONE, VERDICT, TEXT),
    ),
    "refused, 500": (refuses("logprobs", "log probs are not supported by this backend", 500), NONE, VERDICT, TEXT),
    "refused, 501": (refuses("logprobs", "logprobs: not implemented", 501), NONE, VERDICT, TEXT),
    "refused, 200": (
        lambda body: (200, {"error": "logprobs is not supported"} if "logprobs" in body else completion(body)),
        *(NONE, VERDICT, TEXT),
    ),
    "refused, in a list": (
        lambda body: (
            (400, [{"error": {"code": 400, "message": "Logprobs is not enabled", "status": "INVALID_ARGUMENT"}}])
            if "logprobs" in body
            else (200, completion(body))
        ),
        *(NONE, VERDICT, TEXT),
    ),
    # ---- thinking
    "think": (wraps("<think>\nHmm\n</think>\n\n"), 0.83, VERDICT, TEXT),
    "thinking": (wraps("<thinking>\nHmm\n</thinking>\n\n"), 0.83, VERDICT, TEXT),
    "brackets": (wraps("[THINK]Short?[/THINK]"), 0.83, VERDICT, TEXT),
    "no opening mark": (wraps("Hmm, the user wants.\n</think>\n\n"), 0.83, VERDICT, TEXT),
    "channels": (wraps(CHANNELS), 0.83, VERDICT, TEXT),
    "channels without marks": (wraps("analysisThe user wants a note.assistantfinal"), 0.83, VERDICT, TEXT),
    "escaped": (wraps("&lt;think&gt;Hmm&lt;/think&gt;"), 0.83, VERDICT, TEXT),
    "folded": (
        wraps('<details type="reasoning" done="true"><summary>1 s</summary>Hm</details>\n'),
        0.83,
        VERDICT,
        TEXT,
    ),
    "in words": (wraps("Here is my thought process: short?\n\nHere is my response:\n"), 0.83, VERDICT, TEXT),
    "a final response": (
        wraps("Here it goes.\n[BEGIN FINAL RESPONSE]\n", "\n[END FINAL RESPONSE]"),
        0.83,
        VERDICT,
        TEXT,
    ),
    "a part of its own": (
        lambda body: (
            *(200, completion(body, [{"type": "thinking", "thinking": []}, {"type": "text", "text": words(body)}])),
        ),
        *(0.83, VERDICT, TEXT),
    ),
    "the answer as reasoning": (
        lambda body: (200, completion(body, "", message={"reasoning_content": words(body)})),
        *(0.83, VERDICT, TEXT),
    ),
    "the answer as reasoning, which ends in another way": (
        lambda body: (200, completion(body, "", "eos", message={"content": None, "reasoning": words(body)})),
        *(0.83, VERDICT, TEXT),
    ),
    "reasoning about the task": (
        lambda body: (200, completion(body, "", message={"reasoning_content": "We need JSON. " + words(body)})),
        *(0.83, VERDICT, "the reply is thinking alone, without an answer"),
    ),
    "reasoning that never ends": (
        lambda body: (200, completion(body, "", "length", message={"reasoning": "Short? " * 99})),
        *(0.83, "raise --reply-tokens", "raise --reply-tokens"),
    ),
    "reasoning that never ends, by another name": (
        lambda body: (200, completion(body, "<think>Short?", "MAX_TOKENS")),
        *(0.83, "raise --reply-tokens", "raise --reply-tokens"),
    ),
    "reasoning that takes 1000 tokens": (thinks(1000), NONE, VERDICT, TEXT),
    "a first token that is a mark": (
        shows(alternatives({"<think>": -0.0001, "Good": -12.0})),
        *(THINKS, VERDICT, TEXT),
    ),
    "thinking must be off": (
        lambda body: (
            refused(400, "parameter.enable_thinking must be set to false for non-streaming calls")
            if body.get("enable_thinking") is not False
            else (200, completion(body))
        ),
        *(0.83, VERDICT, TEXT),
    ),
    # ---- verdicts
    "a strict schema": (strict, 0.83, {"reason": REASON[:39] + "…", "judge": 1}, TEXT),
    "a long reason": (
        says(json.dumps({"reason": "x" * 400, "judge": 1})),
        0.83,
        {"reason": "x" * 39 + "…", "judge": 1},
        ...,
    ),
    "a label as text": (says('{"reason": "r", "judge": "1"}'), 0.83, {"reason": "r", "judge": 1}, ...),
    "full-width marks": (says("{“reason”：“r”，“judge”：1}"), 0.83, {"reason": "r", "judge": 1}, ...),
    "another case": (says('{"Reason": "r", "Judge": 1}'), 0.83, {"reason": "r", "judge": 1}, ...),
    "more keys": (says('{"reason": "r", "judge": 1, "confidence": 0.9}'), 0.83, {"reason": "r", "judge": 1}, ...),
    "quotes in quotes": (says('```json\n{"reason": "says "dear" only", "judge": 1}\n```'), 0.83, ..., ...),
    "a key twice": (says('{"judge": 0, "reason": "x", "judge": 1}'), 0.83, "contradicts itself on judge", ...),
    "a refusal": (says("I'm sorry, but I can't help."), 0.83, "no JSON object", "I'm sorry, but I can't help."),
    "nothing": (says(""), 0.83, "the reply is empty", "the reply is empty"),
    "filtered": (says("", "content_filter"), "refused", "refused", "refused"),
    "no response_format": (refuses("response_format", "This response_format type is unavailable"), 0.83, VERDICT, TEXT),
    # ---- parameters
    "no system role": (refuses("system", "System role not supported"), 0.83, VERDICT, TEXT),
    "no system role, 500": (
        refuses("system", "Only user and assistant roles are supported!", 500),
        0.83,
        VERDICT,
        TEXT,
    ),
    "no system role, by its place": (
        refuses(
            "system", [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}], 422
        ),
        *(0.83, VERDICT, TEXT),
    ),
    "no seed": (refuses("seed", "Extra inputs are not permitted: seed", 422), 0.83, VERDICT, TEXT),
    "no max_tokens": (
        refuses("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        *(0.83, VERDICT, TEXT),
    ),
    "no temperature": (
        refuses("temperature", "'temperature' does not support 0.7 with this model"),
        0.83,
        VERDICT,
        TEXT,
    ),
    "either temperature or top_p": (
        lambda body: (
            refused(400, "`temperature` and `top_p` cannot both be specified for this model.")
            if {"temperature", "top_p"} <= body.keys()
            else (200, completion(body))
        ),
        *(0.83, VERDICT, TEXT),
    ),
    # ---- bodies
    "parts": (lambda body: (200, completion(body, [{"type": "text", "text": words(body)}])), 0.83, VERDICT, TEXT),
    "no usage": (lambda body: (200, {**completion(body), "usage": None}), 0.83, VERDICT, TEXT),
    "a stream": (
        events(lambda t: delta(t[:9]), lambda t: delta(t[9:]), lambda t: "data: [DONE]\n\n"),
        NONE,
        VERDICT,
        TEXT,
    ),
    "a stream that is kept open": (
        events(lambda t: ": OPENROUTER PROCESSING\n\n: still\n\n", lambda t: "event: message\n" + delta(t)),
        *(NONE, VERDICT, TEXT),
    ),
    "a stream with a line separator": (events(lambda t: delta("a\u2028b")), NONE, "no JSON", "a\u2028b"),
    "a byte order mark": (
        lambda body: (200, b"\xef\xbb\xbf" + json.dumps(completion(body)).encode()),
        0.83,
        VERDICT,
        TEXT,
    ),
    "plain text": (
        lambda body: (200, json.dumps(completion(body)).encode(), {"Content-Type": "text/plain; charset=iso-8859-1"}),
        *(0.83, VERDICT, TEXT),
    ),
    "GBK, and says so": (
        lambda body: (
            200,
            json.dumps(completion(body, "祝您生日快乐"), ensure_ascii=False).encode("gbk"),
            {"Content-Type": "application/json; charset=gbk"},
        ),
        *(0.83, "no JSON object", "祝您生日快乐"),
    ),
    "GBK": (
        lambda body: (200, json.dumps(completion(body, "祝您生日快乐"), ensure_ascii=False).encode("gbk")),
        *("gives no completions",) * 3,
    ),
    # ---- errors: for all three the same
    "an error with 200": (
        fixed(
            200,
            {
                "choices": None,
                "error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "Too Many Requests"}},
            },
        ),
        *("failed 4 times, last with 429: Provider returned error Too Many Requests",) * 3,
    ),
    "an error in a choice": (
        fixed(200, {"choices": [{"error": {"code": 502, "message": "Upstream is gone"}, "message": {"content": ""}}]}),
        *("last with 502: Upstream is gone",) * 3,
    ),
    "an error in a stream": (
        fixed(200, b'data: {"error": {"message": "Overloaded", "type": "overloaded_error"}}\n\n'),
        *("last with 429: Overloaded",) * 3,
    ),
    "no choices": (fixed(200, {"choices": [], "usage": {"prompt_tokens": 9}}), *("gives no completions.*choices",) * 3),
    "a page": (
        fixed(200, b"<!doctype html><title>Some UI</title>", Content_Type="text/html"),
        *("Some UI.*--base-url",) * 3,
    ),
    "a gateway": (fixed(502, b"<html><title>502 Bad Gateway</title></html>"), *("last with 502: 502 Bad Gateway",) * 3),
    "another endpoint": (
        fixed(200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
        *("no such model or path.*Unexpected endpoint",) * 3,
    ),
    "another model": (
        refuses("model", "Model Not Exist"),
        *("no such model or path: check --model.*Model Not Exist",) * 3,
    ),
    "another model, by its name": (
        fixed(400, {"error": {"message": "gpt-6 is not a valid model ID", "code": 400}}),
        *("no such model or path: check --model",) * 3,
    ),
    "a model that loads": (
        fixed(503, {"error": {"message": "Loading model", "type": "unavailable_error"}}),
        *("last with 503: Loading model",) * 3,
    ),
    "moved": (
        fixed(308, b"", Location="http://127.0.0.1:9/v1/chat"),
        *("--base-url, it leads to http://127.0.0.1:9/v1",) * 3,
    ),
    "no money": (
        fixed(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
        *("no quota left .You exceeded your current quota",) * 3,
    ),
    "no money, by type": (
        fixed(
            429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": None}}
        ),
        *("no quota left",) * 3,
    ),
    "no money, with 200": (
        fixed(200, {"error": {"message": "Please recharge", "code": "insufficient_balance"}}),
        *("no quota left .Please recharge",) * 3,
    ),
    "a long prompt": (long_context, *("maximum context length is 3 tokens",) * 3),
    "a large request": (
        fixed(413, b"<title>413 Request Entity Too Large</title>"),
        *("413 Request Entity Too Large",) * 3,
    ),
}


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_it_gives_the_right_value_or_says_why_not(name: str) -> None:
    endpoint, *wanted = ENDPOINTS[name]
    async with Stub(reply=endpoint) as stub:
        for ask, value in zip((token, verdict, text), wanted, strict=True):
            async with client(stub) as llm:
                found = await outcome(ask, llm)
            if isinstance(value, str) and value != TEXT:
                assert re.search(value, str(found)), ask.__name__
            elif value is ...:
                assert found not in (None, "")
            else:
                assert found == value, ask.__name__


# ---- what it takes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "ask", "requests"),
    [
        (fixed(200, {"error": {"message": "busy", "code": 429}}), text, 4),
        (fixed(429, {"error": {"message": "busy"}}), text, 4),
        (fixed(200, {"choices": []}), text, 3),
        (fixed(200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}), text, 1),
        (fixed(308, b"", Location="http://127.0.0.1:9/"), text, 1),
        (refuses("model", "Model Not Exist"), text, 1),
        (fixed(429, {"error": {"message": "no", "code": "insufficient_quota"}}), text, 1),
        (long_context, text, 1),
        (thinks(10**9), text, 3),
        (thinks(10**9), verdict, 3),
        (thinks(1000), text, 2),
        (strict, verdict, 3),
    ],
)
async def test_what_will_not_change_is_not_asked_again(endpoint: Endpoint, ask: Any, requests: int) -> None:
    async with Stub(reply=endpoint) as stub, client(stub) as llm:
        await outcome(ask, llm)
        assert len(stub.log) == requests
        assert "max_tokens" not in llm.lacking


@pytest.mark.parametrize(
    ("endpoint", "lacking"),
    [
        (refuses("system", "Only user and assistant roles are supported!", 500), {"system_role"}),
        (refuses("seed", "Extra inputs are not permitted: seed", 422), {"seed"}),
        (refuses("temperature", "'temperature' does not support 0.7 with this model"), {"temperature"}),
        (strict, {"thinking_off", "schema_limits"}),
        (fixed(503, {"error": {"message": "upstream connect error; stream reset before headers"}}), set()),
    ],
)
async def test_nothing_else_is_lost_with_what_is_refused(endpoint: Endpoint, lacking: set[str]) -> None:
    async with Stub(reply=endpoint) as stub, client(stub) as llm:
        await outcome(verdict, llm)
        assert llm.lacking == lacking


async def test_a_date_says_when_to_ask_again() -> None:
    def busy_once(body: Body) -> Any:
        if len(stub.log):
            return 200, completion(body)
        return 429, {"error": "slow down"}, {"Retry-After": email.utils.formatdate(time.time() + 2, usegmt=True)}

    async with Stub(reply=busy_once) as stub, client(stub) as llm:
        start = time.monotonic()
        assert await text(llm) == TEXT
        assert time.monotonic() - start > 0.9


async def test_a_slow_reply_is_waited_for_as_long_as_the_user_says() -> None:
    async with Stub(reply=says(), latency=0.3) as stub:
        async with client(stub, terms=Terms(timeout=0.05), retry=Retry(tries=2, first=0.001)) as llm:
            assert await outcome(text, llm) == "m failed 2 times, last with timeout"
        async with client(stub, terms=Terms(timeout=0.05), retry=Retry(tries=2, first=0.001, hopeless=2)) as llm:
            assert "Raise --timeout" in await outcome(text, llm)
        async with client(stub, terms=Terms(timeout=5)) as llm:
            assert await text(llm) == TEXT


async def test_a_limit_is_found_by_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 texts at once: one goes ahead, is refused, and finds the number that the others take."""
    monkeypatch.setattr("inkfire.llm.client._PATIENCE", 60)
    async with Stub(reply=at_most(1, "too many logprobs"), latency=0.1) as stub, client(stub, concurrency=24) as llm:
        asks = ([{"role": "user", "content": str(i)}] for i in range(24))
        await asyncio.gather(*(llm.chat(ask, sampling=Sampling(max_tokens=1, top_logprobs=20)) for ask in asks))
        assert [request.body["top_logprobs"] for request in stub.log] == [20, 5, *[1] * 24]
        assert stub.most_in_service > 10


async def test_the_room_that_thinking_takes_is_found_by_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkfire.llm.client._PATIENCE", 60)
    async with Stub(reply=thinks(1000), latency=0.1) as stub, client(stub, concurrency=24) as llm:
        asks = ([{"role": "user", "content": str(i)}] for i in range(24))
        replies = await asyncio.gather(*(llm.chat(ask, sampling=Sampling(max_tokens=160)) for ask in asks))
        assert {reply.text for reply in replies} == {TEXT}
        assert [request.body["max_tokens"] for request in stub.log] == [160, *[2048] * 24]


async def test_nobody_waits_long_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkfire.llm.client._PATIENCE", 0.05)
    async with Stub(reply=says(), latency=0.4) as stub, client(stub) as llm:
        await asyncio.gather(*(llm.chat([{"role": "user", "content": str(i)}]) for i in range(4)))
        assert stub.most_in_service == 4


async def test_a_server_that_shows_log_probabilities_at_last_is_asked_anew(tmp_path: Path) -> None:
    shown: list[Body] = []

    def flip(body: Body) -> Any:
        return 200, completion(body) if shown else completion(body, logprobs=None)

    async with Stub(reply=flip) as stub:
        for again, wanted in ((False, NONE), (False, NONE), (True, 0.83)):
            with Ledger(tmp_path / "l.sqlite", retry_unscored=again) as ledger:
                async with client(stub, ledger=ledger) as llm:
                    found = await token(llm)
                    assert found == wanted or wanted in found
            shown += [{}] if ledger.stats()["cached"] else []
        assert len(stub.log) == 2
