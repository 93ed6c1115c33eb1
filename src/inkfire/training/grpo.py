"""GRPO: a policy writes a group of texts for each query, a reward scores them, the better ones become likelier.

Shao et al. 2024 (DeepSeekMath), by TRL's GRPOTrainer. A text's advantage is its reward less the mean of its group,
over the group's standard deviation. A text without a reward (None) is left out of both and of the loss: it moves
nothing (grpo_trainer.py), and where hardly any text of three steps has one the training stops (coverage.py). Who scores
is behind ``Reward``: GRPO cannot tell a judge from a reward model.

What a policy thinks is no part of its text: the reward, the monitors and the log see what stands behind it, the empty
text where nothing does (and ``truncated`` counts it where the limit cut the thought).

The policy starts from a model or a policy folder, whose adapter is copied and stays as it is; with ``beta`` > 0 that
start is also the reference of the KL term (k3, Schulman 2020).

>>> train_grpo(task, queries, "runs/sft", load_reward("runs/rm"), Path("runs/rm-rl"))                # doctest: +SKIP
{'steps': 10, 'reward_first': -0.4, 'reward_last': 1.1, ...}
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, MissingExtraError
from inkfire.files.rollouts import COMPLETIONS
from inkfire.llm.progress import Bars, no_bars
from inkfire.models import chat
from inkfire.models import policy as policies
from inkfire.models.card import Card, is_policy
from inkfire.records import Query, Rollout
from inkfire.rewards.base import Reward
from inkfire.rewards.shaped import Shaped
from inkfire.tasks.task import Task
from inkfire.training import begin, trl
from inkfire.training.alarm_log import ALARMS, AlarmLog, in_words
from inkfire.training.alarms import Alarm
from inkfire.training.budget import Budget
from inkfire.training.coverage import Coverage
from inkfire.training.monitors import Monitor, summary
from inkfire.training.redraw import Redraw
from inkfire.training.settings import GrpoSettings
from inkfire.training.steering import OnTheWay, Steering
from inkfire.training.validation import VALIDATION, Apart, Validation

try:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig

    from inkfire.training.grpo_trainer import GRPOTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error

_REFERENCE = "start"
_KEPT = 10  # checkpoints, where a stop may go back

# TRL's name of a number → ours. Reward statistics are the monitor's.
_METRICS = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "kl": "kl",
    "kl_text": "kl_text",
    "beta": "beta",
    "entropy": "entropy",
    "completions/clipped_ratio": "truncated",
}


def train_grpo(
    task: Task,
    queries: Sequence[Query] | Apart,
    start: str | Path,
    reward: Reward,
    out: Path,
    settings: GrpoSettings = GrpoSettings(),
    *,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train the policy ``start`` (a policy folder or a model's name) against ``reward`` and save it in ``out``.

    Writes metrics.jsonl (a row a step) and completions.jsonl (step, query, response, reward, and what it came from
    where the reward looks at the group). Such a reward may measure by what the start policy writes: start.jsonl, with
    its levels in start.json. The texts are watched (alarms.py): alarms.jsonl has what was said at which step.

    Args:
        queries: to train on; of :class:`Apart` also those to look at every ``validation_steps``.
        bars: opens the bar that the steps advance.

    Returns:
        The summary of the metrics (see monitors.py): steps, reward_first, reward_last, …, warnings.

    Raises:
        DataError: no queries, or none to validate on that is not trained on.
        ModelNameError: no such model.
        BudgetExceeded, EndpointDown: from the reward; the same call goes on from the last checkpoint.
        InputError, EndpointDown: three steps in a row had no reward; by whether a setting mends the reason.
        EndpointDown: fewer than ``min_coverage`` had one.
    """
    asked = queries if isinstance(queries, Apart) else Apart(queries)
    queries = asked.train
    if not queries:
        raise DataError("there are no queries to train on")
    looked_at = asked.looked_at()
    if not is_policy(out):
        _train(task, asked, start, reward, out, settings, seed, bars)
    trl.drop_checkpoints(out)  # also where a kill came between the card and this
    found = {"completions": len(trl.rows(out / COMPLETIONS))}
    if settings.max_prompt_length is not None:
        kept = _short(Card.read(out), queries, policies.tokenizer_of(out), settings.max_prompt_length)
        found["prompts_too_long"] = len(queries) - len(kept)
    result = summary(trl.rows(out / trl.METRICS)) | found
    if looked_at:
        result |= trl.course(out, "validation_reward") | {"validation": len(looked_at)}
    alarms = trl.rows(out / ALARMS)
    result["warnings"] += map(in_words, alarms)
    steps_kept = Card.read(out).steps
    if alarms and settings.on_alarm == "stop":
        result["warnings"].append(f"The training stopped, and kept the policy as it was after {steps_kept} steps.")
    budget = _budget(out, settings, len(queries), result["steps"])
    if budget is not None:
        result |= {"kl_budget": budget.budget, "kl_text": budget.within(steps_kept), "budget_ended": budget.ended}
    if steps_kept < result["steps"]:
        result["steps_kept"] = steps_kept
    if (measured := begin.levels(out)) is not None:
        result["start"] = measured
        if measured["passed"] < measured["n"] / 2:
            result["warnings"].append(
                f"Of the {measured['n']} texts that the start policy wrote {measured['passed']} pass the checks: most "
                "groups only learn to pass them."
            )
    return result


