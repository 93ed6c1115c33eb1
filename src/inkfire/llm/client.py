"""The one client: any OpenAI-compatible endpoint, the embedded engine's included.

    async with Client("gpt-5-mini", base_url="https://api.example.com/v1", api_key=key, ledger=ledger) as llm:
        reply = await llm.chat(messages, schema=schema, sampling=Sampling(max_tokens=200))

A call goes: ledger (answered before? then nothing is sent) → the same call already in flight? wait for that one → gate
(bounded concurrency) → spend limit → request, retried within a bound → ledger (committed) → parsed; asked again within
a bound when it does not satisfy the schema. What an endpoint lacks is found out once (``wire.Capabilities``).

Deadlines start when a request starts, not while it waits for a place.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import urllib.parse
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

from inkfire.errors import EndpointDown, InputError, ModelCallError
from inkfire.llm import wire
from inkfire.llm.base import JsonSchema, Message, Reply, Sampling, Usage
from inkfire.llm.entry import Entry
from inkfire.llm.ledger import Ledger
from inkfire.llm.pace import Pace, Sent
from inkfire.llm.prices import Amount, Price, estimate_tokens
from inkfire.llm.retry import Fault, Gate, Rejected, Retry, diagnose
from inkfire.llm.shared import Shared

if TYPE_CHECKING:
    import openai

T = TypeVar("T")
Keep = Callable[[bytes, float], tuple[Entry, T]]
"""A response's body and the seconds it took → what the ledger keeps of it, and what the caller gets."""

