"""A judge as a reward: its calibrated P(Good), or the paper's 0/1.

    reward = load_judge_reward("runs/demo/judge", ledger=ledger)
    reward.score(["新年祝福"], ["…"])          # [0.71]; None where the judge gave no verdict

Groups of four completions often all get the same 0/1, and then teach nothing; a probability keeps them apart.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from inkfire.errors import InputError, RefusedReward
from inkfire.judge.base import Judge, at_once, judge_many
from inkfire.judge.calibration import raw_score
from inkfire.judge.measure import why_doubted, why_refused
from inkfire.judge.spec import Comparing, JudgeSpec, Mode
from inkfire.llm import loop
from inkfire.llm.ledger import Ledger
from inkfire.models.card import is_policy
from inkfire.records import Candidate, Identity, Verdict
from inkfire.rewards.identity import judge_identity

_log = logging.getLogger(__name__)

Value = Literal["probability", "label"]

GROUPED: Mapping[str, Comparing] = {"rank": "rank", "tournament": "pairwise", "reference": "pairwise"}
"""What stands before the judge of a reward by groups (``ranking.py``) → the mode of that judge."""
WAYS: Mapping[str, Comparing | Mode] = {**GROUPED, "checklist": "checklist"}
"""The same of all that may stand before a judge."""


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


def read_judge(kind: str, judge: str, *, force: bool = False, task: str = "") -> JudgeSpec:
    """The judge behind ``kind:judge``, a saved one by its folder or a model by its name, no model started.

    Raises:
        InputError: a judge of a mode that does not do this.
        RefusedReward: it is not shown to prefer the better of two texts in each order; not with ``force``.
    """
    mode = WAYS[kind]
    if (Path(judge) / "judge.json").is_file():
        saved = read_accepted(judge, force=force)
        if saved.mode != mode:
            raise InputError(
                f"{kind}:{judge}: a judge of mode {saved.mode}; one of inkfire judge --mode {mode} is needed"
            )
        return saved
    if not force:
        raise RefusedReward(
            f"{kind}:{judge} is refused as a reward: nobody has measured it; inkfire judge --mode {mode} --task T "
            f"--model {judge} --out DIR does, and then it is {kind}:DIR; {RefusedReward.TAKEN_WITH}"
        )
    return JudgeSpec(task, judge, mode)


def judge_behind(kind: str, judge: str, *, force: bool, task: str | None) -> JudgeSpec:
    """The same, with a task that has what it asks with.

    Raises:
        InputError: a model's name without a task.
        TaskError: the prompt is missing.
    """
    spec = read_judge(kind, judge, force=force, task=task or "")
    if not spec.task:
        raise InputError(f"{kind}:{judge} is a model's name and needs a task: --task T, or a judge's folder instead")
    spec.loaded.require(spec.mode)
    return spec


def identity_of(kind: str, judge: str) -> Identity:
    """Who it is; a model's name alone may be any judge with that model."""
    if (Path(judge) / "judge.json").is_file():
        return judge_identity(JudgeSpec.read(judge), Path(judge).name)
    return Identity("judge", Path(judge).name, model=Path(judge).name if is_policy(judge) else judge, mode=WAYS[kind])


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
    return opened_as_reward(saved, judge_identity(saved, Path(folder).name), ledger, base_url, value)


def opened_as_reward(
    spec: JudgeSpec, identity: Identity, ledger: Ledger | None, base_url: str | None, value: Value
) -> JudgeReward:
    """A judge of one text at a time as a reward, whatever was measured of it. Close it."""
    judge = spec.open(ledger=ledger, base_url=base_url)
    cut = 0.5 if spec.mode == "verdict" else None  # a written verdict is a label as it stands
    cut = spec.calibration.threshold if spec.calibration else cut
    return JudgeReward(judge, value, cut, at_once(spec.model, spec.mode), (identity,))
