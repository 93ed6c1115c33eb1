"""OpenAI's chat completions on the wire: a question → the request's body, a response's body → what is stored.

Endpoints differ, so everything beyond messages is an optional *feature* that ``Capabilities`` may find lacking:

    json_schema   the schema as ``response_format``; without it
    json_object   ``response_format`` JSON and the schema in the prompt; without that, the prompt only
    logprobs      alternatives at each position; without them ``Reply.logprobs`` is empty
    seed          dropped where it is refused
    thinking_off  ``chat_template_kwargs`` (llama.cpp, vLLM, SGLang) that turn a reasoning model's thinking off
    max_tokens    otherwise ``max_completion_tokens``, as OpenAI's reasoning models want it
    temperature   with ``top_p``; some reasoning models take only their default
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inkfire.llm import structured
from inkfire.llm.base import JsonSchema, Message, Reply, Sampling, TokenLogprob, Usage
from inkfire.llm.entry import MOST_TOKENS, Entry
from inkfire.llm.prices import text_tokens
from inkfire.llm.retry import Fault

_KEY_VERSION = 1
_QUOTED = 2000  # characters of a bad reply that are shown back to the model
_REFUSALS = ("content_filter", "refusal")
_LEAST = -700.0  # a log-probability whose exponential is not yet 0


@dataclass(frozen=True, slots=True)
class Question:
    """What one ``chat`` asks."""

    messages: Sequence[Message]
    schema: JsonSchema | None
    sampling: Sampling

    def digest(self, model_key: str) -> bytes:
        """The ledger's key of the first attempt: what is asked, not when (DESIGN: the ledger)."""
        s = self.sampling
        asked = [
            _KEY_VERSION,
            model_key,
            [[message["role"], message["content"]] for message in self.messages],
            self.schema,
            [float(s.temperature), float(s.top_p), s.max_tokens, s.seed, s.sample, s.top_logprobs],
        ]
        return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).digest()

    def again(self, reply: Reply) -> Question:
        """The question after a reply that could not be parsed: the reply, and what is wrong with it."""
        complaint = f"That cannot be used: {reply.unparsed}. "
        if reply.finish_reason == "length":
            complaint += "It was cut off: be brief. "
        complaint += f"Answer again with {_demand(self.schema)}"
        said = reply.text[:_QUOTED] or "(nothing)"
        told: list[Message] = [{"role": "assistant", "content": said}, {"role": "user", "content": complaint}]
        return Question([*self.messages, *told], self.schema, self.sampling)


def attempt_key(digest: bytes, attempt: int) -> bytes:
    return digest if attempt == 0 else hashlib.sha256(digest + str(attempt).encode()).digest()


def _demand(schema: JsonSchema | None) -> str:
    return f"one JSON object and nothing else. Its JSON Schema: {json.dumps(schema, ensure_ascii=False)}"


# ---- the request ---------------------------------------------------------------------------------------------------


def features(question: Question) -> list[str]:
    """What the question would use, in the order in which a refusal is blamed on it."""
    wanted = ["thinking_off"]
    wanted += ["seed"] if question.sampling.seed is not None else []
    wanted += ["logprobs"] if question.sampling.top_logprobs else []
    wanted += ["json_schema", "json_object"] if question.schema is not None else []
    return [*wanted, "max_tokens", "temperature"]


