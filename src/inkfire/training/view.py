"""What a training shows on a terminal besides its bar: the course of the reward, and a text every few steps."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from inkfire.files.jsonl import visible

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
_EVERY = 5  # steps
_LONGEST = 120  # characters


class View:
    """Prints on stderr, where that is a terminal.

    Args:
        rewards: mean rewards of the steps that are done.
    """

    def __init__(self, rewards: Sequence[float | None]):
        self._rewards, self._terminal = [*rewards], sys.stderr.isatty()

    def see(self, responses: Sequence[str], rewards: Sequence[float | None]) -> None:
        """The texts of a step."""
        known = [reward for reward in rewards if reward is not None]
        self._rewards.append(sum(known) / len(known) if known else None)
        step = len(self._rewards)
        if not self._terminal or step % _EVERY or not any(reward is not None for reward in self._rewards):
            return
        last = "none" if self._rewards[-1] is None else f"{self._rewards[-1]:.3g}"
        print(f"reward {sparkline(self._rewards)} {last}", file=sys.stderr)
        print_text(responses[0])


def print_text(text: str) -> None:
    """A text on a line of its own on stderr: its beginning, with what a terminal would obey escaped."""
    print(f"    {visible(' '.join(text.split())[:_LONGEST]) or '(empty)'}", file=sys.stderr, flush=True)


def sparkline(values: Sequence[float | None]) -> str:
    """A line of bars, at most sixty; a blank where there is no value.

    >>> sparkline([0.0, None, 0.5, 1.0])
    '▁ ▅█'
    """
    n = min(_WIDTH, len(values))
    drawn = [values[i * len(values) // n] for i in range(n)]
    known = [value for value in drawn if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else _BARS[round((value - low) * scale)] for value in drawn)
