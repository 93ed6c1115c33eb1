"""The cheap judge: one output token, read from its log-probabilities.

The prompt asks for one of two words, the task's ``good`` and ``bad``. Among the alternatives that the model considered
for its first token, those that begin one word and not the other are summed, so that P(Good) =
mass(good) / (mass(good) + mass(bad)). A model that wanted to say something else gave no verdict: below ``MIN_MASS`` the
text is unscored.

The prompt's fixed part (rules, fixed examples) comes first and the text last, so that a server's prefix cache serves
the former: on two CPU cores a text costs what reading some fifty tokens costs, and each nearest example sixty more.

>>> from inkfire.llm.base import TokenLogprob
>>> alternatives = [TokenLogprob("好", -0.1), TokenLogprob("差", -3.0), TokenLogprob("OK", -4.0)]
>>> round(read_answer(alternatives, "好", "差").log_odds, 2)
2.9
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inkfire.errors import ModelCallError
from inkfire.judge.answers import PromptedJudge
from inkfire.llm import thinking
from inkfire.llm.base import Sampling, TokenLogprob
from inkfire.llm.logprobs import plain
from inkfire.records import Verdict

TOP_LOGPROBS = 20
MIN_MASS = 0.2
"""Probability that the two answers together must carry. Measured: about 0.97 where the model follows the prompt."""
_LEAST = -25.0  # what servers show below it means "never", in numbers of their own


@dataclass(frozen=True, slots=True)
class Answer:
    """``log_odds`` of good against bad (natural log) and the probability ``mass`` that the two words carry. ``told``:
    whether the likelier word is known, also where one of them was not shown."""

    log_odds: float
    mass: float
    told: bool = True


def read_answer(alternatives: Sequence[TokenLogprob], good: str, bad: str) -> Answer | None:
    """Sum the tokeniser's variants of each word; None when neither occurs.

    A variant is a token that, stripped and in lower case, is a beginning of exactly one of the words. A word that does
    not occur has at most the probability that is left over, and at most that of the last alternative listed: the lower
    of these bounds stands in for it. Where it is not below the other word's, nothing is told.
    """
    good, bad = good.casefold(), bad.casefold()
    read = [(plain(one.token).strip().casefold(), max(one.logprob, _LEAST)) for one in alternatives]
    begins = [(good.startswith(token), bad.startswith(token), value) for token, value in read if token]
    words = [(is_good, value) for is_good, is_bad, value in begins if is_good != is_bad]
    shown = [_sum(value for is_good, value in words if is_good is which) for which in (True, False)]
    if not words:
        return None
    left = -math.expm1(_sum(value for _, value in read))
    bound = max(_LEAST, min([math.log(left) if left > 0 else _LEAST, *(value for _, value in read[1:])]))
    for_good, for_bad = (bound if value == -math.inf else value for value in shown)
    hidden = -math.inf in shown
    told = for_good != for_bad and (not hidden or (for_good > for_bad) is (shown[0] > shown[1]))
    return Answer(for_good - for_bad, math.exp(_sum(value for _, value in words)), told)


def _sum(values: Iterable[float]) -> float:
    """The logarithm of a sum of probabilities."""
    logs = list(values)
    most = max(logs, default=-math.inf)
    return most if most == -math.inf else most + math.log(sum(math.exp(value - most) for value in logs))


class LogprobJudge(PromptedJudge):
    """Asks for one word.

    Its probability is the model's own, biased one: calibrate it (``calibration.py``) before its label means something.
    """

    mode = "logprob"

    async def judge(self, query: str, response: str) -> Verdict:
        version = self.rules.version
        messages = await self.render(query, response)
        try:
            reply = await self.llm.chat(messages, sampling=self.sampling)
        except ModelCallError as error:
            return Verdict(None, unscored=str(error), principles=version)
        if not reply.logprobs or not reply.logprobs[0]:
            return Verdict(None, unscored="the endpoint gave no log-probabilities", principles=version)
        answer = read_answer(reply.logprobs[0], self.task.good, self.task.bad)
        if answer is None or answer.mass < MIN_MASS:
            mass = 0.0 if answer is None else answer.mass
            why = f"{self.task.good} and {self.task.bad} together have probability {mass:.2f}"
            if thinking.carries(reply.logprobs[0][0].token):
                why = "the model thinks before it answers"
            return Verdict(None, unscored=why, principles=version)
        if not answer.told:
            why = f"{self.task.good} or {self.task.bad}: which is likelier cannot be told from what the endpoint shows"
            return Verdict(None, unscored=why, principles=version)
        probability = 1 / (1 + math.exp(-answer.log_odds))
        return Verdict(1 if answer.log_odds > 0 else 0, probability=probability, principles=version)

    @property
    def sampling(self) -> Sampling:
        return Sampling(max_tokens=1, top_logprobs=TOP_LOGPROBS, seed=self.seed)
