"""A model whose replies are written down beforehand: tests and dry runs exercise the real code offline.

>>> from inkfire.llm.loop import run
>>> llm = ScriptedLLM(['{"judge": 1}', "not json"])
>>> schema = {"type": "object", "properties": {"judge": {"enum": [0, 1]}}, "required": ["judge"]}
>>> run(llm.chat([{"role": "user", "content": "judge this"}], schema=schema)).parsed
{'judge': 1}
>>> run(llm.chat([{"role": "user", "content": "again"}], schema=schema)).unparsed
'no JSON object in the reply'
>>> len(llm.calls)
2
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inkfire.llm import structured
from inkfire.llm.base import JsonSchema, Message, Reply, Sampling

Scripted = str | Reply | Exception


@dataclass(frozen=True, slots=True)
class Call:
    """What one ``chat`` was asked."""

    messages: list[Message]
    schema: JsonSchema | None
    sampling: Sampling


class ScriptedLLM:
    """Answers from a list, in order, or from a function of the messages.

    A text is parsed against the schema as a real reply is, but never asked again: one call, one reply.
    A ``Reply`` is passed on (parsed here unless it carries ``parsed`` or ``unparsed``); an exception is raised.

    Args:
        replies: the replies, or ``messages -> reply``.
        name: how the model is called in transcripts.

    Attributes:
        calls: what it was asked, in order.
        closed: whether who opened it has closed it.
    """

    def __init__(
        self, replies: Sequence[Scripted] | Callable[[list[Message]], Scripted], *, name: str = "scripted"
    ) -> None:
        self._replies = replies
        self.name = name
        self.calls: list[Call] = []
        self.closed = False

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonSchema | None = None, sampling: Sampling = Sampling()
    ) -> Reply:
        asked = list(messages)
        number = len(self.calls)
        self.calls.append(Call(asked, schema, sampling))
        if callable(self._replies):
            scripted = self._replies(asked)
        elif number < len(self._replies):
            scripted = self._replies[number]
        else:
            raise AssertionError(f"the script has {len(self._replies)} replies; call {number + 1} has none: {asked}")
        if isinstance(scripted, Exception):
            raise scripted
        reply = Reply(text=scripted) if isinstance(scripted, str) else scripted
        if schema is None or reply.parsed is not None or reply.unparsed is not None:
            return reply
        parsed, unparsed = structured.parse(reply.text, schema)
        return dataclasses.replace(reply, parsed=parsed, unparsed=unparsed)

    async def close(self) -> None:
        self.closed = True
