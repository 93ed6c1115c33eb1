"""The Detector: the judge under refinement, as it meets labelled texts and forgeries. It is one of two.

``ScoringDetector`` (``logprob``): one token a text, its threshold fitted on the training texts, or its own answer where
none is fitted. It can say no more than that, so the author's model says what gave a caught forgery away and how to hide
it better.

``WritingDetector`` (``verdict``; PAPER, strategy B): one reply of the judge itself holds verdict, explanation and, for
a bad text, advice for a better disguise. It needs no log-probabilities and no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from inkfire.judge.answers import NoAnswer, VerdictJudge, ask, object_schema, text_schema
from inkfire.judge.base import Judge
from inkfire.judge.calibration import Calibration
from inkfire.judge.logprob import LogprobJudge
from inkfire.llm.base import LLM
from inkfire.records import Verdict
from inkfire.refine.proposals import LONGEST

_ADVICE = object_schema(reason=text_schema(LONGEST), advice=text_schema(LONGEST))


@dataclass(frozen=True, slots=True)
class Detected:
    """A forgery's verdict and, where it was caught, what ``gave_away`` the flaw and ``advice`` to hide it better."""

    verdict: Verdict
    gave_away: str = ""
    advice: str = ""


class Detector(Judge, Protocol):
    def settled(self, verdict: Verdict) -> Verdict:
        """What the Detector makes of the judge's own answer."""
        ...

    async def detect(self, query: str, response: str) -> Detected:
        """Judge a forgery, without a hint that it is one."""
        ...


@dataclass(frozen=True)
class ScoringDetector:
    inner: LogprobJudge
    calibration: Calibration | None
    author: LLM
    seed: int

    @property
    def name(self) -> str:
        return self.inner.name

    def settled(self, verdict: Verdict) -> Verdict:
        return verdict if self.calibration is None else self.calibration.apply(verdict)

    async def judge(self, query: str, response: str) -> Verdict:
        return self.settled(await self.inner.judge(query, response))

    async def detect(self, query: str, response: str) -> Detected:
        verdict = await self.judge(query, response)
        if verdict.label != 0:
            return Detected(verdict)
        rules = self.inner.rules.texts
        messages = self.inner.task.render("detector", query=query, response=response, principles=rules)
        try:
            said = await ask(self.author, messages, _ADVICE, seed=self.seed)
        except NoAnswer:
            return Detected(verdict)
        return Detected(verdict, said["reason"].strip(), said["advice"].strip())

    async def close(self) -> None:
        await self.inner.close()


@dataclass(frozen=True)
class WritingDetector:
    inner: VerdictJudge

    @property
    def name(self) -> str:
        return self.inner.name

    def settled(self, verdict: Verdict) -> Verdict:
        return verdict

    async def judge(self, query: str, response: str) -> Verdict:
        return await self.inner.judge(query, response)

    async def detect(self, query: str, response: str) -> Detected:
        verdict, advice = await self.inner.advised(query, response)
        return Detected(verdict, verdict.reason, advice) if verdict.label == 0 else Detected(verdict)

    async def close(self) -> None:
        await self.inner.close()
