"""Supervised fine-tuning: LoRA on query → response, loss on the response only (TRL's SFTTrainer).

Texts of like length go together. Where texts are held out, by query, their loss is looked at twice an epoch and at the
end, and the step where it was lowest is kept. At the end the writer and its base write some texts: samples.py.

The result is a policy folder (models/policy.py). Entered again after a kill, it goes on from its last checkpoint.

>>> rows = datafiles.read_texts("good.jsonl")                                                    # doctest: +SKIP
>>> train_sft(load_task("greetings-zh"), rows, "local/qwen2.5-coder-0.5b", out, SftSettings())         # doctest: +SKIP
{'steps': 20, 'n': 80, 'loss_first': 3.9, 'loss_last': 2.7, 'eval_loss': 2.9, ...}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, InputError, MissingExtraError
from inkfire.files.formats import split_by_query
from inkfire.files.jsonl import read_json, write_json
from inkfire.llm.progress import Bars, no_bars
from inkfire.models import chat
from inkfire.models.card import Card, is_policy
from inkfire.models.policy import load_model
from inkfire.records import Candidate
from inkfire.tasks.task import Task
from inkfire.training import ranks, samples, trl
from inkfire.training.fit import Example
from inkfire.training.settings import SftSettings

try:
    import torch
    from datasets import Dataset
    from transformers import EarlyStoppingCallback, TrainerCallback
    from transformers.trainer_pt_utils import LengthGroupedSampler
    from trl import SFTConfig, SFTTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error

_LOOKS = 2  # an epoch, at the held-out texts: of a tenth each they take some 6 % of the time
_FOUND = "sft.json"
_ON_CPU = 8  # texts at once


def train_sft(
    task: Task,
    rows: Sequence[Candidate],
    base: str | Path,
    out: Path,
    settings: SftSettings = SftSettings(),
    *,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Fine-tune ``base``, a model or a policy folder, on the responses of ``rows`` and save the adapter in ``out``.

    Returns:
        steps, n (rows), n_train, n_held_out, learning_rate, loss_first and loss_last (means of the first and last
        tenth of the steps); best_step and eval_loss (nats a token) where texts are held out; samples and warnings.

    Raises:
        DataError: no rows.
        InputError: nothing is held out for ``patience``, or nothing is left to train on.
        ModelNameError: no such model.
    """
    if not rows:
        raise DataError("there are no texts to fine-tune on")
    train, held_out = split_by_query(rows, fraction=settings.held_out(len(rows)), seed=seed)
    if not train or (settings.patience is not None and not held_out):
        raise InputError(
            f"{len(rows)} texts of {len({row.query for row in rows})} queries: nothing is left "
            + ("to train on; lower --test-fraction" if not train else "out for --patience; raise --test-fraction")
        )
    settings = dataclasses.replace(settings, learning_rate=settings.rate(len(train)))
    if not is_policy(out):
        _train(*trl.begun_from(base, task), train, held_out, out, settings, seed, bars)
    trl.drop_checkpoints(out)  # also where a kill came between the card and this
    found = read_json(out / _FOUND)
    counts = {"n": len(rows), "n_train": len(train), "n_held_out": len(held_out)}
    warnings = []
    if found["too_long"]:
        warnings.append(
            f"{found['too_long']} of {len(rows)} texts are longer than max_length = {settings.max_length} tokens with "
            "their prompts and were cut: the writer learns no end from these."
        )
    sampled, remarks = samples.result(out)
    went = {"learning_rate": settings.learning_rate} | trl.course(out, "loss")
    return {"steps": found["steps"], **counts, **went, **found, **sampled, "warnings": [*warnings, *remarks]}


