"""OpenAI's chat completions on the wire: a question → the request's body, a response's body → what is stored.

What of it an endpoint takes is found out by asking (``features``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inkfire.llm import logprobs, structured, thinking
from inkfire.llm.base import JsonSchema, Message, Reply, Sampling, Usage
from inkfire.llm.entry import MOST_TOKENS, Entry
from inkfire.llm.prices import text_tokens
from inkfire.llm.responses import malformed, read_body

_KEY_VERSION = 1
_QUOTED = 2000  # characters of a bad reply that are shown back to the model
_REFUSALS = ("content_filter", "refusal")
_AT_THE_LIMIT = ("length", "max_tokens", "max_output_tokens", "max_length", "model_length")  # how servers call it
_BOUNDS = ("maxLength", "minLength", "maxItems", "minItems", "uniqueItems", "maximum", "minimum", "pattern", "format")
_TOO_LONG = 1.5  # times a text's own length, by an estimate, at which thinking's room has made it longer


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


def attempt_key(digest: bytes, attempt: int, step: int = 0) -> bytes:
    """The ledger's key of an attempt; of a ``step``, where thinking had used up the room of the one before."""
    key = digest if attempt == 0 else hashlib.sha256(digest + str(attempt).encode()).digest()
    return key if step == 0 else hashlib.sha256(key + f"room {step}".encode()).digest()


def _demand(schema: JsonSchema | None) -> str:
    return f"one JSON object and nothing else. Its JSON Schema: {json.dumps(schema, ensure_ascii=False)}"


# ---- the request ---------------------------------------------------------------------------------------------------


def features(question: Question) -> list[str]:
    """What the question would use, in the order in which a refusal is blamed on it."""
    wanted = ["thinking_off"]
    wanted += ["seed"] if question.sampling.seed is not None else []
    wanted += ["logprobs"] if question.sampling.top_logprobs else []
    if question.schema is not None:
        limited = _unbounded(question.schema) != question.schema
        wanted += [*(["schema_limits"] if limited else []), "json_schema", "json_object"]
    wanted += ["stream_off", "max_tokens", *(["top_p"] if question.sampling.top_p != 1.0 else []), "temperature"]
    return wanted + (["system_role"] if any(message["role"] == "system" for message in question.messages) else [])


