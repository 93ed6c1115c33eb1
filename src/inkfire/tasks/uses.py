"""What a task's prompts and data are for: which command uses which, what a prompt is given, what it must show.

A task may leave out what the commands that it is used with do not need; ``inkfire tasks check`` says which are ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Use:
    """A prompt: which commands use it and for whom, and the values it is given besides ``task``: those that it must
    show, and those that it may."""

    commands: str
    speaks: str
    must: str
    may: str = ""

    @property
    def given(self) -> frozenset[str]:
        return frozenset(("task", *self.must.split(), *self.may.split()))

    @property
    def comment(self) -> str:
        """The line on top of a prompt; it renders to nothing."""
        return f"{{# {self.commands}: {self.speaks}. Given: task {' '.join((self.must, self.may)).strip()}. #}}"


_ITEM = "query response"
_DEBATE = "inkfire curate, inkfire judge --mode debate"
_FULL = "inkfire curate --depth full, inkfire judge --mode debate --depth full"
_ASKED = "aspects points sentence"

PROMPTS: Mapping[str, Use] = {
    "writer": Use("inkfire write, curate, train, evaluate", "what the writer is asked", "query"),
    "writer_alt": Use("inkfire curate", "what the second writer is asked", "query"),
    "positive": Use(_DEBATE, "who speaks for a text", _ITEM, "examples"),
    "negative": Use(_DEBATE, "who speaks against it", _ITEM, "examples"),
    "judge": Use(_DEBATE, "who weighs both and decides", _ITEM, "examples positive negative"),
    "reflect": Use(_DEBATE, "who audits the decision", _ITEM, "examples positive negative verdict"),
    "positive_full": Use(_FULL, "who says every strength of a text", _ITEM, f"examples {_ASKED}"),
    "negative_full": Use(_FULL, "who says every weakness of it", _ITEM, f"examples {_ASKED}"),
    "judge_full": Use(_FULL, "who weighs both and decides", _ITEM, f"examples positive negative {_ASKED}"),
    "reflect_full": Use(_FULL, "who audits the decision", _ITEM, f"examples positive negative verdict {_ASKED}"),
    "verdict": Use("inkfire judge --mode verdict", "a reason, then 0 or 1", _ITEM, "examples principles"),
    "verdict_advice": Use(
        "inkfire refine --detector verdict", "verdict, and advice to who hid a flaw", _ITEM, "examples principles"
    ),
    "logprob": Use("inkfire judge, refine", "one of the task's two answers", _ITEM, "examples principles"),
    "rubric": Use("inkfire judge --mode rubric", "points for each dimension", _ITEM, "examples"),
    "pairwise": Use(
        "inkfire judge --mode pairwise, judge probe", "which is better", "query a b", "examples principles"
    ),
    "rank": Use("inkfire judge --mode rank", "the order of a group", "query texts", "examples principles"),
    "checklist": Use("inkfire judge --mode checklist", "yes or no to each criterion", "query response criteria"),
    "criteria": Use("inkfire judge --mode checklist", "who writes a query's checklist", "query", "examples principles"),
    "generator": Use("inkfire refine", "who hides a flaw in a text", "query flaws"),
    "detector": Use("inkfire refine", "who says what gave the flaw away", _ITEM, "principles"),
    "reflector": Use("inkfire refine", "who learns from the judge's error", _ITEM, "label verdict principles"),
    "optimizer": Use("inkfire refine", "who merges proposals", "current proposals", "kind limit"),
}


@dataclass(frozen=True)
class Needs:
    """What a command asks of a task: prompts, and so many of what ``check.py`` counts (or a file in place)."""

    prompts: tuple[str, ...] = ()
    data: Mapping[str, int] = field(default_factory=dict)


_AGENTS = ("positive", "negative", "judge", "reflect")
_IN_FULL = tuple(f"{agent}_full" for agent in _AGENTS)
_AUTHORS = ("generator", "reflector", "optimizer")
_REFINERS = ("logprob", "detector", *_AUTHORS)
_LABELLED = {"good": 1, "bad": 1}
_REFINED = {"queries": 1, "labelled": 40, "good": 10, "bad": 10}  # a quarter is fitted on, by MIN_LABELS texts or more

COMMANDS: Mapping[str, Needs] = {
    "write": Needs(("writer",)),
    "curate": Needs(("writer", "writer_alt", *_AGENTS), {"queries": 1}),
    "curate --depth full": Needs(("writer", "writer_alt", *_IN_FULL), {"queries": 1}),
    "judge --mode logprob": Needs(("logprob",)),
    "judge --mode verdict": Needs(("verdict",)),
    "judge --mode rubric": Needs(("rubric",)),
    "judge --mode checklist": Needs(("checklist", "criteria")),
    "judge --mode debate": Needs(_AGENTS),
    "judge --mode debate --depth full": Needs(_IN_FULL),
    "judge --mode pairwise": Needs(("pairwise",)),
    "judge --mode rank": Needs(("rank",)),
    "judge attack": Needs(("logprob",), {"bad_queries": 3, "good": 1}),
    "judge probe": Needs(("logprob", "pairwise"), {"bad": 1}),
    "refine": Needs(_REFINERS, _REFINED),
    "refine --detector verdict": Needs(("verdict", "verdict_advice", *_AUTHORS), _REFINED),
    "train sft": Needs(("writer",), {"to_learn": 1}),
    "train rm": Needs((), {"pair_queries": 2}),
    "train grpo": Needs(("writer",), {"queries": 1}),
    "train bon": Needs(("writer",), {"queries": 1}),
    "train dpo": Needs(("writer",), {"queries": 1}),
    "evaluate": Needs(("writer",), {"queries": 1} | _LABELLED),
    "run": Needs(("writer", "writer_alt", *_AGENTS, *_REFINERS), _REFINED | {"queries": 2, "pair_queries": 2}),
}


def refine_prompts(detector: str) -> tuple[str, ...]:
    """The prompts of ``inkfire refine --detector``."""
    return COMMANDS["refine" if detector == "logprob" else f"refine --detector {detector}"].prompts
