"""Groups whose rewards are all equal teach nothing: they are drawn again, each for another prompt (DAPO 2503.14476).

A draw replaces a flat group by the texts of a prompt that the step does not have (of any, where the training has no
other), chosen by seed, step and draw, so that a training that goes on chooses the same ones; up to ``redraw`` draws,
then what is flat stays. A group with fewer than two rewards is not flat: it is left out, and asking again costs calls.

What is drawn again is chosen by its reward, so it goes into the loss and, with its ``draw``, into completions.jsonl;
monitors, alarms and coverage see the first draw alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from inkfire.files.jsonl import dump

Rewards = list[float | None]
_EQUAL = 1e-8


class Redraw:
    """The rollout and the reward function of TRL, of which the former does all the work.

    Args:
        write: prompts, the trainer → prompt_ids, completion_ids, logprobs.
        score: as TRL calls a reward function, and ``draw``.
        examples: ``prompt`` and ``query`` of every row of the data.
        group: texts a prompt.
        draws: at most.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Any], Any], dict[str, Any]],
        score: Callable[..., Rewards],
        examples: Sequence[dict[str, Any]],
        *,
        group: int,
        draws: int,
        seed: int,
    ):
        self._write, self._score, self._group, self._draws, self._seed = write, score, group, draws, seed
        self._queries = {dump(row["prompt"]): row["query"] for row in examples}
        self._prompts = {row["query"]: row["prompt"] for row in examples}
        self._redrawn = 0

    def rollout(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Texts, and for :meth:`reward` what they got."""
        out = self._drawn([self._queries[dump(prompt)] for prompt in prompts], trainer, 0)
        for draw in range(1, self._draws + 1):
            flat = [first for first in range(0, len(prompts), self._group) if self._flat(out["found"], first)]
            if not flat:
                break
            self._redrawn += len(flat)
            others = self._others({*out["query"]}, len(flat), f"{self._seed} {trainer.state.global_step} {draw}")
            again = self._drawn([query for query in others for _ in range(self._group)], trainer, draw)
            for name, column in again.items():
                for number, first in enumerate(flat):
                    at = number * self._group
                    out[name][first : first + self._group] = column[at : at + self._group]
        return out | {"logprobs": None}

    def reward(self, found: Rewards, **_: Any) -> Rewards:
        return found

    def numbers(self) -> dict[str, int]:
        """Groups drawn again since the last call, for metrics.jsonl."""
        redrawn, self._redrawn = self._redrawn, 0
        return {"redrawn": redrawn}

    def _drawn(self, queries: list[str], trainer: Any, draw: int) -> dict[str, list[Any]]:
        out = self._write([self._prompts[query] for query in queries], trainer)
        ids = out["completion_ids"]
        found = self._score(completion_ids=ids, query=queries, trainer_state=trainer.state, draw=draw)
        return {"prompt_ids": out["prompt_ids"], "completion_ids": ids, "query": queries, "found": found}

    def _flat(self, rewards: Rewards, first: int) -> bool:
        known = [reward for reward in rewards[first : first + self._group] if reward is not None]
        return len(known) > 1 and max(known) - min(known) < _EQUAL

    def _others(self, asked: set[str], n: int, seed: str) -> list[str]:
        """``n`` queries, those of the step only where the others do not suffice."""
        lots = random.Random(seed)
        new = [query for query in self._prompts if query not in asked]
        return (lots.sample(new, min(n, len(new))) + lots.choices([*self._prompts], k=n))[:n]
