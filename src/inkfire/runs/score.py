"""The run behind ``inkfire score``: any reward on pairs or texts, beside what length explains."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from inkfire.files.formats import read_pairs, read_texts_or_labelled
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.llm.ledger import Ledger
from inkfire.records import Candidate, Labelled, Preference
from inkfire.rewards.base import Reward
from inkfire.rewards.judge import JudgeReward
from inkfire.rewards.load import check_reward, load_reward, reward_folders
from inkfire.stats.agreement import binary_metrics
from inkfire.stats.intervals import bootstrap_auc
from inkfire.stats.twins import length_auc, pair_slices, rate


def score_file(
    reward: str,
    path: Path,
    kind: Literal["pairs", "data"],
    *,
    base_url: str | None = None,
    force: bool = False,
    out: Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score the pairs or the texts of ``path``.

    Args:
        force: score with a judge all the same that is refused as a reward.
        out: where given, a run folder for scores.jsonl and stages/score.json; else nothing is written (a judge's ledger
            keeps its replies).

    Returns:
        For pairs, the slices of ``twins.pair_slices``. For texts n, missing, mean and excellent_rate (at the reward's
        threshold); where they are labelled also auc, length_auc, and accuracy and its kin at the threshold.

    Raises:
        DataError, InputError: what is wrong with the file or the reward.
    """
    check_reward(reward, force=force)
    pairs = read_pairs(path) if kind == "pairs" else []
    texts = read_texts_or_labelled(path) if kind == "data" else []
    folders = reward_folders(reward)
    run, started = None, time.monotonic()
    if out is not None:
        files = {kind: path} | {f"reward {i}": folder for i, folder in enumerate(folders, 1)}
        run = Run.open(out, command="score", settings={"reward": reward}, inputs=files, seed=seed)
    with _ledger(folders) as ledger:
        scorer = load_reward(reward, ledger=ledger, base_url=base_url, force=force)
        measured, rows = _pairs(scorer, pairs) if pairs else _texts(scorer, texts, seed)
    about: dict[str, Any] = {"reward": scorer.name, "threshold": scorer.threshold}
    if isinstance(scorer, JudgeReward):
        about |= {"calibrated": scorer.cut is not None, "injections": scorer.injections.total()}
    if run is not None:
        write_jsonl(run.path("scores.jsonl"), rows)
        run.complete("score", about | measured, seconds=time.monotonic() - started)
    return about | measured


def rank(
    reward: str, query: str, texts: Sequence[str], *, base_url: str | None = None
) -> list[tuple[str, float | None]]:
    """Texts with their scores, the best first; those without a score come last."""
    with _ledger(reward_folders(reward)) as ledger:
        scorer = load_reward(reward, ledger=ledger, base_url=base_url)
        scores = scorer.score([query] * len(texts), texts)

    def value(i: int) -> float:
        score = scores[i]
        return -math.inf if score is None else score

    order = sorted(range(len(texts)), key=value, reverse=True)
    return [(texts[i], scores[i]) for i in order]


def _ledger(folders: Sequence[Path]) -> Ledger | nullcontext[None]:
    """A judge's replies are kept beside its folder."""
    judges = [folder for folder in folders if (folder / "judge.json").is_file()]
    return Ledger(judges[0].absolute().parent / ".inkfire" / "ledger.sqlite", run="score") if judges else nullcontext()


def _pairs(reward: Reward, pairs: Sequence[Preference]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    queries = [pair.query for pair in pairs]
    chosen = reward.score(queries, [pair.chosen for pair in pairs])
    rejected = reward.score(queries, [pair.rejected for pair in pairs])
    rows = [{"query": q, "chosen": c, "rejected": r} for q, c, r in zip(queries, chosen, rejected, strict=True)]
    return pair_slices(pairs, list(zip(chosen, rejected, strict=True))), rows


def _texts(
    reward: Reward, texts: Sequence[Candidate | Labelled], seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    scores = reward.score([text.query for text in texts], [text.response for text in texts])
    rows = [{"query": t.query, "response": t.response, "score": s} for t, s in zip(texts, scores, strict=True)]
    scored = [(text, score) for text, score in zip(texts, scores, strict=True) if score is not None]
    cut = reward.threshold
    out: dict[str, Any] = {"n": len(texts), "scored": len(scored), "missing": len(texts) - len(scored)}
    out["mean"] = sum(score for _, score in scored) / len(scored) if scored else None
    if cut is not None:
        out |= rate("excellent_rate", [score >= cut for _, score in scored])
    labelled = [(text, score) for text, score in scored if isinstance(text, Labelled)]
    if labelled:
        labels, queries = [text.label for text, _ in labelled], [text.query for text, _ in labelled]
        area = bootstrap_auc(labels, [score for _, score in labelled], clusters=queries, seed=seed)
        length = length_auc([text for text, _ in labelled], seed=seed)
        out |= {"auc": area.estimate, "auc_ci": [area.low, area.high]}
        out |= {"length_auc": length.estimate, "length_auc_ci": [length.low, length.high]}
        if cut is not None:
            out |= binary_metrics(labels, [int(score >= cut) for _, score in labelled]) | {"n": len(texts)}
    return out, rows
