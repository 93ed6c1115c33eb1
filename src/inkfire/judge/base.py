"""The judge's seam. Strategy B's judge, strategy A's debate and the rubric all stand behind it."""

from __future__ import annotations

from typing import Protocol

from inkfire.records import Verdict


class Judge(Protocol):
    """Judges one text at a time; many calls may run at once on one event loop."""

    @property
    def name(self) -> str: ...

    async def judge(self, query: str, response: str) -> Verdict: ...

    async def close(self) -> None:
        """Close the models that it was given, each once. Who opened them calls this, and nobody else."""
        ...
