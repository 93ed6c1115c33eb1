"""Supervised fine-tuning: LoRA on query → response, loss on the response only (TRL's SFTTrainer).

The result is a policy folder (models/policy.py). Entered again after a kill, it goes on from its last checkpoint.

>>> rows = datafiles.read_texts("good.jsonl")                                                    # doctest: +SKIP
>>> train_sft(load_task("greetings-zh"), rows, "local/qwen2.5-coder-0.5b", out, SftSettings())         # doctest: +SKIP
{'steps': 20, 'n': 80, 'loss_first': 3.9, 'loss_last': 2.7}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, MissingExtraError
from inkfire.llm.progress import Bars, no_bars
from inkfire.models import chat
from inkfire.models.card import Card, is_policy
from inkfire.models.policy import load_model
from inkfire.records import Candidate
from inkfire.tasks.task import Task
from inkfire.training import trl
from inkfire.training.settings import SftSettings

try:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error


def train_sft(
    task: Task,
    rows: Sequence[Candidate],
    base: str,
    out: Path,
    settings: SftSettings = SftSettings(),
    *,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Fine-tune ``base`` on the responses of ``rows`` and save the adapter in ``out``.

    Returns:
        steps, n (rows), loss_first and loss_last (means of the first and last tenth of the steps).

    Raises:
        DataError: no rows.
        ModelNameError: no such model.
    """
    if not rows:
        raise DataError("there are no texts to fine-tune on")
    if not is_policy(out):
        _train(Card.of(base, task), rows, out, settings, seed, bars)
    trl.drop_checkpoints(out)  # also where a kill came between the card and this
    return {"steps": Card.read(out).steps, "n": len(rows), **trl.losses(out)}


def _train(card: Card, rows: Sequence[Candidate], out: Path, settings: SftSettings, seed: int, bars: Bars) -> None:
    with trl.quiet(), trl.written(out):
        model, tokenizer = load_model(None, card, trainable=True)
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**trl.epoch_arguments(out, settings, seed)),
            train_dataset=Dataset.from_list(examples(tokenizer, card, rows)),
            processing_class=tokenizer,
            peft_config=trl.lora("CAUSAL_LM"),
        )
        trl.run_trainer(trainer, out, label="sft", rename={"loss": "loss", "grad_norm": "grad_norm"}, bars=bars)
        trl.save(trainer, tokenizer, out, card.base)
    dataclasses.replace(card, trained="sft", steps=trainer.state.global_step).write(out)


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
