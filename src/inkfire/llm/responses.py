"""A body that came with status 200, which need not be a completion: an error, a stream of events, a page of HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from inkfire.llm.retry import Fault, sort, spoken

_CODES = (  # what an error without a number calls itself
    (429, ("rate_limit", "rate limit", "too many requests", "overloaded", "throttl")),
    (401, ("invalid_api_key", "authentication", "unauthorized", "incorrect api key")),
    (402, ("insufficient", "billing", "credit")),
    (404, ("model_not_found", "not_found", "unexpected endpoint", "no such model", "does not exist")),
    (400, ("invalid_request", "bad_request", "badrequest", "invalid_parameter", "content_filter")),
    (500, ("server_error", "internal", "unavailable", "timeout")),
)


_EVENTS = re.compile(r"\s*(?:(?::|event:|id:|retry:)[^\n]*\n\s*)*data:")
_ODD = 3  # characters that are none, from which on a body is no UTF-8: one may be cut in two by the token limit


def read_body(content: bytes, doubts: Callable[[str], bool]) -> dict[str, Any]:
    """The object of a response; events are put together.

    Args:
        doubts: whether an error's words refuse a feature that the endpoint may not have.

    Raises:
        Fault, Rejected, EndpointDown: it is an error.
        ValueError: it is none, a page for people perhaps.
    """
    text = content.decode("utf-8-sig", "replace")
    if text.count("\ufffd") - content.count("\ufffd".encode()) > _ODD:
        raise ValueError("no UTF-8")
    body = _events(text, doubts) if _EVENTS.match(text) else json.loads(text)
    if not isinstance(body, dict):
        raise ValueError
    choices = body.get("choices")
    if not choices and (body.get("error") or body.get("object") == "error"):
        raise _error(body, doubts)
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("error"):
        raise _error(choices[0], doubts)
    return body


def malformed(content: bytes) -> Fault:
    """The failure of a body that is no completion; it quotes it."""
    return Fault("malformed", words=spoken(content.decode("utf-8", "replace")))


def _events(text: str, doubts: Callable[[str], bool]) -> dict[str, Any]:
    """The completion that a stream's deltas make."""
    data = [line.strip()[5:] for line in text.split("\n") if line.strip().startswith("data:")]
    chunks = [json.loads(line) for line in data if line.strip() not in ("[DONE]", "")]
    whole: dict[str, Any] = {}
    message: dict[str, str] = {}
    reason: Any = None
    positions: list[Any] = []
    for chunk in chunks:
        if chunk.get("error"):
            raise _error(chunk, doubts)
        whole |= {name: value for name, value in chunk.items() if value is not None}
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or choice.get("message") or {}
            for name in ("content", "reasoning_content", "reasoning"):
                if isinstance(delta.get(name), str):
                    message[name] = message.get(name, "") + delta[name]
            reason = choice.get("finish_reason") or reason
            positions += (choice.get("logprobs") or {}).get("content") or []
    choice = {"message": message, "finish_reason": reason, "logprobs": {"content": positions} if positions else None}
    return whole | {"choices": [choice] if message else []}


def _error(body: Mapping[str, Any], doubts: Callable[[str], bool]) -> Exception:
    """An error by its own code, or by the words that stand for one."""
    error = body.get("error") or body
    error = error if isinstance(error, Mapping) else {"message": error}
    said, named = spoken(error), f"{error.get('code')} {error.get('type')}"
    code = str(error.get("code") or error.get("status") or "")
    if not re.fullmatch(r"[45]\d\d", code):
        told = f"{named} {said}".lower()
        code = next((str(number) for number, names in _CODES if any(name in told for name in names)), "")
    if not code and not doubts(said):
        return Fault("malformed", words=said)
    return sort(int(code or 400), said, named, doubts)
