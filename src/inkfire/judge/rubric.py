"""The judge that rates: the dimensions of the task's own rubric, in one call.

verdict = await RubricJudge(load_task("greetings-en"), llm).judge("a birthday wish for my aunt", "Dear aunt, …")
verdict.reason          # "language 3, creativity 2, emotion 3, culture 2, richness 2"
"""

from __future__ import annotations

from inkfire.judge.answers import NoAnswer, PromptedJudge, ask, object_schema
from inkfire.records import Rating, Verdict

_ROUNDING = 1e-9


class RubricJudge(PromptedJudge):
    """Good from the middle of the scale on (PAPER, evaluation: from 2 of 1 to 3, weighted 30, 30, 15, 15 and 10 %);
    P(Good) is the weighted mean, from 0 to 1. The rubric stands for the principles."""

    mode = "rubric"

    async def judge(self, query: str, response: str) -> Verdict:
        messages = await self.render(query, response)
        low, high = self.task.scale
        names = [dimension.name for dimension in self.task.rubric]
        points = {"type": "integer", "enum": list(range(low, high + 1))}
        tokens = max(80, sum(len(name.encode()) + 8 for name in names))
        try:
            said = await ask(
                self.llm,
                messages,
                object_schema(**dict.fromkeys(names, points)),
                max_tokens=tokens,
                temperature=self.temperature,
                seed=self.seed,
            )
        except NoAnswer as failure:
            return Verdict(None, unscored=str(failure))
        share = (self.task.weighted(Rating(said)) - low) / (high - low)
        reason = ", ".join(f"{name} {said[name]}" for name in names)
        return Verdict(1 if share >= 0.5 - _ROUNDING else 0, probability=share, reason=reason)
