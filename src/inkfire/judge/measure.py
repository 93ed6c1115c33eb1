"""How good a judge is on labelled texts, with intervals, and whether that lets it be a reward.

Intervals allow for texts of one query not being independent. Beside every judge stand its
twins, what the length of a text, its n-grams and the labels of the examples it is judged with say of the same labels,
and what the judge is worth on a slice of the texts in which length says nothing.

    measured = measure(labelled, verdicts) | measure_twins(labelled, verdicts)
    measured["auc"], measured["auc_ci"], measured["length_auc"], measured["auc_length_matched"]
    why_refused(measured)               # None, or why this judge must not be a reward
    why_doubted(measured)               # None, or why it may see no more than a twin does
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inkfire.judge.calibration import Calibration, brier_score, expected_calibration_error, raw_score, reliability
from inkfire.records import Labelled, Verdict
from inkfire.stats.agreement import binary_metrics
from inkfire.stats.intervals import FEW, auc_difference, bootstrap_auc, within_cluster_auc
from inkfire.stats.texts import repeats
from inkfire.stats.twins import length_auc, length_cv_hits, length_matched, ngram_cv_scores

CLASSIFIER = ("accuracy", "precision", "recall", "f1")
"""What a judge and its twins are worth as classifiers."""

WITHIN = 30
"""Queries with texts of both labels from which on a judge as a reward is judged by its AUC within queries."""

TIED = 5
"""Such queries that show a judge to see nothing but the query, where it never tells their texts apart. A judge that
gives labels only ties about half of such pairs by chance, all of those of five queries in one case of thirty."""


def measure(labelled: Sequence[Labelled], verdicts: Sequence[Verdict], *, seed: int = 0) -> dict[str, Any]:
    """Metrics of ``verdicts`` against the labels of the same texts.

    ``accuracy``, ``precision``, ``recall``, ``f1``, ``kappa``, ``balanced_accuracy`` and ``auc``, each with
    ``NAME_ci``; ``auc_within_query`` (good against bad texts of the same query: what GRPO compares), over the
    ``n_within_query`` queries that have both, with ``ties_within_query``, the share of such pairs that get one and the
    same score; ``says_good``; ``length_auc``, the first twin; ``ece``, ``brier`` and the ``reliability`` curve of the
    probabilities; ``n``, ``scored``, ``unscored``, ``n_queries``. Unscored texts are counted and left out. What cannot
    be computed (one class only) is None.
    """
    texts, told = _scored(labelled, verdicts)
    out: dict[str, Any] = {"n": len(labelled), "scored": len(texts), "unscored": len(labelled) - len(texts)}
    if not texts:
        return out
    labels, clusters = [row.label for row in texts], [row.query for row in texts]
    says, scores = [int(verdict.label == 1) for verdict in told], [raw_score(verdict) or 0.0 for verdict in told]
    out |= {"n_queries": len(set(clusters)), "says_good": sum(says) / len(says)}
    out |= binary_metrics(labels, says, clusters, seed) | {"n": len(labelled)}
    out |= bootstrap_auc(labels, scores, clusters, seed).named("auc")
    out |= length_auc(texts, seed).named("length_auc")
    within, ties = within_cluster_auc(labels, scores, clusters)
    out |= within.named("auc_within_query")
    out |= {"n_within_query": within.clusters, "ties_within_query": ties if within.clusters else None}
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

    ``ngram_auc`` is the second twin, cross-validated by query on these labels; as classifiers, cross-validated too,
    the twins have ``length_accuracy``, ``ngram_accuracy``, … for :data:`CLASSIFIER`. ``n_length_matched`` texts are the
    slice of :func:`inkfire.stats.twins.length_matched`, on which the judge has ``accuracy_length_matched``,
    ``balanced_accuracy_length_matched`` and ``auc_length_matched``, and the twins ``length_auc_length_matched`` (a
    check: about 0.5) and ``ngram_auc_length_matched``. With ``good_shares``, the share of good ones among the examples
    that each text is judged with, ``examples_auc`` and ``examples_auc_length_matched`` are what these labels rank
    without the model, a vote of the nearest neighbours (Cover and Hart 1967), and ``auc_minus_examples_auc`` is by how
    much the judge ranks better, paired. What cannot be computed is None.
    """
    texts, told = _scored(labelled, verdicts)
    labels, clusters = [row.label for row in texts], [row.query for row in texts]
    says, scores = [int(verdict.label == 1) for verdict in told], [raw_score(verdict) or 0.0 for verdict in told]
    ngrams, cut = ngram_cv_scores(texts, seed=seed), length_cv_hits(texts, seed=seed)
    twins = {"ngram_auc": ngrams}
    answers: dict[str, list[int]] = {
        "length": [int(hit == label) for label, hit in zip(labels, cut, strict=True)] if cut else [],
        "ngram": [int(score > 0) for score in ngrams or []],
    }
    out: dict[str, Any] = {}
    for name, answer in answers.items():
        rates = binary_metrics(labels, answer, clusters, seed) if answer else {}
        out |= {f"{name}_{rate}{end}": rates.get(rate + end) for rate in CLASSIFIER for end in ("", "_ci")}
    if good_shares is not None:
        shares = [share for share, verdict in zip(good_shares, verdicts, strict=True) if verdict.scored]
        twins["examples_auc"] = shares
        out |= auc_difference(labels, shares, scores, clusters, seed=seed).named("auc_minus_examples_auc")
    for name, values in twins.items():
        out |= _auc(name, labels, values, clusters, seed)
    kept = length_matched(texts, seed)
    out["n_length_matched"] = len(kept)
    labels, clusters = [labels[i] for i in kept], [clusters[i] for i in kept]
    rates = binary_metrics(labels, [says[i] for i in kept], clusters, seed)
    for name in ("accuracy", "balanced_accuracy"):
        out |= {f"{name}_length_matched{end}": rates[f"{name}{end}"] for end in ("", "_ci")}
    lengths = [float(len(row.response)) for row in texts]
    for name, values in {"auc": scores, "length_auc": lengths, **twins}.items():
        of_slice = values and [values[i] for i in kept]
        out |= _auc(f"{name}_length_matched", labels, of_slice, clusters, seed)
    return out


