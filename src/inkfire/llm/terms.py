"""How endpoints are asked, whatever is asked: what a run's user says about them (``runs.context.Access``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inkfire.errors import InputError

_ROOM = (2048, 8192)


@dataclass(frozen=True, slots=True)
class Terms:
    """What every client of a remote model keeps to.

    Attributes:
        reply_tokens: what a reply may take, its thinking included; None: as much as the text that is asked for, and
            more where thinking used that up.
        extra: fields for the body of every request.
        timeout: seconds that a request may take.
    """

    reply_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None

    def rooms(self, max_tokens: int) -> list[int]:
        """The tokens that a reply is given, one after the other while thinking leaves it no answer."""
        if self.reply_tokens is not None:
            return [max(max_tokens, self.reply_tokens)]
        return [max_tokens, *(room for room in _ROOM if room > max_tokens)]


def read_extra(text: str | None) -> dict[str, Any]:
    """The fields of ``--extra-body``.

    Raises:
        InputError: it is no JSON object.
    """
    try:
        extra = {} if text is None else json.loads(text)
    except ValueError as error:
        raise InputError(f"--extra-body is no JSON ({error})") from None
    if not isinstance(extra, dict):
        raise InputError(f"--extra-body must be a JSON object such as '{{\"top_k\": 20}}', not {text}")
    return extra
