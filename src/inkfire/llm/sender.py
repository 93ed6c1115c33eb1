"""One endpoint, and requests to it: each within its bounds, tried again while that may help, and stored.

A request waits for its place (``retry.Gate``) and for the spend limit, is sent, and its reply is in the ledger before
its caller has it. Deadlines start when a request starts, not while it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import logging
import re
import time
import urllib.parse
from collections.abc import Callable, Coroutine
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

from inkfire.errors import EndpointDown, InputError, ModelCallError
from inkfire.llm import connect, wire
from inkfire.llm.base import Usage
from inkfire.llm.entry import Entry
from inkfire.llm.features import Capabilities
from inkfire.llm.futile import Futility
from inkfire.llm.ledger import Ledger
from inkfire.llm.pace import Pace, Sent
from inkfire.llm.prices import Amount, Price
from inkfire.llm.retry import Fault, Gate, Retry, diagnose
from inkfire.llm.shared import Shared
from inkfire.llm.terms import Terms

if TYPE_CHECKING:
    import openai

T = TypeVar("T")
Keep = Callable[[bytes, float], tuple[Entry, T]]
"""A response's body and the seconds it took → what the ledger keeps of it, and what the caller gets."""

_log = logging.getLogger(__name__)
_GRACE = 10.0  # seconds that requests in flight have when the client closes
_UNREACHABLE = 3  # refused connections, before any success, after which the address is wrong
_SAME = 3  # bodies that are no completion, after which the endpoint will not give another


