"""How well yes/no answers match labels, and two raters each other.

>>> binary_metrics([1, 1, 0, 0], [1, 0, 0, 0])["accuracy"]
0.75
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from inkfire.stats.intervals import wilson


def binary_metrics(labels: Sequence[int], predictions: Sequence[int]) -> dict[str, Any]:
    """How well 0/1 predictions match 0/1 labels (1 is the positive class).

    Returns n, accuracy, precision, recall, f1, kappa, balanced_accuracy, and Wilson intervals ``NAME_ci`` of the
    rates. What has no denominator (precision when nothing was called good) is NaN.
    """
    from sklearn.metrics import confusion_matrix

    if len(labels) == 0:
        names = ("accuracy", "precision", "recall", "f1", "kappa", "balanced_accuracy")
        return {"n": 0} | dict.fromkeys(names, math.nan)
    matrix = confusion_matrix(labels, predictions, labels=[0, 1])
    tn, fp, fn, tp = (int(count) for count in matrix.ravel())
    n = tn + fp + fn + tp
    return {
        "n": n,
        "accuracy": (tp + tn) / n,
        "accuracy_ci": list(wilson(tp + tn, n)),
        "precision": _ratio(tp, tp + fp),
        "precision_ci": list(wilson(tp, tp + fp)),
        "recall": _ratio(tp, tp + fn),
        "recall_ci": list(wilson(tp, tp + fn)),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "kappa": kappa(labels, predictions),
        "balanced_accuracy": (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2,
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def kappa(a: Sequence[int], b: Sequence[int]) -> float:
    """Cohen's kappa of two raters (Cohen 1960); NaN when both only ever gave one and the same value."""
    from sklearn.metrics import cohen_kappa_score

    if len(a) == 0 or len({*a, *b}) == 1:
        return math.nan
    return float(cohen_kappa_score(a, b))
