"""How much of a score the length of a text, its n-grams or the checks that it fails say by themselves.

R² of predictions for texts of queries that the fit has not seen: 1 is all of what differs between texts, 0 no more than
their mean says. A score that a ruler explains is a ruler.

>>> said = explained(scores, queries, responses, failed)                                         # doctest: +SKIP
>>> said["length_r2"], said["ngram_r2"], said["checks_r2"]                                       # doctest: +SKIP
(0.81, 0.9, 0.02)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from inkfire.stats.intervals import Floats, Interval, bootstrap

LEAST = 20
"""Texts, and of these at least five queries, from which on something is said."""
_FOLDS = 5


def explained(
    scores: Sequence[float],
    queries: Sequence[str],
    responses: Sequence[str],
    failed: Sequence[Sequence[str]],
    seed: int,
) -> dict[str, Any]:
    """``length_r2``, ``ngram_r2`` and, where a check failed, ``checks_r2``, each with ``NAME_ci``, clustered by query.

    Length is in characters and its logarithm; n-grams are a ridge regression on TF-IDF of character 1- to 3-grams;
    checks are the number failed and each of them. All are cross-validated by query. Nothing where there is too little.

    Args:
        failed: the names of the checks that each text fails.
    """
    if len(scores) < LEAST or len(set(queries)) < _FOLDS or len(set(scores)) < 2:
        return {}
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LinearRegression, Ridge
    from sklearn.pipeline import make_pipeline

    sizes = np.array([[len(text), math.log(1 + len(text))] for text in responses])
    names = sorted({name for names in failed for name in names})
    checks = np.array([[len(of_text), *(name in of_text for name in names)] for of_text in failed], float)
    grams = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 3)), Ridge(1.0))
    twins: list[tuple[str, Any, Any]] = [("length", LinearRegression(), sizes), ("ngram", grams, list(responses))]
    if names:
        twins.append(("checks", LinearRegression(), checks))
    out: dict[str, Any] = {}
    for name, model, seen in twins:
        out |= _r2(np.asarray(scores, float), _predicted(model, seen, scores, queries, seed), queries, seed).named(
            f"{name}_r2"
        )
    return out


def _predicted(model: Any, seen: Any, scores: Sequence[float], queries: Sequence[str], seed: int) -> Floats:
    from sklearn.model_selection import GroupKFold, cross_val_predict

    folds = GroupKFold(_FOLDS, shuffle=True, random_state=seed)
    found: Floats = cross_val_predict(model, seen, np.asarray(scores, float), groups=queries, cv=folds)
    return found


def _r2(scores: Floats, predicted: Floats, queries: Sequence[str], seed: int) -> Interval:
    """The share of the variance that the predictions take away; resamples draw whole queries."""
    index = np.unique(queries, return_inverse=True)[1]
    columns = (np.ones_like(scores), scores, scores**2, (scores - predicted) ** 2)
    sums = np.column_stack([np.bincount(index, column) for column in columns])

    def of_weights(weights: Floats) -> Floats:
        n, total, squares, errors = (weights @ sums).T
        spread = squares - total**2 / n
        out: Floats = np.full(len(n), np.nan)
        np.divide(errors, spread, out=out, where=spread > 1e-12)
        return 1 - out

    return bootstrap(of_weights, len(scores), len(sums), seed)
