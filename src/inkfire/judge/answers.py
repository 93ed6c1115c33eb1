"""The judges that answer in JSON, ``verdict`` (a reason, then 0 or 1) and ``rubric`` (points on the task's own
dimensions, in one call), and what judges of other files share with them.

All of them treat a text as untrusted (the task's prompts quote it) and a failed or unparsable answer as data: the
verdict is then ``unscored`` with the reason, never a default label.

    judge = VerdictJudge(load_task("greetings-en"), llm)
    verdict = await judge.judge("a birthday wish for my aunt", "Dear aunt, …")

The cheap judge, one output token a text, is in ``logprob.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from inkfire.errors import ModelCallError
from inkfire.judge.examples import NO_EXAMPLES, Examples
from inkfire.judge.principles import Principles
from inkfire.llm.base import LLM, JsonSchema, Message, Sampling
from inkfire.records import Label, Rating, Verdict
from inkfire.tasks.task import Task


def object_schema(**properties: Any) -> JsonSchema:
    """The schema of a JSON object that has these properties and no others."""
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def text_schema(longest: int) -> JsonSchema:
    """The schema of a string of at most so many characters."""
    return {"type": "string", "maxLength": longest}


REASON = text_schema(240)
_REASONED = 320
"""Tokens of a reply with one reason: its characters may take more than a token each, and the JSON a few."""
_LABEL: JsonSchema = {"type": "integer", "enum": [0, 1]}
VERDICT_SCHEMA = object_schema(reason=REASON, judge=_LABEL)
_ADVISED_SCHEMA = object_schema(reason=REASON, judge=_LABEL, advice=REASON)


class NoAnswer(Exception):
    """One call gave nothing usable; becomes ``Verdict.unscored``."""


async def ask(
    llm: LLM,
    messages: list[Message],
    schema: JsonSchema,
    *,
    max_tokens: int = _REASONED,
    temperature: float = 0.0,
    seed: int = 0,
) -> dict[str, Any]:
    """One call for one JSON object.

    Raises:
        NoAnswer: the call failed for good, or its reply does not satisfy the schema.
    """
    try:
        sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
        reply = await llm.chat(messages, schema=schema, sampling=sampling)
    except ModelCallError as error:
        raise NoAnswer(str(error)) from error
    if reply.parsed is None:
        raise NoAnswer(reply.unparsed or "the reply was not parsed")
    parsed: dict[str, Any] = reply.parsed
    return parsed


@dataclass(frozen=True)
class PromptedJudge:
    """What the judges share that ask a model with one of the task's prompts, their ``mode``.

    ``principles`` None judges by the task's own. ``temperature`` is for those that write.
    """

    mode: ClassVar[str]
    task: Task
    llm: LLM
    principles: Principles | None = None
    examples: Examples = NO_EXAMPLES
    seed: int = 0
    temperature: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.mode}:{self.llm.name}"

    @property
    def rules(self) -> Principles:
        return self.principles or Principles.of(self.task.principles)

    async def render(self, query: str, response: str, prompt: str = "") -> list[Message]:
        """What is asked of a text, with the prompt of the mode or another one that is given the same."""
        examples = await self.examples.shown(query, response)
        rules = self.rules.texts
        return self.task.render(
            prompt or self.mode, query=query, response=response, principles=rules, examples=examples
        )

    async def close(self) -> None:
        await self.llm.close()


class VerdictJudge(PromptedJudge):
    """Writes a reason and then decides."""

    mode = "verdict"

    async def judge(self, query: str, response: str) -> Verdict:
        return (await self._asked(await self.render(query, response), VERDICT_SCHEMA))[0]

    async def advised(self, query: str, response: str) -> tuple[Verdict, str]:
        """A verdict and, in the same reply, how the text would hide its flaw better (PAPER, strategy B's Detector);
        empty where the reply has none."""
        messages = await self.render(query, response, "verdict_advice")
        verdict, said = await self._asked(messages, _ADVISED_SCHEMA, max_tokens=2 * _REASONED)
        return verdict, said.get("advice", "").strip()

    async def _asked(
        self, messages: list[Message], schema: JsonSchema, max_tokens: int = _REASONED
    ) -> tuple[Verdict, dict[str, Any]]:
        version = self.rules.version
        try:
            said = await ask(
                self.llm, messages, schema, max_tokens=max_tokens, temperature=self.temperature, seed=self.seed
            )
        except NoAnswer as failure:
            return Verdict(None, unscored=str(failure), principles=version), {}
        return Verdict(said["judge"], reason=said["reason"], principles=version), said


class RubricJudge(PromptedJudge):
    """Good from the task's ``excellent`` on (PAPER, evaluation: from 2 of 1 to 3, weighted 30, 30, 15, 15 and 10 %), as
    people's ratings are; P(Good) is the weighted mean, from 0 to 1. The rubric stands for the principles."""

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
        mean = self.task.weighted(Rating(said))
        reason = ", ".join(f"{name} {said[name]}" for name in names)
        label: Label = 1 if self.task.is_excellent(mean) else 0
        return Verdict(label, probability=(mean - low) / (high - low), reason=reason, points=said)
