"""How a debate goes: its depth, its agents, and the examples that they are shown.

``full`` is the paper's: each side says every point that it has on the task's aspects, a sentence each, as many as a
model behind an endpoint can write. ``short`` asks each side for one phrase of the text and a few words on it: what a
model of 1.5B can still say. Each has prompts of its own (``positive.jinja``, ``positive_full.jinja``).

>>> DebateSettings(agent=("judge=gpt-5", "negative=off")).agents("gpt-5-mini")
{'positive': 'gpt-5-mini', 'judge': 'gpt-5', 'reflect': 'gpt-5-mini'}
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, Self

from annotated_types import Ge

from inkfire.errors import InputError
from inkfire.models.open import is_local
from inkfire.search import RetrievalSettings
from inkfire.settings import settings
from inkfire.tasks.task import Side, Task

_log = logging.getLogger(__name__)

Agent = Literal["positive", "negative", "judge", "reflect"]
AGENTS: tuple[Agent, ...] = ("positive", "negative", "judge", "reflect")
Depth = Literal["full", "short"]

_CJK = ("zh", "ja", "ko")
_WORD = 7  # characters of a word and its blank, amply
_SHORT_POINTS, _SHORT_TOKENS = 2, 200


@dataclass(frozen=True)
class Limits:
    """What bounds a reply, whatever its prompt asks for: it stops a runaway.

    ``points`` of a side (``least``, most), characters of a point's ``text`` and of a verdict's ``reason``, ``tokens``.
    """

    points: tuple[int, int]
    text: int
    reason: int
    tokens: int


@settings
class DepthSettings:
    """How thoroughly a text is debated."""

    depth: Depth | None = None
    """full: every point on the task's aspects, a sentence each; short: a phrase a side. Default: short if embedded."""
    points: Annotated[int, Ge(1)] | None = None
    """Of a side of a full debate, at most; one for each aspect if none."""
    sentence: Annotated[int, Ge(4)] | None = None
    """Words of a full debate's sentences, at most (zh, ja, ko: characters); 20 (30) if none."""
    agent_tokens: Annotated[int, Ge(32)] | None = None
    """Of one reply in a full debate; 800 if none."""

    def asked(self, task: Task, side: Side) -> dict[str, object]:
        """What the prompts of a full debate are given (``aspects``, ``points``, ``sentence``) besides."""
        if self.depth != "full":
            return {}
        aspects = task.aspects_of(side)
        return {"aspects": aspects, "points": self.points or len(aspects), "sentence": self._sentence(task)}

    def limits(self, task: Task) -> Limits:
        """About twice what the prompts ask for."""
        if self.depth != "full":
            length = 24 if task.language in _CJK else 100
            return Limits((1, _SHORT_POINTS), length, length, _SHORT_TOKENS)
        length = 2 * self._sentence(task) * (1 if task.language in _CJK else _WORD)
        most = self.points or max(len(task.aspects_of(side)) for side in ("positive", "negative"))
        return Limits((0, most), length, 2 * length, self.agent_tokens or 800)

    def _sentence(self, task: Task) -> int:
        return self.sentence or (30 if task.language in _CJK else 20)


@settings
class DebateSettings(DepthSettings, RetrievalSettings):
    """How texts are debated, and by whom."""

    agent: tuple[str, ...] = ()
    """AGENT=MODEL or AGENT=off, for positive, negative, judge, reflect; repeat it."""

    def agents(self, model: str) -> dict[str, str]:
        """Agent → its model (``model`` where none is named), for the agents that take part.

        Raises:
            InputError: an unknown agent, none named, or neither judge nor reflect.
        """
        agents: dict[str, str] = dict.fromkeys(AGENTS, model)
        for spec in self.agent:
            name, _, value = spec.partition("=")
            if name not in AGENTS or not value:
                raise InputError(
                    f"--agent {spec!r}: write AGENT=MODEL or AGENT=off; the agents are {', '.join(AGENTS)}"
                )
            agents[name] = value
        taking_part = {name: value for name, value in agents.items() if value != "off"}
        if not {"judge", "reflect"} & taking_part.keys():
            raise InputError("a debate needs judge or reflect: with both off nobody gives a verdict")
        return taking_part

    def settled(self, task: Task, model: str) -> Self:
        """The same with its depth decided: full where every agent is behind an endpoint and the task has the prompts.

        Raises:
            InputError: as :meth:`agents`, a retrieval without what it needs, or a setting of a full debate for a short
                one.
            TaskError: a prompt that the depth needs is missing.
        """
        agents = self.agents(model)
        self.check_retrieval(searched=True, otherwise="")  # what there is to search is known later
        depth = self.depth
        if depth is None:
            depth = "short" if any(map(is_local, agents.values())) else "full"
            if depth == "full" and (missing := [p for p in prompts_of(agents, "full") if not task.has_prompt(p)]):
                depth = "short"
                _say_short(str(task.folder), missing[0])
        task.require(*prompts_of(agents, depth))
        made = dataclasses.replace(self, depth=depth)
        if depth == "short" and (given := made.given("points", "sentence", "agent_tokens")):
            raise InputError(f"{given[0]} is a setting of a full debate, and this one is short: add --depth full")
        return made

    @property
    def debate(self) -> DebateSettings:
        """What of a command's settings is the debate's."""
        return DebateSettings(**{one.name: getattr(self, one.name) for one in dataclasses.fields(DebateSettings)})

    def given(self, *names: str) -> list[str]:
        """Which of these settings (of all, without names) are not the default, as options."""
        fields = [one for one in dataclasses.fields(DebateSettings) if not names or one.name in names]
        return [f"--{one.name.replace('_', '-')}" for one in fields if getattr(self, one.name) != one.default]


def prompts_of(agents: Iterable[str], depth: Depth) -> list[str]:
    """The task's prompts that agents are asked with."""
    return [prompt_of(agent, depth) for agent in agents]


def prompt_of(agent: str, depth: Depth) -> str:
    return agent if depth == "short" else f"{agent}_full"


@cache  # once a process
def _say_short(folder: str, prompt: str) -> None:
    _log.warning(
        "%s has no prompts/%s.jinja: its texts are debated in short (--depth short says so; inkfire tasks new --blank "
        "makes the prompts of a full debate)",
        *(folder, prompt),
    )
