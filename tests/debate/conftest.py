"""A scripted panel: a model that plays each agent of the tiny task as told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from inkfire.llm.base import Message
from inkfire.llm.scripted import Scripted, ScriptedLLM
from inkfire.tasks.task import Task, load_task

AGENTS = {
    "Argue for the text.": "positive",
    "Argue against the text.": "negative",
    "Judge.": "judge",
    "Audit.": "reflect",
    "You write wishes.": "writer",
    "You write unusual wishes.": "writer_alt",
}


class Panel(ScriptedLLM):
    """Judge and Reflect answer by the text of their prompt; Reflect agrees with Judge unless told otherwise.

    ``failing`` maps an agent to the reply it gives instead; ``write`` makes the text of the nth writing call.
    """

    def __init__(
        self,
        judge: Callable[[str], int] = lambda item: 1,
        reflect: Callable[[str], int] | None = None,
        *,
        failing: Mapping[str, Scripted] = {},
        write: Callable[[str, int], Scripted] = lambda query, n: f"{n} {query}",
        name: str = "panel",
    ):
        super().__init__(self._answer, name=name)
        self._judge, self._reflect = judge, reflect or judge
        self._failing, self._write = failing, write
        self.written = 0

    def _answer(self, messages: list[Message]) -> Scripted:
        agent, item = self.agent(messages), messages[-1]["content"]
        if agent in self._failing:
            return self._failing[agent]
        if agent.startswith("writer"):
            self.written += 1
            return self._write(item, self.written)
        if agent in ("positive", "negative"):
            return json.dumps({"points": [{"point": f"{agent} point", "reason": "it says so"}]})
        decide = self._judge if agent == "judge" else self._reflect
        return json.dumps({"reason": f"{agent} reason", "judge": decide(item)})

    @staticmethod
    def agent(messages: list[Message]) -> str:
        return AGENTS[messages[0]["content"]]

    @property
    def asked(self) -> list[str]:
        return [self.agent(call.messages) for call in self.calls]


@pytest.fixture
def task(tiny_task: Path) -> Task:
    """The tiny task, with a Reflect prompt that also works when Judge is off."""
    (tiny_task / "prompts" / "reflect.jinja").write_text(
        "[system]\nAudit.\n[user]\n{{ query | quote }} {{ response | quote }}\n"
        "{{ positive }} {{ negative }} {{ verdict }}\n"
    )
    return load_task(tiny_task)


@pytest.fixture
def panel() -> type[Panel]:
    return Panel
