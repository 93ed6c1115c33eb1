"""How good a judge is on labelled texts, with intervals, and whether that lets it be a reward.

Intervals are a bootstrap over queries (texts of one query are not independent), seeded. The length twin stands beside
every judge: what the length of the text alone says.

    measured = measure(labelled, verdicts)
    measured["auc"], measured["auc_ci"], measured["length_auc"]
    why_refused(measured)               # None, or why this judge must not be a reward
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkfire.judge.calibration import brier_score, expected_calibration_error, raw_score, reliability
from inkfire.records import Labelled, Verdict
from inkfire.statistics import auc, bootstrap_auc

RESAMPLES = 2000


def measure(labelled: Sequence[Labelled], verdicts: Sequence[Verdict], *, seed: int = 0) -> dict[str, Any]:
    """Metrics of ``verdicts`` against the labels of the same texts.

    ``accuracy``, ``precision``, ``recall``, ``f1``, ``kappa``, ``balanced_accuracy`` and ``auc``, each with
    ``NAME_ci``; ``auc_within_query`` (good against bad texts of the same query: what GRPO compares); ``says_good``;
    ``length_auc``; ``ece``, ``brier`` and the ``reliability`` curve of the probabilities; ``n``, ``scored``,
    ``unscored``. Unscored texts are counted and left out. What cannot be computed (one class only) is None.
    """
    rows = [
        (row, verdict, score)
        for row, verdict in zip(labelled, verdicts, strict=True)
        if (score := raw_score(verdict)) is not None
    ]
    out: dict[str, Any] = {"n": len(labelled), "scored": len(rows), "unscored": len(labelled) - len(rows)}
    if not rows:
        return out
    labels = [row.label for row, _, _ in rows]
    says = [int(verdict.label == 1) for _, verdict, _ in rows]
    scores = [score for _, _, score in rows]
    clusters = [row.query for row, _, _ in rows]
    out["says_good"] = sum(says) / len(says)
    out |= _rates_with_intervals(labels, says, clusters, seed)
    lengths = [float(len(row.response)) for row, _, _ in rows]
    if 0 < sum(labels) < len(labels):
        interval = bootstrap_auc(labels, scores, clusters, seed=seed)
        out["auc"], out["auc_ci"] = interval.estimate, [interval.low, interval.high]
        out["length_auc"] = auc(labels, lengths)
    else:
        out["auc"] = out["auc_ci"] = out["length_auc"] = None
    out["auc_within_query"], out["auc_within_query_ci"] = _within_query(labels, scores, clusters, seed)
    out["ece"], out["brier"] = expected_calibration_error(scores, labels), brier_score(scores, labels)
    out["reliability"] = reliability(scores, labels)
    return out


def why_refused(measured: Mapping[str, Any] | None) -> str | None:
    """Why a judge with these measurements must not be a reward, in words; None when it may.

    It must rank good texts above bad ones more often than not, and the interval of that must not reach chance.
    """
    if measured is None or measured.get("auc") is None:
        return "it was never measured on labelled texts of both classes"
    value, (low, high) = measured["auc"], measured["auc_ci"]
    on = f"on {measured['scored']} labelled texts its AUC is {value:.2f} (95 % interval {low:.2f} to {high:.2f})"
    if value <= 0.5:
        return f"{on}: it ranks good texts above bad ones no better than a coin"
    if low <= 0.5:
        return f"{on}: the interval reaches 0.5, a coin's; more labelled texts or a better judge can settle it"
    return None


def _within_query(
    labels: Sequence[int], scores: Sequence[float], clusters: Sequence[str], seed: int
) -> tuple[float | None, list[float] | None]:
    """P(the good text scores higher) over pairs of good and bad texts of one query; None without such pairs."""
    texts: dict[str, list[tuple[int, float]]] = {}
    for label, score, query in zip(labels, scores, clusters, strict=True):
        texts.setdefault(query, []).append((label, score))
    counted = []
    for rows in texts.values():
        wins = [(np.sign(good - bad) + 1) / 2 for one, good in rows if one for other, bad in rows if not other]
        if wins:
            counted.append((sum(wins), len(wins)))
    if not counted:
        return None, None
    won, pairs = np.array(counted, dtype=float).T
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(won), np.full(len(won), 1 / len(won)), size=RESAMPLES)
    low, high = np.quantile((weights @ won) / (weights @ pairs), (0.025, 0.975))
    return float(won.sum() / pairs.sum()), [float(low), float(high)]


def _rates_with_intervals(
    labels: Sequence[int], says: Sequence[int], clusters: Sequence[str], seed: int
) -> dict[str, Any]:
    whole, resampled = resampled_rates(labels, says, clusters, seed, RESAMPLES)
    out: dict[str, Any] = {}
    for name, value in whole.items():
        defined = resampled[name][np.isfinite(resampled[name])]
        out[name] = float(value) if np.isfinite(value) else None
        out[f"{name}_ci"] = [float(q) for q in np.quantile(defined, (0.025, 0.975))] if len(defined) else None
    return out


def resampled_rates(
    labels: Sequence[int], says: Sequence[int], clusters: Sequence[str], seed: int, n_resamples: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Confusion counts per query, then the rates of the whole and of ``n_resamples`` resamplings of the queries."""
    index = {query: i for i, query in enumerate(dict.fromkeys(clusters))}
    counts = np.zeros((len(index), 4))
    for label, said, query in zip(labels, says, clusters, strict=True):
        counts[index[query], 2 * label + said] += 1
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(index), np.full(len(index), 1 / len(index)), size=n_resamples)
    return _rates(counts.sum(axis=0)), _rates(weights @ counts)


def _rates(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Rates of confusion counts (…, 4) in the order TN, FP, FN, TP; NaN where one is not defined.

    Precision, recall and F1 are those of the class good. Kappa: Cohen 1960.
    """
    tn, fp, fn, tp = np.moveaxis(counts, -1, 0)
    n = tn + fp + fn + tp
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy = (tp + tn) / n
        chance = ((tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)) / n**2
        return {
            "accuracy": accuracy,
            "balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "kappa": (accuracy - chance) / (1 - chance),
        }
