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
from inkfire.training.settings import RewardModelSettings

try:
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, set_seed
    from trl import RewardConfig, RewardTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error


def train_transformer(
    pairs: Sequence[Preference],
    out: Path,
    settings: RewardModelSettings,
    task: Task,
    base: str,
    *,
    seed: int,
    bars: Bars,
) -> tuple[TransformerReward, dict[str, Any]]:
    """Train on ``pairs`` and save the merged model in ``out``.

    Returns:
        The reward, loaded from what was saved, and what its card says of the training: base, template, steps,
        loss_first and loss_last.

    Raises:
        ModelNameError: no such model.
    """
    template = Template.of(task)
    with trl.quiet(), trl.written(out):
        trainer = build_trainer(pairs, out, settings, template, base, seed)
        kept = {"loss": "loss", "grad_norm": "grad_norm", "accuracy": "accuracy", "margin": "margin"}
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
        **trl.losses(out),
    }
    return TransformerReward.open(out, template), trained


def build_trainer(
    pairs: Sequence[Preference], out: Path, settings: RewardModelSettings, template: Template, base: str, seed: int
) -> RewardTrainer:
    """TRL's trainer over the pairs as conversations.

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
    rows = [
        {
            f"{name}_ids": chat.encode_whole(tokenizer, template.messages(pair.query), text)
            for name, text in (("chosen", pair.chosen), ("rejected", pair.rejected))
        }
        for pair in pairs
    ]
    return RewardTrainer(
        model=model,
        args=RewardConfig(**trl.epoch_arguments(out, settings, seed)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=trl.lora("SEQ_CLS"),
    )
