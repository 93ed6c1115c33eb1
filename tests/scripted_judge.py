"""A scripted model for judges: it tells good texts from bad ones only when a rule tells it how."""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from inkfire.llm.base import Message, Reply, TokenLogprob
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Labelled
from inkfire.tasks.task import Task, load_task

RULE = "A good text names a window."


def word(log_odds: float, good: str = "Good", bad: str = "Bad") -> Reply:
    """A one-token reply with these log-odds of good against bad."""
    p = 1 / (1 + math.exp(-log_odds))
    alternatives = (TokenLogprob(good, math.log(p * 0.95)), TokenLogprob(bad, math.log((1 - p) * 0.95)))
    return Reply(text=good if p > 0.5 else bad, logprobs=(alternatives,))


def noise(text: str) -> float:
    """A number in -1..1 that depends on the text alone."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**31 - 1


class Model:
    """Judges by noise, biased to Good, and by the window where RULE is among the principles.

    As Generator it fools the judge with every other text; as Reflector it proposes what it was made with; as Optimizer
    it fails.
    """

    def __init__(self, proposal: str) -> None:
        self.proposal = proposal

    def __call__(self, messages: list[Message]) -> str | Reply:
        system, user = messages[0]["content"], messages[-1]["content"]
        if "Say Good or Bad" in system:
            if "hidden" in user:
                return word(4.0 if "well hidden" in user else -4.0)
            return word((3.0 if "window" in user else -3.0) if RULE in system else 3.0 + noise(user))
        if "flawed" in system:
            well = "well " if noise(user) > 0 else ""
            return json.dumps({"flaw": "It hides the occasion.", "text": f"A {well}hidden wish: {noise(user)}"})
        if "Merge" in system:
            return "no JSON today"
        if "Is 0, was" in user or "Is 1, was" in user:
            return json.dumps({"why": "It was not told.", "proposal": self.proposal})
        return json.dumps({"reason": "It shows.", "advice": "Hide it deeper in the text."})


class Counted(ScriptedLLM):
    """A scripted model that counts how often it was closed."""

    closes = 0

    async def close(self) -> None:
        self.closes += 1


@pytest.fixture
def task(tiny_task: Path) -> Task:
    return load_task(tiny_task)


@pytest.fixture
def texts() -> list[Labelled]:
    """80 texts of 40 queries, one good and one bad each."""
    rows = []
    for number in range(40):
        query = f"a wish for occasion {number}"
        rows.append(Labelled(query, f"May number {number} open like a window.", 1))
        rows.append(Labelled(query, f"All the best for {number}, and success.", 0))
    return rows


@pytest.fixture(name="word")
def word_fixture() -> Callable[[float], Reply]:
    return word


@pytest.fixture
def model() -> Callable[..., ScriptedLLM]:
    """``model()`` proposes RULE when it reflects, ``model("…")`` something else."""
    return lambda proposal=RULE: ScriptedLLM(Model(proposal))
