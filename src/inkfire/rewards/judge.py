"""A judge as a reward: its calibrated P(Good), or the paper's 0/1.

    reward = load_judge_reward("runs/demo/judge", ledger=ledger)
    reward.score(["新年祝福"], ["…"])          # [0.71]; None where the judge gave no verdict

Groups of four completions often all get the same 0/1, and then teach nothing; a probability keeps them apart.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from inkfire.errors import RefusedReward
from inkfire.judge.base import Judge, at_once, judge_many
from inkfire.judge.calibration import raw_score
from inkfire.judge.measure import why_doubted, why_refused
from inkfire.judge.spec import JudgeSpec
from inkfire.llm import loop
from inkfire.llm.ledger import Ledger
from inkfire.records import Candidate, Identity, Verdict
from inkfire.rewards.identity import judge_identity

_log = logging.getLogger(__name__)

Value = Literal["probability", "label"]


@dataclass(frozen=True)
class JudgeReward:
    """Scores texts with a judge, ``concurrency`` at once, blocking the caller.

    ``threshold`` is the P(Good) from which the judge says Good; None where it gives a number that is not calibrated.
    With ``value`` ``"label"`` the scores are 0 and 1. A text that is suspected of telling the judge what to answer
    scores 0, or is missing, by rule of the task: a policy gains nothing by one. ``injections`` counts them by the rules
    that fired, ``unscored`` the texts without a score by the reason.
    """

    judge: Judge
    value: Value = "probability"
    cut: float | None = None
    concurrency: int = 4
    identities: tuple[Identity, ...] = (Identity("judge", "not saved"),)
    injections: Counter[str] = field(default_factory=Counter, compare=False)
    unscored: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def name(self) -> str:
        return f"judge:{self.judge.name}"

    @property
    def threshold(self) -> float | None:
        return 0.5 if self.value == "label" else self.cut

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        texts = [Candidate(query, response) for query, response in zip(queries, responses, strict=True)]
        verdicts = loop.run(judge_many(self.judge, texts, concurrency=self.concurrency))
        return [self._value(verdict, text.response) for verdict, text in zip(verdicts, texts, strict=True)]

    def _value(self, verdict: Verdict, response: str) -> float | None:
        if verdict.injection:
            self.injections[verdict.injection] += 1
            _log.warning("suspected injection (%s) in a text to be rewarded: %r", verdict.injection, response)
        if verdict.label is None:
            self.unscored[verdict.unscored or "the judge gave no verdict"] += 1
        if verdict.label is None or self.value == "label":
            return None if verdict.label is None else float(verdict.label)
        return raw_score(verdict)

    def close(self) -> None:
        loop.run(self.judge.close())


def read_accepted(folder: str | Path, *, force: bool = False) -> JudgeSpec:
    """A saved judge that may be a reward, no model started.

    Raises:
        RefusedReward: on labelled texts its AUC, or the interval of it, is not above 0.5, or it was never measured;
            not with ``force``.
    """
    saved = JudgeSpec.read(folder)
    if (why := why_refused(saved.measured)) and not force:
        raise RefusedReward(f"{folder}: this judge is refused as a reward: {why}; {RefusedReward.TAKEN_WITH}")
    return saved


def load_judge_reward(
    folder: str | Path,
    *,
    ledger: Ledger | None = None,
    base_url: str | None = None,
    value: Value = "probability",
    force: bool = False,
) -> JudgeReward:
    """A saved judge as a reward. Close it: the embedded engine stops with its last client.

    Args:
        force: take it even when its measurements say that it must not be one.

    Raises:
        RefusedReward: as :func:`read_accepted`.
    """
    saved = read_accepted(folder, force=force)
    if saved.measured is not None and (doubt := why_doubted(saved.measured)):
        _log.warning("%s: %s", folder, doubt)
    identity = judge_identity(saved, Path(folder).name)
    judge = saved.open(ledger=ledger, base_url=base_url)
    cut = 0.5 if saved.mode == "verdict" else None  # a written verdict is a label as it stands
    cut = saved.calibration.threshold if saved.calibration else cut
    return JudgeReward(judge, value, cut, at_once(saved.model, saved.mode), (identity,))
