"""Requests and responses on the wire, well-formed and not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.llm.base import Sampling
from inkfire.llm.retry import Fault
from inkfire.llm.wire import Question, features, read_completion, request_body

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
        "top_p": 1.0,
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
        b'{"error": {"message": "overloaded"}}',
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
    [None, {}, [], {"prompt_tokens": "7"}, {"prompt_tokens": None}, {"prompt_tokens": -1}, {"prompt_tokens": True}],
)
def test_odd_usage_is_estimated(usage: Any) -> None:
    raw = json.dumps({"choices": [{"message": {"content": "好" * 10}}], "usage": usage}).encode()
    read = read_completion(raw, prompt_tokens=50)
    assert read.estimated
    assert read.usage.prompt_tokens == 50
    assert read.usage.completion_tokens >= 10


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": 3}, {"content": [{"token": "a"}]}, []])
def test_odd_logprobs_are_none(logprobs: Any) -> None:
    assert read_completion(completion(logprobs=logprobs), prompt_tokens=1).logprobs is None


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
    raw = json.dumps({"choices": [{"message": {"content": None, "reasoning_content": "hm"}}]}).encode()
    assert read_completion(raw, prompt_tokens=1).text == ""