def _train(
    task: Task,
    asked: Apart,
    start: str | Path,
    reward: Reward,
    out: Path,
    settings: GrpoSettings,
    seed: int,
    bars: Bars,
) -> None:
    queries, looked_at = asked.train, asked.looked_at()
    length = settings.max_completion_length or task.max_tokens
    settings = dataclasses.replace(settings, max_completion_length=length)
    folder, card = trl.begun_from(start, task)
    untrained = trl.untrained(folder, card)
    if settings.weights == "full":  # no adapter, so no whole model to lay one on
        card = dataclasses.replace(card, base=untrained)
    checkpoint = trl.last_checkpoint(out)
    for name in (COMPLETIONS, VALIDATION) if looked_at else (COMPLETIONS,):
        trl.rewind(out / name, 0 if checkpoint is None else trl.step_of(checkpoint))
    monitor = Monitor(settings.num_generations)
    with trl.quiet(), trl.written(out), ExitStack() as opened:
        model, tokenizer = _start(folder, card, out, settings)
        if settings.max_prompt_length is not None:
            queries = _short(card, queries, tokenizer, settings.max_prompt_length)
        if isinstance(reward, Shaped):
            writer = begin.Writer(card, model, tokenizer, settings, [query.query for query in queries])
            if (reader := begin.begin(reward, task, untrained, writer, out)) is not None:
                opened.callback(reader.close)
            of_call = itertools.groupby(trl.rows(out / COMPLETIONS), key=lambda row: (row["step"], row.get("draw")))
            for _, rows in of_call:
                reward.recall(rows)
        log = AlarmLog(out)
        budget = _budget(out, settings, len(queries), 0 if checkpoint is None else trl.step_of(checkpoint))
        coverage = Coverage(reward, settings.min_coverage)
        examples = _examples(card, queries, settings.batch_size)
        score = _reward_function(reward, model, tokenizer, monitor, log, coverage, out / COMPLETIONS)
        write, drawn = _rollout(tokenizer, settings), None
        if settings.redraw:
            group = settings.num_generations
            drawn = Redraw(write, score, examples, group=group, draws=settings.redraw, seed=seed)
            write, score = drawn.rollout, drawn.reward
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=score,
            args=_arguments(out, settings, seed, len(queries)),
            train_dataset=Dataset.from_list(examples),
            processing_class=tokenizer,
            peft_config=None if settings.weights == "full" else trl.adapter(model, settings),
            rollout_func=write,
        )
        after = dataclasses.replace(
            card,
            parent=None if folder is None else folder.name,
            reward=reward.name,
            own_rewards=tuple(dict.fromkeys((*card.own_rewards, *reward.identities))),
            trained="grpo",
        )
        watcher = begin.Writer(card, trainer.model, tokenizer, settings, looked_at)
        every = settings.validation_steps * settings.updates() * settings.num_iterations
        held_out = Validation(watcher, reward, out, every=every, seed=seed)
        if looked_at:
            trainer.add_callback(held_out)
        trainer.add_callback(Steering(trainer, budget))
        trainer.add_callback(OnTheWay(trainer, tokenizer, out, after, settings.keep))

        def over() -> bool:
            spent = budget is not None and budget.ended is not None
            return spent or (settings.on_alarm == "stop" and bool(log.alarms))

        trainer.add_callback(_Stop(over))

        def numbers() -> dict[str, Any]:
            read = monitor.step()
            if read:
                read |= coverage.numbers() | log.numbers() | ({} if drawn is None else drawn.numbers())
            return read | held_out.numbers() | (reward.step() if isinstance(reward, Shaped) else {})

        if not over():
            trl.run_trainer(trainer, out, label="grpo", extra=numbers, rename=_METRICS, bars=bars)
        if over():
            _go_back(trainer, out, _last_good(budget, log.alarms if settings.on_alarm == "stop" else ()))
        trl.save(trainer, tokenizer, out, card.base)
        shutil.rmtree(out / _REFERENCE, ignore_errors=True)
    dataclasses.replace(after, steps=trainer.state.global_step).write(out)


