"""The runs behind ``inkfire train``: read and check the inputs, open the run folder, train once.

Everything that can be wrong with the inputs is found before the folder is touched. The folder is the policy's or the
reward's own: ``--out runs/sft`` is what ``--policy runs/sft`` names afterwards.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkfire.files.formats import read_labelled, read_pairs, read_queries, read_texts_or_labelled
from inkfire.files.run import Run
from inkfire.judge.judging import Access
from inkfire.llm.ledger import Ledger
from inkfire.records import Candidate, Labelled
from inkfire.rewards.judge import Value
from inkfire.rewards.load import check_reward, load_reward, reward_folders
from inkfire.runs.progress import Progress
from inkfire.tasks.task import load_task
from inkfire.training.reward_model import RewardModelConfig, train_reward_model

if TYPE_CHECKING:
    from inkfire.training.grpo import GrpoConfig
    from inkfire.training.sft import SftConfig


def run_sft(*, task: str, base: str, out: Path, config: SftConfig, data: Path | None = None) -> dict[str, Any]:
    """Fine-tune on the good texts of ``data`` (those labelled 0 are left out), or of the task where it is None."""
    from inkfire.models.policy import find_model
    from inkfire.training.sft import train_sft

    loaded = load_task(task)
    texts = loaded.labelled() if data is None else read_texts_or_labelled(data)
    good = [Candidate(t.query, t.response) for t in texts if not isinstance(t, Labelled) or t.label == 1]
    find_model(base)
    inputs = {"task": loaded.folder} | ({} if data is None else {"data": data})
    run = Run.open(out, command="train sft", settings=_settings(config, base=base), inputs=inputs, seed=config.seed)
    return _once(run, lambda: train_sft(loaded, good, base, out, config, bars=Progress))


def run_reward_model(
    *,
    pairs: Path,
    out: Path,
    config: RewardModelConfig,
    task: str | None = None,
    labelled: Path | None = None,
) -> dict[str, Any]:
    """Train a reward model on the pairs of a file."""
    loaded = None if task is None else load_task(task)
    rows = read_pairs(pairs)
    texts = None if labelled is None else read_labelled(labelled)
    files: dict[str, Path] = {"pairs": pairs}
    files |= {} if labelled is None else {"labelled": labelled}
    files |= {} if loaded is None else {"task": loaded.folder}
    config.check(loaded)
    if config.base is not None:
        from inkfire.models.policy import find_model

        find_model(config.base)
    run = Run.open(out, command="train rm", settings=_settings(config), inputs=files, seed=config.seed)
    return _once(run, lambda: train_reward_model(rows, out, config, task=loaded, labelled=texts, bars=Progress))


def run_grpo(
    *,
    task: str,
    start: str,
    reward: str,
    out: Path,
    config: GrpoConfig,
    prompts: Path | None = None,
    value: Value = "probability",
    force: bool = False,
    access: Access = Access(),
) -> dict[str, Any]:
    """Train the policy ``start`` against the reward named ``reward`` on the queries of ``prompts``, or of the task."""
    from inkfire.models.card import is_policy
    from inkfire.models.policy import find_model
    from inkfire.training.grpo import train_grpo

    loaded = load_task(task)
    queries = loaded.queries() if prompts is None else read_queries(prompts)
    find_model(start)
    check_reward(reward, force=force)
    files: dict[str, Path] = {"task": loaded.folder} | ({} if prompts is None else {"prompts": prompts})
    files |= {"policy": Path(start)} if is_policy(start) else {}
    files |= {f"reward {i}": folder for i, folder in enumerate(reward_folders(reward), 1)}
    settings = _settings(config, policy=start, reward=reward, value=value)
    run = Run.open(out, command="train grpo", settings=settings, inputs=files, seed=config.seed)

    def train() -> dict[str, Any]:
        with access.ledger(run) as ledger:
            scorer = load_reward(reward, ledger=ledger, base_url=access.base_url, value=value, force=force)
            result = train_grpo(loaded, queries, start, scorer, out, config, bars=partial(Progress, stats=ledger.stats))
            return result | _cost(ledger)

    return _once(run, train)


def _cost(ledger: Ledger) -> dict[str, Any]:
    stats = ledger.stats()
    return {key: stats[key] for key in ("calls", "cached", "tokens", "cost")}


def _settings(config: Any, **more: str) -> Mapping[str, Any]:
    """What decides a training's result; how often it saves does not."""
    settings = dataclasses.asdict(config) | more
    return {key: value for key, value in settings.items() if key not in ("seed", "save_steps")}


def _once(run: Run, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    result = run.done("train")
    if result is None:
        started = time.monotonic()
        result = train()
        run.complete("train", result, seconds=time.monotonic() - started)
    return {"out": str(run.out), **result, "seconds": round(run.seconds()["train"], 2)}
