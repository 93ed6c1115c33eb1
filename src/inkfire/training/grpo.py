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
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, MissingExtraError
from inkfire.files.jsonl import VALIDATION
from inkfire.files.rollouts import COMPLETIONS
from inkfire.llm.progress import Bars, no_bars
from inkfire.models import chat
from inkfire.models import policy as policies
from inkfire.models.card import Card, is_policy
from inkfire.records import Query, Rollout
from inkfire.rewards.base import Reward
from inkfire.rewards.shaped import Shaped, Shaping
from inkfire.tasks.task import Task
from inkfire.training import begin, canaries, fit, ranks, trl
from inkfire.training import grpo_rollout as rollouts
from inkfire.training.alarm_log import ALARMS, AlarmLog
from inkfire.training.alarms import Alarm, in_words
from inkfire.training.budget import Budget
from inkfire.training.canaries import Canaries
from inkfire.training.coverage import Coverage
from inkfire.training.entropy import Floor
from inkfire.training.fit import Example, Fit, Shape
from inkfire.training.monitors import Monitor, summary
from inkfire.training.number_alarms import is_fall
from inkfire.training.phases import Phases, profile
from inkfire.training.redraw import Redraw
from inkfire.training.resume import Shuffled
from inkfire.training.settings import GrpoSettings
from inkfire.training.steering import OnTheWay, Steering
from inkfire.training.validation import Validation, apart
from inkfire.training.view import View
from inkfire.training.watched import Watched

try:
    from datasets import Dataset
    from trl import GRPOConfig

    from inkfire.training.grpo_trainer import GRPOTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error

_REFERENCE = "start"
_KEPT = 10  # checkpoints at least, where a stop may go back

# TRL's name of a number → ours. Reward statistics are the monitor's.
_METRICS = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "kl": "kl",
    "kl_text": "kl_text",
    "beta": "beta",
    "entropy": "entropy",
    "entropy_bonus": "entropy_bonus",
    "completions/clipped_ratio": "truncated",
}


