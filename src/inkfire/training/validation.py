"""The reward on queries that a training does not learn from: before it and every few steps the policy writes for each.

validation.jsonl has the texts (step, query, response, truncated, reward), metrics.jsonl their mean reward as
``validation_reward``. They are sampled from one seed each time, apart from the random state of the training. Of a
reward that looks at the group it is the plain score: one text a query has no group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from inkfire.errors import DataError
from inkfire.files.jsonl import VALIDATION
from inkfire.records import Query
from inkfire.rewards.base import Reward
from inkfire.rewards.reading import spaced
from inkfire.rewards.shaped import Shaped
from inkfire.training import trl
from inkfire.training.begin import Writer

_AT_MOST = 16


class Validation(TrainerCallback):  # type: ignore[misc]
    """Looks before the first update and every ``every`` updates.

    Args:
        writer: writes with the model that is trained, for the queries to look at.
    """

    def __init__(self, writer: Writer, reward: Reward, out: Path, *, every: int, seed: int):
        self._writer, self._out, self._every, self._seed = writer, out, every, seed
        self._reward = reward.reward if isinstance(reward, Shaped) else reward
        self._found: dict[str, float | None] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self._look(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self._every == 0:
            self._found = {"validation_reward": self._look(state.global_step)}

    def _look(self, step: int) -> float | None:
        """The mean reward at a step, whose texts are kept."""
        rows = self._writer.write(self._writer.queries, self._seed)
        asked, texts, cut = ([row[name] for row in rows] for name in ("query", "response", "truncated"))
        scores = self._reward.score(asked, texts, truncated=cut)
        for row, score in zip(rows, scores, strict=True):
            trl.append(self._out / VALIDATION, {"step": step, **row, "reward": score})
        known = [score for score in scores if score is not None and math.isfinite(score)]
        return sum(known) / len(known) if known else None

    def numbers(self) -> dict[str, float | None]:
        """What was found since the last call, for metrics.jsonl."""
        found, self._found = self._found, {}
        return found


def apart(validation: Sequence[Query], training: Sequence[Query]) -> list[str]:
    """Up to 16 queries of ``validation``, without those that the training has.

    Raises:
        DataError: none is left.
    """
    trained = {query.query for query in training}
    kept = [query for query in dict.fromkeys(query.query for query in validation) if query not in trained]
    if validation and not kept:
        raise DataError("every query to validate on is trained on: give --validation others than --prompts")
    return spaced(kept, min(_AT_MOST, len(kept)))
