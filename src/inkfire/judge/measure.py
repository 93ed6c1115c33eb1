"""How good a judge is on labelled texts, with intervals, and whether that lets it be a reward.

Intervals are a bootstrap over queries (texts of one query are not independent), seeded. Beside every judge stand its
twins, what the length of a text, its n-grams and the labels of the examples it is judged with say of the same labels,
and what the judge is worth on a slice of the texts in which length says nothing.

    measured = measure(labelled, verdicts) | measure_twins(labelled, verdicts)
    measured["auc"], measured["auc_ci"], measured["length_auc"], measured["auc_length_matched"]
    why_refused(measured)               # None, or why this judge must not be a reward
    why_doubted(measured)               # None, or why it may see no more than a twin does
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkfire.judge.calibration import Calibration, brier_score, expected_calibration_error, raw_score, reliability
from inkfire.records import Labelled, Verdict
from inkfire.stats.intervals import auc_difference, bootstrap_auc
from inkfire.stats.twins import length_matched, ngram_cv_scores

RESAMPLES = 2000


def measure(labelled: Sequence[Labelled], verdicts: Sequence[Verdict], *, seed: int = 0) -> dict[str, Any]:
    """Metrics of ``verdicts`` against the labels of the same texts.

    ``accuracy``, ``precision``, ``recall``, ``f1``, ``kappa``, ``balanced_accuracy`` and ``auc``, each with
    ``NAME_ci``; ``auc_within_query`` (good against bad texts of the same query: what GRPO compares); ``says_good``;
    ``length_auc``, the first twin; ``ece``, ``brier`` and the ``reliability`` curve of the probabilities; ``n``,
    ``scored``, ``unscored``. Unscored texts are counted and left out. What cannot be computed (one class only) is None.
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
    out |= _auc("auc", labels, scores, clusters, seed)
    out |= _auc("length_auc", labels, [float(len(row.response)) for row, _, _ in rows], clusters, seed)
    out["auc_within_query"], out["auc_within_query_ci"] = _within_query(labels, scores, clusters, seed)
    out["ece"], out["brier"] = expected_calibration_error(scores, labels), brier_score(scores, labels)
    out["reliability"] = reliability(scores, labels)
    return out