@dataclass(eq=False)
class Sender:
    """A model behind an OpenAI-compatible endpoint.

    Args:
        name: how transcripts and manifests call it.
        base_url: up to and including ``/v1``, with a query where it needs one.
        api_key: None where the endpoint wants none.
        model: the model's name on the wire; ``name`` by default.
        model_key: identifies the model in the ledger; by default its name and its host, whatever the port and path.
        ledger: where replies are kept; None keeps nothing.
        concurrency: requests in flight at once, at most.
        pace: requests and tokens a minute, at most.
        terms: how it is asked.
        deadline: seconds that a request may take, where the terms do not say it.
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
    terms: Terms = Terms()
    deadline: float = 120.0
    reasks: int = 2
    retry: Retry = Retry()
    price: Price | None = None
    on_close: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        at, self._query = connect.address(self.base_url)
        connect.check_key(self.api_key)
        if self.concurrency < 1:
            raise InputError(f"concurrency must be at least 1, not {self.concurrency}")
        url = urllib.parse.urlsplit(self.base_url.strip())
        # Credentials that are part of the URL must not reach the ledger's keys or a message.
        whole = urllib.parse.urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2])).rstrip("/")
        self._where = whole.partition("?")[0]
        self.base_url = at
        self._prefixes: tuple[str, ...] = ("",) if re.search(r"/v\d", at) else ("", "/v1")
        self.model = self.model or self.name
        # Earlier versions told models apart by the whole URL: what was paid for then is found by that key.
        self._old_key = None if self.model_key or self.terms.extra else f"{whole} {self.model}"
        self.model_key = self.model_key or f"{url.hostname} {self.model}"
        if self.terms.extra:  # what is asked in another way is another question
            self.model_key += f" {json.dumps(self.terms.extra, sort_keys=True)}"
        if self.price is None and self.ledger is not None:
            self.price = self.ledger.price(self.model)
        self._gate = Gate(self.concurrency, self.pace.of(self.model_key))
        self._capabilities = Capabilities()
        self._scout: asyncio.Event | None = None  # set when the request that goes ahead is over
        self._futility = Futility(self.name)
        self._in_flight: dict[bytes, Shared[Any]] = {}
        self._http: openai.AsyncOpenAI | None = None
        self._failures_in_row = 0
        self._succeeded = 0

    @property
    def lacking(self) -> frozenset[str]:
        """The features that the endpoint was found not to have (``features``)."""
        return frozenset(self._capabilities.lacking)

    @property
    def thinks(self) -> bool:
        """Whether a reply came with thinking, though it was asked for none."""
        return self._capabilities.thinks

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

    def _count(self, *, cached: int = 0, failures: int = 0) -> None:
        if self.ledger is not None:
            self.ledger.count(cached=cached, failures=failures)

    # ---- one request, within bounds, stored ------------------------------------------------------------------------

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
            content, latency = await self._post(path, body)
            try:
                entry, kept = keep(content, latency)
            except Exception as error:
                spent = await self._unreadable(content, latency, body)
                raise self._placed(error) from None
            spent = Amount.of(entry.usage, self.price)
            self._gate.correct(place, spent.tokens)
            if self.ledger is not None:
                await self.ledger.record(entry)
            return kept
        finally:
            if self.ledger is not None:
                self.ledger.purse.settle(promised, spent)

    async def _unreadable(self, content: bytes, latency: float, body: bytes) -> Amount:
        """What a reply has cost that cannot be read: it counts as spent, under a key that nobody asks for."""
        try:
            usage = wire.read_usage(json.loads(content).get("usage"))
        except (ValueError, AttributeError, RecursionError):
            usage = None
        if usage is None:
            return Amount()
        if self.ledger is not None:
            key = hashlib.sha256(body + str(time.time_ns()).encode()).digest()
            said = wire.Completion(content.decode("utf-8", "replace"), "unreadable", usage, False, None)
            await self.ledger.record(dataclasses.replace(self._entry(said, key, 0, latency), unparsed="unreadable"))
        return Amount.of(usage, self.price)

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
        """The response's body and the seconds it took. An address that leads nowhere is tried with /v1."""
        import httpx2

        if self._http is None:
            self._http = connect.connect(self.base_url, self._query, self.api_key, self._gate.limit)
        for prefix in self._prefixes:
            start = time.perf_counter()
            is_last = prefix == self._prefixes[-1]
            try:
                async with asyncio.timeout(self.terms.timeout or self.deadline):
                    response = await self._http.post(prefix + path, cast_to=httpx2.Response, content=body)
            except Exception as error:
                if not is_last and getattr(error, "status_code", None) in (404, 405):
                    continue
                raise self._placed(diagnose(error, doubts=self._capabilities.doubts)) from error
            if is_last or not response.content.lstrip().startswith(b"<"):
                self._prefixes = (prefix,)
                break
        return _utf8(response.content, response.charset_encoding), time.perf_counter() - start

    def _placed(self, error: Exception) -> Exception:
        return EndpointDown(f"{self.model} at {self._where}: {error}") if type(error) is EndpointDown else error

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
            way = connect.between(self.base_url, str(fault))
            raise EndpointDown(f"{where} cannot be reached: is it running? Check --base-url ({fault}){way}")
        if fault.kind == "malformed" and failures >= _SAME and not self._succeeded:
            raise EndpointDown(f"{where} gives no completions ({fault}): check --base-url and --model")
        if (fault.retry_after or 0.0) > self.retry.patience:
            raise EndpointDown(f"{where} asks to wait {fault.retry_after:.0f} s: run the same command again after that")
        if failures >= self.retry.tries:
            if self._failures_in_row >= self.retry.hopeless and not progress:
                fix = " Raise --timeout, or lower --concurrency." if fault.kind == "timeout" else ""
                raise EndpointDown(
                    f"{where} keeps failing ({self._failures_in_row} times in a row, last: {fault}).{fix} "
                    "Every reply so far is kept: the same command goes on from here"
                )
            self._count(failures=1)
            raise ModelCallError(f"{self.name} failed {failures} times, last with {fault}")
        pause = self.retry.wait(failures, fault)
        if fault.kind == "429" or fault.retry_after is not None:
            self._gate.throttled(pause)
        return pause


def _utf8(content: bytes, charset: str | None) -> bytes:
    """A body in UTF-8, which nearly all are; else by the encoding that its header names."""
    try:
        content.decode()
    except UnicodeDecodeError:
        with contextlib.suppress(LookupError, UnicodeDecodeError):
            return content.decode(charset or "utf-8").encode()
    return content
