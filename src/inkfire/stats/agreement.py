"""How well yes/no answers match labels, or another rater's answers.

>>> binary_metrics([1, 1, 0, 0], [1, 0, 0, 0])["accuracy"]
0.75
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from inkfire.stats.intervals import (
    RESAMPLES,
    Floats,
    Interval,
    between_0_and_1,
    bootstrap_auc,
    clustered_rate,
    percentiles,
    resample,
)

METRICS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "kappa")


def binary_metrics(
    labels: Sequence[int], predictions: Sequence[int], clusters: Sequence[Hashable] | None = None, seed: int = 0
) -> dict[str, Any]:
    """How well 0/1 predictions match 0/1 labels (1 is the positive class): n, and :data:`METRICS` with ``NAME_ci``.

    Accuracy, precision and recall are rates of rows that may share a cluster (a query; None: no two do), balanced
    accuracy is the AUC of the predictions, F1 and kappa (Cohen 1960) have bootstraps of clusters. What has no
    denominator (precision when nothing was called good) is None.
    """
    if not len(labels):
        return {"n": 0} | {f"{name}{end}": None for name in METRICS for end in ("", "_ci")}
    groups = range(len(labels)) if clusters is None else clusters
    rows = list(zip(labels, predictions, groups, strict=True))
    rates = {"accuracy": rows, "precision": [r for r in rows if r[1]], "recall": [r for r in rows if r[0]]}
    found = {
        name: clustered_rate([label == said for label, said, _ in part], [group for *_, group in part])
        for name, part in rates.items()
    }
    found["balanced_accuracy"] = bootstrap_auc(labels, predictions, clusters, seed)
    whole, resampled = resampled_rates(labels, predictions, list(groups), seed)
    n, k = len(labels), len(set(groups))
    least = len({cluster for label, said, cluster in rows if label or said})
    f1 = float(whole["f1"])
    found["f1"] = Interval(f1, f1, f1, n, k) if math.isnan(f1) else between_0_and_1(f1, resampled["f1"], n, k, least)
    found["kappa"] = percentiles(float(whole["kappa"]), resampled["kappa"], n, k)
    return {"n": n} | {key: value for name in METRICS for key, value in found[name].named(name).items()}


def resampled_rates(
    labels: Sequence[int],
    predictions: Sequence[int],
    clusters: Sequence[Hashable],
    seed: int,
    n_resamples: int = RESAMPLES,
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """:data:`METRICS` of the whole and of ``n_resamples`` bootstrap samples of the clusters."""
    index = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    counts = np.zeros((len(index), 4))
    for label, said, cluster in zip(labels, predictions, clusters, strict=True):
        counts[index[cluster], 2 * label + said] += 1
    resampled = resample(lambda weights: weights @ counts, len(index), seed, n_resamples)
    return _rates(counts.sum(axis=0)), _rates(resampled)


def _rates(counts: Floats) -> dict[str, Floats]:
    """Rates of confusion counts (…, 4) in the order TN, FP, FN, TP; NaN where one is not defined."""
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