def measure_twins(
    labelled: Sequence[Labelled],
    verdicts: Sequence[Verdict],
    *,
    good_shares: Sequence[float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """What is beside the judge's metrics, on the scored texts; each AUC and accuracy with ``NAME_ci``.

    ``ngram_auc`` is the second twin, cross-validated by query on these labels. ``n_length_matched`` texts are the slice
    of :func:`inkfire.stats.twins.length_matched`, on which the judge has ``accuracy_length_matched``,
    ``balanced_accuracy_length_matched`` and ``auc_length_matched``, and the twins ``length_auc_length_matched`` (a
    check: about 0.5) and ``ngram_auc_length_matched``. With ``good_shares``, the share of good ones among the examples
    that each text is judged with, ``examples_auc`` and ``examples_auc_length_matched`` are what these labels rank
    without the model, a vote of the nearest neighbours (Cover and Hart 1967), and ``auc_minus_examples_auc`` is by how
    much the judge ranks better, paired. What cannot be computed is None.
    """
    rows = [
        (row, verdict, score, share)
        for row, verdict, share in zip(
            labelled, verdicts, [0.0] * len(labelled) if good_shares is None else good_shares, strict=True
        )
        if (score := raw_score(verdict)) is not None
    ]
    texts = [row for row, _, _, _ in rows]
    labels, clusters = [row.label for row in texts], [row.query for row in texts]
    says, scores = [int(verdict.label == 1) for _, verdict, _, _ in rows], [score for _, _, score, _ in rows]
    lengths = [float(len(row.response)) for row in texts]
    ngrams = ngram_cv_scores(texts, seed=seed) or []
    kept = length_matched(texts, seed)
    twins = [("length_auc", lengths), ("ngram_auc", ngrams)]
    out: dict[str, Any] = {}
    if good_shares is not None:
        shares = [share for _, _, _, share in rows]
        twins.append(("examples_auc", shares))
        out |= _auc_minus_examples(labels, scores, shares, clusters, seed)
    for name, values in twins[1:]:  # the first is among the metrics of measure
        out |= _auc(name, labels, values, clusters, seed)
    out["n_length_matched"] = len(kept)
    within = [labels[i] for i in kept], [clusters[i] for i in kept]
    rates = _rates_with_intervals(within[0], [says[i] for i in kept], within[1], seed) if kept else {}
    for name in ("accuracy", "balanced_accuracy"):
        out |= {f"{name}_length_matched{end}": rates.get(f"{name}{end}") for end in ("", "_ci")}
    for name, values in (("auc", scores), *twins):
        of_slice = [values[i] for i in kept] if values else []
        out |= _auc(f"{name}_length_matched", within[0], of_slice, within[1], seed)
    return out


def measure_both(
    labelled: Sequence[Labelled],
    raw: Sequence[Verdict],
    calibration: Calibration | None,
    *,
    good_shares: Sequence[float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The metrics of the calibrated judge and its twins, a ``doubt`` in words or None, and what the same answers are
    worth uncalibrated. ``good_shares`` as in :func:`measure_twins`."""
    verdicts = raw if calibration is None else [calibration.apply(verdict) for verdict in raw]
    measured = measure(labelled, verdicts, seed=seed)
    measured |= measure_twins(labelled, verdicts, good_shares=good_shares, seed=seed)
    measured["doubt"] = why_doubted(measured)
    if calibration is None:
        return measured | {"calibrated": False}
    plain = measure(labelled, raw, seed=seed)
    kept = ("accuracy", "accuracy_ci", "says_good", "auc", "ece", "brier")
    return measured | {"calibrated": True, "uncalibrated": {name: plain.get(name) for name in kept}}


def _auc(
    name: str, labels: Sequence[int], scores: Sequence[float], clusters: Sequence[str], seed: int
) -> dict[str, Any]:
    """An AUC under its name with ``NAME_ci``; None with one class only or without scores."""
    if not scores or not 0 < sum(labels) < len(labels):
        return {name: None, f"{name}_ci": None}
    found = bootstrap_auc(labels, scores, clusters, seed=seed)
    return {name: found.estimate, f"{name}_ci": [found.low, found.high]}


def _auc_minus_examples(
    labels: Sequence[int], scores: Sequence[float], shares: Sequence[float], clusters: Sequence[str], seed: int
) -> dict[str, Any]:
    name = "auc_minus_examples_auc"
    if not 0 < sum(labels) < len(labels):
        return {name: None, f"{name}_ci": None}
    effect, resampled = auc_difference(labels, shares, scores, clusters, seed=seed)
    return {name: effect, f"{name}_ci": [float(q) for q in np.quantile(resampled, (0.025, 0.975))]}


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


def why_doubted(measured: Mapping[str, Any]) -> str | None:
    """Why these labels do not show that a judge sees more than its twins do, in words; None where they show it.

    Said of a judge that ranks these texts, where length alone ranks them too, and where on the length-matched slice the
    judge's interval reaches chance; and where it is not shown to rank them better than its examples' labels do.
    """
    ranks, length, matched = (
        measured.get(f"{name}_ci") or (0.0, 1.0) for name in ("auc", "length_auc", "auc_length_matched")
    )
    if ranks[0] <= 0.5:
        return None
    doubts = []
    if not length[0] <= 0.5 <= length[1] and matched[0] <= 0.5:
        value = measured.get("auc_length_matched")
        why = "there are too few texts of like length to tell"
        if value is not None:
            why = (
                f"on the {measured['n_length_matched']} texts of like length the judge's is {value:.2f} "
                f"({matched[0]:.2f} to {matched[1]:.2f}), which reaches 0.5, a coin's"
            )
        doubts.append(
            f"this judge may measure little but length: length alone has an AUC of {measured['length_auc']:.2f} on "
            f"these texts, and {why}"
        )
    more = measured.get("auc_minus_examples_auc_ci")
    if more is not None and more[0] <= 0:
        doubts.append(
            f"the labels of the examples that it is shown have an AUC of {measured['examples_auc']:.2f} by themselves, "
            f"and its own {measured['auc']:.2f} is not shown to be more (the difference is {more[0]:+.2f} to "
            f"{more[1]:+.2f})"
        )
    return "; ".join(doubts) or None


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
