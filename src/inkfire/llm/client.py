"""The one client: any OpenAI-compatible endpoint, the embedded engine's included.

    async with Client("gpt-5-mini", base_url="https://api.example.com/v1", api_key=key, ledger=ledger) as llm:
        reply = await llm.chat(messages, schema=schema, sampling=Sampling(max_tokens=200))

A call goes: ledger (answered before? then nothing is sent) → the same call already in flight? wait for that one → gate
(bounded concurrency) → spend limit → request, retried within a bound → ledger (committed) → parsed; asked again within
a bound when it does not satisfy the schema. What an endpoint lacks is found out once (``features.Capabilities``).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Sequence

from inkfire.errors import ModelCallError
from inkfire.llm import wire
from inkfire.llm.base import JsonSchema, Message, Reply, Sampling, Usage
from inkfire.llm.entry import Entry
from inkfire.llm.features import WORDS
from inkfire.llm.prices import estimate_tokens
from inkfire.llm.retry import Rejected
from inkfire.llm.sender import Sender
from inkfire.llm.shared import Shared
from inkfire.llm.terms import Terms

_log = logging.getLogger(__name__)
_STEPS = 4  # times that one reply is given more room
_PATIENCE = 2.0  # seconds to wait for what another request finds out


class Client(Sender):
    """A model behind an OpenAI-compatible endpoint (the ``LLM`` of ``base.py``)."""

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonSchema | None = None, sampling: Sampling = Sampling()
    ) -> Reply:
        """Ask the model. See ``base.LLM`` for what is raised."""
        question = wire.Question(tuple(messages), schema, sampling)
        try:
            reply = await self._chat(question)
        except ModelCallError as error:
            self._futility.add(str(error))
            raise
        self._futility.add(reply.lacking)
        return reply

    async def _chat(self, question: wire.Question) -> Reply:
        digest = question.digest(self.model_key)
        shared: Shared[Reply] | None = self._in_flight.get(digest)
        if shared is not None and not shared.task.cancelled():
            reply = dataclasses.replace(await shared.result(), cached=True)
            self._count(cached=1)
            return reply
        recalled = self._recall(question, digest)
        if recalled is not None:
            return self._usable(question, recalled)
        return await self._share(digest, lambda shared: self._ask(question, digest, shared))

    # ---- one question: recalled, or asked until the reply satisfies the schema -------------------------------------

    def _recall(self, question: wire.Question, digest: bytes) -> Reply | None:
        """The outcome that the ledger holds, None where something is still to be asked."""
        if self.ledger is None:
            return None
        for attempt in range(self._attempts(question)):
            entry, todo = self._on_file(question, digest, attempt)
            if entry is None or todo is not None:
                return None
            reply = wire.read_reply(entry, question, cached=True)
            answered = entry.time
            if reply.unparsed is None or _is_cut(reply):
                break
        if reply.lacking is not None and self.ledger.retry_unscored and answered < self.ledger.opened:
            return None
        self._count(cached=attempt + 1)
        return reply

    async def _ask(self, question: wire.Question, digest: bytes, shared: Shared[Reply]) -> Reply:
        asked = question
        for attempt in range(self._attempts(question)):
            # The beginning of a series of attempts that was interrupted is on file.
            anew = self.ledger is None or self.ledger.retry_unscored
            entry, todo = self._on_file(question, b"" if anew else digest, attempt)
            reply = None if entry is None else wire.read_reply(entry, question, cached=True)
            self._count(cached=int(todo is None))
            while todo is not None:
                step, room = todo
                key = wire.attempt_key(digest, attempt, step)
                try:
                    reply = await self._draw(asked, key, attempt, shared, room)
                except ModelCallError:
                    if reply is None:
                        raise
                    break  # a larger room is refused: the reply of the smaller one is what there is
                todo = self._wider(question, reply, step, room)
            assert reply is not None  # it was on file, or drawn
            if reply.unparsed is None or _is_cut(reply):
                break  # a model that thinks too long does so when it is asked to be brief
            asked = question.again(reply)
        assert reply is not None
        return self._usable(question, reply)

    def _on_file(
        self, question: wire.Question, digest: bytes, attempt: int
    ) -> tuple[Entry | None, tuple[int, int] | None]:
        """The ledger's reply to an attempt; the step and the room of what is still to be asked for it."""
        entry: Entry | None = None
        todo: tuple[int, int] | None = (0, self._rooms(question)[0])
        while todo is not None:
            found = self._stored(question, digest, attempt, todo[0])
            if found is None:
                break
            entry = found
            least = Terms().rooms(question.sampling.max_tokens)  # not all servers count thinking as tokens
            took = max(entry.completion_tokens, least[min(todo[0], len(least) - 1)])
            todo = self._wider(question, wire.read_reply(entry, question), todo[0], took)
        return entry, todo

    def _rooms(self, question: wire.Question) -> list[int]:
        """Tokens that a reply is given: as many as its model has needed before, and more while it gives no answer."""
        most = question.sampling.max_tokens
        if question.sampling.top_logprobs and question.schema is None:
            return [most]  # the first token is the answer
        rooms = self.terms.rooms(most)
        return [room for room in rooms if room >= self._capabilities.room] or rooms[-1:]

    def _wider(self, question: wire.Question, reply: Reply, step: int, took: int) -> tuple[int, int] | None:
        """The step and the room after a reply; None where it needs no more, or there is no more."""
        if not _is_cut(reply):
            if step and not reply.cached:
                self._capabilities.room = max(self._capabilities.room, took)
            return None
        room = next((room for room in self._rooms(question) if room > took), None)
        if room is not None and self._capabilities.thinks and not reply.cached:
            self._capabilities.room = max(self._capabilities.room, room)  # others need not find out as well
        return None if room is None or step + 1 >= _STEPS else (step + 1, room)

    def _stored(self, question: wire.Question, digest: bytes, attempt: int, step: int) -> Entry | None:
        """What the ledger has of an attempt, under this version's key or that of earlier ones."""
        if self.ledger is None or not digest:
            return None
        entry = self.ledger.find(wire.attempt_key(digest, attempt, step))
        if entry is None and self._old_key is not None:
            entry = self.ledger.find(wire.attempt_key(question.digest(self._old_key), attempt, step))
        return entry

    def _attempts(self, question: wire.Question) -> int:
        return 1 if question.schema is None else 1 + self.reasks

    def _usable(self, question: wire.Question, reply: Reply) -> Reply:
        if question.schema is None and reply.unparsed is not None:  # a caller that wants a text must not get a refusal
            self._count(failures=1)
            raise ModelCallError(f"{self.name} {reply.unparsed}")
        return reply

    async def _draw(self, question: wire.Question, key: bytes, attempt: int, shared: Shared[Reply], room: int) -> Reply:
        """One reply of at most ``room`` tokens; what the endpoint refuses is left out."""
        wanted = wire.features(question)
        async with self._scouting(wanted):
            room = max(room, self._rooms(question)[0])  # another request may have found out that it takes more
            return await self._tried(question, wanted, key, attempt, shared, room)

    async def _tried(
        self, question: wire.Question, wanted: list[str], key: bytes, attempt: int, shared: Shared[Reply], room: int
    ) -> Reply:
        dropped: set[str] = set()
        prompt_tokens = estimate_tokens(question.messages)
        while True:
            sent = self._capabilities.usable(wanted, dropped)
            top = self._capabilities.top_logprobs

            def keep(content: bytes, latency: float, sent: Sequence[str] = sent) -> tuple[Entry, Reply]:
                completion = wire.read_completion(
                    content, prompt_tokens=prompt_tokens, doubts=self._capabilities.doubts
                )
                if completion.thought:
                    self._capabilities.thought(sent)
                return self._read(completion, question, key, attempt, latency)

            body = wire.request_body(self.model, question, sent, room=room, top_logprobs=top, extra=self.terms.extra)
            worst = Usage(prompt_tokens, room)
            try:
                reply = await self._persist("/chat/completions", body, worst, keep, shared, first=bool(dropped))
            except Rejected as rejected:
                fit = not rejected.content_filter and rejected.status != 413  # which is about the prompt
                suspect = self._capabilities.suspect(sent, rejected.message, top) if fit else None
                if suspect is None:
                    self._count(failures=1)
                    raise ModelCallError(f"{self.name} refused the request ({rejected})") from rejected
                dropped |= {suspect} - {""}
            else:
                if lacking := self._capabilities.learn(sent, dropped):
                    names = ", ".join(WORDS[feature] for feature in sorted(lacking))
                    _log.warning("%s at %s does not take %s: going on without", self.model, self._where, names)
                    if self.ledger is not None:
                        self.ledger.lack(self.name, lacking)
                return reply

    @contextlib.asynccontextmanager
    async def _scouting(self, wanted: Sequence[str]) -> AsyncIterator[None]:
        """One request goes alone while what it sends is not known to work: what it finds out the others need not. They
        wait for it, but not for long: a refusal comes at once, an answer need not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while self._scout is not None and self._capabilities.unproven(wanted):
                    await self._scout.wait()
        if self._scout is not None or not self._capabilities.unproven(wanted):
            yield
            return
        self._scout = over = asyncio.Event()
        try:
            yield
        finally:
            self._scout = None
            over.set()

    def _read(
        self, completion: wire.Completion, question: wire.Question, key: bytes, attempt: int, latency: float
    ) -> tuple[Entry, Reply]:
        """What the ledger keeps, and what the caller gets."""
        entry = self._entry(completion, key, attempt, latency)
        reply = wire.read_reply(entry, question)
        return dataclasses.replace(entry, unparsed=reply.lacking), reply


def _is_cut(reply: Reply) -> bool:
    """Whether it ended before any answer."""
    return reply.finish_reason == "length" and not reply.text.strip()
