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
    assert lines[0] == "curate: 10/100 (10 %), 0:10 elapsed, 1:30 left, 1/s, 3 cached, cost 0.5000 USD, 1 failed"
    assert len(lines) == 5  # one every ten seconds, and one at the end


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
