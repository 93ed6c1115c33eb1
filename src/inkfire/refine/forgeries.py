"""The adversarial phase: a Generator hides flaws in texts, and the judge tries to see them.

For each query the Generator writes a text that looks fine and is subtly bad, by one of the flaw strategies S_G, and
says what the flaw is. The judge under refinement (the Detector) reads it without that hint:

- it calls the text bad → *caught*: the Detector says what gave it away and advises a better disguise, for S_G
  (``detector.py``);
- it calls the text good → *fooled*: the Generator's explanation becomes a proposal for S_D.

A small Generator sometimes writes a fine text, or none. A text that is empty, far too long, in another script than the
task's or a copy of the query is no forgery and is dropped, and counted.

The best of those that fooled the judge are its *hard negatives*, shown to it again each round; those that still fool it
are reflected on. They are the Generator's claim: it says that it hid a flaw, and nobody has checked. So they never
count as labels in the acceptance of principles or in a calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inkfire.errors import ModelCallError
from inkfire.judge.answers import NoAnswer, ask, object_schema, text_schema
from inkfire.judge.principles import Principles
from inkfire.llm.base import LLM
from inkfire.records import Labelled, Verdict, text_id, to_json
from inkfire.refine.detector import Detector
from inkfire.refine.proposals import LONGEST, SHORTEST_FORGERY, Proposal, unusable
from inkfire.search import near_duplicate
from inkfire.tasks.task import Task

_GENERATOR = object_schema(flaw=text_schema(LONGEST), text=text_schema(600))

HARD = 50
"""Hard negatives that are kept."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """One attempt. ``verdict`` is the judge's; ``advice``, and what ``gave_away`` the flaw, are the Detector's when it
    caught the text; ``round`` is the one that made it."""

    query: str
    text: str = ""
    flaw: str = ""
    verdict: Verdict | None = None
    advice: str = ""
    gave_away: str = ""
    dropped: str = ""
    round: int = 0

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

    @property
    def labelled(self) -> Labelled:
        """The text as what the Generator says that it is: a bad one."""
        return Labelled(self.query, self.text, 0, "adversary")

    @property
    def probability(self) -> float:
        """The P(Good) of a text that fooled the judge."""
        return 1.0 if self.verdict is None or self.verdict.probability is None else self.verdict.probability

    def to_json(self) -> dict[str, Any]:
        made = {"round": self.round, "query": self.query, "text": self.text, "flaw": self.flaw}
        said = {name: self.verdict and getattr(self.verdict, name) for name in ("label", "probability", "unscored")}
        return made | said | {"advice": self.advice, "dropped": self.dropped}

    def hard_negative(self) -> dict[str, Any]:
        """A labelled text, so that every command that takes labels reads it, with its flaw."""
        return to_json(self.labelled) | {"flaw": self.flaw, "round": self.round, "probability": self.probability}


def best(fooled: Sequence[Forgery], limit: int = HARD) -> list[Forgery]:
    """The ``limit`` that the judge was surest of, without near-duplicates."""
    kept: list[Forgery] = []
    for one in sorted(fooled, key=lambda one: -one.probability):
        if len(kept) < limit and not any(near_duplicate(one.text, other.text) for other in kept):
            kept.append(one)
    return kept


async def forge(task: Task, llm: LLM, detector: Detector, query: str, *, flaws: Principles, seed: int) -> Forgery:
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
        found = await detector.detect(query, text)
    except ModelCallError as error:
        return Forgery(query, text, flaw, dropped=f"judge: {error}")
    return Forgery(query, text, flaw, found.verdict, advice=found.advice, gave_away=found.gave_away)
