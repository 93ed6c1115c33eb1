"""Log-probabilities as servers report them → ``[[[token, logprob], …] per position]``, the written token first.

Servers differ: raw pieces of a tokeniser (``ĠGood``, ``▁Good``, ``å¥½``), values of nothing (null, -9999, the lowest
float), the older format of OpenAI's completions. What cannot be read is left out, never guessed.

>>> plain("ĠGood"), plain("▁Good"), plain("å¥½")
(' Good', ' Good', '好')
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from inkfire.llm.base import TokenLogprob
from inkfire.llm.structured import well_formed

LEAST = -700.0
"""A log-probability whose exponential is not yet 0."""
_NEVER = -9999.0  # as OpenAI and vLLM say it


def to_json(logprobs: Any) -> str | None:
    """What a choice's ``logprobs`` say, None where the endpoint gave none (or nothing readable)."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if content is None and isinstance(logprobs, Mapping):
        content = _legacy(logprobs)
    positions = [_alternatives(position) for position in content] if isinstance(content, list) else []
    return json.dumps(positions, ensure_ascii=False, separators=(",", ":")) if any(positions) else None


def from_json(stored: str | None) -> tuple[tuple[TokenLogprob, ...], ...]:
    """The positions as callers see them: tokens as text, no value below ``LEAST``."""
    positions: list[list[tuple[str, float]]] = json.loads(stored) if stored else []
    return tuple(tuple(TokenLogprob(plain(token), max(LEAST, value)) for token, value in one) for one in positions)


def after(positions: tuple[tuple[TokenLogprob, ...], ...], text: str) -> tuple[tuple[TokenLogprob, ...], ...]:
    """The positions that wrote ``text``, the end of a reply."""
    start, left = len(positions), len(text)
    while start and left > 0:
        start -= 1
        left -= len(positions[start][0].token) if positions[start] else 1
    return positions[start:]


def plain(token: str) -> str:
    """A tokeniser's piece as the text that it stands for."""
    token = token.replace("▁", " ")
    if token.isascii():
        return token
    try:
        return bytes(_bytes()[char] for char in token).decode()
    except (KeyError, UnicodeDecodeError):  # text as it is, or a part of a character
        return token.replace("Ġ", " ").replace("Ċ", "\n")


@functools.cache
def _bytes() -> dict[str, int]:
    """GPT-2's byte-level alphabet: printable bytes stand for themselves, the others for characters from U+0100."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + n): byte for n, byte in enumerate(hidden)}


def _legacy(logprobs: Mapping[str, Any]) -> list[Any] | None:
    tokens, values, tops = (logprobs.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(tokens, list) or not isinstance(values, list):
        return None
    tops = tops if isinstance(tops, list) and len(tops) == len(tokens) else [None] * len(tokens)
    return [
        {"token": token, "logprob": value, "top_logprobs": _listed(top)}
        for token, value, top in zip(tokens, values, tops, strict=False)
    ]


def _listed(top: Any) -> Any:
    return [{"token": token, "logprob": value} for token, value in top.items()] if isinstance(top, Mapping) else top


def _alternatives(position: Any) -> list[tuple[str, float]]:
    """What can be read at one position, nothing where that is not the token that was written.

    It comes first: a grammar may have chosen one that is not among the likeliest. Where only its value cannot be read,
    it is the one that the alternatives give it, and nothing if they give it none.
    """
    if not isinstance(position, Mapping):
        return []
    raw = _listed(position.get("top_logprobs"))
    others = [one for one in map(_alternative, raw if isinstance(raw, list) else ()) if one is not None]
    written = _alternative(position)
    if written is None:
        token = position.get("token")
        if not isinstance(token, str) or position.get("logprob", 0) is not None or not others:
            return []
        token = well_formed(token)
        written = next((one for one in others if one[0] == token), (token, _NEVER))
    return [written, *(other for other in others if other[0] != written[0])]


def _alternative(raw: Any) -> tuple[str, float] | None:
    token, logprob = (raw.get("token"), raw.get("logprob")) if isinstance(raw, Mapping) else (None, None)
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, (int, float)):
        return None
    if not -1e40 < logprob < 1e-3:  # NaN neither; a rounding error above 0 is 0
        return None
    return well_formed(token), max(_NEVER, min(0.0, float(logprob)))
