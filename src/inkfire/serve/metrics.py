"""What a reward server did, as Prometheus reads it (the text format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inkfire.serve.scoring import Desk

BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
MEDIA_TYPE = "text/plain; version=0.0.4"
_Samples = Iterable[tuple[Mapping[str, str], float]]


@dataclass
class Metrics:
    """Requests by path and status, and how long they took (seconds) by path."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * (len(BUCKETS) + 1)))
    took: Counter[str] = field(default_factory=Counter)  # the sum of them

    def saw(self, path: str, status: int, seconds: float) -> None:
        self.requests[path, status] += 1
        self.seconds[path][bisect_left(BUCKETS, seconds)] += 1
        self.took[path] += seconds  # type: ignore[assignment]

    def text(self, desk: Desk) -> str:
        counts = desk.counts
        missing = [({"reason": reason}, n) for reason, n in sorted(counts.missing.items())]
        by_status = [({"path": path, "status": str(status)}, n) for (path, status), n in sorted(self.requests.items())]
        parts = [
            _family("requests_total", "counter", "Requests that were answered.", by_status),
            _family("texts_total", "counter", "Texts that were answered.", [({}, counts.texts)]),
            _family("texts_missing_total", "counter", "Texts without a score, by the reason.", missing),
            _family("neutral_total", "counter", "Neutral values in place of missing scores.", [({}, counts.neutral)]),
            _family("score_calls_total", "counter", "Calls of the reward.", [({}, counts.calls)]),
            _family("score_calls_failed_total", "counter", "Calls that failed.", [({}, counts.failed_calls)]),
            _family("score_seconds_total", "counter", "Seconds that calls took.", [({}, counts.seconds)]),
            _family("queue_texts", "gauge", "Texts that wait or are at work.", [({}, desk.held)]),
            self._histogram(),
        ]
        return "".join(parts)

    def _histogram(self) -> str:
        lines = _head("request_seconds", "histogram", "Seconds from a request to its answer.")
        for path, counts in sorted(self.seconds.items()):
            below = 0
            for bound, n in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                below += n
                lines += _sample("request_seconds_bucket", {"path": path, "le": bound}, below)
            lines += _sample("request_seconds_sum", {"path": path}, self.took[path])
            lines += _sample("request_seconds_count", {"path": path}, below)
        return lines


def _family(name: str, kind: str, what: str, samples: _Samples) -> str:
    return _head(name, kind, what) + "".join(_sample(name, labels, value) for labels, value in samples)


def _head(name: str, kind: str, what: str) -> str:
    return f"# HELP inkfire_{name} {what}\n# TYPE inkfire_{name} {kind}\n"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    """One line. A label's value (a reason may be a model's words) is escaped as the format asks."""
    said = ",".join(f'{key}="{_escaped(of_key)}"' for key, of_key in labels.items())
    return f"inkfire_{name}{f'{{{said}}}' if said else ''} {value:.17g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").encode("utf-8", "replace").decode()