def measure_no_overlap(
    labelled: Sequence[Labelled], verdicts: Sequence[Verdict], known: Iterable[str], *, seed: int = 0
) -> dict[str, Any]:
    """The judge and its twins without the texts that repeat one of the ``known`` ones, exactly or nearly.

    ``n_overlap`` texts repeat one, ``n_no_overlap`` are scored and do not; of these :data:`CLASSIFIER` and the AUC, of
    judge and twins, as ``NAME_no_overlap``. What cannot be computed is None.
    """
    repeated = repeats(set(known), {row.response for row in labelled})
    rest = [pair for pair in zip(labelled, verdicts, strict=True) if pair[0].response not in repeated]
    texts, told = [row for row, _ in rest], [verdict for _, verdict in rest]
    found = measure(texts, told, seed=seed)
    n = found["scored"]
    if n:
        found |= measure_twins(texts, told, seed=seed)
    names = [f"{whose}{name}" for whose in ("", "length_", "ngram_") for name in (*CLASSIFIER, "auc")]
    rates = {f"{name}_no_overlap{end}": found.get(name + end) for name in names for end in ("", "_ci")}
    return {"n_overlap": len(labelled) - len(rest), "n_no_overlap": n} | rates


def _scored(labelled: Sequence[Labelled], verdicts: Sequence[Verdict]) -> tuple[list[Labelled], list[Verdict]]:
    both = [(row, verdict) for row, verdict in zip(labelled, verdicts, strict=True) if verdict.scored]
    return [row for row, _ in both], [verdict for _, verdict in both]


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
    name: str, labels: Sequence[int], scores: Sequence[float] | None, clusters: Sequence[str], seed: int
) -> dict[str, Any]:
    if scores is None:
        return {name: None, f"{name}_ci": None}
    return bootstrap_auc(labels, scores, clusters, seed).named(name)


def why_refused(measured: Mapping[str, Any] | None) -> str | None:
    """Why a judge with these measurements must not be a reward, in words; None when it may.

    Training compares texts of one query, so a judge must rank good texts above bad ones *of the same query* more often
    than not, and the interval of that must not reach chance. Where fewer than :data:`WITHIN` queries have both labels,
    its AUC over all texts must; it may then still know the queries and not the texts, so that it is refused as well
    where those few show it to be worse than chance within them, or where :data:`TIED` of them or more have no pair of
    texts to which it gives different scores. Measurements from before this was counted have the pooled AUC alone.

    A judge that compares or ranks must prefer the better of two texts in each order: when that one is shown first, and
    when the other one is.
    """
    if measured is not None and "accuracy_better_first" in measured:
        return _why_place(measured)
    if measured is None or measured.get("auc") is None:
        return "it was never measured on labelled texts of both classes"
    queries: int | None = measured.get("n_within_query")
    if queries and measured["ties_within_query"] == 1 and queries >= TIED:
        return (
            f"it gives the good and the bad texts of a query the same score in each of the {queries} queries that have "
            "both: it sees the query and not the text, which nothing can be learnt from"
        )
    enough = queries is not None and queries >= WITHIN
    within = _chance(measured, "auc_within_query") if queries else None
    if within and (enough or measured["auc_within_query_ci"][1] < 0.5):
        return f"within the {queries} queries that have texts of both labels {within}"
    pooled = _chance(measured, "auc")
    if enough or pooled is None:
        return None
    on = f"on {measured['scored']} labelled texts"
    if (several := measured.get("n_queries", FEW)) < FEW:
        on += f" of only {several} {'query' if several == 1 else 'queries'}"
    if queries is None:
        return f"{on} {pooled}"
    both = {0: "no query has", 1: "only 1 query has"}.get(queries, f"only {queries} queries have")
    return f"{on}, pooled over queries, since {both} texts of both labels, {pooled}"


def _why_place(measured: Mapping[str, Any]) -> str | None:
    """Why a judge that compares is not shown to prefer the better text wherever that stands."""
    told = []
    for name, where in (("better", "first"), ("worse", "second")):
        value = measured[f"accuracy_{name}_first"]
        if value is None:
            return "it was never measured on texts of one query of which one is better"
        low, high = measured[f"accuracy_{name}_first_ci"]
        if low <= 0.5:
            told.append(f"shown {where} in {100 * value:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f})")
    if not told:
        return None
    return (
        f"of {measured['scored']} pairs of texts it prefers the better one {' and '.join(told)}: not shown to be more "
        f"than a coin's half; {100 * measured['first_share']:.0f} % of its answers name the text that is shown first"
    )


def _chance(measured: Mapping[str, Any], name: str) -> str | None:
    """What an AUC that does not exclude chance, or is below it, says of the judge; None for a better one."""
    value, (low, high) = measured[name], measured[f"{name}_ci"]
    its = f"its AUC is {value:.2f} (95 % interval {low:.2f} to {high:.2f})"
    if value <= 0.5:
        return f"{its}: it ranks good texts above bad ones no better than a coin"
    if low <= 0.5:
        return f"{its}: the interval reaches 0.5, a coin's; more labelled texts or a better judge can settle it"
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
