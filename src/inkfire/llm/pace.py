"""How fast an endpoint may be asked: requests and tokens a minute.

``Minute`` is a sliding window: whatever minute one looks at, no more than the limits was sent in it. Tokens count by
their estimate when a request is sent and by what it took once that is known. (A token bucket, as rate-limit libraries
have it, lets two minutes' worth through in the first one, and takes nothing back.)

>>> minute = Minute(rpm=2)
>>> first, second = minute.add(0, now=10.0), minute.add(0, now=15.0)
>>> minute.wait(0, now=30.0)
40.0
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_WINDOW = 60.0


@dataclass(slots=True)
class Sent:
    """One request: when it was sent, and the tokens that it counts for."""

    time: float
    tokens: int


class Minute:
    """What was sent in the last minute, against the limits. None: no limit."""

    def __init__(self, rpm: int | None = None, tpm: int | None = None) -> None:
        self._rpm = rpm
        self._tpm = tpm
        self._sent: deque[Sent] = deque()
        self._tokens = 0

    def wait(self, tokens: int, now: float) -> float:
        """Seconds after which to look again whether a request of ``tokens`` may be sent; 0: it may be now.

        A request that is larger than the limit by itself may be sent when nothing else was: the estimate is high, and
        waiting longer would not help.
        """
        while self._sent and self._sent[0].time + _WINDOW <= now:
            self._tokens -= self._sent.popleft().tokens
        requests_fit = self._rpm is None or len(self._sent) < self._rpm
        tokens_fit = self._tpm is None or self._tokens + tokens <= self._tpm
        return 0.0 if not self._sent or (requests_fit and tokens_fit) else self._sent[0].time + _WINDOW - now

    def add(self, tokens: int, now: float) -> Sent:
        """A request is sent now."""
        sent = Sent(now, tokens)
        self._sent.append(sent)
        self._tokens += tokens
        return sent

    def correct(self, sent: Sent, tokens: int) -> None:
        """A request took ``tokens``."""
        if self._sent and sent.time >= self._sent[0].time:  # still in the window
            self._tokens += tokens - sent.tokens
        sent.tokens = tokens


@dataclass(frozen=True, slots=True)
class Pace:
    """A run's limits a minute, kept for each model apart, as providers count; all its clients share the minute."""

    rpm: int | None = None
    tpm: int | None = None
    _minutes: dict[str, Minute] = field(default_factory=dict, compare=False, repr=False)

    def of(self, model_key: str) -> Minute:
        return self._minutes.setdefault(model_key, Minute(self.rpm, self.tpm))
