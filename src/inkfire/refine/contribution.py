"""What each rule of a set is worth and costs: leave-one-out on held-out texts, and tokens in the prompt.

    contribution of a rule = AUC of the whole set - AUC of the set without it, on the same texts

with a 95 % interval from resampling the queries. A rule whose interval lies below zero harms. The texts are those that
candidates were tested on, so that a contribution is a little too kind to rules that were accepted there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from inkfire.errors import ModelCallError
from inkfire.judge.answers import VerdictJudge
from inkfire.judge.calibration import raw_score
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principle, Principles
from inkfire.llm.base import Sampling
from inkfire.records import Labelled, Verdict
from inkfire.refine.acceptance import Decision
from inkfire.stats.intervals import Interval, auc_difference


def without(principles: Principles, index: int) -> Principles:
    """The set without one of its rules."""
    items = principles.items
    return Principles((*items[:index], *items[index + 1 :]), parent=principles.version)


async def leave_one_out(
    principles: Principles,
    texts: Sequence[Labelled],
    judge: Callable[[Principles], Awaitable[list[Verdict]]],
    *,
    seed: int = 0,
) -> Principles:
    """The same rules with their ``contribution``; ``judge`` gives the verdicts of ``texts`` under a set.

    A rule that is alone, or whose absence leaves no text of both classes scored, stays without one.
    """
    if len(principles.items) < 2:
        return principles
    labels, queries = [text.label for text in texts], [text.query for text in texts]
    whole = [raw_score(verdict) for verdict in await judge(principles)]
    items: list[Principle] = []
    for index, item in enumerate(principles.items):
        lacking = [raw_score(verdict) for verdict in await judge(without(principles, index))]
        items.append(item.measured("contribution", auc_difference(labels, lacking, whole, queries, seed=seed)))
    return dataclasses.replace(principles, items=tuple(items))


def with_effect(candidate: Principles, before: Principles, decision: Decision) -> Principles:
    """An accepted set: the rules that are new in it carry the effect of the whole change."""
    effect = Interval(decision.effect, *decision.effect_ci, decision.n)
    items = [item if item.text in before.texts else item.measured("effect", effect) for item in candidate.items]
    return dataclasses.replace(candidate, items=tuple(items))


async def count_tokens(judge: LogprobJudge | VerdictJudge, text: Labelled) -> Principles:
    """The judge's rules with their ``tokens``: what the model's own tokeniser counts of a prompt with and without each.

    One call a rule and one more, of a token each; after :func:`leave_one_out` on the same text by ``logprob`` the
    ledger has them. An endpoint that reports no usage leaves them unmeasured.
    """
    principles = judge.rules
    if len(principles.items) < 2:
        return principles

    sampling = judge.sampling if isinstance(judge, LogprobJudge) else Sampling(max_tokens=1, seed=judge.seed)

    async def prompt_tokens(rules: Principles) -> int:
        messages = await dataclasses.replace(judge, principles=rules).render(text.query, text.response)
        return (await judge.llm.chat(messages, sampling=sampling)).usage.prompt_tokens

    try:
        whole = await prompt_tokens(principles)
        lacking = [await prompt_tokens(without(principles, index)) for index in range(len(principles.items))]
    except ModelCallError:
        return principles
    if not all([whole, *lacking]):
        return principles
    items = [
        dataclasses.replace(item, tokens=whole - less) for item, less in zip(principles.items, lacking, strict=True)
    ]
    return dataclasses.replace(principles, items=tuple(items))