def _start(folder: Path | None, card: Card, out: Path, settings: GrpoSettings) -> tuple[Any, Any]:
    """The model to train, and its tokenizer.

    All weights are trained in float32: 3e-7 is lost in the rounding of bfloat16. TRL loads the reference of the KL
    term anew from where the model came from, so a start that is an adapter is written down merged while it is needed.
    """
    if settings.weights == "lora":
        return policies.load_model(folder, card, trainable=True)
    model, tokenizer = policies.load_model(folder, card, trainable=False)
    model = model.float()
    if hasattr(model, "peft_config"):
        model = model.merge_and_unload()
        if settings.first_beta():
            model.save_pretrained(out / _REFERENCE)
            model.config._name_or_path = str(out / _REFERENCE)
    return model.requires_grad_(True).train(), tokenizer


def _short(card: Card, queries: Sequence[Query], tokenizer: Any, limit: int) -> list[Query]:
    """The queries whose prompts have at most ``limit`` tokens.

    Raises:
        DataError: no prompt is that short.
    """
    prompts = chat.encode(tokenizer, [card.template.messages(query.query) for query in queries])
    kept = [query for query, prompt in zip(queries, prompts, strict=True) if len(prompt) <= limit]
    if not kept:
        shortest = min(map(len, prompts))
        raise DataError(f"every prompt is longer than max_prompt_length = {limit}: the shortest has {shortest} tokens")
    return kept


def _arguments(out: Path, settings: GrpoSettings, seed: int, prompts: int) -> GRPOConfig:
    updates = settings.updates()
    completions = settings.batch_size * settings.num_generations // updates  # of an update
    micro = math.gcd(completions, settings.micro_batch_size or completions)
    steps = settings.steps(prompts) * updates * settings.num_iterations
    common = trl.common_arguments(out, settings, seed)
    return GRPOConfig(
        **common
        | {"save_steps": settings.save_steps * updates * settings.num_iterations}  # where a batch ends
        | {"learning_rate": settings.rate(steps), "save_total_limit": _KEPT},
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=completions // micro,
        steps_per_generation=completions // micro * updates,
        num_generations=settings.num_generations,
        max_completion_length=settings.max_completion_length,
        beta=settings.first_beta(),
        temperature=settings.temperature,
        epsilon=settings.epsilon,
        epsilon_high=settings.epsilon_high,
        scale_rewards=settings.scale_rewards,
        mask_truncated_completions=settings.mask_truncated,
        loss_type=settings.loss_type,
        num_iterations=settings.num_iterations,
        lr_scheduler_type="constant",
    )


