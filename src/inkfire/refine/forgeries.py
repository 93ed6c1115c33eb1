"""The adversarial phase: a Generator hides flaws in texts, and the judge tries to see them.

For each query the Generator writes a text that looks fine and is subtly bad, by one of the flaw strategies S_G, and
says what the flaw is. The judge under refinement (the Detector) reads it without that hint:

- it calls the text bad → *caught*: the Detector says what gave it away and advises a better disguise, for S_G;
- it calls the text good → *fooled*: the Generator's explanation becomes a proposal for S_D.

A small Generator sometimes writes a fine text, or none. A text that is empty, far too long, in another script than the
task's or a copy of the query is no forgery and is dropped, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inkfire.errors import ModelCallError
from inkfire.judge.answers import NoAnswer, ask
from inkfire.judge.base import Judge
from inkfire.judge.principles import Principles
from inkfire.llm.base import LLM, JsonSchema
from inkfire.records import Verdict, text_id
from inkfire.refine.proposals import LONGEST, SHORTEST_FORGERY, Proposal, unusable
from inkfire.tasks.task import Task

_GENERATOR: JsonSchema = {
    "type": "object",
    "properties": {"flaw": {"type": "string", "maxLength": LONGEST}, "text": {"type": "string", "maxLength": 600}},
    "required": ["flaw", "text"],
    "additionalProperties": False,
}
_DETECTOR: JsonSchema = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": LONGEST},
        "advice": {"type": "string", "maxLength": LONGEST},
    },
    "required": ["reason", "advice"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Forgery:
    """One attempt. ``verdict`` is the judge's; ``advice``, and what ``gave_away`` the flaw, are the Detector's when it
    caught the text."""

    query: str
    text: str = ""
    flaw: str = ""
    verdict: Verdict | None = None
    advice: str = ""
    gave_away: str = ""
    dropped: str = ""

    @property
    def fooled(self) -> bool:
        return self.verdict is not None and self.verdict.label == 1

    @property
    def caught(self) -> bool:
        return self.verdict is not None and self.verdict.label == 0

    def proposal(self) -> Proposal | None:
        """What the attempt teaches S_D (fooled) or S_G (caught); None when nothing."""
        taught = self.flaw if self.fooled else self.advice
        if not taught:
            return None
        because, material = (text_id(self.text),), f"{self.query}\n{self.text}"
        if self.fooled:
            why = "a text with this flaw was called good"
            return Proposal(taught, "principles", "adversarial", because, why, material)
        return Proposal(taught, "flaws", "adversarial", because, self.gave_away, material)

    def to_json(self) -> dict[str, Any]:
        verdict = self.verdict
        return {
            "query": self.query,
            "text": self.text,
            "flaw": self.flaw,
            "label": verdict and verdict.label,
            "probability": verdict and verdict.probability,
            "unscored": verdict and verdict.unscored,
            "advice": self.advice,
            "dropped": self.dropped,
        }


async def forge(
    task: Task, llm: LLM, judge: Judge, query: str, *, principles: Principles, flaws: Principles, seed: int
) -> Forgery:
    """Generate one flawed text for ``query`` and have it judged; a failed call makes a dropped attempt."""
    try:
        messages = task.render("generator", query=query, flaws=flaws.texts)
        made = await ask(llm, messages, _GENERATOR, max_tokens=task.max_tokens + 80, seed=seed)
    except NoAnswer as failure:
        return Forgery(query, dropped=f"generator: {failure}")
    text, flaw = made["text"].strip(), made["flaw"].strip()
    if why := unusable(text, task, [query], shortest=SHORTEST_FORGERY, longest=4 * task.max_tokens):
        return Forgery(query, text, flaw, dropped=f"text: {why}")
    try:
        verdict = await judge.judge(query, text)
    except ModelCallError as error:
        return Forgery(query, text, flaw, dropped=f"judge: {error}")
    if verdict.label != 0:
        return Forgery(query, text, flaw, verdict)
    try:
        messages = task.render("detector", query=query, response=text, principles=principles.texts)
        said = await ask(llm, messages, _DETECTOR, seed=seed)
    except NoAnswer:
        return Forgery(query, text, flaw, verdict)
    return Forgery(query, text, flaw, verdict, advice=said["advice"].strip(), gave_away=said["reason"].strip())
