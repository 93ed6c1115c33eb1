"""Best-of-n: the policy writes n texts a query, the best of each by a reward are what SFT learns from; in rounds.

The winners of a round are at most ln n − (n − 1)/n nats a text from the policy that wrote them (rounds.py), so no
reward can lead far from what it knows, however wrong it is there: 1.2 nats for 8 texts, 1.8 for 16. What learns from
them comes near them at best.

>>> train_bon(task, queries, "runs/sft", load_reward("runs/rm"), Path("runs/bon"), BonSettings(n=8))    # doctest: +SKIP
{'steps': 20, 'completions': 640, 'reward_calls': 611, 'kl_bound': 1.20, 'rounds': [...], ...}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.files.jsonl import write_jsonl
from inkfire.llm.progress import Bars, no_bars
from inkfire.records import Candidate, Query
from inkfire.rewards.base import Reward
from inkfire.tasks.task import Task
from inkfire.training import rounds
from inkfire.training.settings import BonSettings
from inkfire.training.sft import train_sft


def train_bon(
    task: Task,
    queries: Sequence[Query],
    start: str | Path,
    reward: Reward,
    out: Path,
    settings: BonSettings = BonSettings(),
    *,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train the policy ``start`` (a policy folder or a model's name) on its own best texts and save it in ``out``.

    Returns:
        As :func:`rounds.train_rounds`; a round has ``winners``, ``left_out`` (queries without one: no text has a score,
        or none passes the checks), ``reward_winners`` (their mean) and the numbers of its SFT.

    Raises:
        As :func:`rounds.train_rounds`, and ModelNameError: no such model.
    """

    def learn(policy: str | Path, groups: list[list[rounds.Row]], at: Path, seed: int) -> dict[str, Any]:
        won = [row for group in groups if (row := rounds.best(group)) is not None]
        if not won:
            raise rounds.nothing_won(groups)
        write_jsonl(at / "winners.jsonl", won)
        texts = [Candidate(row["query"], row["response"]) for row in won]
        scores = [score for row in won if (score := row.get("score", row["reward"])) is not None]
        numbers = {
            "winners": len(won),
            "left_out": len(groups) - len(won),
            "reward_winners": sum(scores) / len(scores),
        }
        how = settings if settings.held_out(len(texts)) else dataclasses.replace(settings, patience=None)
        return numbers | train_sft(task, texts, policy, at, how, seed=seed, bars=bars)

    return rounds.train_rounds(rounds.Job("bon", task, queries, start, reward, out, settings, seed, bars), learn)