def request_body(model: str, question: Question, usable: Collection[str]) -> bytes:
    """The JSON body of the request, with the features that are ``usable``."""
    s = question.sampling
    body: dict[str, Any] = {"model": model, "messages": question.messages}
    if question.schema is not None:
        if "json_schema" in usable:
            named = {"name": "reply", "schema": question.schema, "strict": _is_strict(question.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        else:
            body["messages"] = _with_schema(question.messages, question.schema)
            if "json_object" in usable:
                body["response_format"] = {"type": "json_object"}
    body["max_tokens" if "max_tokens" in usable else "max_completion_tokens"] = s.max_tokens
    if "temperature" in usable:
        body |= {"temperature": s.temperature, "top_p": s.top_p}
    if "seed" in usable:
        body["seed"] = s.seed
    if "logprobs" in usable:
        body |= {"logprobs": True, "top_logprobs": s.top_logprobs}
    if "thinking_off" in usable:
        body["chat_template_kwargs"] = {"enable_thinking": False}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate in somebody's text
        return structured.well_formed(text).encode()


def _with_schema(messages: Sequence[Message], schema: JsonSchema) -> list[Message]:
    last = messages[-1]
    told: Message = {"role": "user", "content": f"{last['content']}\n\nAnswer with {_demand(schema)}"}
    if last["role"] == "user":
        return [*messages[:-1], told]
    return [*messages, {"role": "user", "content": f"Answer with {_demand(schema)}"}]


def _is_strict(schema: JsonSchema) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object is closed and all its properties are required."""
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)
        return closed and all(_is_strict(child) for child in properties.values())
    return _is_strict(schema["items"]) if isinstance(schema.get("items"), dict) else True


# ---- the response --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back: the text as written (thinking included), and what was reported about it."""

    text: str
    finish_reason: str
    usage: Usage
    estimated: bool
    logprobs: str | None


def read_completion(content: bytes, *, prompt_tokens: int) -> Completion:
    """The response's body.

    Args:
        prompt_tokens: the estimate, used (and marked) where the endpoint reports no usage.

    Raises:
        Fault: ``malformed``, the body is not a chat completion.
    """
    try:
        body = json.loads(content.decode("utf-8-sig", "replace"))  # a character that the token limit cut in two
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        if not isinstance(text or "", str) or not isinstance(refusal or "", str):
            raise TypeError
        reason = str(choice.get("finish_reason") or "stop")
        reported = read_usage(body.get("usage"))
        logprobs = _logprobs_json(choice.get("logprobs"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Fault("malformed") from error
    text = structured.well_formed(text or refusal or "")
    usage = reported or Usage(prompt_tokens, text_tokens(text))
    return Completion(text, "refusal" if refusal else reason, usage, reported is None, logprobs)


def read_usage(reported: Any) -> Usage | None:
    """What the endpoint reports; None where it reports nothing that can be read: then the caller estimates."""
    if not isinstance(reported, Mapping):
        return None
    prompt, completion = _count(reported.get("prompt_tokens")), _count(reported.get("completion_tokens") or 0)
    if not prompt or completion is None:
        return None
    details = reported.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    return Usage(prompt, completion, min(cached or 0, prompt))


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _logprobs_json(logprobs: Any) -> str | None:
    """``[[[token, logprob], …] per position]`` as JSON, None where the endpoint gave none (or nothing readable)."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    positions = [_alternatives(position) for position in content] if isinstance(content, list) else []
    return json.dumps(positions, ensure_ascii=False, separators=(",", ":")) if any(positions) else None


def _alternatives(position: Any) -> list[tuple[str, float]]:
    """What can be read at one position, nothing where that is not the token that was written.

    It comes first: a grammar may have chosen one that is not among the likeliest.
    """
    written = _alternative(position)
    if written is None:
        return []
    others = position.get("top_logprobs")
    read = map(_alternative, others if isinstance(others, list) else ())
    return [written, *(other for other in read if other is not None and other[0] != written[0])]


def _alternative(raw: Any) -> tuple[str, float] | None:
    token, logprob = (raw.get("token"), raw.get("logprob")) if isinstance(raw, Mapping) else (None, None)
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, (int, float)):
        return None
    if not -1e9 < logprob < 1e-3:  # NaN neither; a rounding error above 0 is 0
        return None
    return structured.well_formed(token), min(0.0, float(logprob))


def read_reply(entry: Entry, question: Question, *, cached: bool = False) -> Reply:
    """A stored reply as callers see it: thinking stripped, parsed against the schema."""
    answer = structured.strip_thinking(entry.text)
    parsed, unparsed = None, None
    if entry.finish_reason in _REFUSALS:
        unparsed = f"refused: {answer[:100]}" if answer else "refused"
    elif question.schema is not None:
        parsed, unparsed = structured.parse(answer, question.schema)
    alternatives: list[list[tuple[str, float]]] = json.loads(entry.logprobs) if entry.logprobs else []
    logprobs = tuple(
        tuple(TokenLogprob(token, max(_LEAST, logprob)) for token, logprob in position) for position in alternatives
    )
    lacking = unparsed
    if lacking is None and question.schema is None:
        if question.sampling.top_logprobs:  # what the text is does not matter then: it may be the end at once
            lacking = None if any(logprobs) else "the reply has no log-probabilities"
        elif not answer.strip():
            lacking = "the reply is empty"
    return Reply(answer, parsed, unparsed, logprobs, entry.usage, entry.finish_reason, cached, lacking)


# ---- what an endpoint has ------------------------------------------------------------------------------------------

_NAMED_AS = {  # what a refusal calls a feature
    "thinking_off": ("chat_template_kwargs", "enable_thinking"),
    "seed": ("seed",),
    "logprobs": ("logprob",),
    "json_schema": ("response_format", "json_schema", "schema", "grammar", "guided"),
    "json_object": ("response_format", "json_object"),
    "max_tokens": ("max_tokens", "max_completion_tokens"),
    "temperature": ("temperature", "top_p"),
}


def named_feature(message: str, among: Iterable[str] = tuple(_NAMED_AS)) -> str | None:
    """The first feature that a refusal speaks of."""
    lowered = message.lower()
    return next((feature for feature in among if any(name in lowered for name in _NAMED_AS[feature])), None)


_DROPPED_WHEN_NAMED = ("max_tokens", "temperature")


class Capabilities:
    """Which features an endpoint has, learnt from the first requests that carry them and remembered.

    A refusal (400, 422) is blamed on the feature it names, else on those not yet seen to work, one after the other; a
    feature is lacking once a request goes through without it. One that works is not blamed later (a prompt may be too
    long), except ``json_schema``: one schema may be refused where another is not.
    """

    def __init__(self) -> None:
        self._works: set[str] = set()
        self.lacking: set[str] = set()

    def usable(self, wanted: Sequence[str], dropped: Collection[str]) -> list[str]:
        return [feature for feature in wanted if feature not in self.lacking and feature not in dropped]

    def suspect(self, sent: Sequence[str], message: str) -> str | None:
        """The feature to do without after a refusal; None when the refusal is about the request itself."""
        unproven = [feature for feature in sent if feature not in self._works or feature == "json_schema"]
        if (named := named_feature(message, unproven)) is not None:
            return named
        unnamed = (f for f in unproven if f not in self._works and f not in _DROPPED_WHEN_NAMED)
        return next(unnamed, None)

    def learn(self, sent: Sequence[str], dropped: Collection[str]) -> set[str]:
        """A request with ``sent`` and without ``dropped`` went through; returns what is newly lacking."""
        self._works.update(sent)
        lacking = set(dropped) - self._works - self.lacking
        self.lacking |= lacking
        return lacking