def _examples(card: Card, queries: Sequence[Query], batch_size: int) -> list[dict[str, Any]]:
    """Prompts, repeated where there are fewer than a step takes."""
    rows = [{"prompt": card.template.messages(query.query), "query": query.query} for query in queries]
    return rows * math.ceil(batch_size / len(rows))


def _reward_function(
    reward: Reward, model: Any, tokenizer: Any, monitor: Monitor, alarms: AlarmLog, coverage: Coverage, log: Path
) -> Callable[..., list[float | None]]:
    """The one function TRL gets: synchronous, and None for a text that has no finite score."""
    ends = {*policies.end_tokens(model, tokenizer)}

    def score(
        completion_ids: Sequence[Sequence[int]], query: Sequence[str], trainer_state: Any, draw: int = 0, **_: Any
    ) -> list[float | None]:
        responses = [chat.answer(tokenizer, ids) for ids in completion_ids]
        step, cut = trainer_state.global_step + 1, [not {*ids[-1:]} & ends for ids in completion_ids]
        found = reward.score(query, responses, truncated=cut)
        scores = [s if s is not None and math.isfinite(s) else None for s in found]
        details = reward.details if isinstance(reward, Shaped) else [{} for _ in responses]
        texts = []
        for asked, response, value, long, detail in zip(query, responses, scores, cut, details, strict=True):
            row = {"step": step, "query": asked, "response": response, "reward": value, "truncated": long}
            trl.append(log, row | detail | ({"draw": draw} if draw else {}))
            texts.append(Rollout(**row, fluency=detail.get("fluency"), relevance=detail.get("relevance")))
        if not draw:
            monitor.observe(query, responses, scores, [chat.length(tokenizer, text) for text in responses])
            alarms.see(texts)
            coverage.see(scores)
        return scores

    return score


class _Stop(TrainerCallback):  # type: ignore[misc]
    """Ends a training when it is over."""

    def __init__(self, over: Callable[[], bool]):
        self._over = over

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = control.should_training_stop or self._over()

    on_log = on_step_end


def _last_good(budget: Budget | None, alarms: Sequence[Alarm]) -> int:
    """Updates of the last policy within the budget that had not written texts an alarm is about."""
    good = [min(alarm.since for alarm in alarms) - 2] if alarms else []
    good += [budget.kept()] if budget is not None and budget.ended is not None else []
    return min(good)


def _go_back(trainer: Any, out: Path, good: int) -> None:
    """Take the weights of the last checkpoint of at most so many updates; of the oldest if there is none."""
    whole = trl.checkpoints(out)
    before = [path for path in whole if trl.step_of(path) <= good] or whole[:1]
    if before:
        trainer._load_from_checkpoint(str(before[-1]))
        trainer.state.global_step = trl.step_of(before[-1])


def _budget(out: Path, settings: GrpoSettings, prompts: int, done: int) -> Budget | None:
    """The budget, as it stands after the steps that are done."""
    if settings.kl_budget == "off":
        return None
    steps = settings.steps(prompts) * settings.updates() * settings.num_iterations
    rows = (row for row in trl.rows(out / trl.METRICS) if row["step"] <= done)
    return Budget(settings.kl_budget, steps=steps, beta=settings.first_beta(), rows=rows)


def _rollout(tokenizer: Any, settings: GrpoSettings) -> Callable[[Sequence[Any], Any], dict[str, Any]]:
    """Our own generation, the one that evaluation and ``write`` use."""

    def write(prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        prompt_ids = chat.encode(tokenizer, prompts)
        completion_ids = begin.completed(model, tokenizer, prompt_ids, settings)
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}

    return write
