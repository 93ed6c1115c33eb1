"""What an endpoint can do, found out by asking.

Endpoints differ, so everything beyond messages is an optional *feature* that ``Capabilities`` may find lacking:

    thinking_off  ``chat_template_kwargs`` (llama.cpp, vLLM, SGLang) that turn a reasoning model's thinking off; where
                  it thinks all the same, the other spellings: ``enable_thinking``, ``reasoning_effort``
    stream_off    ``"stream": false``, for servers that stream by default
    seed          dropped where it is refused
    logprobs      alternatives at each position, as many as the server shows; without them ``Reply.logprobs`` is empty
    schema_limits lengths and bounds within the schema, which strict modes refuse
    json_schema   the schema as ``response_format``; without it
    json_object   ``response_format`` JSON and the schema in the prompt; without that, the prompt only
    max_tokens    otherwise ``max_completion_tokens``, as OpenAI's reasoning models want it
    top_p         some models take it or a temperature, not both
    temperature   some reasoning models take only their default
    system_role   otherwise its text goes before the first user turn
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Sequence

TOP_LOGPROBS = (20, 5, 1)
"""The numbers of alternatives that servers allow, where they do not say it."""
SPELLINGS = ("thinking_off", "enable_thinking", "effort_none", "effort_low")

WORDS = {
    "thinking_off": "chat_template_kwargs",
    "enable_thinking": "enable_thinking",
    "effort_none": 'reasoning_effort "none"',
    "effort_low": 'reasoning_effort "low"',
    "stream_off": "stream",
    "seed": "a seed",
    "logprobs": "log-probabilities",
    "schema_limits": "lengths in a schema",
    "json_schema": "a JSON schema",
    "json_object": "response_format",
    "max_tokens": "max_tokens (but max_completion_tokens)",
    "top_p": "top_p",
    "temperature": "a temperature",
    "system_role": "a system role (its text goes to the user's turn)",
}
"""What a user reads of a feature that is not taken."""

_NAMED_AS = {  # what a refusal calls a feature (patterns); the first that fits is blamed
    "thinking_off": ("chat_template_kwargs", "enable_thinking"),
    "enable_thinking": ("enable_thinking",),
    "effort_none": ("reasoning_effort", "reasoning effort"),
    "effort_low": ("reasoning_effort", "reasoning effort"),
    "stream_off": (r"\bstream",),
    "seed": (r"\bseed",),
    "logprobs": ("logprob", "log prob", "log-prob"),
    "schema_limits": (
        "maxlength",
        "minlength",
        "maxitems",
        "minitems",
        "uniqueitems",
        "'maximum'",
        "'minimum'",
        "schema",
    ),
    "json_schema": ("response_format", "json_schema", "schema", "grammar", "guided", "structured output"),
    "json_object": ("response_format", "json_object"),
    "max_tokens": ("max_tokens", "max_completion_tokens"),
    "top_p": ("top_p",),
    "temperature": ("temperature",),
    "system_role": (
        *("system role", "role system", "role: system", "system message", "system prompt", "system instruction"),
        *("'system'", '"system"', "`system`", "developer instruction", "roles must alternate", "first message"),
        *(
            r"messages'?, \d+, 'role'",
            "roles are supported",
            "roles are allowed",
            "must be 'user'",
            "must be user",
            "role must be",
            "invalid role",
        ),
    ),
}
_DROPPED_WHEN_NAMED = ("stream_off", "max_tokens", "top_p", "temperature")
_ABOUT_LENGTH = re.compile(
    r"context.{0,20}(?:length|window|size)|(?:too|prompt is) long|reduce the length", re.IGNORECASE
)
_MUST_BE_OFF = re.compile(r"enable_thinking\W{1,3}(?:must|should|has to|can only) be .{0,10}false", re.IGNORECASE)


def named_feature(message: str, among: Iterable[str] = tuple(_NAMED_AS)) -> str | None:
    """The first feature that a refusal speaks of."""
    lowered = message.lower()
    return next((feature for feature in among if _names(feature).search(lowered)), None)


@functools.cache
def _names(feature: str) -> re.Pattern[str]:
    return re.compile("|".join(_NAMED_AS[feature]))


class Capabilities:
    """Which features an endpoint has, learnt from the first requests that carry them and remembered.

    A refusal is blamed on the feature it names, else on those not yet seen to work, one after the other; a feature is
    lacking once a request goes through without it. One that works is not blamed later (a prompt may be too long),
    except for a schema's: one may be refused where another is not.

    Attributes:
        lacking: the features that it has not.
        top_logprobs: how many alternatives it shows, at most.
        thinks: whether its model was seen to think.
        room: tokens that its replies were found to need.
    """

    def __init__(self) -> None:
        self._works: set[str] = set()
        self._idle: set[str] = set()  # spellings that turned nothing off
        self._in_vain = False  # whether all were left out, one after the other, and it did not help
        self.lacking: set[str] = set()
        self.top_logprobs = TOP_LOGPROBS[0]
        self.thinks = False
        self.room = 0

    def usable(self, wanted: Sequence[str], dropped: Collection[str]) -> list[str]:
        """What to send of what a question would use."""
        out = [feature for feature in wanted if feature not in self.lacking and feature not in dropped]
        if "thinking_off" in wanted:
            left = [one for one in SPELLINGS if one not in self._idle | self.lacking and one not in dropped]
            if (one := next(iter(left), None)) and (self.thinks or one == "thinking_off"):
                return [one, *(feature for feature in out if feature != "thinking_off")]
            out = [feature for feature in out if feature != "thinking_off"]
        return out

    def unproven(self, wanted: Sequence[str]) -> bool:
        """Whether something of it was neither seen to work nor found lacking."""
        return not self._works.issuperset(self.usable(wanted, ()))

    def doubts(self, message: str) -> bool:
        """Whether words that came with any status refuse a feature that was not seen to work. (A server that fails
        speaks of streams, too.)"""
        known = self._works | self.lacking | {"stream_off"}
        return named_feature(message, (one for one in _NAMED_AS if one not in known)) is not None

    def suspect(self, sent: Sequence[str], message: str, top: int = 0) -> str | None:
        """The feature to do without after a refusal; None when the refusal is about the request itself.

        Args:
            top: how many alternatives were asked for. Where they are blamed, fewer are asked for first, and the
                feature's name comes back empty.
        """
        if _ABOUT_LENGTH.search(message):
            return None
        if _MUST_BE_OFF.search(message) and "enable_thinking" not in sent:
            self.thinks = True
            return next((feature for feature in sent if feature in SPELLINGS), "")
        unproven = [f for f in sent if f not in self._works or f in ("schema_limits", "json_schema")]
        if (named := named_feature(message, unproven)) is not None:
            return "" if named == "logprobs" and self._fewer(top, message) else named
        left = [f for f in unproven if f not in self._works and f not in _DROPPED_WHEN_NAMED and not self._in_vain]
        self._in_vain = not left  # a refusal without words that is about none of them is about the request
        return next(iter(left), None)

    def _fewer(self, top: int, message: str) -> bool:
        """Ask for fewer alternatives than ``top`` from now on: for as many as the server allows, if it says that."""
        if self.top_logprobs < top:  # another request has found it out
            return True
        said = [int(number) for number in re.findall(r"(?<![\w.-])\d{1,2}(?![\w.]*\w)", message)]
        lower = [number for number in said if 0 < number < top] or [number for number in TOP_LOGPROBS if number < top]
        self.top_logprobs = max(lower, default=self.top_logprobs)
        return bool(lower)

    def learn(self, sent: Sequence[str], dropped: Collection[str]) -> set[str]:
        """A request with ``sent`` and without ``dropped`` went through; returns what is newly lacking."""
        self._works.update(sent)
        self._in_vain = False
        lacking = set(dropped) - self._works - self.lacking
        self.lacking |= lacking
        return lacking

    def thought(self, sent: Collection[str]) -> None:
        """A reply came with thinking, whatever was ``sent`` against it; the last spelling stays: it shortens it."""
        self.thinks = True
        self._idle |= set(sent) & set(SPELLINGS[:-1])
