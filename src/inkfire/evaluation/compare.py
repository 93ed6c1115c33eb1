"""Compare policies on the same held-out queries, and say how sure the comparison is.

Every policy answers every query once, so that differences are paired by query; a text that did not come (None) is
left out of its policy's numbers, and its query of that policy's differences. Rates carry Wilson intervals,
differences a paired bootstrap and an exact sign test over queries, adjusted by Holm for several signals. Beside each
difference stands what length alone would predict: a signal that can be explained by length has not measured writing.

    result = compare(task, queries, {"base": [...], "sft": [...]}, signals, corpus=[...], rewards={"rm-rl": ["rm"]})
    result["policies"]["sft"]["excellent_rate"]["judge"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inkfire.errors import InputError
from inkfire.evaluation.claims import with_holm
from inkfire.evaluation.quality import describe
from inkfire.evaluation.signals import Opinion, Signal
from inkfire.records import Query
from inkfire.stats import intervals, twins
from inkfire.stats.agreement import binary_metrics
from inkfire.tasks.task import Task

Opinions = dict[str, dict[str, list[Opinion]]]
"""policy → signal → one opinion a query."""


def compare(
    task: Task,
    queries: Sequence[Query],
    responses: Mapping[str, Sequence[str | None]],
    signals: Sequence[Signal],
    *,
    corpus: Sequence[str],
    rewards: Mapping[str, Sequence[str]] | None = None,
    baselines: Sequence[str] = ("base", "sft"),
    seed: int = 0,
) -> dict[str, Any]:
    """Score every policy's responses by every signal.

    Args:
        responses: policy → its response to each of ``queries``, in their order; None where it wrote none.
        corpus: the training texts, for novelty.
        rewards: policy → the signals that were its own reward (marked, and not used for claims).
        baselines: policies that the others are compared with, where present.

    Returns:
        ``policies`` (name → rates, slices, quality; of ``n`` texts, with ``missing`` others), ``differences`` (paired,
        with intervals), ``shortcut`` (what length explains), ``samples`` (texts side by side) and ``n`` (queries).
        Where people are a signal, ``agreement`` of each other one with them.
    """
    if not queries:
        raise InputError("there are no queries to compare policies on")
    for name, texts in responses.items():
        if len(texts) != len(queries):
            raise InputError(f"policy {name!r} answered {len(texts)} of {len(queries)} queries")
    asked = [query.query for query in queries]
    opinions: Opinions = {
        name: {signal.name: _asked(signal, asked, texts) for signal in signals} for name, texts in responses.items()
    }
    written = {name: [i for i, text in enumerate(texts) if text is not None] for name, texts in responses.items()}
    own = {name: list((rewards or {}).get(name, ())) for name in responses}
    groups = _slices(task, queries)
    policies = {
        name: {
            **_rates(opinions[name], asked, written[name]),
            "missing": len(queries) - len(written[name]),
            "own_reward": own[name],
            "slices": {
                group: _rates(opinions[name], asked, [i for i in rows if responses[name][i] is not None])
                for group, rows in groups.items()
            },
            **describe([text for text in texts if text is not None], corpus),
        }
        for name, texts in responses.items()
    }
    lengths = {name: [len(text or "") for text in texts] for name, texts in responses.items()}
    return {
        "n": len(queries),
        "signals": [signal.name for signal in signals],
        "policies": policies,
        "differences": _differences(opinions, lengths, asked, own, baselines, seed),
        "shortcut": _shortcut(opinions, lengths, asked, seed),
        "samples": _samples(queries, responses, opinions),
    } | ({"agreement": _agreement(opinions, asked, seed)} if "people" in next(iter(opinions.values())) else {})


def _asked(signal: Signal, asked: Sequence[str], texts: Sequence[str | None]) -> list[Opinion]:
    """The opinions of a signal; none of a text that is missing."""
    there = [(query, text) for query, text in zip(asked, texts, strict=True) if text is not None]
    given = iter(signal.label([query for query, _ in there], [text for _, text in there]) if there else ())
    return [Opinion(None, unscored="no text") if text is None else next(given) for text in texts]


def _slices(task: Task, queries: Sequence[Query]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for i, query in enumerate(queries):
        groups.setdefault(task.slice_of(query), []).append(i)
    return groups


def _rates(opinions: Mapping[str, Sequence[Opinion]], asked: Sequence[str], rows: Sequence[int]) -> dict[str, Any]:
    names = ("excellent_rate", "excellent_rate_ci", "mean_score", "scored", "unscored")
    out: dict[str, Any] = {"n": len(rows)} | {name: {} for name in names}
    for signal, given in opinions.items():
        labelled = [(label, asked[i]) for i in rows if (label := given[i].label) is not None]
        excellent = twins.rate("rate", [label for label, _ in labelled], [query for _, query in labelled])
        scores = [score for i in rows if (score := given[i].score) is not None]
        out["excellent_rate"][signal] = excellent["rate"]
        out["excellent_rate_ci"][signal] = excellent["rate_ci"]
        out["mean_score"][signal] = sum(scores) / len(scores) if scores else None
        out["scored"][signal] = len(labelled)
        out["unscored"][signal] = len(rows) - len(labelled)
    return out


def _differences(
    opinions: Opinions,
    lengths: Mapping[str, list[int]],
    asked: Sequence[str],
    own: Mapping[str, Sequence[str]],
    baselines: Sequence[str],
    seed: int,
) -> list[dict[str, Any]]:
    rows = []
    for against in [name for name in baselines if name in opinions]:
        for policy in opinions:
            if policy == against or (policy in baselines and baselines.index(policy) < baselines.index(against)):
                continue
            for signal in opinions[policy]:
                paired = [
                    (a.label, b.label, query, i)
                    for i, (a, b, query) in enumerate(
                        zip(opinions[policy][signal], opinions[against][signal], asked, strict=True)
                    )
                    if a.label is not None and b.label is not None
                ]
                row: dict[str, Any] = {"policy": policy, "against": against, "signal": signal, "n": len(paired)}
                row["own_reward"] = signal in own[policy] or signal in own[against]
                row["difference"] = row["difference_ci"] = row["difference_p"] = row["difference_by_length"] = None
                if paired:
                    mine, theirs = [float(p[0]) for p in paired], [float(p[1]) for p in paired]
                    clusters = [p[2] for p in paired]
                    interval = intervals.bootstrap_mean_difference(mine, theirs, clusters=clusters, seed=seed)
                    row |= interval.named("difference") | {"difference_clusters": interval.clusters}
                    row["difference_p"] = intervals.sign_test(mine, theirs, clusters=clusters)
                    both = [p[3] for p in paired]
                    row["difference_by_length"] = _by_length(opinions, lengths, signal, (policy, against), both)
                rows.append(row)
    return with_holm(rows)


def _by_length(
    opinions: Opinions, lengths: Mapping[str, list[int]], signal: str, pair: tuple[str, str], rows: Sequence[int]
) -> float | None:
    """The difference of a pair of policies, on the queries in ``rows``, that a model predicts which sees only log
    length: a logistic fit on all policies' texts."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pool = [
        (length, opinion.label)
        for name in opinions
        for length, opinion in zip(lengths[name], opinions[name][signal], strict=True)
        if opinion.label is not None
    ]
    if len({label for _, label in pool}) < 2:
        return 0.0 if pool else None
    features = np.log1p([[length] for length, _ in pool])
    # Nearly unpenalised: a penalty would hide part of what length explains.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=100.0)).fit(features, [label for _, label in pool])

    def rate(name: str) -> float:
        return float(model.predict_proba(np.log1p([[lengths[name][i]] for i in rows]))[:, 1].mean())

    return rate(pair[0]) - rate(pair[1])


