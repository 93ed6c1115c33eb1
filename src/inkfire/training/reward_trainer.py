"""The transformer reward model's training: TRL's RewardTrainer on conversational pairs, LoRA, saved merged.

TRL given the bare {query, chosen, rejected} trains without the query and says nothing; it gets the tokens of whole
conversations, the task's messages and a text, encoded as they are when the reward scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import MissingExtraError, ModelNameError
from inkfire.llm.progress import Bars
from inkfire.models import chat
from inkfire.models.card import Template, portable
from inkfire.models.policy import base_source, compute_dtype, load_tokenizer
from inkfire.records import Preference
from inkfire.rewards.transformer import TransformerReward
from inkfire.tasks.task import Task
from inkfire.training import trl
from inkfire.training.fit import Example
from inkfire.training.settings import RewardModelSettings

try:
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, EarlyStoppingCallback, set_seed
    from trl import RewardConfig, RewardTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error

_ON_CPU = 4  # pairs at once
_LOOKS = 5  # an epoch, at the pairs that are held back for early stopping


def train_transformer(
    pairs: Sequence[Preference],
    held_back: Sequence[Preference],
    out: Path,
    settings: RewardModelSettings,
    task: Task,
    start_from: Path | None,
    *,
    seed: int,
    bars: Bars,
) -> tuple[TransformerReward, dict[str, Any]]:
    """Train on ``pairs`` and save the merged model in ``out``.

    Args:
        held_back: pairs whose loss decides when to stop, with ``settings.patience``.
        start_from: a reward model's folder to go on from, head and all, instead of ``settings.base``.

    Returns:
        The reward, loaded from what was saved, and what its card says of the training: base, template, steps,
        loss_first and loss_last; with early stopping the best step and its ``validation_loss``.

    Raises:
        ModelNameError: no such model.
    """
    template, base = Template.of(task), str(start_from or settings.base)
    with trl.quiet(), trl.written(out):
        trainer = build_trainer(pairs, out, settings, template, base, seed, held_back)
        kept = {name: name for name in ("loss", "grad_norm", "accuracy", "margin")} | {"eval_loss": "validation_loss"}
        trl.run_trainer(trainer, out, label="reward model", rename=kept, bars=bars)
        # Merged in float32: the adapter's small changes would be lost in the rounding of bfloat16.
        merged = trainer.model.float().merge_and_unload()
        merged.to(compute_dtype()).save_pretrained(out)
        trainer.processing_class.save_pretrained(out)
    trl.drop_checkpoints(out)
    trained = {
        "base": portable(base, out),
        "template": dataclasses.asdict(template),
        "task_version": task.version,
        "steps": trainer.state.global_step,
        **trl.course(out, "loss"),
    }
    if trainer.state.best_metric is not None:
        trained |= {"best_step": trainer.state.best_global_step, "validation_loss": trainer.state.best_metric}
    return TransformerReward.open(out, template), trained


def build_trainer(
    pairs: Sequence[Preference],
    out: Path,
    settings: RewardModelSettings,
    template: Template,
    base: str,
    seed: int,
    held_back: Sequence[Preference] = (),
) -> RewardTrainer:
    """TRL's trainer over the pairs as conversations, with early stopping where some are held back.

    Raises:
        ModelNameError: no such model, or one that cannot be asked.
    """
    set_seed(seed)  # the head begins with random weights
    source = base_source(base)
    try:
        tokenizer = load_tokenizer(source)
        model = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=1, dtype=compute_dtype(), trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ModelNameError(f"{base}: the weights cannot be loaded: {error}") from error

    def encoded(some: Sequence[Preference]) -> Any:
        rows = []
        for pair in some:
            messages = template.messages(pair.query)
            chosen, rejected = (chat.encode_whole(tokenizer, messages, text) for text in (pair.chosen, pair.rejected))
            rows.append({"chosen_ids": chosen, "rejected_ids": rejected, "margin": settings.margin})
        return Dataset.from_list(rows)

    learnt = encoded(pairs)
    both = 2 * min(
        settings.max_length, max(len(ids) for side in ("chosen_ids", "rejected_ids") for ids in learnt[side])
    )
    arguments = trl.epoch_arguments(out, settings, seed, model, Example(tokens=both, logits=0), on_cpu=_ON_CPU)
    if held_back:
        steps = max(1, len(pairs) // settings.batch_size // _LOOKS)
        arguments |= {"eval_strategy": "steps", "eval_steps": steps, "save_steps": steps}
        arguments |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": False}
        arguments |= {"per_device_eval_batch_size": arguments["per_device_train_batch_size"]}
        arguments |= {"restore_callback_states_from_checkpoint": True}  # how many looks were no better
    return RewardTrainer(
        model=model,
        args=RewardConfig(**arguments),
        train_dataset=learnt,
        eval_dataset=encoded(held_back) if held_back else None,
        processing_class=tokenizer,
        peft_config=trl.lora("SEQ_CLS", settings),
        callbacks=[EarlyStoppingCallback(settings.patience)] if held_back else [],
    )
