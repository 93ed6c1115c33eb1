"""Reward models from preference pairs, measured on queries they have not seen and beside what length explains.

``linear`` (seconds): Bradley-Terry on character n-grams. Its headline numbers pool five folds by query, each fold's
model trained on four fifths; the model that is saved is trained on the same share.
``transformer``: TRL's RewardTrainer with LoRA (PAPER: rank 16, learning rate 2e-4, 5 epochs), -log σ(r(q, chosen) -
r(q, rejected)). Its headline numbers are of the held-out queries, beside those of the linear one on the same pairs.

The held-out pairs are kept as ``held_out_pairs.jsonl``. The threshold for "excellent" is fitted on labelled texts, or
on the held-out pairs where there are none.

>>> train_reward_model(pairs, Path("runs/rm"))["accuracy_length_matched"]                        # doctest: +SKIP
0.92
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.errors import DataError
from inkfire.files.formats import split_by_query
from inkfire.files.jsonl import write_jsonl
from inkfire.llm.progress import Bars, no_bars
from inkfire.records import Labelled, Preference, to_json
from inkfire.rewards.base import Reward
from inkfire.rewards.linear import LinearReward
from inkfire.rewards.load import CARD, read_card, write_card
from inkfire.rewards.threshold import fit_threshold
from inkfire.stats.twins import NgramPairModel, pair_slices
from inkfire.tasks.task import Task
from inkfire.training.settings import RewardModelSettings


def train_reward_model(
    pairs: Sequence[Preference],
    out: Path,
    settings: RewardModelSettings = RewardModelSettings(),
    *,
    task: Task | None = None,
    labelled: Sequence[Labelled] | None = None,
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train, measure and save a reward model; in a folder where it is done already, read its card.

    Args:
        task: whose template turns a query into messages; the transformer needs it.
        labelled: texts that fit the threshold; none of them should be among the pairs.

    Returns:
        What reward.json holds: kind, n, n_train, n_test, accuracy and its slices with intervals, longer_wins,
        ngram_accuracy, threshold, auc, warnings, …

    Raises:
        DataError: pairs of fewer than two queries.
        InputError: a transformer without base or task.
    """
    settings.check(task=task)
    if not (out / CARD).is_file():
        train, test = split_by_query(pairs, fraction=settings.test_fraction, seed=seed)
        if not train or not test:
            raise DataError("a reward model needs pairs of at least two queries: some are held out to measure it")
        write_jsonl(out / "held_out_pairs.jsonl", map(to_json, test))
        card: dict[str, Any] = {"kind": settings.kind, "task": None if task is None else task.name}
        card |= {"n_train": len(train), "n_test": len(test)}
        fit = _linear if settings.kind == "linear" else _transformer
        reward, measured = fit(_Job(pairs, train, test, out, settings, task, seed, bars))
        threshold = _threshold(reward, labelled, test, seed)
        card |= measured | threshold
        write_card(out, card | {"warnings": remarks(card)})
    card = read_card(out)
    return {key: value for key, value in card.items() if key != "template"}


@dataclass(frozen=True)
class _Job:
    pairs: Sequence[Preference]
    train: Sequence[Preference]
    test: Sequence[Preference]
    out: Path
    settings: RewardModelSettings
    task: Task | None
    seed: int
    bars: Bars


def _linear(job: _Job) -> tuple[Reward, dict[str, Any]]:
    model = NgramPairModel().fit(job.train)
    model.save(job.out)
    pooled = NgramPairModel.cross_validate(job.pairs, folds=5, seed=job.seed)
    held_out = {f"held_out_{key}": value for key, value in _on(model, job.test).items() if key.startswith("accuracy")}
    measured = {"steps": 1, "measured_on": "five folds by query, pooled"} | pooled | held_out
    return LinearReward(model, "rm"), measured | {"ngram_accuracy": pooled["accuracy"]}


def _transformer(job: _Job) -> tuple[Reward, dict[str, Any]]:
    from inkfire.training.reward_trainer import train_transformer

    assert job.task is not None
    assert job.settings.base is not None
    reward, trained = train_transformer(
        job.train, job.out, job.settings, job.task, job.settings.base, seed=job.seed, bars=job.bars
    )
    twin = {f"ngram_{key}": value for key, value in _on(NgramPairModel().fit(job.train), job.test).items()}
    twin = {key: value for key, value in twin.items() if key.startswith("ngram_accuracy")}
    return reward, trained | {"measured_on": "held-out queries"} | _on(reward, job.test) | twin


def _on(model: Any, pairs: Sequence[Preference]) -> dict[str, Any]:
    """The slices of a model on pairs."""
    queries = [pair.query for pair in pairs]
    chosen = model.score(queries, [pair.chosen for pair in pairs])
    rejected = model.score(queries, [pair.rejected for pair in pairs])
    return pair_slices(pairs, list(zip(chosen, rejected, strict=True)))


def _threshold(
    reward: Reward, labelled: Sequence[Labelled] | None, test: Sequence[Preference], seed: int
) -> dict[str, Any]:
    source = "labelled texts" if labelled is not None else "held-out pairs"
    if labelled is None:
        labelled = [row for p in test for row in (Labelled(p.query, p.chosen, 1), Labelled(p.query, p.rejected, 0))]
    queries = [row.query for row in labelled]
    scores = reward.score(queries, [row.response for row in labelled])
    return fit_threshold(scores, [row.label for row in labelled], queries, seed) | {"threshold_from": source}


def remarks(card: dict[str, Any]) -> list[str]:
    """What a reader of the numbers ought to know, in sentences."""
    said = []
    longer, matched = card["longer_wins"], card["accuracy_length_matched_ci"]
    if longer is not None and abs(longer - 0.5) >= 0.2:
        what = "longer" if longer > 0.5 else "shorter"
        said.append(
            f"In {max(longer, 1 - longer):.0%} of the pairs the chosen text is the {what} one: judge this model by its "
            f"accuracy on length-matched pairs ({card['n_length_matched']} of {card['n']})."
        )
    if matched is None or matched[0] <= 0.5:
        said.append("On length-matched pairs it is not shown to be better than chance.")
    if card["kind"] == "transformer" and card["accuracy_ci"][0] <= (card["ngram_accuracy"] or 0):
        said.append(f"It is not shown to be better than the n-gram twin ({card['ngram_accuracy']:.3f}).")
    if card["auc_ci"][0] <= 0.5:
        said.append(f"On {card['threshold_from']} its AUC is not shown to be above 0.5.")
    return said
