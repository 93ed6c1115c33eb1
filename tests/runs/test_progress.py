from __future__ import annotations

import io

import pytest

from inkfire.runs.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_elsewhere_than_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    out = io.StringIO()
    with Progress("curate", 100, stats=lambda: {"cost": 0.5, "cached": 3, "failures": 1}, stream=out) as bar:
        for _ in range(40):
            now += 1.0
            bar.advance()
    lines = out.getvalue().splitlines()
    assert lines[0] == "curate: 10/100 (10 %), 0:10 elapsed, 1:30 left, 1 a second, 3 cached, cost 0.5000 USD, 1 failed"
    assert len(lines) == 4  # one every ten seconds; the end is said already
    assert lines[-1].startswith("curate: 40/100")


@pytest.mark.parametrize(
    ("done", "seconds", "said"),
    [
        (560, 2, "280 a second"), (7, 2, "3.5 a second"), (9.94, 1, "9.9 a second"), (99.6, 10, "10 a second"),
        (1, 4.2, "4.2 s each"), (2, 50, "25 s each"), (1, 59.6, "1:00 each"), (2, 370, "3:05 each"),
        (12_000, 1, "12,000 a second"),
    ],
)  # fmt: skip
def test_a_rate_as_people_say_it(monkeypatch: pytest.MonkeyPatch, done: float, seconds: float, said: str) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    out = io.StringIO()
    with Progress("sft", None, stream=out) as bar:
        bar.done = done  # type: ignore[assignment]
        now += seconds
    assert out.getvalue().endswith(f", {said}\n")


def test_the_end_is_said_where_it_is_news() -> None:
    out = io.StringIO()
    with Progress("judge", 3, stream=out) as bar:
        bar.advance(3)
    assert out.getvalue().count("judge: 3/3") == 1
    with Progress("nothing", 0, stream=out):
        pass
    assert out.getvalue().splitlines()[-1].startswith("nothing: 0")


@pytest.mark.parametrize(("known", "said"), [(0.0, "cost unknown\n"), (0.25, "cost unknown (0.2500 EUR known)\n")])
def test_a_cost_without_a_price_is_unknown(known: float, said: str) -> None:
    out = io.StringIO()
    stats = {"cost": None, "cost_known": known, "currency": "EUR"}
    with Progress("curate", None, stats=lambda: stats, stream=out):
        pass
    assert out.getvalue().endswith(said)


def test_unknown_total() -> None:
    out = io.StringIO()
    with Progress("write", None, stream=out) as bar:
        bar.advance(3, failed=2)
    assert out.getvalue().startswith("write: 3, 0:00 elapsed")
    assert "2 failed" in out.getvalue()


def test_a_bar_on_a_terminal() -> None:
    out = Terminal()
    with Progress("judge", 4, stream=out) as bar:
        bar.advance(4, failed=1)
    assert "judge" in out.getvalue()
    assert "4/4" in out.getvalue()
    assert "1 failed" in out.getvalue()