def request_body(
    model: str,
    question: Question,
    usable: Collection[str],
    *,
    room: int | None = None,
    top_logprobs: int | None = None,
    extra: Mapping[str, Any] = {},
) -> bytes:
    """The JSON body of the request, with the features that are ``usable``.

    Args:
        room: tokens of the reply, where they are not what the question says.
        top_logprobs: alternatives, at most.
        extra: fields that stand in it in any case.
    """
    s = question.sampling
    body: dict[str, Any] = {"model": model, "messages": question.messages}
    if question.schema is not None:
        if "json_schema" in usable:
            schema = question.schema if "schema_limits" in usable else _unbounded(question.schema)
            named = {"name": "reply", "schema": schema, "strict": _is_strict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        else:
            body["messages"] = _with_schema(question.messages, question.schema)
            if "json_object" in usable:
                body["response_format"] = {"type": "json_object"}
    if "system_role" not in usable:
        body["messages"] = _folded(body["messages"])
    body["max_tokens" if "max_tokens" in usable else "max_completion_tokens"] = room or s.max_tokens
    body |= {name: getattr(s, name) for name in ("temperature", "top_p") if name in usable}
    if "seed" in usable:
        body["seed"] = s.seed
    if "logprobs" in usable:
        body |= {"logprobs": True, "top_logprobs": min(s.top_logprobs, top_logprobs or s.top_logprobs)}
    body |= {field: value for spelling, (field, value) in _OFF.items() if spelling in usable}
    text = json.dumps(body | dict(extra), ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate in somebody's text
        return structured.well_formed(text).encode()


_OFF: dict[str, tuple[str, Any]] = {
    "thinking_off": ("chat_template_kwargs", {"enable_thinking": False}),
    "enable_thinking": ("enable_thinking", False),
    "effort_none": ("reasoning_effort", "none"),
    "effort_low": ("reasoning_effort", "low"),
    "stream_off": ("stream", False),
}


def _folded(messages: Sequence[Message]) -> list[Message]:
    """Without a system role: what it says stands before the first user turn."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    rest: list[Message] = [message for message in messages if message["role"] != "system"]
    if not system:
        return rest
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system}, *rest]
    return [{"role": "user", "content": f"{system}\n\n{rest[0]['content']}"}, *rest[1:]]


def _unbounded(schema: Any) -> Any:
    """The schema without lengths and bounds: what is longer is cut when it is read (``structured``)."""
    if not isinstance(schema, dict):
        return schema
    out = {name: value for name, value in schema.items() if name not in _BOUNDS}
    if "properties" in out:
        out["properties"] = {name: _unbounded(child) for name, child in out["properties"].items()}
    return out | ({"items": _unbounded(out["items"])} if "items" in out else {})


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
    thought: bool = False


def read_completion(
    content: bytes, *, prompt_tokens: int, doubts: Callable[[str], bool] = lambda words: False
) -> Completion:
    """The response's body.

    Args:
        prompt_tokens: the estimate, used (and marked) where the endpoint reports no usage.
        doubts: whether an error's words refuse a feature that the endpoint may not have.

    Raises:
        Fault: ``malformed``, the body is not a chat completion; or what an error in it means.
        Rejected, EndpointDown: what an error in it means.
    """
    try:
        body = read_body(content, doubts)
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = _joined(message.get("content")), message.get("refusal")
        if not isinstance(refusal or "", str):
            raise TypeError
        reasoning = next((r for r in map(message.get, thinking.FIELDS) if r and isinstance(r, str)), "")
        reason = str(choice.get("finish_reason") or "stop")
        reason = "length" if reason.lower() in _AT_THE_LIMIT else reason
        reported = read_usage(body.get("usage"))
        alternatives = logprobs.to_json(choice.get("logprobs"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise malformed(content) from error
    if not text.strip() and not refusal and reasoning:
        text = thinking.ONLY + reasoning
    text = structured.well_formed(text or refusal or "")
    usage = reported or Usage(prompt_tokens, text_tokens(text))
    thought = bool(reasoning) or thinking.strip(text) != text
    return Completion(text, "refusal" if refusal else reason, usage, reported is None, alternatives, thought)


def _joined(content: Any) -> str:
    """A message's content, also where it comes in parts; those that are thinking are none of it."""
    if isinstance(content, list):
        parts = [part for part in content if part.get("type", "text") in ("text", "output_text")]
        return "".join(part["text"] for part in parts)
    if not isinstance(content or "", str):
        raise TypeError
    return content or ""


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


def read_reply(entry: Entry, question: Question, *, cached: bool = False) -> Reply:
    """A stored reply as callers see it: thinking stripped, parsed against the schema.

    What came as reasoning alone is the answer where the model stopped by itself: a server that looks for the end of a
    model's thinking takes a whole answer for thinking, where the model did not think. It is no text, though, where it
    speaks of the task; and where it ended at the limit it is thinking.
    """
    answer, reason = thinking.strip(entry.text), entry.finish_reason
    cut, is_text = is_cut(entry), question.schema is None and not question.sampling.top_logprobs
    alone = entry.text.startswith(thinking.ONLY)
    mused = alone and is_text and not cut and thinking.speaks_of_task(answer)
    if mused or (alone and cut):
        answer = ""
    parsed, unparsed = None, None
    if reason in _REFUSALS:
        unparsed = f"refused: {answer[:100]}" if answer else "refused"
    elif question.schema is not None:
        parsed, unparsed = structured.parse(answer, question.schema)
        unparsed = _CUT.format(entry.completion_tokens) if cut else unparsed
    elif is_text and thinking.carries(answer):
        unparsed = "gave a text in which its thinking cannot be told from its answer"
    alternatives = logprobs.from_json(entry.logprobs)
    if question.schema is not None and len(answer) < len(entry.text):
        alternatives = logprobs.after(alternatives, answer)
    lacking = unparsed
    if lacking is None and question.schema is None:
        if question.sampling.top_logprobs:  # what the text is does not matter then: it may be the end at once
            lacking = None if any(alternatives) else "the reply has no log-probabilities"
        elif mused:
            lacking = "the reply is thinking alone, without an answer"
        elif not answer.strip():
            lacking = _CUT.format(entry.completion_tokens) if cut else "the reply is empty"
        elif (
            entry.completion_tokens > (most := question.sampling.max_tokens) and text_tokens(answer) > _TOO_LONG * most
        ):
            reason = "length"
    return Reply(answer, parsed, unparsed, alternatives, entry.usage, reason, cached, lacking)


_CUT = "the reply ended after {} tokens, before an answer: raise --reply-tokens"


def is_cut(entry: Entry) -> bool:
    """Whether a reply ended at its limit before any answer: thinking took all of it."""
    if entry.finish_reason != "length":
        return False
    return entry.text.startswith(thinking.ONLY) or not thinking.strip(entry.text).strip()