def _shortcut(
    opinions: Opinions, lengths: Mapping[str, list[int]], asked: Sequence[str], seed: int
) -> dict[str, dict[str, Any]]:
    """How well length alone tells the texts a signal likes from those it does not (AUC 0.5: not at all)."""
    out: dict[str, dict[str, Any]] = {}
    for signal in next(iter(opinions.values())):
        rows = [
            (opinion.label, float(length), query)
            for name in opinions
            for opinion, length, query in zip(opinions[name][signal], lengths[name], asked, strict=True)
            if opinion.label is not None
        ]
        out[signal] = {"n": len(rows), "length_auc": None, "length_auc_ci": None}
        if len({label for label, _, _ in rows}) == 2:
            labels, scores, clusters = (list(column) for column in zip(*rows, strict=True))
            out[signal] |= intervals.bootstrap_auc(labels, scores, clusters, seed=seed).named("length_auc")
    return out


def _agreement(opinions: Opinions, asked: Sequence[str], seed: int) -> dict[str, dict[str, Any]]:
    """Of all policies' texts that a signal and people both labelled: how often they say the same, and kappa."""
    out = {}
    for signal in next(iter(opinions.values())):
        both = [
            (theirs.label, ours.label, query)
            for given in opinions.values()
            for theirs, ours, query in zip(given["people"], given[signal], asked, strict=True)
            if theirs.label is not None and ours.label is not None
        ]
        found = binary_metrics([row[0] for row in both], [row[1] for row in both], [row[2] for row in both], seed)
        kept = ("n", "accuracy", "accuracy_ci", "kappa", "kappa_ci")
        out[signal] = {name.replace("accuracy", "agreement"): found[name] for name in kept}
    del out["people"]
    return out


def _samples(
    queries: Sequence[Query], responses: Mapping[str, Sequence[str | None]], opinions: Opinions
) -> list[dict[str, Any]]:
    return [
        {
            "query": query.query,
            "responses": {
                name: {
                    "response": responses[name][i],
                    "labels": {signal: given[i].label for signal, given in opinions[name].items()},
                    "scores": {signal: given[i].score for signal, given in opinions[name].items()},
                }
                for name in responses
            },
        }
        for i, query in enumerate(queries)
    ]
