"""DPO: the chosen text of a pair becomes likelier than the rejected one, seen from a reference (Rafailov et al. 2023).

By TRL's DPOTrainer, with LoRA; the reference is the policy that the training, or the round, starts from. The pairs are
a file's, or the policy's own: the best against the worst of n texts a query, by a reward, in rounds.

>>> train_dpo(task, pairs, "runs/sft", Path("runs/dpo"))                                            # doctest: +SKIP
{'steps': 100, 'n': 800, 'loss_first': 0.69, 'loss_last': 0.41, 'accuracy_last': 0.83, ...}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, MissingExtraError
from inkfire.files.formats import pair_row
from inkfire.files.jsonl import read_json, write_json, write_jsonl
from inkfire.llm.progress import Bars, no_bars
from inkfire.models import chat
from inkfire.models.card import Card, is_policy
from inkfire.models.policy import load_model
from inkfire.records import Candidate, Preference, Query
from inkfire.rewards.base import Reward
from inkfire.tasks.task import Task
from inkfire.training import rounds, samples, trl
from inkfire.training.fit import Example
from inkfire.training.settings import DpoSettings

try:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer
except ImportError as error:
    raise MissingExtraError(error.name or "trl", "train") from error

PAIRS = "pairs.jsonl"
_FOUND = "dpo.json"
_METRICS = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
}
_ON_CPU = 4  # pairs at once
_FELL = -10.0  # nats a text by which the chosen ones may become less likely unsaid


def train_dpo(
    task: Task,
    pairs: Sequence[Preference],
    start: str | Path,
    out: Path,
    settings: DpoSettings = DpoSettings(),
    *,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train ``start``, a policy folder or a model's name, on pairs that are there, and save the adapter in ``out``.

    Returns:
        steps, n (pairs), too_long; loss, accuracy (share of pairs whose chosen text gained more on the reference) and
        reward_chosen (beta times what the chosen texts gained, nats a text), each _first and _last (means of the first
        and last tenth of the steps); samples and warnings.

    Raises:
        DataError: no pairs.
        ModelNameError: no such model.
    """
    if not pairs:
        raise DataError("there are no pairs to train on")
    if not is_policy(out):
        _train(*trl.begun_from(start, task), pairs, out, settings, seed, bars)
    trl.drop_checkpoints(out)  # also where a kill came between the card and this
    found = read_json(out / _FOUND)
    went: dict[str, Any] = {}
    for name in ("loss", "accuracy", "reward_chosen"):
        went |= trl.course(out, name)
    warnings = []
    if found["too_long"]:
        warnings.append(
            f"{found['too_long']} of {2 * len(pairs)} texts are longer than max_length = {settings.max_length} tokens "
            "with their prompts and were cut."
        )
    gained = (went["reward_chosen_last"] or 0.0) / settings.beta
    if gained < _FELL:
        warnings.append(
            f"The chosen texts themselves became less likely, by {-gained:.0f} nats a text: what gained stands in no "
            "pair. Raise --beta, or lower --learning-rate."
        )
    sampled, remarks = samples.result(out)
    return {"steps": found["steps"], "n": len(pairs), **went, **found, **sampled, "warnings": [*warnings, *remarks]}


def train_dpo_rounds(
    task: Task,
    queries: Sequence[Query],
    start: str | Path,
    reward: Reward,
    out: Path,
    settings: DpoSettings = DpoSettings(),
    *,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train ``start`` on pairs of its own texts, best against worst by ``reward``, and save the policy in ``out``.

    Returns:
        As :func:`rounds.train_rounds` (its ``kl_bound`` is that of the chosen texts); a round has ``pairs``,
        ``left_out`` (queries without one: fewer than two scores, equal ones, or no text that passes the checks) and
        the numbers of its DPO.

    Raises:
        As :func:`rounds.train_rounds`, and ModelNameError: no such model.
    """

    def learn(policy: str | Path, groups: list[list[rounds.Row]], at: Path, seed: int) -> dict[str, Any]:
        pairs = [pair for group in groups if (pair := _pair(group, reward.name)) is not None]
        if not pairs:
            raise rounds.nothing_won(groups)
        template = trl.begun_from(policy, task)[1].template
        write_jsonl(at / PAIRS, (pair_row(pair, template.messages(pair.query)) for pair in pairs))
        counts = {"pairs": len(pairs), "left_out": len(groups) - len(pairs)}
        return counts | train_dpo(task, pairs, policy, at, settings, seed=seed, bars=bars)

    return rounds.train_rounds(rounds.Job("dpo", task, queries, start, reward, out, settings, seed, bars), learn)


def _pair(group: Sequence[rounds.Row], reward: str) -> Preference | None:
    """The best text of a query against its worst; None where the reward does not tell them apart."""
    chosen = rounds.best(group)
    if chosen is None or chosen["reward"] == group[-1]["reward"]:
        return None
    return Preference(chosen["query"], chosen["response"], group[-1]["response"], {"scored_by": reward})


def _train(
    folder: Path | None,
    card: Card,
    pairs: Sequence[Preference],
    out: Path,
    settings: DpoSettings,
    seed: int,
    bars: Bars,
) -> None:
    with trl.quiet(), trl.written(out):
        model, tokenizer = load_model(folder, card, trainable=True)
        rows = examples(tokenizer, card, pairs)
        lengths = [len(row["prompt_ids"]) + len(row[side]) for row in rows for side in ("chosen_ids", "rejected_ids")]
        both = 2 * min(settings.max_length, max(lengths))  # TRL puts chosen and rejected into one batch
        example = Example(tokens=both, logits=both)
        arguments = trl.epoch_arguments(out, settings, seed, model, example, on_cpu=_ON_CPU)
        trainer = _Encoded(
            model=model,
            args=DPOConfig(**arguments, beta=settings.beta),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=trl.adapter(model, settings),
        )
        trl.run_trainer(trainer, out, label="dpo", rename=_METRICS, bars=bars)
        trl.save(trainer, tokenizer, out, card.base)
        good = [Candidate(pair.query, pair.chosen) for pair in pairs]
        samples.look(trainer, tokenizer, card, good, settings.samples, seed, out)
    steps = trainer.state.global_step
    write_json(out / _FOUND, {"steps": steps, "too_long": sum(length > settings.max_length for length in lengths)})
    parent = None if folder is None else folder.name
    dataclasses.replace(card, trained="dpo", steps=steps, reward=None, parent=parent).write(out)


def examples(tokenizer: Any, card: Card, pairs: Sequence[Preference]) -> list[dict[str, list[int]]]:
    """Pairs as the tokens that the policy is asked with and writes: prompt_ids, chosen_ids, rejected_ids."""
    out = []
    for pair in pairs:
        messages = card.template.messages(pair.query)
        prompt, chosen = chat.encode_answer(tokenizer, messages, pair.chosen)
        _, rejected = chat.encode_answer(tokenizer, messages, pair.rejected)
        out.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    return out


class _Encoded(DPOTrainer):  # type: ignore[misc]
    """Takes pairs as tokens: TRL's own rendering begins otherwise where a template switches thinking off."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset
