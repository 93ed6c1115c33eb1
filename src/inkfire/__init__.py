"""inkfire: turn a small language model into a creative writer with reinforcement learning from AI feedback.

These names, the records of ``inkfire.records`` and the errors of ``inkfire.errors`` are what other programs may import;
docs/api.md shows each. A name is loaded when it is first looked at: importing the package loads no torch, no numpy and
no HTTP client.

>>> import inkfire
>>> inkfire.load_task("greetings-en").title
'Greetings in English'
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inkfire.errors import InkfireError
    from inkfire.files.formats import read_labelled, read_pairs, read_queries
    from inkfire.judge.base import judge_many
    from inkfire.judge.spec import load_judge
    from inkfire.llm.ledger import Ledger
    from inkfire.llm.loop import run
    from inkfire.models.open import open_model
    from inkfire.models.policy import load_policy
    from inkfire.records import Candidate, Labelled, Preference
    from inkfire.rewards.load import load_reward
    from inkfire.stats.audit import audit
    from inkfire.tasks.task import load_task

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "InkfireError",
    "Labelled",
    "Ledger",
    "Preference",
    "audit",
    "judge_many",
    "load_judge",
    "load_policy",
    "load_reward",
    "load_task",
    "open_model",
    "read_labelled",
    "read_pairs",
    "read_queries",
    "run",
]

_HOMES = {
    "Candidate": "records",
    "InkfireError": "errors",
    "Labelled": "records",
    "Ledger": "llm.ledger",
    "Preference": "records",
    "audit": "stats.audit",
    "judge_many": "judge.base",
    "load_judge": "judge.spec",
    "load_policy": "models.policy",
    "load_reward": "rewards.load",
    "load_task": "tasks.task",
    "open_model": "models.open",
    "read_labelled": "files.formats",
    "read_pairs": "files.formats",
    "read_queries": "files.formats",
    "run": "llm.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
