r"""Conversations, in every spelling, as the one query and the one response that inkfire knows.

    [{role, content}] · [{from, value}] · "\n\nHuman: …\n\nAssistant: …"

What is more than that (an earlier turn, a system turn) is never cut off: the row is refused (:class:`Carries`).
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import Any

from inkfire.files.jsonl import json_kind

TALKS = ("conversations", "messages")
"""Columns that are conversations, whichever these are."""

MANY, SYSTEM, HISTORY = "more than one user turn", "a system turn", "a history"

_ROLES = {
    "human": "user", "prompter": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant",
    "bot": "assistant", "ai": "assistant", "developer": "system",
}  # fmt: skip
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \t]?")


class Unfit(Exception):
    """A row that lacks what the purpose needs; becomes a DataError with its place."""


class Carries(Unfit):
    """A row that has more than a query and a response; such rows are counted."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What a conversation says; ``system`` is "" where it has none."""

    query: str | None
    response: str | None
    system: str = ""


def turns(value: Any, key: str) -> Turns:
    """A conversation's turns; a string that is no transcript is what the user said.

    Raises:
        Carries: it has more than one user turn.
        Unfit: it is no conversation.
    """
    if isinstance(value, str):
        said = transcript(value)
        if said is None and key in TALKS:
            with contextlib.suppress(ValueError, RecursionError):  # a list that was saved as text
                return turns(list(json.loads(value)), key)
            raise Unfit(f"{key} must be a list of messages, found a string")
        if said is None:
            return Turns(value, None)
    else:
        said = messages(value, key)
    system = "\n\n".join(text for role, text in said if role == "system")
    talk = [(role, text) for role, text in said if role != "system"]
    roles = [role for role, _ in talk]
    if roles.count("user") > 1:
        raise Carries(MANY)
    if roles not in ([], ["user"], ["assistant"], ["user", "assistant"]):
        raise Unfit(f"{key} has the turns {', '.join(roles)}; one of the user and at most one answer are needed")
    texts = dict(talk)
    return Turns(texts.get("user"), texts.get("assistant"), system)


def transcript(text: str) -> list[tuple[str, str]] | None:
    """(role, text) of the turns of "Human: …" and "Assistant: …" in one string; None where it is no such transcript."""
    text = text.lstrip()
    if not text.startswith("Human:") or "\n\nAssistant:" not in text:
        return None
    _, *parts = _TURN.split(text)
    said = [
        (_ROLES.get(who.lower(), who.lower()), words.strip())
        for who, words in zip(parts[::2], parts[1::2], strict=True)
    ]
    return said[:-1] if said[-1] == ("assistant", "") else said


def messages(value: Any, key: str) -> list[tuple[str, str]]:
    """(role, content) of messages in either spelling: a list, one message, or an object of columns (a ``Sequence``).

    Raises:
        Unfit: it is no list of messages.
    """
    listed = [value] if isinstance(value, dict) else value
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        listed = [dict(zip(value, cells, strict=False)) for cells in zip(*value.values(), strict=False)]
    if not isinstance(listed, list):
        raise Unfit(f"{key} must be a list of messages, found {json_kind(value)}")
    out = []
    for message in listed:
        if not isinstance(message, dict):
            raise Unfit(f"{key}: a message must be an object, found {json_kind(message)}")
        role = message.get("role") or message.get("from")
        content = message["content"] if message.get("content") is not None else message.get("value")
        if isinstance(content, list) and content and all(isinstance(part, dict) for part in content):
            texts = [part.get("text") for part in content]
            content = "".join(texts) if all(isinstance(text, str) for text in texts) else content
        if not isinstance(role, str) or not isinstance(content, str):
            raise Unfit(f"{key}: a message needs a role and a content that are strings")
        out.append((_ROLES.get(role.lower(), role.lower()), content))
    return out
