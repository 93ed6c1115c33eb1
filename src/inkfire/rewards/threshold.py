"""From which score on a reward model calls a text excellent: a cut fitted on labelled texts.

The cut is where a logistic regression with both classes weighted alike says P(good) = 1/2, the point of best expected
balanced accuracy. On some dozens of labels it varies much less than the best cut through their scores.

>>> fit_threshold([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])["threshold"]
0.0
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

from inkfire.errors import DataError
from inkfire.stats.agreement import binary_metrics
from inkfire.stats.intervals import bootstrap_auc


def fit_threshold(
    scores: Sequence[float | None], labels: Sequence[int], clusters: Sequence[Hashable] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Fit the cut; texts without a score are left out.

    Returns threshold, threshold_n, threshold_balanced_accuracy (on the same texts, so optimistic), auc and auc_ci
    (clustered, say by query; ranking needs no fit, so these are not).

    A score that does not rank the labels better than chance has no such cut: the median then calls half of the texts
    excellent, and ``auc`` shows that it means nothing.

    Raises:
        DataError: no scored text of one of the two classes.
    """
    from sklearn.linear_model import LogisticRegression

    rows = [i for i, score in enumerate(scores) if score is not None and math.isfinite(score)]
    x, y = [float(scores[i] or 0.0) for i in rows], [int(labels[i]) for i in rows]
    if len(set(y)) < 2:
        raise DataError("a threshold for 'excellent' needs scored texts of both labels, 0 and 1")
    mean = math.fsum(x) / len(x)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in x) / len(x)) or 1.0
    model = LogisticRegression(class_weight="balanced").fit([[(value - mean) / spread] for value in x], y)
    slope, intercept = float(model.coef_[0][0]), float(model.intercept_[0])
    threshold = mean - spread * intercept / slope if slope > 0 else sorted(x)[len(x) // 2]
    area = bootstrap_auc(y, x, clusters=None if clusters is None else [clusters[i] for i in rows], seed=seed)
    return {
        "threshold": round(threshold, 6),
        "threshold_n": len(x),
        "threshold_balanced_accuracy": binary_metrics(y, [int(value >= threshold) for value in x])["balanced_accuracy"],
        "auc": area.estimate,
        "auc_ci": [area.low, area.high],
    }
