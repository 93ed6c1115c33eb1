"""What to do when a request fails: which failures are worth another try, when, and how many requests at once.

- ``diagnose`` sorts the HTTP client's exceptions: a ``Fault`` may be tried again (408, 409, 429, 5xx, connection,
  time-out, a body that is no completion), a ``Rejected`` asks for something this endpoint will not do (400, 413, 422,
  501), and ``EndpointDown`` (401, 402, 403, 404, no quota) says what the user must change.
- ``Retry`` is how often and after how long: exponential with jitter, never before the server's Retry-After.
- ``Gate`` bounds the requests in flight on one endpoint, and those sent in a minute (``pace.py``). When 429s are more
  than isolated events it closes for Retry-After and becomes narrower; every success makes it a little wider again, up
  to its limit.

The loop that ties them together is ``client.Client._draw``; it waits on the gate between tries, which is why this is
not a retry library's decorator.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import random
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inkfire.errors import EndpointDown
from inkfire.llm.pace import Minute, Sent
from inkfire.llm.structured import well_formed

RETRIED = frozenset({408, 409, 429})
REJECTED = frozenset({400, 413, 422, 501})
_NO_FEATURE = frozenset({401, 402, 408, 409, 413, 429})
_MOVED = frozenset({301, 302, 303, 307, 308})
_NO_MONEY = re.compile("insufficient_(?:quota|balance|credit|funds)|billing|arrear|quota_exhausted", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model_not_found|\bmodel\b.{0,80}\b(?:not exist|not found)|(?:unknown|invalid|no such|not a valid) model\b",
    re.IGNORECASE,
)
FIXES = {
    401: "it does not accept the API key: set OPENAI_API_KEY",
    402: "it wants to be paid: check the account's billing",
    403: "the API key may not use this model: check its permissions",
    404: "it has no such model or path: check --model and --base-url (which usually ends in /v1)",
}


class Fault(Exception):
    """A failed request that may be tried again.

    ``retry_after`` is the server's wish in seconds, ``words`` what it said.
    """

    def __init__(self, kind: str, retry_after: float | None = None, *, words: str = "") -> None:
        super().__init__(f"{kind}: {words}" if words else kind)
        self.kind = kind
        self.retry_after = retry_after


class Rejected(Exception):
    """The endpoint will not do what the request asks; ``message`` is its reason."""

    def __init__(self, status: int, message: str, *, content_filter: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.content_filter = content_filter


def diagnose(error: Exception, *, doubts: Callable[[str], bool] = lambda words: False) -> Exception:
    """The meaning of an exception of the openai client: Fault, Rejected or EndpointDown (anything else is returned).

    Args:
        doubts: whether words refuse a feature that the endpoint may not have, whatever status they come with.
    """
    import httpx2
    import openai

    if isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return Fault("unreachable", words=str(error.__cause__)[:200])
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return Fault("timeout")
    if isinstance(error, openai.APIConnectionError):
        return Fault("connection", words=str(error.__cause__ or "")[:200])
    if not isinstance(error, openai.APIStatusError):
        return error
    status, said = error.status_code, spoken(error.body) or "no words"
    if status in _MOVED and (to := error.response.headers.get("location")):
        return EndpointDown(f"it has moved (HTTP {status}): check --base-url, it leads to {to}")
    return sort(status, said, f"{error.code} {error.type}", doubts, retry_after(error.response.headers))


def sort(status: int, said: str, named: str, doubts: Callable[[str], bool], after: float | None = None) -> Exception:
    """What an error means, by its status, its words and what it is ``named`` (code and type)."""
    if _NO_MONEY.search(named):
        return EndpointDown(f"the account has no quota left ({said}): check its billing, then run this again")
    if "content_filter" in f"{named} {said}" and status in REJECTED:
        return Rejected(status, said, content_filter=True)
    if status == 400 and _NO_MODEL.search(f"{named} {said}"):
        status = 404
    elif status not in _NO_FEATURE and doubts(said):
        return Rejected(status, said)
    return meaning(status, said, after)


def meaning(status: int, said: str, after: float | None = None) -> Exception:
    """What a status means that came with these words: Fault, Rejected or EndpointDown."""
    if status in FIXES:
        return EndpointDown(f"{FIXES[status]} (HTTP {status}: {said})")
    if status in REJECTED:
        return Rejected(status, said)
    if status in RETRIED or status >= 500:
        return Fault(str(status), after, words=said)
    return EndpointDown(f"unexpected answer (HTTP {status}: {said}): check --base-url")


def spoken(error: Any) -> str:
    """What an error's body says, whatever its shape, without HTML."""
    if isinstance(error, list) and len(error) == 1:
        error = error[0]
    if isinstance(error, Mapping) and isinstance(error.get("error"), Mapping):
        error = error["error"]
    if isinstance(error, Mapping):
        more = error.get("metadata")
        raw = more.get("raw") if isinstance(more, Mapping) else None
        error = " ".join(
            str(said) for said in (error.get("message") or error.get("detail") or error.get("error"), raw) if said
        )
    plain = re.sub(r"<(script|style)\b.*?</\1>|<[^<>]{0,200}>", " ", str(error or "")[:4000], flags=re.DOTALL)
    return well_formed(" ".join(plain.split())[:300])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as an HTTP date."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        if value is None:
            return None
        return max(0.0, float(value))
    except ValueError:
        with contextlib.suppress(ValueError, OverflowError, TypeError, IndexError):  # what only looks like a date
            date = email.utils.parsedate_tz(value or "")
            return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())
        return None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is tried, and how long to wait in between (seconds).

    ``first`` doubles with every failure up to ``longest``; half of it is jitter. A Retry-After beyond ``patience``
    is not waited for: the endpoint counts as down. ``hopeless`` failures in a row, none of them followed by a success,
    say that it is down too.
    """

    tries: int = 8
    first: float = 0.5
    longest: float = 30.0
    patience: float = 120.0
    hopeless: int = 10

    def wait(self, failures: int, fault: Fault) -> float:
        """Seconds before the next try, after ``failures`` ≥ 1 failed ones."""
        backoff = min(self.longest, self.first * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)
        return max(backoff, fault.retry_after or 0.0)


class Gate:
    """At most ``limit`` requests in flight, fewer while the endpoint complains; first come, first served.

    Args:
        minute: what may be sent a minute; None: whatever fits.
    """

    _RECENT = 32  # answers remembered
    _STRAINED = 0.25  # share of 429s among them from which everybody waits; below it only the refused request does
    _NARROWER = 0.7

    def __init__(self, limit: int, minute: Minute | None = None) -> None:
        self.limit = limit
        self.active = 0
        self._minute = minute or Minute()
        self._due: asyncio.TimerHandle | None = None  # when the minute has room for the first that waits
        self._width = float(limit)
        self._opens = 0.0  # loop time at which a closed gate opens; 0 when it is open
        self._recent: deque[bool] = deque(maxlen=self._RECENT)  # True: a 429
        self._waiting: deque[tuple[asyncio.Future[Sent], int]] = deque()

    async def enter(self, tokens: int = 0, *, first: bool = False) -> Sent:
        """Wait for a place.

        Args:
            tokens: what the request may take, for the limit of tokens a minute.
            first: before everybody else that waits (a request that is tried again).

        Returns:
            The request's part of the minute, for ``correct``.
        """
        place: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)((place, tokens))
        self._admit()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # given at the moment of being cancelled: pass it on
                self.leave()
            raise

    def leave(self) -> None:
        self.active -= 1
        self._admit()

    def close(self) -> None:
        """Nobody who still waits gets in."""
        for place, _ in self._waiting:
            place.cancel()

    def correct(self, sent: Sent, tokens: int) -> None:
        """A request took so many tokens, not those it came with."""
        self._minute.correct(sent, tokens)

    def succeeded(self) -> None:
        """A request went through."""
        self._recent.append(False)
        if self._width < self.limit:
            self._width = min(self.limit, self._width + 1 / self._width)  # one place a full round

    def throttled(self, seconds: float) -> None:
        """A request was refused for ``seconds``; when too many are, nobody enters until then and fewer after."""
        self._recent.append(True)
        if not self._opens:
            if sum(self._recent) < self._STRAINED * len(self._recent):
                return
            self._width = max(1.0, self._width * self._NARROWER)
        loop = asyncio.get_running_loop()
        opens = loop.time() + seconds
        if opens > self._opens:
            self._opens = opens
            loop.call_at(opens, self._open, opens)

    def _open(self, opens: float) -> None:
        if self._opens == opens:  # not closed for longer meanwhile
            self._opens = 0.0
            self._recent.clear()
            self._admit()

    def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self.active < int(self._width) and not self._opens:
            place, tokens = self._waiting[0]
            if not place.done():
                if (pause := self._minute.wait(tokens, loop.time())) > 0:
                    if self._due is not None:
                        self._due.cancel()
                    self._due = loop.call_later(pause, self._admit)
                    return
                self.active += 1
                place.set_result(self._minute.add(tokens, loop.time()))
            self._waiting.popleft()
