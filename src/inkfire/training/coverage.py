"""How many texts get a reward, step by step: a training that hardly sees any stops, and can be gone on with."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from inkfire.errors import EndpointDown, InkfireError, InputError
from inkfire.files.rollouts import COMPLETIONS
from inkfire.llm import futile
from inkfire.rewards.base import Reward, why_unscored

_STEPS = 3


class Coverage:
    """The share of texts with a reward, over the last :data:`_STEPS` steps.

    Args:
        floor: of its mean; below it the training pauses. Without any reward in those steps it stops in any case.
    """

    def __init__(self, reward: Reward, floor: float):
        self._reward, self._floor = reward, floor
        self._shares: deque[float] = deque(maxlen=_STEPS)
        self._reasons: deque[Counter[str]] = deque([why_unscored(reward)], maxlen=_STEPS + 1)

    def see(self, scores: Sequence[float | None]) -> None:
        """The rewards of a step.

        Raises:
            InputError, EndpointDown: three steps in a row had none; by whether a setting mends the reason.
            EndpointDown: too few had one.
        """
        self._shares.append(sum(score is not None for score in scores) / len(scores))
        self._reasons.append(why_unscored(self._reward))
        covered = sum(self._shares) / len(self._shares)
        if len(self._shares) == _STEPS and (covered == 0 or covered < self._floor):
            raise self._failure(covered)

    def numbers(self) -> dict[str, float]:
        """The share of the last step, for metrics.jsonl."""
        return {"coverage": self._shares[-1]} if self._shares else {}

    def _failure(self, covered: float) -> InkfireError:
        found = futile.main_reason((self._reasons[-1] - self._reasons[0]).elements())
        if covered:
            why = "" if found is None else f", mostly for this reason: {found[0]}"
            return EndpointDown(
                f"only {covered:.0%} of the texts of the last {_STEPS} steps have a reward of {self._reward.name} "
                f"(min_coverage = {self._floor:g}){why}. The training is paused: the same command goes on from its "
                "last checkpoint (--retry-unscored asks again; a lower --min-coverage takes fewer)"
            )
        what = f"the reward {self._reward.name} is missing, not equal: no text of the last {_STEPS} steps has one"
        if found is None:
            return InputError(
                f"{what}; look at what it gives for the texts of {COMPLETIONS}: None and NaN are no reward"
            )
        return futile.failure(what, found[0])
