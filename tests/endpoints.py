"""Endpoints as they are met, each a function from a request's body to what it answers (for ``stub_endpoint.Stub``).

All are one model that means Good, answers ``TEXT`` where a text is wanted and ``VERDICT`` where JSON is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Endpoint = Callable[[Body], Answer]

TEXT = "Dear aunt, may your hives hum."
VERDICT = {"reason": "names her hives", "judge": 1}


def wants_json(body: Body) -> bool:
    return "response_format" in body or "JSON Schema" in str(body["messages"][-1]["content"])


def words(body: Body) -> str:
    return json.dumps(VERDICT) if wants_json(body) else TEXT


def alternatives(values: dict[str, Any], top: int = 3) -> Body:
    """Log-probabilities of one position; the first token was written."""
    shown = [{"token": token, "logprob": value} for token, value in values.items()]
    return {"content": [{**shown[0], "top_logprobs": shown[:top]}]}


GOOD = {"Good": -0.2, "Bad": -1.8, "The": -5.0}


def completion(body: Body, text: Any = None, reason: str = "stop", **choice: Any) -> Body:
    shown = alternatives(GOOD, body.get("top_logprobs") or 1) if body.get("logprobs") else None
    message = {"role": "assistant", "content": words(body) if text is None else text, **choice.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": shown, **choice}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}


def refused(status: int, message: Any, **more: Any) -> Answer:
    return status, {"error": {"message": message, "type": "invalid_request_error", "code": None, **more}}


def says(text: str | None = None, reason: str = "stop", **message: Any) -> Endpoint:
    """It answers with this text, whatever is asked."""
    return lambda body: (200, completion(body, text, reason, message=message))


def wraps(before: str, behind: str = "") -> Endpoint:
    """Its answer stands within these words."""
    return lambda body: (200, completion(body, before + words(body) + behind))


def shows(logprobs: Any) -> Endpoint:
    """It shows these log-probabilities, where it is asked for some."""
    return lambda body: (200, completion(body, logprobs=logprobs if body.get("logprobs") else None))


def refuses(field: str, message: Any, status: int = 400, **more: Any) -> Endpoint:
    """It refuses a field of the body, or the role of a message, in these words."""

    def reply(body: Body) -> Answer:
        has = field in body or field in [message["role"] for message in body["messages"]]
        return refused(status, message, **more) if has else (200, completion(body))

    return reply


def thinks(needs: int) -> Endpoint:
    """It thinks, in a field of its own, and needs so many tokens to come to an answer."""

    def reply(body: Body) -> Answer:
        if (body.get("max_tokens") or body["max_completion_tokens"]) >= needs:
            return 200, completion(body, message={"reasoning_content": "short?"})
        thought = {"reasoning_content": "Let me think about this greeting. " * 9}
        return 200, completion(body, "", "length", message=thought, logprobs=None)

    return reply


def fixed(status: int, content: Any, **headers: str) -> Endpoint:
    """The same answer to everybody."""
    return lambda body: (status, content, {name.replace("_", "-"): value for name, value in headers.items()})


def events(*lines: Callable[[str], str]) -> Endpoint:
    """A stream of events, of which the lines are told by the text."""
    return lambda body: (200, "".join(line(words(body)) for line in lines).encode())


def delta(text: str) -> str:
    return "data: " + json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False) + "\n\n"