def _train(
    folder: Path | None,
    card: Card,
    train: Sequence[Candidate],
    held_out: Sequence[Candidate],
    out: Path,
    settings: SftSettings,
    seed: int,
    bars: Bars,
) -> None:
    with trl.quiet(), trl.written(out):
        model, tokenizer = load_model(folder, card, trainable=True)
        learnt, looked_at = examples(tokenizer, card, train), examples(tokenizer, card, held_out)
        longest = max(min(len(row["input_ids"]), settings.max_length) for row in learnt)
        example = Example(tokens=longest, logits=longest)
        arguments = trl.epoch_arguments(out, settings, seed, model, example, on_cpu=_ON_CPU)
        callbacks: list[TrainerCallback] = []
        if held_out:
            steps = -(-len(train) // settings.batch_size)
            callbacks.append(_Looks(max(1, steps // _LOOKS), settings.save_steps))
            arguments |= {"eval_strategy": "steps", "eval_steps": callbacks[0].every, "save_strategy": "best"}
            arguments |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}
            arguments |= {"greater_is_better": False, "restore_callback_states_from_checkpoint": True}
            arguments |= {"per_device_eval_batch_size": arguments["per_device_train_batch_size"]}
        if settings.patience is not None:
            callbacks.append(EarlyStoppingCallback(settings.patience))
        trainer = _ByLength(
            model=model,
            args=SFTConfig(**arguments),
            train_dataset=Dataset.from_list(learnt),
            eval_dataset=Dataset.from_list(looked_at) if held_out else None,
            processing_class=tokenizer,
            peft_config=trl.adapter(model, settings),
            callbacks=callbacks,
        )
        kept = {"loss": "loss", "grad_norm": "grad_norm", "eval_loss": "eval_loss"}
        trl.run_trainer(trainer, out, label="sft", rename=kept, bars=bars)
        trl.save(trainer, tokenizer, out, card.base)
        samples.look(trainer, tokenizer, card, train, settings.samples, seed, out)
    steps = trainer.state.global_step
    found = {"steps": steps, "too_long": sum(len(row["input_ids"]) > settings.max_length for row in learnt)}
    if held_out:
        found |= {"best_step": trainer.state.best_global_step, "eval_loss": trainer.state.best_metric}
    write_json(out / _FOUND, found)
    parent = None if folder is None else folder.name
    dataclasses.replace(card, trained="sft", steps=steps, reward=None, parent=parent).write(out)


def examples(tokenizer: Any, card: Card, rows: Sequence[Candidate]) -> list[dict[str, list[int]]]:
    """Rows as ``input_ids`` and ``labels``: the loss is on the response and its end, the prompt has -100.

    Both are the tokens that the policy is asked with and writes afterwards: TRL's own rendering of a whole conversation
    begins otherwise where a template switches thinking off, and ends nowhere where it has no end.
    """
    out = []
    for row in rows:
        prompt, answer = chat.encode_answer(tokenizer, card.template.messages(row.query), row.response)
        out.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
    return out


class _ByLength(SFTTrainer):  # type: ignore[misc]
    """Texts of like length in a batch, the batches in any order.

    ``train_sampling_strategy="group_by_length"`` alone puts short texts behind long ones, and draws the order from
    torch's global state: a training that is gone on with would see its texts in another one.
    """

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        return _Lengths(self, self.train_dataset if train_dataset is None else train_dataset)


class _Lengths(LengthGroupedSampler):  # type: ignore[misc]
    def __init__(self, trainer: SFTTrainer, dataset: Dataset):
        args = trainer.args
        lengths = [len(ids) for ids in dataset["input_ids"]]
        whole = args.train_batch_size * args.gradient_accumulation_steps * ranks.count()
        super().__init__(whole, lengths=lengths)
        self._trainer = trainer

    def __iter__(self) -> Iterator[int]:
        epoch = int(self._trainer.state.epoch or 0)
        self.generator = torch.Generator().manual_seed(self._trainer.args.seed + epoch)
        order = list(super().__iter__())
        whole = len(order) // self.batch_size
        for i in torch.randperm(whole, generator=self.generator).tolist():
            yield from order[i * self.batch_size : (i + 1) * self.batch_size]
        yield from order[whole * self.batch_size :]


class _Looks(TrainerCallback):  # type: ignore[misc]
    """When the held-out texts are looked at, at the last step too, and when else a checkpoint is kept."""

    def __init__(self, every: int, save_steps: int):
        self.every, self._save_steps = every, save_steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_evaluate = state.global_step % self.every == 0 or state.global_step == state.max_steps
        control.should_save = state.global_step % self._save_steps == 0
