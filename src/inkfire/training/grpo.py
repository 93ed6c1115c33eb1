"""GRPO: a policy writes a group of texts for each query, a reward scores them, the better ones become likelier.

Shao et al. 2024 (DeepSeekMath), by TRL's GRPOTrainer. A text's advantage is its reward less the mean of its group,
over the group's standard deviation. A text without a reward (None) is left out of both and gets advantage 0: it moves
nothing. Who scores is behind ``Reward``: GRPO cannot tell a judge from a reward model.

The policy starts from a model or a policy folder, whose adapter is copied and stays as it is; with ``beta`` > 0 that
start is also the reference of the KL term (k3, Schulman 2020).

The paper (full training of 7B on four A100): 32 prompts a step, 4 generations, learning rate 3e-7, beta 0.001, 512
tokens, 5 epochs. The defaults here are for LoRA, which wants rates some hundred times higher.

>>> train_grpo(task, queries, "runs/sft", load_reward("runs/rm"), Path("runs/rm-rl"))                # doctest: +SKIP
{'steps': 10, 'reward_first': -0.4, 'reward_last': 1.1, ...}
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inkfire.errors import DataError, MissingExtraError
from inkfire.llm.progress import Bars, no_bars
from inkfire.models import policy as policies
from inkfire.models.card import Card, is_policy
from inkfire.records import Query
from inkfire.rewards.base import Reward
from inkfire.tasks.task import Task
from inkfire.training import trl
from inkfire.training.monitors import Monitor, summary

try:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error

COMPLETIONS = "completions.jsonl"

# TRL's name of a number → ours. Reward statistics are the monitor's.
_METRICS = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "mean_tokens",
    "completions/clipped_ratio": "truncated",
}


@dataclass(frozen=True)
class GrpoConfig:
    """``batch_size`` prompts a step with ``num_generations`` completions each; ``num_iterations`` updates on them.

    ``micro_batch_size`` completions go through the model at once (all, when None): less needs less memory.
    """

    max_steps: int = 10
    batch_size: int = 2
    num_generations: int = 4
    max_completion_length: int = 128
    learning_rate: float = 1e-4
    beta: float = 0.0
    temperature: float = 1.0
    epsilon: float = 0.2
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo"] = "dapo"
    num_iterations: int = 1
    micro_batch_size: int | None = None
    save_steps: int = 1
    seed: int = 0


def train_grpo(
    task: Task,
    queries: Sequence[Query],
    start: str | Path,
    reward: Reward,
    out: Path,
    config: GrpoConfig = GrpoConfig(),
    *,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train the policy ``start`` (a policy folder or a model's name) against ``reward`` and save it in ``out``.

    Writes metrics.jsonl (a row a step) and completions.jsonl (step, query, response, reward).

    Args:
        bars: opens the bar that the steps advance.

    Returns:
        The summary of the metrics (see monitors.py): steps, reward_first, reward_last, …, warnings.

    Raises:
        DataError: no queries.
        ModelNameError: no such model.
        BudgetExceeded, EndpointDown: from the reward; the same call goes on from the last checkpoint.
    """
    if not queries:
        raise DataError("there are no queries to train on")
    if not is_policy(out):
        _train(task, queries, start, reward, out, config, bars)
    return summary(trl.rows(out / trl.METRICS)) | {"completions": len(trl.rows(out / COMPLETIONS))}


def _train(
    task: Task,
    queries: Sequence[Query],
    start: str | Path,
    reward: Reward,
    out: Path,
    config: GrpoConfig,
    bars: Bars,
) -> None:
    folder = Path(start) if is_policy(start) else None
    card = Card.of(str(start), task) if folder is None else Card.read(folder)
    checkpoint = trl.last_checkpoint(out)
    trl.rewind(out / COMPLETIONS, 0 if checkpoint is None else trl.step_of(checkpoint))
    monitor = Monitor(config.num_generations)
    with trl.quiet():
        model, tokenizer = policies.load_model(folder, card, trainable=True)
        adapted = hasattr(model, "peft_config")
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=_reward_function(reward, monitor, out / COMPLETIONS),
            args=_arguments(out, config),
            train_dataset=Dataset.from_list(_examples(card, queries, config.batch_size)),
            processing_class=tokenizer,
            peft_config=None if adapted else trl.lora("CAUSAL_LM"),
            rollout_func=_rollout(tokenizer, config),
        )
        trl.run_trainer(trainer, out, label="grpo", extra=monitor.step, rename=_METRICS, bars=bars)
        trainer.model.save_pretrained(out, selected_adapters=["default"])
        tokenizer.save_pretrained(out)
    dataclasses.replace(
        card,
        base=str(start) if folder is not None and not adapted else card.base,
        parent=None if folder is None else folder.name,
        reward=reward.name,
        trained="grpo",
        steps=trainer.state.global_step,
    ).write(out)
    trl.drop_checkpoints(out)


def _arguments(out: Path, config: GrpoConfig) -> GRPOConfig:
    completions = config.batch_size * config.num_generations
    micro = math.gcd(completions, config.micro_batch_size or completions)
    return GRPOConfig(
        **trl.common_arguments(out, seed=config.seed, learning_rate=config.learning_rate, save_steps=config.save_steps),
        max_steps=config.max_steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=completions // micro,
        num_generations=config.num_generations,
        max_completion_length=config.max_completion_length,
        beta=config.beta,
        temperature=config.temperature,
        epsilon=config.epsilon,
        loss_type=config.loss_type,
        num_iterations=config.num_iterations,
        lr_scheduler_type="constant",
    )


def _examples(card: Card, queries: Sequence[Query], batch_size: int) -> list[dict[str, Any]]:
    """Prompts, repeated where there are fewer than a step takes."""
    rows = [{"prompt": card.template.messages(query.query), "query": query.query} for query in queries]
    return rows * math.ceil(batch_size / len(rows))


def _reward_function(reward: Reward, monitor: Monitor, log: Path) -> Callable[..., list[float | None]]:
    """The one function TRL gets: synchronous, and None for a text that has no finite score."""

    def score(
        completions: Sequence[Sequence[Mapping[str, str]]], query: Sequence[str], trainer_state: Any, **_: Any
    ) -> list[float | None]:
        responses = [messages[0]["content"].strip() for messages in completions]
        scores = [s if s is not None and math.isfinite(s) else None for s in reward.score(query, responses)]
        monitor.observe(query, responses, scores)
        for asked, response, value in zip(query, responses, scores, strict=True):
            row = {"step": trainer_state.global_step + 1, "query": asked, "response": response, "reward": value}
            trl.append(log, row)
        return scores

    return score


def _rollout(tokenizer: Any, config: GrpoConfig) -> Callable[[Sequence[Any], Any], dict[str, Any]]:
    """Our own generation, the one that evaluation and ``write`` use: without LoRA weights in float32, which would
    make every layer cast its input for every token."""

    def write(prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        prompt_ids = policies.encode(tokenizer, prompts)
        model.eval()
        with policies.half_precision_adapter(model):
            completion_ids = policies.sample(
                model,
                tokenizer,
                prompt_ids,
                temperature=config.temperature,
                max_new_tokens=config.max_completion_length,
            )
        model.train()
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}

    return write
