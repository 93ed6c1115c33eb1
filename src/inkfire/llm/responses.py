"""A body that came with status 200, which need not be a completion: an error, a stream of events, a page of HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from inkfire.llm.retry import Fault, Rejected, meaning, spoken

_CODES = (  # what an error without a number calls itself
    (429, ("rate_limit", "rate limit", "too many requests", "overloaded", "throttl")),
    (401, ("invalid_api_key", "authentication", "unauthorized", "incorrect api key")),
    (402, ("insufficient", "billing", "credit")),
    (404, ("model_not_found", "not_found", "unexpected endpoint", "no such model", "does not exist")),
    (400, ("invalid_request", "bad_request", "badrequest", "invalid_parameter", "content_filter")),
    (500, ("server_error", "internal", "unavailable", "timeout")),
)


def read_body(content: bytes) -> dict[str, Any]:
    """The object of a response; events are put together.

    Raises:
        Fault, Rejected, EndpointDown: it is an error.
        ValueError: it is none, a page for people perhaps.
    """
    text = content.decode("utf-8-sig", "replace")  # a character that the token limit cut in two
    if text.lstrip().startswith("data:"):
        return _events(text)
    body = json.loads(text)
    if isinstance(body, dict) and not body.get("choices") and (body.get("error") or body.get("object") == "error"):
        raise _error(body)
    if not isinstance(body, dict):
        raise ValueError
    return body


def malformed(content: bytes) -> Fault:
    """The failure of a body that is no completion; it quotes it."""
    return Fault("malformed", words=spoken(content.decode("utf-8", "replace")))


def _events(text: str) -> dict[str, Any]:
    """The completion that a stream's deltas make."""
    chunks = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:") and "[DONE]" not in line]
    whole: dict[str, Any] = {}
    message: dict[str, str] = {}
    reason: Any = None
    positions: list[Any] = []
    for chunk in chunks:
        if chunk.get("error"):
            raise _error(chunk)
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


def _error(body: Mapping[str, Any]) -> Exception:
    """An error by its own code, or by the words that stand for one."""
    error = body.get("error") or body
    error = error if isinstance(error, Mapping) else {"message": error}
    said = spoken(error)
    code = str(error.get("code") or error.get("status") or "")
    if not re.fullmatch(r"[45]\d\d", code):
        told = f"{code} {error.get('type')} {said}".lower()
        code = next((str(number) for number, named in _CODES if any(name in told for name in named)), "")
    if not code:
        return Fault("malformed", words=said)
    filtered = "content_filter" in f"{error.get('code')} {error.get('type')} {said}"
    return Rejected(int(code), said, content_filter=True) if filtered else meaning(int(code), said)
