"""The debate: Positive ∥ Negative → Judge → Reflect over one text.

Positive and Negative read the text and argue one side each, at the same time and without seeing each other.
Judge weighs both and is strict; Reflect audits Judge's verdict and flips it only for a clear, sufficient reason.
Retrieval, when there is a retriever, shows every agent the nearest good texts for the query. How much is said is the
debate's depth (``settings.py``).

Rules that keep it honest:

- An agent that fails (its call failed for good, or its reply stayed unparsable) makes the text **unscored**, with the
  agent and the reason; the agents after it are not asked. There is no default label.
- Agents can be switched off. Without ``positive`` or ``negative`` the others see what is left. Without ``reflect``
  the judge's verdict stands. Without ``judge`` Reflect decides from the critiques. One of the two must be there.
- In a full debate a side may have nothing to say: no points is an answer. Where neither side has any, Judge still reads
  the text and decides. (A short debate's schema asks each side for a point.)
- The texts under judgement are untrusted: prompts place them quoted (tasks.task), and the reply is held to a schema.

    debate = Debate(load_task("greetings-zh"), llm, retriever=retriever)
    transcript = await debate.run("祝外婆八十大寿", "外婆，…")
    transcript.verdict.label, transcript.flipped

A debate also is a judge: ``await debate.judge(query, response)`` gives the verdict alone.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inkfire.debate.settings import AGENTS, DepthSettings, Limits, prompt_of
from inkfire.errors import InputError, ModelCallError
from inkfire.llm.base import LLM, JsonSchema, Reply, Sampling, object_schema
from inkfire.records import Candidate, Critique, Example, Verdict, text_id, to_json
from inkfire.search import ExampleSource
from inkfire.tasks.task import Side, Task

SHORT = DepthSettings(depth="short")

TOP_LOGPROBS = 10
"""Alternatives asked for at each token of a verdict; two would do were it not for the variants of a tokeniser."""

_LABEL = re.compile(r'(?<!\\)"judge"\s*:\s*([01])')
_DIGIT = re.compile("[01]")


def critique_schema(limits: Limits) -> JsonSchema:
    """What Positive and Negative answer: ``{"points": [{"point": …, "reason": …}, …]}``."""
    text = {"type": "string", "maxLength": limits.text}
    least, most = limits.points
    point = object_schema({"point": text, "reason": text})
    return object_schema({"points": {"type": "array", "minItems": least, "maxItems": most, "items": point}})


def verdict_schema(limits: Limits) -> JsonSchema:
    """What Judge and Reflect answer: ``{"reason": …, "judge": 0 or 1}``. The reason comes first, so that the label
    follows from it: with the label first a 1.5B model flipped verdicts and gave the reason against the flip."""
    reason = {"type": "string", "maxLength": limits.reason}
    return object_schema({"reason": reason, "judge": {"type": "integer", "enum": [0, 1]}})


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything that was said about one candidate.

    An agent that was off, was not asked or failed is None; ``verdict.unscored`` names the one that failed.
    ``flipped`` is True when Reflect overturned Judge.
    """

    candidate: Candidate
    verdict: Verdict
    examples: tuple[Example, ...] = ()
    positive: Critique | None = None
    negative: Critique | None = None
    judge: Verdict | None = None
    reflect: Verdict | None = None
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same for the same query and response."""
        return text_id(f"{self.candidate.query}\0{self.candidate.response}")

    @property
    def flipped(self) -> bool:
        return self.judge is not None and self.reflect is not None and self.judge.label != self.reflect.label

    def to_json(self) -> dict[str, Any]:
        """One line of transcripts.jsonl: no times, so that the same replies give the same bytes."""
        return {
            "id": self.id,
            **to_json(self.candidate),
            "label": self.verdict.label,
            "probability": self.verdict.probability,
            "unscored": self.verdict.unscored,
            "flipped": self.flipped,
            "examples": [to_json(example) for example in self.examples],
            "positive": self.positive and self.positive.points,
            "negative": self.negative and self.negative.points,
            "judge": _verdict_json(self.judge),
            "reflect": _verdict_json(self.reflect),
            "models": dict(self.models),
        }


class AgentFailed(Exception):
    """One agent gave no usable answer; becomes ``Verdict.unscored``."""


class Debate:
    """A debate of up to four agents (see the module's docstring).

    Args:
        llm: the model of every agent that ``per_agent`` does not name.
        retriever: where the examples come from; None debates without examples.
        agents: who takes part.
        per_agent: agent → its own model.
        depth: how much is said; short by default.

    Raises:
        InputError: an unknown agent, or neither judge nor reflect.
    """

    def __init__(
        self,
        task: Task,
        llm: LLM,
        *,
        retriever: ExampleSource | None = None,
        agents: Sequence[str] = AGENTS,
        per_agent: Mapping[str, LLM] | None = None,
        seed: int = 0,
        depth: DepthSettings = SHORT,
    ):
        unknown = sorted({*agents, *(per_agent or {})} - set(AGENTS))
        if unknown:
            raise InputError(f"unknown agent {unknown[0]!r}; the agents are {', '.join(AGENTS)}")
        if not {"judge", "reflect"} & set(agents):
            raise InputError("a debate needs judge or reflect: with both off nobody gives a verdict")
        self.task = task
        self.retriever = retriever
        self.models: dict[str, LLM] = {agent: (per_agent or {}).get(agent, llm) for agent in AGENTS if agent in agents}
        self.seed = seed
        self.depth = depth
        self.limits = depth.limits(task)

    @property
    def name(self) -> str:
        return "debate:" + "+".join(dict.fromkeys(model.name for model in self.models.values()))

    async def judge(self, query: str, response: str) -> Verdict:
        return (await self.run(query, response)).verdict

    async def close(self) -> None:
        for model in {id(model): model for model in self.models.values()}.values():
            await model.close()

    async def run(self, query: str, response: str, source: str = "") -> Transcript:
        """Debate one text. Fails only as the models do for the whole run (BudgetExceeded, EndpointDown)."""
        examples: list[Example] = []
        said: dict[str, Any] = {}
        try:
            examples = await self._examples(query, response)
            shown = [{"query": example.query, "response": example.response} for example in examples]
            item = {"query": query, "response": response, "examples": shown}
            await self._critiques(item, said)
            if "judge" in self.models:
                said["judge"] = await self._verdict("judge", item, said)
            if "reflect" in self.models:
                said["reflect"] = await self._verdict("reflect", item, said)
            verdict = said.get("reflect") or said["judge"]
        except AgentFailed as failure:
            verdict = Verdict(label=None, unscored=str(failure))
        return Transcript(
            candidate=Candidate(query, response, source),
            verdict=verdict,
            examples=tuple(examples),
            models={agent: model.name for agent, model in self.models.items()},
            **said,
        )

    async def _examples(self, query: str, response: str) -> list[Example]:
        try:
            return await self.retriever.retrieve(query, exclude=response) if self.retriever else []
        except ModelCallError as error:
            raise AgentFailed(f"retrieval: {error}") from error

    async def _critiques(self, item: Mapping[str, Any], said: dict[str, Any]) -> None:
        """Both sides at once. What one side said is kept when the other failed."""
        sides: tuple[Side, ...] = ("positive", "negative")
        stances = [stance for stance in sides if stance in self.models]
        # Both are let finish: a call that was sent is paid for, whatever becomes of the other.
        answers = await asyncio.gather(*(self._critique(stance, item) for stance in stances), return_exceptions=True)
        failures = []
        for stance, answer in zip(stances, answers, strict=True):
            if isinstance(answer, Critique):
                said[stance] = answer
            elif isinstance(answer, AgentFailed):
                failures.append(str(answer))
            else:
                raise answer
        if failures:
            raise AgentFailed("; ".join(failures))

    async def _critique(self, stance: Side, item: Mapping[str, Any]) -> Critique:
        asked = self.depth.asked(self.task, stance)
        reply = await self._ask(stance, critique_schema(self.limits), {**item, **asked})
        said = [(point["point"], point["reason"]) for point in reply.parsed["points"]]
        return Critique(stance=stance, points=_every_point(said) if self.depth.depth == "full" else dict(said))

    async def _verdict(self, agent: str, item: Mapping[str, Any], said: Mapping[str, Any]) -> Verdict:
        values = {**item, **self.depth.asked(self.task, "positive")}
        values |= {"positive": _points(said, "positive"), "negative": _points(said, "negative")}
        if agent == "reflect":
            values["verdict"] = _verdict_json(said.get("judge"))
        reply = await self._ask(agent, verdict_schema(self.limits), values, top_logprobs=TOP_LOGPROBS)
        probability = label_probability(reply)
        return Verdict(label=reply.parsed["judge"], probability=probability, reason=reply.parsed["reason"])

    async def _ask(self, agent: str, schema: JsonSchema, values: Mapping[str, Any], *, top_logprobs: int = 0) -> Reply:
        """The agent's reply; its ``parsed`` satisfies the schema."""
        sampling = Sampling(max_tokens=self.limits.tokens, seed=self.seed, top_logprobs=top_logprobs)
        messages = self.task.render(prompt_of(agent, self.depth.depth or "short"), **values)
        try:
            reply = await self.models[agent].chat(messages, schema=schema, sampling=sampling)
        except ModelCallError as error:
            raise AgentFailed(f"{agent}: {error}") from error
        if reply.parsed is None:
            raise AgentFailed(f"{agent}: {reply.unparsed}")
        return reply


def _every_point(said: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Points by their aspects; what is said of one aspect in several points stands together."""
    points: dict[str, str] = {}
    for point, reason in said:
        points[point] = f"{points[point]} {reason}" if point in points else reason
    return points


def label_probability(reply: Reply) -> float | None:
    """P(1) where the reply states its label, from that token's log-probabilities.

    The label is the first token written that is a 0 or a 1, or the last one: whichever the text says. (Tokens cannot be
    followed along the text, since one may hold a part of a character.) None where there are such digits before and
    behind it, or the endpoint gave no log-probabilities.

    >>> from inkfire.llm.base import TokenLogprob
    >>> position = (TokenLogprob("1", -0.2), TokenLogprob("0", -1.7))
    >>> reply = Reply('{"judge":1}', logprobs=((TokenLogprob('{"judge":', 0.0),), position, (TokenLogprob("}", 0.0),)))
    >>> round(label_probability(reply), 2)
    0.82
    """
    label = _LABEL.search(reply.text)
    if label is None:
        return None
    digits = [position for position in reply.logprobs if position and position[0].token.strip() in ("0", "1")]
    if _DIGIT.search(reply.text[: label.start(1)]):
        digits = [] if _DIGIT.search(reply.text[label.end(1) :]) else digits[-1:]
    if not digits or digits[0][0].token.strip() != label[1]:
        return None
    mass = {digit: sum(math.exp(a.logprob) for a in digits[0] if a.token.strip() == digit) for digit in "01"}
    return mass["1"] / sum(mass.values())


def _points(said: Mapping[str, Any], stance: str) -> dict[str, str] | None:
    critique: Critique | None = said.get(stance)
    return None if critique is None else critique.points


def _verdict_json(verdict: Verdict | None) -> dict[str, Any] | None:
    return None if verdict is None else {"judge": verdict.label, "reason": verdict.reason}
