"""Endpoints that differ: each lacks something, says it in its own way, and the call comes out all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import Body, Stub

from inkfire.errors import EndpointDown, InputError, ModelCallError
from inkfire.llm.base import Message, Sampling
from inkfire.llm.client import Client
from inkfire.llm.connect import between
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Budget
from inkfire.llm.retry import Retry
from inkfire.llm.terms import Terms, read_extra

FAST = Retry(tries=4, first=0.001, longest=0.01)
SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 20}, "judge": {"enum": [0, 1]}},
    "required": ["reason", "judge"],
    "additionalProperties": False,
}
VERDICT = '{"reason": "", "judge": 1}'
ASK: list[Message] = [{"role": "system", "content": "You judge."}, {"role": "user", "content": "好吗"}]


def client(stub: Stub, **more: Any) -> Client:
    return Client("stub", base_url=more.pop("base_url", stub.url), **{"retry": FAST, **more})


def refused(message: str, status: int = 400) -> tuple[int, Body]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "code": None}}


def said(text: str | None = "", reason: str = "stop", *, logprobs: Any = None, **message: Any) -> tuple[int, Body]:
    choice = {"message": {"content": text, **message}, "finish_reason": reason, "logprobs": logprobs}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}


# ---- log-probabilities -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "words", "asked"),
    [
        (5, "Requested sample logprobs of {}, which is greater than max allowed: 5", [20, 5]),
        (8, "top_logprobs must be between 0 and 8, got {}", [20, 8]),
        (1, "too many logprobs", [20, 5, 1]),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 422, 500])
async def test_the_servers_limit_of_alternatives_is_taken(most: int, words: str, asked: list[int], status: int) -> None:
    def reply(body: Body) -> Any:
        top = body.get("top_logprobs", 0)
        return refused(words.format(top), status) if top > most else "Good"

    async with Stub(reply=reply) as stub, client(stub) as llm:
        for text in ("a", "b"):
            reply_ = await llm.chat([{"role": "user", "content": text}], sampling=Sampling(top_logprobs=20))
            assert reply_.logprobs
        assert [request.body["top_logprobs"] for request in stub.log] == [*asked, asked[-1]]


@pytest.mark.parametrize("status", [400, 403, 404, 422, 500])
async def test_log_probabilities_refused_in_words_are_gone_without(status: int) -> None:
    def reply(body: Body) -> Any:
        return refused("You are not allowed to request logprobs", status) if "logprobs" in body else "Good"

    async with Stub(reply=reply) as stub, client(stub) as llm:
        assert (await llm.chat(ASK, sampling=Sampling(top_logprobs=20))).lacking == "the reply has no log-probabilities"
        assert llm.lacking == {"logprobs"}


# ---- thinking --------------------------------------------------------------------------------------------------------


async def test_an_answer_that_came_as_reasoning_alone_is_read() -> None:
    async with Stub(reply=lambda body: said(None, reasoning_content=VERDICT)) as stub, client(stub) as llm:
        assert (await llm.chat(ASK, schema=SCHEMA)).parsed == {"reason": "", "judge": 1}
        assert (await llm.chat(ASK)).text == VERDICT


async def test_thinking_alone_is_no_text() -> None:
    musing = "Okay, the user wants a note."
    async with Stub(reply=lambda body: said("", reasoning=musing)) as stub, client(stub) as llm:
        assert (await llm.chat(ASK)).lacking == "the reply is thinking alone, without an answer"


async def test_a_text_in_which_thinking_is_left_is_not_written() -> None:
    async with Stub(reply=lambda body: "Dear <think> aunt, short? Happy birthday.") as stub, client(stub) as llm:
        with pytest.raises(ModelCallError, match="thinking cannot be told"):
            await llm.chat(ASK)


def thinks(needs: int) -> Any:
    def reply(body: Body) -> Any:
        if body["max_tokens"] < needs:
            code, whole = said("", "length", reasoning_content="Let me think. " * 9)
            whole["usage"]["completion_tokens"] = body["max_tokens"]
            return code, whole
        return said(VERDICT if "JSON" in str(body) or "response_format" in body else "Dear aunt", reasoning="hm")

    return reply


async def test_a_reply_that_thinking_used_up_is_given_more_room(tmp_path: Path) -> None:
    async with Stub(reply=thinks(1000)) as stub:
        for _ in range(2):
            with Ledger(tmp_path / "l.sqlite") as ledger:
                async with client(stub, ledger=ledger) as llm:
                    assert (await llm.chat(ASK, sampling=Sampling(max_tokens=160))).text == "Dear aunt"
                    assert (await llm.chat(ASK, schema=SCHEMA)).parsed
        rooms = [request.body["max_tokens"] for request in stub.log]
    assert rooms == [
        160,
        2048,
        2048,
    ]  # what it needs is known then, and the second process pays nothing


async def test_the_room_is_bounded_and_the_user_sets_it(tmp_path: Path) -> None:
    async with Stub(reply=thinks(10_000)) as stub:
        with Ledger(tmp_path / "l.sqlite") as ledger:
            async with client(stub, ledger=ledger) as llm:
                reply = await llm.chat(ASK, sampling=Sampling(max_tokens=160))
                assert "raise --reply-tokens" in (reply.lacking or "")
                assert (await llm.chat(ASK, sampling=Sampling(max_tokens=160))).cached
            assert ledger.stats()["unparsed"] == 3
            async with client(stub, ledger=ledger, terms=Terms(reply_tokens=12_000)) as llm:
                assert (await llm.chat(ASK, sampling=Sampling(max_tokens=160))).text == "Dear aunt"
        assert [request.body["max_tokens"] for request in stub.log] == [160, 2048, 8192, 12_000]


async def test_a_larger_room_that_is_refused_leaves_the_first_reply() -> None:
    def reply(body: Body) -> Any:
        return refused("max_tokens is too large") if body.get("max_tokens", 9999) > 160 else said("", "length")

    async with Stub(reply=reply) as stub, client(stub) as llm:
        assert "--reply-tokens" in ((await llm.chat(ASK, sampling=Sampling(max_tokens=160))).lacking or "")


async def test_one_token_stays_one_token() -> None:
    async with Stub(reply=thinks(10)) as stub, client(stub, terms=Terms(reply_tokens=500)) as llm:
        await llm.chat(ASK, sampling=Sampling(max_tokens=1, top_logprobs=5))
        assert [request.body["max_tokens"] for request in stub.log] == [1]


async def test_thinking_is_switched_off_in_the_spelling_that_the_server_takes() -> None:
    def dashscope(body: Body) -> Any:
        must = "parameter.enable_thinking must be set to false for non-streaming calls"
        return "fine" if body.get("enable_thinking") is False else refused(must)

    async with Stub(reply=dashscope) as stub, client(stub) as llm:
        assert (await llm.chat(ASK)).text == "fine"
        assert len(stub.log) == 2
    efforts = []

    def effort(body: Body) -> Any:
        efforts.append(body.get("reasoning_effort"))
        if "chat_template_kwargs" in body or "enable_thinking" in body:
            return refused(f"Unrecognized request argument supplied: {[*body][-1]}")
        if body.get("reasoning_effort") == "none":
            return refused("'reasoning_effort' does not support 'none'. Supported values are: 'low', 'medium'")
        return said("fine", reasoning_content="" if body.get("reasoning_effort") else "hm")

    async with Stub(reply=effort) as stub, client(stub) as llm:
        for text in "abc":
            assert (await llm.chat([{"role": "user", "content": text}])).text == "fine"
    assert efforts[-1] == "low"
    assert len(efforts) <= 7


# ---- structured replies and parameters -------------------------------------------------------------------------------


async def test_a_strict_schema_goes_without_the_limits_it_refuses() -> None:
    def strict(body: Body) -> Any:
        if "maxLength" in json.dumps(body.get("response_format")):
            return refused("Invalid schema for response_format 'reply': 'maxLength' is not permitted.")
        return json.dumps({"reason": "it names her bees and the hives", "judge": 1})

    async with Stub(reply=strict) as stub, client(stub) as llm:
        reply = await llm.chat(ASK, schema=SCHEMA)
        assert reply.parsed == {"reason": "it names her bees a…", "judge": 1}
        assert llm.lacking == {"schema_limits"}
        assert stub.log[-1].body["response_format"]["json_schema"]["strict"] is True


async def test_temperature_and_top_p_are_two_features() -> None:
    def either(body: Body) -> Any:
        both = "temperature" in body and "top_p" in body
        return refused("`temperature` and `top_p` cannot both be specified for this model.") if both else "fine"

    async with Stub(reply=either) as stub, client(stub) as llm:
        await llm.chat(ASK)
        assert "top_p" not in stub.log[0].body
        await llm.chat(ASK, sampling=Sampling(0.7, 0.9))
        assert llm.lacking == {"top_p"}
        assert stub.log[-1].body["temperature"] == 0.7


async def test_a_model_that_loses_its_temperature_is_told_of(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with Stub(unsupported=("temperature",)) as stub, client(stub, ledger=ledger) as llm:
            await llm.chat(ASK)
        assert ledger.stats()["lacking"] == {"stub": ["temperature"]}


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "System role not supported"), (500, "Conversation roles must alternate user/assistant/user/assistant/...")],
)
async def test_without_a_system_role_its_text_goes_to_the_first_user_turn(status: int, words: str) -> None:
    def reply(body: Body) -> Any:
        return refused(words, status) if body["messages"][0]["role"] == "system" else "fine"

    async with Stub(reply=reply) as stub, client(stub) as llm:
        assert (await llm.chat(ASK)).text == "fine"
        assert stub.log[-1].body["messages"] == [{"role": "user", "content": "You judge.\n\n好吗"}]
        assert llm.lacking == {"system_role"}


async def test_extra_fields_stand_in_every_request_and_make_another_question(tmp_path: Path) -> None:
    async with Stub() as stub:
        with Ledger(tmp_path / "l.sqlite") as ledger:
            for extra in (None, '{"top_k": 20, "stream": true}'):
                async with client(stub, ledger=ledger, terms=Terms(extra=read_extra(extra))) as llm:
                    assert not (await llm.chat(ASK)).cached
        assert (stub.log[0].body["stream"], stub.log[1].body["stream"], stub.log[1].body["top_k"]) == (False, True, 20)
    for wrong in ("{", "[1]"):
        with pytest.raises(InputError, match="--extra-body"):
            read_extra(wrong)


@pytest.mark.parametrize(
    "form", ["{host}", "{host}/", "{host}/v1/", "{host}/v1/chat/completions", "{host}/v1?api-version=3"]
)
async def test_an_address_as_people_write_it(form: str) -> None:
    async with Stub() as stub:
        async with client(stub, base_url=form.format(host=stub.url.removesuffix("/v1"))) as llm:
            for text in "ab":
                assert (await llm.chat([{"role": "user", "content": text}])).text
        assert stub.paths[-1] == "/v1/chat/completions" + ("?api-version=3" if "?" in form else "")
        assert len(stub.paths) <= 3


# ---- errors ----------------------------------------------------------------------------------------------------------


async def test_every_giving_up_quotes_the_server() -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    for answer, match in (
        ((500, {"error": {"message": "the GPU fell off"}}), "the GPU fell off"),
        ((502, page), "502 Bad Gateway"),
        ((200, {"error": {"message": "Provider returned error", "code": 502}}), "Provider returned error"),
    ):
        async with Stub(reply=lambda body, answer=answer: answer) as stub, client(stub) as llm:  # type: ignore[misc]
            with pytest.raises(ModelCallError, match=match):
                await llm.chat(ASK)


@pytest.mark.parametrize(
    ("content", "quoted"),
    [(b"<!doctype html><title>Some UI</title>", "Some UI"), (b'{"choices": []}', "choices"), (b'{"text": "hi"}', "hi")],
)
async def test_a_shape_that_will_not_change_is_not_asked_forty_times(content: bytes, quoted: str) -> None:
    async with Stub(reply=lambda body: (200, content)) as stub, client(stub, retry=Retry(first=0.001)) as llm:
        with pytest.raises(EndpointDown, match="--base-url") as down:
            await llm.chat(ASK)
        assert len(stub.log) == 3
        assert quoted in str(down.value)


async def test_what_an_unreadable_reply_took_counts_against_the_limit(tmp_path: Path) -> None:
    empty = {"choices": [], "usage": {"prompt_tokens": 400, "completion_tokens": 100}}
    async with Stub(reply=lambda body: (200, empty)) as stub:
        with Ledger(tmp_path / "l.sqlite", run="r", budget=Budget(tokens=10_000)) as ledger:
            async with client(stub, ledger=ledger) as llm:
                with pytest.raises(EndpointDown):
                    await llm.chat(ASK)
            assert ledger.stats()["tokens"] == 1500
        with Ledger(tmp_path / "l.sqlite", run="r", budget=Budget(tokens=10_000)) as ledger:
            assert ledger.purse._spent.tokens == 1500


# ---- the user's environment ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "socks5://127.0.0.1:1080"),
        ("ALL_PROXY", "ftp://127.0.0.1:21"),
        ("SSL_CERT_FILE", "/no/such/file.pem"),
    ],
)
async def test_an_environment_that_cannot_be_used_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.lower(), raising=False)
    monkeypatch.setenv(name, value)
    async with Client("m", base_url="https://api.example.com/v1") as llm:
        with pytest.raises(InputError, match=name):
            await llm.chat(ASK)


async def test_what_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("https_proxy", "http://me:secret@127.0.0.1:9")
    async with Client("m", base_url="https://api.example.com/v1", retry=FAST) as llm:
        with pytest.raises(EndpointDown, match=r"by https_proxy=http://127.0.0.1:9$"):
            await llm.chat(ASK)
    assert "SSL_CERT_FILE" in between("https://h/v1", "[SSL: CERTIFICATE_VERIFY_FAILED]")
    assert between("http://localhost/v1", "refused") == ""


@pytest.mark.parametrize("key", ["sk-abc\n", "sk-äbc", "sk abc"])
def test_a_key_that_no_header_carries_is_named(key: str) -> None:
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        Client("m", base_url="https://api.example.com/v1", api_key=key)


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://host:port/v1", "https://höst/v1", "https://h/v1 x", "ftp://h/v1"]
)
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(InputError, match="--base-url"):
        Client("m", base_url=url)


# ---- failing for one reason ------------------------------------------------------------------------------------------


async def many(llm: Client, **more: Any) -> None:
    for number in range(40):
        await llm.chat([{"role": "user", "content": str(number)}], **more)


async def test_calls_that_fail_for_one_reason_stop_after_twenty() -> None:
    async with Stub(reply=lambda body: said("Good")) as stub, client(stub) as llm:
        with pytest.raises(InputError, match=r"20 of the first 20 calls.*no log-probabilities.*--mode verdict"):
            await many(llm, sampling=Sampling(top_logprobs=5))
        assert len(stub.log) == 20
    async with Stub(reply=lambda body: "hm") as stub, client(stub, reasks=0) as llm:
        with pytest.raises(EndpointDown, match="no JSON object"):
            await many(llm, schema=SCHEMA)


async def test_three_failures_in_four_stop_nothing() -> None:
    def reply(body: Body) -> Any:
        return "hm" if int(body["messages"][0]["content"]) % 4 else VERDICT

    async with Stub(reply=reply) as stub, client(stub, reasks=0) as llm:
        await many(llm, schema=SCHEMA)
        assert len(stub.log) == 40
