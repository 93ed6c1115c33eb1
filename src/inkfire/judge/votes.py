"""Several samples of one judge: the label of the majority, and their share as a probability.

A judge that writes a reason gives 0 or 1 and no number between; drawn several times at a temperature it does. A text
without a majority is unscored, as is one without any usable sample; a sample that failed is not a vote.

    judge = VotingJudge.of(VerdictJudge(task, llm), votes=5)
    (await judge.judge(query, response)).probability     # 0.8
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

from inkfire.errors import InputError
from inkfire.judge.answers import RubricJudge, VerdictJudge
from inkfire.judge.base import Judge
from inkfire.records import Label, Verdict

TEMPERATURE = 0.7
"""High enough that reasons differ; at 1 a small model loses its JSON more often."""


@dataclass(frozen=True)
class VotingJudge:
    """Asks each voter in turn, so that all but the first find the prompt in the server's cache."""

    voters: tuple[VerdictJudge | RubricJudge, ...]

    @classmethod
    def of(cls, judge: Judge, votes: int) -> Self:
        """``votes`` draws of a judge; each has a seed of its own, which also is what the ledger tells them apart by.

        Raises:
            InputError: a judge whose answer does not vary.
        """
        if not isinstance(judge, VerdictJudge | RubricJudge):
            raise InputError(
                f"{judge.name.partition(':')[0]} cannot vote: it answers the same every time it is asked; "
                "leave --votes out, or use --mode verdict or --mode rubric"
            )
        drawn = dataclasses.replace(judge, temperature=TEMPERATURE)
        return cls(tuple(dataclasses.replace(drawn, seed=judge.seed + number) for number in range(votes)))

    @property
    def name(self) -> str:
        return f"{self.voters[0].name} ×{len(self.voters)}"

    async def judge(self, query: str, response: str) -> Verdict:
        verdicts = [await voter.judge(query, response) for voter in self.voters]
        scored = [verdict for verdict in verdicts if verdict.scored]
        if not scored:
            return verdicts[0]
        good = sum(verdict.label == 1 for verdict in scored)
        if 2 * good == len(scored):
            why = f"{good} of {len(scored)} votes for each answer"
            return Verdict(None, unscored=why, principles=scored[0].principles)
        label: Label = 1 if 2 * good > len(scored) else 0
        first = next(verdict for verdict in scored if verdict.label == label)
        return dataclasses.replace(first, probability=good / len(scored))

    async def close(self) -> None:
        await self.voters[0].close()  # all draw from one model