_log = logging.getLogger(__name__)
_CONNECT = 10.0  # seconds to connect
_GRACE = 10.0  # seconds that requests in flight have when the client closes
_UNREACHABLE = 3  # refused connections, before any success, after which the address is wrong
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(eq=False)
class Client:
    """A model behind an OpenAI-compatible endpoint (the ``LLM`` of ``base.py``).

    Args:
        name: how transcripts and manifests call it.
        base_url: up to and including ``/v1``.
        api_key: None where the endpoint wants none.
        model: the model's name on the wire; ``name`` by default.
        model_key: identifies the model in the ledger; by default its name and its host, whatever the port and path.
        ledger: where replies are kept; None keeps nothing.
        concurrency: requests in flight at once, at most.
        pace: requests and tokens a minute, at most.
        deadline: seconds that a request may take.
        reasks: how often a reply that does not satisfy its schema is asked again.
        retry: what happens when a request fails.
        price: of this model; None looks it up in the ledger's prices.
        on_close: called once after ``close`` (an engine that has no more clients stops).
    """

    name: str
    _: KW_ONLY
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    model: str = ""
    model_key: str = ""
    ledger: Ledger | None = None
    concurrency: int = 16
    pace: Pace = Pace()
    deadline: float = 120.0
    reasks: int = 2
    retry: Retry = Retry()
    price: Price | None = None
    on_close: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        url = urllib.parse.urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InputError(f"--base-url must look like https://host/v1, not {self.base_url!r}")
        if self.concurrency < 1:
            raise InputError(f"concurrency must be at least 1, not {self.concurrency}")
        self.base_url = self.base_url.rstrip("/")
        self.model = self.model or self.name
        # Credentials that are part of the URL must not reach the ledger's keys or a message.
        self._where = urllib.parse.urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2])).rstrip("/")
        # Earlier versions told models apart by the whole URL: what was paid for then is found by that key.
        self._old_key = None if self.model_key else f"{self._where} {self.model}"
        self.model_key = self.model_key or f"{url.hostname} {self.model}"
        if self.price is None and self.ledger is not None:
            self.price = self.ledger.price(self.model)
        self._gate = Gate(self.concurrency, self.pace.of(self.model_key))
        self._capabilities = wire.Capabilities()
        self._in_flight: dict[bytes, Shared[Any]] = {}
        self._http: openai.AsyncOpenAI | None = None
        self._failures_in_row = 0
        self._succeeded = 0

    @property
    def lacking(self) -> frozenset[str]:
        """The features that the endpoint was found not to have (``wire``)."""
        return frozenset(self._capabilities.lacking)

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonSchema | None = None, sampling: Sampling = Sampling()
    ) -> Reply:
        """Ask the model. See ``base.LLM`` for what is raised."""
        question = wire.Question(tuple(messages), schema, sampling)
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

    async def _share(self, key: bytes, ask: Callable[[Shared[T]], Coroutine[Any, Any, T]]) -> T:
        """The outcome of ``ask``; while it is in flight others find it under ``key``."""

        def over(task: asyncio.Task[T]) -> None:
            if self._in_flight.get(key) is shared:
                del self._in_flight[key]
            if not task.cancelled():
                task.exception()  # when all who waited were cancelled nobody looks at it, and asyncio would complain

        shared: Shared[T] = Shared()
        self._in_flight[key] = shared
        shared.task = asyncio.ensure_future(ask(shared))
        shared.task.add_done_callback(over)
        return await shared.result()

    async def close(self) -> None:
        """Let the requests in flight end and be stored (for a few seconds), then close the connections."""
        self._gate.close()  # what was not sent yet will not be
        on_close, self.on_close = self.on_close, None
        try:
            tasks = [shared.task for shared in self._in_flight.values()]
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=_GRACE)
                for task in late:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            http, self._http = self._http, None
            if http is not None:
                await http.close()
        finally:  # also where closing is cancelled: an engine must not outlive its last client
            if on_close is not None:
                on_close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    # ---- one question: recalled, or asked until the reply satisfies the schema -------------------------------------

    def _recall(self, question: wire.Question, digest: bytes) -> Reply | None:
        """The outcome that the ledger holds, None where something is still to be asked."""
        if self.ledger is None:
            return None
        for attempt in range(self._attempts(question)):
            entry = self._stored(question, digest, attempt)
            if entry is None:
                return None
            reply = wire.read_reply(entry, question, cached=True)
            answered = entry.time
            if reply.unparsed is None:
                break
        if reply.lacking is not None and self.ledger.retry_unscored and answered < self.ledger.opened:
            return None
        self._count(cached=attempt + 1)
        return reply

    async def _ask(self, question: wire.Question, digest: bytes, shared: Shared[Reply]) -> Reply:
        asked = question
        for attempt in range(self._attempts(question)):
            key = wire.attempt_key(digest, attempt)
            # The beginning of a series of attempts that was interrupted is on file.
            anew = self.ledger is None or self.ledger.retry_unscored
            entry = None if anew else self._stored(question, digest, attempt)
            if entry is None:
                reply = await self._draw(asked, key, attempt, shared)
            else:
                self._count(cached=1)
                reply = wire.read_reply(entry, question, cached=True)
            if reply.unparsed is None:
                break
            asked = question.again(reply)
        return self._usable(question, reply)

    def _stored(self, question: wire.Question, digest: bytes, attempt: int) -> Entry | None:
        """What the ledger has of an attempt, under this version's key or that of earlier ones."""
        if self.ledger is None:
            return None
        entry = self.ledger.find(wire.attempt_key(digest, attempt))
        if entry is None and self._old_key is not None:
            entry = self.ledger.find(wire.attempt_key(question.digest(self._old_key), attempt))
        return entry

    def _attempts(self, question: wire.Question) -> int:
        return 1 if question.schema is None else 1 + self.reasks

    def _usable(self, question: wire.Question, reply: Reply) -> Reply:
        if question.schema is None and reply.unparsed is not None:  # a caller that wants a text must not get a refusal
            self._count(failures=1)
            raise ModelCallError(f"{self.name} {reply.unparsed}")
        return reply

    def _count(self, *, cached: int = 0, failures: int = 0) -> None:
        if self.ledger is not None:
            self.ledger.count(cached=cached, failures=failures)

    # ---- one reply: requested within bounds, stored ----------------------------------------------------------------

    async def _draw(self, question: wire.Question, key: bytes, attempt: int, shared: Shared[Reply]) -> Reply:
        wanted = wire.features(question)
        dropped: set[str] = set()
        prompt_tokens = estimate_tokens(question.messages)
        worst = Usage(prompt_tokens, question.sampling.max_tokens)
        while True:
            sent = self._capabilities.usable(wanted, dropped)

            def keep(content: bytes, latency: float) -> tuple[Entry, Reply]:
                completion = wire.read_completion(content, prompt_tokens=prompt_tokens)
                return self._read(completion, question, key, attempt, latency)

            body = wire.request_body(self.model, question, sent)
            try:
                reply = await self._persist("/chat/completions", body, worst, keep, shared, first=bool(dropped))
            except Rejected as rejected:
                suspect = None if rejected.content_filter else self._capabilities.suspect(sent, rejected.message)
                if suspect is None:
                    self._count(failures=1)
                    raise ModelCallError(f"{self.name} refused the request ({rejected})") from rejected
                dropped.add(suspect)
            else:
                if lacking := self._capabilities.learn(sent, dropped):
                    names = ", ".join(sorted(lacking))
                    _log.warning("%s at %s has no %s: going on without", self.model, self._where, names)
                return reply

    async def _persist(
        self, path: str, body: bytes, worst: Usage, keep: Keep[T], shared: Shared[T], *, first: bool = False
    ) -> T:
        """A request once there is a place for it, and again while it fails in a way that may pass."""
        failures = 0
        succeeded = self._succeeded
        while True:
            place = await self._gate.enter(worst.prompt_tokens + worst.completion_tokens, first=first or failures > 0)
            try:
                if shared.abandoned:
                    raise asyncio.CancelledError
                kept = await self._request(path, body, worst, keep, place)
            except Fault as fault:
                failures += 1
                pause = self._after(fault, failures, progress=self._succeeded > succeeded)
            else:
                self._succeeded += 1
                self._failures_in_row = 0
                self._gate.succeeded()
                return kept
            finally:
                self._gate.leave()
            await asyncio.sleep(pause)

    async def _request(self, path: str, body: bytes, worst: Usage, keep: Keep[T], place: Sent) -> T:
        """One request: its worst case reserved before, its reply committed after."""
        promised, spent = Amount.of(worst, self.price), Amount()
        if self.ledger is not None:
            await self.ledger.reserve(promised)
        try:
            entry, kept = keep(*await self._post(path, body))
            spent = Amount.of(entry.usage, self.price)
            self._gate.correct(place, spent.tokens)
            if self.ledger is not None:
                await self.ledger.record(entry)
            return kept
        finally:
            if self.ledger is not None:
                self.ledger.purse.settle(promised, spent)

    def _read(
        self, completion: wire.Completion, question: wire.Question, key: bytes, attempt: int, latency: float
    ) -> tuple[Entry, Reply]:
        """What the ledger keeps, and what the caller gets."""
        entry = self._entry(completion, key, attempt, latency)
        reply = wire.read_reply(entry, question)
        return dataclasses.replace(entry, unparsed=reply.lacking), reply

    def _entry(self, completion: wire.Completion, key: bytes, attempt: int, latency: float) -> Entry:
        usage = completion.usage
        return Entry(
            key=key,
            run="" if self.ledger is None else self.ledger.run,
            model=self.name,
            time=time.time(),
            attempt=attempt,
            text=completion.text,
            finish_reason=completion.finish_reason,
            unparsed=None,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            estimated=completion.estimated,
            cost=None if self.price is None else self.price.cost(usage),
            latency=latency,
            logprobs=completion.logprobs,
        )

    async def _post(self, path: str, body: bytes) -> tuple[bytes, float]:
        """The response's body and the seconds it took."""
        import httpx2

        http = self._http or self._connect()
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self.deadline):
                response = await http.post(path, cast_to=httpx2.Response, content=body)
        except Exception as error:
            raise diagnose(error, where=f"{self.model} at {self._where}") from error
        return response.content, time.perf_counter() - start

    def _connect(self) -> openai.AsyncOpenAI:
        import httpx2
        import openai

        places = self._gate.limit
        is_local = urllib.parse.urlsplit(self.base_url).hostname in LOOPBACK
        self._http = openai.AsyncOpenAI(
            base_url=self.base_url,
            api_key=self.api_key or "none",
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=_CONNECT),
            http_client=openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=places, max_keepalive_connections=places, keepalive_expiry=30.0),
                trust_env=not is_local,  # a proxy of the environment does not lead to this machine
                follow_redirects=False,  # the key goes to the address that the user named
            ),
        )
        return self._http

    # ---- what success and failure mean for the calls to come -------------------------------------------------------

    def _after(self, fault: Fault, failures: int, *, progress: bool) -> float:
        """Seconds until the next try.

        Args:
            failures: how often this request has failed.
            progress: whether another request succeeded since this one was first tried.

        Raises:
            ModelCallError: this request has been tried often enough.
            EndpointDown: the endpoint is not worth another try.
        """
        self._failures_in_row += 1
        if self.ledger is not None:
            self.ledger.fault(self.name, fault.kind)
        where = f"{self.model} at {self._where}"
        if fault.kind == "unreachable" and not self._succeeded and failures >= _UNREACHABLE:
            raise EndpointDown(f"{where} cannot be reached: is it running? Check --base-url")
        if (fault.retry_after or 0.0) > self.retry.patience:
            raise EndpointDown(f"{where} asks to wait {fault.retry_after:.0f} s: run the same command again after that")
        if failures >= self.retry.tries:
            if self._failures_in_row >= self.retry.hopeless and not progress:
                raise EndpointDown(
                    f"{where} keeps failing ({self._failures_in_row} times in a row, last: {fault.kind}). "
                    "Every reply so far is kept: the same command goes on from here"
                )
            self._count(failures=1)
            raise ModelCallError(f"{self.name} failed {failures} times, last with {fault.kind}")
        pause = self.retry.wait(failures, fault)
        if fault.kind == "429" or fault.retry_after is not None:
            self._gate.throttled(pause)
        return pause