def train_grpo(
    task: Task,
    queries: Sequence[Query],
    start: str | Path,
    reward: Reward | Watched,
    out: Path,
    settings: GrpoSettings = GrpoSettings(),
    *,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train the policy ``start`` (a policy folder or a model's name) against ``reward`` and save it in ``out``.

    Writes metrics.jsonl (a row a step), seconds.jsonl (phases.py) and completions.jsonl (step, query, response, reward,
    and what it came from where the reward looks at the group). Such a reward may measure by what the start policy
    writes: start.jsonl, with its levels in start.json. The texts are watched (alarms.py), and the
    numbers (number_alarms.py): alarms.jsonl has what was said at which step.

    Args:
        reward: scores; of :class:`Watched` also what watches.
        bars: opens the bar that the steps advance.

    Returns:
        The summary of the metrics (see monitors.py): steps, reward_first, reward_last, …, warnings.

    Raises:
        DataError: no queries, or none to validate on that is not trained on.
        InputError: a canary that is a part of the reward.
        ModelNameError: no such model.
        BudgetExceeded, EndpointDown: from the reward; the same call goes on from the last checkpoint.
        InputError, EndpointDown: three steps in a row had no reward; by whether a setting mends the reason.
        EndpointDown: fewer than ``min_coverage`` had one.
    """
    if not queries:
        raise DataError("there are no queries to train on")
    watched = reward if isinstance(reward, Watched) else Watched(reward)
    looked_at = apart(watched.validation, queries)
    if not is_policy(out):
        _train(task, queries, start, watched, out, settings, seed, bars)
    trl.drop_checkpoints(out)  # also where a kill came between the card and this
    found = {"completions": len(trl.rows(out / COMPLETIONS))}
    if settings.max_prompt_length is not None:
        kept = rollouts.short(Card.read(out), queries, policies.tokenizer_of(out), settings.max_prompt_length)
        found["prompts_too_long"] = len(queries) - len(kept)
    result = summary(trl.rows(out / trl.METRICS)) | found
    if looked_at:
        result |= trl.course(out, "validation_reward") | {"validation": len(looked_at)}
    result |= canaries.course(out)
    result["warnings"] += map(in_words, alarms := trl.rows(out / ALARMS))
    steps_kept = Card.read(out).steps
    if _stopping([Alarm(**alarm) for alarm in alarms], settings):
        result["warnings"].append(f"The training stopped, and kept the policy as it was after {steps_kept} steps.")
    budget = _budget(out, settings, len(queries), result["steps"])
    if budget is not None:
        result |= {"kl_budget": budget.budget, "kl_text": budget.within(steps_kept), "budget_ended": budget.ended}
    if steps_kept < result["steps"]:
        result["steps_kept"] = steps_kept
    if settings.profile:
        result["profile"] = profile(out)
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
    queries: Sequence[Query],
    start: str | Path,
    watched_by: Watched,
    out: Path,
    settings: GrpoSettings,
    seed: int,
    bars: Bars,
) -> None:
    reward, looked_at = watched_by.reward, apart(watched_by.validation, queries)
    length = settings.max_completion_length or task.max_tokens
    settings = dataclasses.replace(settings, max_completion_length=length)
    folder, card = trl.begun_from(start, task)
    untrained = trl.untrained(folder, card)
    if settings.weights == "full":  # no adapter, so no whole model to lay one on
        card = dataclasses.replace(card, base=untrained)
    checkpoint = trl.last_checkpoint(out)
    done = 0 if checkpoint is None else trl.step_of(checkpoint)
    for name in (COMPLETIONS, VALIDATION) if looked_at else (COMPLETIONS,):
        trl.rewind(out / name, -1 if checkpoint is None else done)  # nothing, or all up to a look at step 0
    monitor = Monitor(settings.num_generations)
    with trl.quiet(), trl.written(out), ExitStack() as opened:
        model, tokenizer = _start(folder, card, out, settings)
        if settings.max_prompt_length is not None:
            queries = rollouts.short(card, queries, tokenizer, settings.max_prompt_length)
        ranks.meet()  # what a start writes is there
        writer = begin.Writer(card, model, tokenizer, settings, [query.query for query in queries])
        if isinstance(reward, Shaped):
            if (reader := begin.begin(reward, task, untrained, writer, out)) is not None:
                opened.callback(reader.close)
            of_call = itertools.groupby(trl.rows(out / COMPLETIONS), key=lambda row: (row["step"], row.get("draw")))
            for _, rows in of_call:
                reward.recall(rows)
        shaping = reward.shaping if isinstance(reward, Shaped) else Shaping()
        if ranks.first():
            begin.baseline(writer, shaping.start_samples, seed, out)
        reads = canaries.named(watched_by.canaries, reward)
        updates = settings.whole_step()
        watched = Canaries(out, reads, every=settings.canary_steps, updates=updates, done=done)
        budget = _budget(out, settings, len(queries), done)
        log = AlarmLog(out, budget, done, watched.looks(settings.steps(len(queries))))
        before = [row for row in trl.rows(out / trl.METRICS) if row["step"] <= done]
        floor = None if settings.entropy_target is None else Floor(settings.entropy_target, before)
        view, phases = View([row["reward"] for row in before if "reward" in row]), Phases(out)
        coverage = Coverage(reward, settings.min_coverage)
        read = phases.timed("canaries", watched.see) if reads else watched.see

        def watch(texts: list[Rollout]) -> None:
            responses, scores = [text.response for text in texts], [text.reward for text in texts]
            read(texts[0].step, [text.query for text in texts], responses)
            view.see(responses, scores)
            log.see(texts)
            coverage.see(scores)

        examples, group = rollouts.examples(card, queries, settings.batch_size), settings.num_generations
        scorer = rollouts.reward_function(reward, model, tokenizer, monitor, watch, out / COMPLETIONS)
        score = phases.timed("score", rollouts.of_all(scorer, group))
        write, drawn = phases.timed("write", rollouts.rollout(tokenizer, settings)), None
        if settings.redraw:
            drawn = Redraw(write, score, examples, group=group, draws=settings.redraw, seed=seed)
            write, score = drawn.rollout, drawn.reward
        how = _fit(card, queries, model, tokenizer, settings)
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=score,
            args=_arguments(out, settings, seed, len(queries), how, tokenizer),
            train_dataset=Dataset.from_list(examples),
            processing_class=tokenizer,
            peft_config=None if settings.weights == "full" else trl.adapter(model, settings),
            rollout_func=write if settings.rollouts == "here" else None,
        )
        after = dataclasses.replace(
            card,
            parent=None if folder is None else folder.name,
            reward=reward.name,
            own_rewards=tuple(dict.fromkeys((*card.own_rewards, *reward.identities))),
            trained="grpo",
        )
        watcher = begin.Writer(card, trainer.model, tokenizer, settings, looked_at)
        every = settings.validation_steps * updates
        held_out = Validation(watcher, reward, out, every=every, seed=seed)
        if looked_at and ranks.first():
            trainer.add_callback(held_out)
        trainer.add_callback(Shuffled())
        trainer.add_callback(Steering(trainer, budget, floor))
        if ranks.first():
            trainer.add_callback(OnTheWay(trainer, tokenizer, out, after, settings.keep))

        def over() -> bool:
            spent = budget is not None and budget.ended is not None
            return spent or bool(_stopping(log.alarms, settings))

        trainer.add_callback(phases)

        def numbers() -> dict[str, Any]:
            found = monitor.step()
            if found:
                found |= coverage.numbers() | log.numbers() | watched.numbers()
                found |= {} if drawn is None else drawn.numbers()
            return found | held_out.numbers() | (reward.step() if isinstance(reward, Shaped) else {})

        def seen(row: Mapping[str, Any]) -> bool:
            log.row(row, watched.rows if "canary" in row else ())
            return over()

        if not ranks.share(over()):
            trl.run_trainer(
                trainer, out, label="grpo", extra=numbers, over=seen, rename=_METRICS, updates=updates, bars=bars
            )
        ranks.leave()
        if over():
            _go_back(trainer, out, _last_good(budget, _stopping(log.alarms, settings)))
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
            if ranks.first():
                model.save_pretrained(out / _REFERENCE)
            model.config._name_or_path = str(out / _REFERENCE)
    return model.requires_grad_(True).train(), tokenizer


def _fit(card: Card, queries: Sequence[Query], model: Any, tokenizer: Any, settings: GrpoSettings) -> Fit:
    """Completions of an update that go through the model at once."""
    free = fit.free_memory(model, full=settings.weights == "full")
    prompts = chat.encode(tokenizer, [card.template.messages(query.query) for query in queries]) if free else []
    own = settings.max_completion_length or 1
    example = Example(tokens=max(map(len, prompts), default=0) + own, logits=own)
    batch = ranks.part(settings.completions(), "the completions of an update")
    return ranks.share(fit.fit(batch, settings.micro_batch_size, example, Shape.of(model), free))


def _arguments(out: Path, settings: GrpoSettings, seed: int, prompts: int, how: Fit, tokenizer: Any) -> GRPOConfig:
    completions, steps = settings.completions(), settings.steps(prompts) * settings.whole_step()
    ranks.part(settings.batch_size, "batch_size")  # so that each process has whole groups
    common = trl.common_arguments(out, settings, seed, completions, how)
    return GRPOConfig(
        **common
        | {"save_steps": settings.save_steps * settings.whole_step()}  # where a batch ends
        | {"learning_rate": settings.rate(steps), "save_total_limit": _checkpoints(settings)},
        max_steps=steps,
        steps_per_generation=completions // ranks.count() // how.micro * settings.updates(),
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
        **rollouts.by_vllm(settings, tokenizer),
    )


def _checkpoints(settings: GrpoSettings) -> int:
    """How many are there at a time: a canary's fall goes back to the third reading before, and a step."""
    return max(_KEPT, math.ceil((2 * settings.canary_steps + 2) / settings.save_steps))


def _stopping(alarms: Sequence[Alarm], settings: GrpoSettings) -> list[Alarm]:
    """The alarms that end a training: all where it is told to stop, under a budget those of canaries."""
    if settings.on_alarm == "stop":
        return [*alarms]
    return [alarm for alarm in alarms if is_fall(alarm.what) and settings.kl_budget != "off"]


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
    steps = settings.steps(prompts) * settings.whole_step()
    rows = (row for row in trl.rows(out / trl.METRICS) if row["step"] <= done)
    return Budget(settings.kl_budget, steps=steps, beta=settings.first_beta(), rows=rows)
