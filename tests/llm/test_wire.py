"""Requests and responses on the wire, well-formed and not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import EndpointDown
from inkfire.llm.base import Message, Sampling
from inkfire.llm.entry import Entry
from inkfire.llm.retry import Fault, Rejected
from inkfire.llm.wire import Question, attempt_key, features, read_completion, read_reply, request_body

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def body(question: Question, without: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    usable = [feature for feature in features(question) if feature not in without]
    parsed: dict[str, Any] = json.loads(request_body("m", question, usable))
    return parsed


def test_a_plain_request() -> None:
    question = Question([{"role": "user", "content": "hi {x} <y>"}], None, Sampling(max_tokens=9))
    assert body(question) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi {x} <y>"}],
        "max_tokens": 9,
        "temperature": 0.0,
        "stream": False,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert "max_completion_tokens" in body(question, {"max_tokens"})
    assert "temperature" not in body(question, {"temperature"})


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": {"type": "object"}}}}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": CLOSED}}}, True),
    ],
)
def test_strict_mode_where_the_schema_allows_it(schema: dict[str, Any], strict: bool) -> None:
    sent = body(Question([{"role": "user", "content": "hi"}], schema, Sampling()))
    assert sent["response_format"]["json_schema"]["strict"] is strict


def test_the_schema_in_the_prompt_follows_the_last_user_message() -> None:
    for last in ("user", "assistant"):
        question = Question([{"role": last, "content": "hi"}], CLOSED, Sampling())  # type: ignore[typeddict-item]
        told = body(question, {"json_schema", "json_object"})["messages"][-1]
        assert told["role"] == "user"
        assert json.dumps(CLOSED) in told["content"]


def completion(**choice: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": "hi"}, **choice}]}).encode()


def test_a_response() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    raw = {"choices": [{"message": {"content": "hi"}, "finish_reason": "length"}], "usage": usage}
    read = read_completion(json.dumps(raw).encode(), prompt_tokens=99)
    assert (read.text, read.finish_reason, read.estimated) == ("hi", "length", False)
    assert (read.usage.prompt_tokens, read.usage.completion_tokens, read.usage.cached_tokens) == (10, 3, 8)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": {"content": ["a"]}}]}',
        b'{"choices": [{"mess',
        b"<html>502 Bad Gateway</html>",
        b"\xff\xfe\x00",
        b'{"error": {"message": "something odd"}}',
    ],
)
def test_what_is_no_completion_is_a_fault(raw: bytes) -> None:
    with pytest.raises(Fault) as fault:
        read_completion(raw, prompt_tokens=1)
    assert fault.value.kind == "malformed"


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_any_body_is_a_completion_or_a_fault(raw: bytes) -> None:
    with pytest.raises(Fault):
        read_completion(raw, prompt_tokens=1)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        {"prompt_tokens": "7"},
        {"prompt_tokens": None},
        {"prompt_tokens": -1},
        {"prompt_tokens": True},
        {"prompt_tokens": 7.0},
        {"prompt_tokens": float("nan")},
        {"prompt_tokens": 10**20},
        {"prompt_tokens": 10**400},
        {"prompt_tokens": 7, "completion_tokens": 10**20},
        {"prompt_tokens": 7, "completion_tokens": -3},
        {"prompt_tokens": 7, "completion_tokens": float("inf")},
    ],
)
def test_odd_usage_is_estimated(usage: Any) -> None:
    raw = json.dumps({"choices": [{"message": {"content": "好" * 10}}], "usage": usage}).encode()
    read = read_completion(raw, prompt_tokens=50)
    assert read.estimated
    assert read.usage.prompt_tokens == 50
    assert read.usage.completion_tokens >= 10


def position(logprob: Any, token: Any = "a", others: Any = ()) -> dict[str, Any]:
    return {"content": [{"token": token, "logprob": logprob, "top_logprobs": others}]}


@pytest.mark.parametrize(
    "logprobs",
    [
        *(None, [], 7, "a", {}, {"content": None}, {"content": 3}, {"content": []}, {"content": [None, [], 1]}),
        {"content": [{"token": "a"}]},
        *map(position, (None, "-1", True, False, [], {}, float("nan"), float("-inf"), 10**400, -(10**400), 5.0)),
        position(-1.0, token=None),
        position(-1.0, token=["a"]),
    ],
)
def test_odd_logprobs_are_none(logprobs: Any) -> None:
    assert read_completion(completion(logprobs=logprobs), prompt_tokens=1).logprobs is None


def test_one_odd_alternative_spoils_no_other() -> None:
    odd = [None, 7, {"token": "x", "logprob": None}, {"token": None, "logprob": -1}, {"token": "b", "logprob": -2}]
    assert read_completion(completion(logprobs=position(-1, others=odd)), prompt_tokens=1).logprobs == (
        '[[["a",-1.0],["b",-2.0]]]'
    )
    for others in (None, 7, "abc", {"a": 1}):
        assert read_completion(completion(logprobs=position(1e-9, others=others)), prompt_tokens=1).logprobs == (
            '[[["a",0.0]]]'
        )


def test_a_probability_of_nearly_nothing_has_a_logarithm() -> None:
    """OpenAI says -9999 where it means never."""
    read = read_completion(completion(logprobs=position(-9999.0)), prompt_tokens=1)
    sampling = Sampling(top_logprobs=1)
    entry = Entry(b"", "", "", 0.0, 0, "a", "stop", None, 1, 1, 0, False, None, 0.1, read.logprobs)
    (((alternative,),)) = read_reply(entry, Question([], None, sampling)).logprobs
    assert math.log(math.exp(alternative.logprob)) == pytest.approx(-700)


def test_a_character_that_was_cut_in_two_costs_only_itself() -> None:
    raw = completion()
    assert read_completion(raw.replace(b"hi", "好啊".encode()[:-1]), prompt_tokens=1).text == "好\ufffd"
    assert read_completion(b"\xef\xbb\xbf" + raw, prompt_tokens=1).text == "hi"


@pytest.mark.parametrize(
    ("text", "logprobs", "sampling", "schema", "lacking"),
    [
        ("hi", None, Sampling(), None, None),
        ("", None, Sampling(), None, "the reply is empty"),
        (" \n", None, Sampling(), None, "the reply is empty"),
        ("<think>so", None, Sampling(), None, "the reply is empty"),
        ("hi", None, Sampling(top_logprobs=5), None, "the reply has no log-probabilities"),
        ("hi", "[]", Sampling(top_logprobs=5), None, "the reply has no log-probabilities"),
        ("hi", "[[],[]]", Sampling(top_logprobs=5), None, "the reply has no log-probabilities"),
        ("", '[[["好",-0.5]]]', Sampling(top_logprobs=5), None, None),
        ('{"a": "b"}', None, Sampling(top_logprobs=5), CLOSED, None),
        ("hm", None, Sampling(), CLOSED, "no JSON object in the reply"),
    ],
)
def test_what_was_asked_for_and_did_not_come(
    text: str, logprobs: str | None, sampling: Sampling, schema: Any, lacking: str | None
) -> None:
    entry = Entry(b"", "", "", 0.0, 0, text, "stop", None, 1, 1, 0, False, None, 0.1, logprobs)
    reply = read_reply(entry, Question([{"role": "user", "content": "hi"}], schema, sampling))
    assert reply.lacking == lacking
    assert reply.unparsed == (lacking if schema else None)


def test_keys_do_not_change() -> None:
    """A ledger of years ago holds replies under these: another value here asks and pays for all of them again."""
    schema = {"type": "object", "properties": {"judge": {"enum": [0, 1]}}, "required": ["judge"]}
    messages: list[Message] = [
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": "祝您\ud83d平安"},
    ]
    sampling = Sampling(temperature=1, top_p=0.95, max_tokens=9, seed=3, sample=2, top_logprobs=5)
    digest = Question(messages, schema, sampling).digest("https://api.example.com/v1 m")
    assert digest.hex() == "0a55e1369ed352eac6fefdd5b0765ffca6c713d4ac625cc9615aaa3dbef0dacc"
    assert attempt_key(digest, 0) == digest
    assert attempt_key(digest, 1).hex() == "02bb23766733bd64af81f34f362b5fcbced2da7e20c25ab7450ad8138aee13b5"


def test_the_token_that_was_written_comes_first_likely_or_not() -> None:
    others = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -3.0}]
    for token, logprob, kept in (
        ("b", -3.0, '[["b",-3.0],["a",-0.1]]'),
        ("}", -9.0, '[["}",-9.0],["a",-0.1],["b",-3.0]]'),
    ):
        positions = {"content": [{"token": token, "logprob": logprob, "top_logprobs": others}]}
        assert read_completion(completion(logprobs=positions), prompt_tokens=1).logprobs == f"[{kept}]"


def test_logprobs_without_alternatives_are_those_of_the_token() -> None:
    positions = {"content": [{"token": "好", "logprob": -0.5, "top_logprobs": []}]}
    assert read_completion(completion(logprobs=positions), prompt_tokens=1).logprobs == '[[["好",-0.5]]]'


def test_a_missing_content_is_an_empty_text() -> None:
    raw = json.dumps({"choices": [{"message": {"content": None}}]}).encode()
    assert read_completion(raw, prompt_tokens=1).text == ""


def test_an_error_with_status_200_means_what_its_code_says() -> None:
    for error, kind in (
        ({"message": "Provider returned error", "code": 429}, "429"),
        ({"message": "overloaded"}, "429"),
        ({"message": "x", "code": "503"}, "503"),
        ({"message": "x", "type": "server_error"}, "500"),
    ):
        with pytest.raises(Fault) as fault:
            read_completion(json.dumps({"choices": None, "error": error}).encode(), prompt_tokens=1)
        assert fault.value.kind == kind
    with pytest.raises(Rejected, match="too much"):
        read_completion(b'{"error": {"message": "too much", "code": 400}}', prompt_tokens=1)
    with pytest.raises(EndpointDown, match="OPENAI_API_KEY"):
        read_completion(b'{"error": {"message": "no", "code": "invalid_api_key"}}', prompt_tokens=1)
    with pytest.raises(EndpointDown, match="Unexpected endpoint"):
        read_completion(b'{"error": "Unexpected endpoint or method."}', prompt_tokens=1)


def test_parts_and_events_are_joined() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Short?"}]},
        {"type": "text", "text": "Dear "},
        {"type": "text", "text": "aunt"},
    ]
    raw = json.dumps({"choices": [{"message": {"content": parts}}]}).encode()
    assert read_completion(raw, prompt_tokens=1).text == "Dear aunt"
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in ("Dear ", "aunt")]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "length"}], "usage": {"prompt_tokens": 3}})
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    read = read_completion(stream.encode(), prompt_tokens=1)
    assert (read.text, read.finish_reason, read.usage.prompt_tokens) == ("Dear aunt", "length", 3)


@pytest.mark.parametrize(
    ("logprobs", "kept"),
    [
        (position(None, "Good", [{"token": "Good", "logprob": -0.2}, {"token": "Bad", "logprob": -2}]), "Good"),
        (position(None, "Good", [{"token": "Bad", "logprob": -0.2}]), "Good"),
        (position(-3.4028234663852886e38, "Good", [{"token": "Bad", "logprob": -0.2}]), "Good"),
        ({"tokens": ["Good"], "token_logprobs": [-0.2], "top_logprobs": [{"Good": -0.2, "Bad": -2}]}, "Good"),
        (position(-0.2, "ĠGood", [{"token": "ĠBad", "logprob": -2}]), " Good"),
        (position(-0.2, "å¥½"), "好"),
    ],
)
def test_odd_logprobs_that_can_be_read(logprobs: Any, kept: str) -> None:
    read = read_completion(completion(logprobs=logprobs), prompt_tokens=1)
    entry = Entry(b"", "", "", 0.0, 0, "a", "stop", None, 1, 1, 0, False, None, 0.1, read.logprobs)
    assert read_reply(entry, Question([], None, Sampling(top_logprobs=1))).logprobs[0][0].token == kept


def test_a_text_that_outgrew_its_length_in_the_room_of_thinking_is_cut_off() -> None:
    question = Question([{"role": "user", "content": "hi"}], None, Sampling(max_tokens=20))
    for text, taken, reason in (("short", 900, "stop"), ("long " * 40, 900, "length"), ("long " * 40, 20, "stop")):
        entry = Entry(b"", "", "", 0.0, 0, text, "stop", None, 1, taken, 0, False, None, 0.1, None)
        assert read_reply(entry, question).finish_reason == reason


def test_thinking_takes_no_part_in_the_labels_log_probabilities() -> None:
    tokens = ["<think>", "1", "</think>", '{"a": "', "0", '"}']
    positions = {"content": [{"token": token, "logprob": -0.1, "top_logprobs": []} for token in tokens]}
    read = read_completion(completion(logprobs=positions, message={"content": "".join(tokens)}), prompt_tokens=1)
    entry = Entry(b"", "", "", 0.0, 0, read.text, "stop", None, 1, 1, 0, False, None, 0.1, read.logprobs)
    reply = read_reply(entry, Question([{"role": "user", "content": "hi"}], CLOSED, Sampling(top_logprobs=5)))
    assert [position[0].token for position in reply.logprobs] == tokens[3:]
