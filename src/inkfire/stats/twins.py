"""Twins: what length alone, which characters occur, and who wrote a text already explain of a set of labels.

Every reward model and judge stands beside its twins: a score that a ruler or a bag of n-grams reaches as well says
little about writing. The n-gram twin of a reward model is a Bradley-Terry model (Bradley and Terry 1952) that is
linear in TF-IDF weights of character 1- to 3-grams, and is a reward of its own (``train rm --kind linear``). Its
vectors have length one, so that writing more does not by itself raise a score.

>>> model = NgramPairModel().fit(pairs)                                                          # doctest: +SKIP
>>> model.score(["生日祝福语"], ["愿你的新一岁如星辰般闪耀。"])                                        # doctest: +SKIP
[1.84]
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from inkfire.errors import DataError
from inkfire.files.jsonl import atomic, parse_json, write_json
from inkfire.records import Labelled, Preference
from inkfire.stats import intervals
from inkfire.stats.intervals import Interval

LENGTH_MATCHED = (0.8, 1.25)
"""Chosen over rejected length, in characters: a pair within these bounds is length-matched."""

MATCH_RATIO = 1.1
"""Width of a length bin, upper over lower bound. Measured on the paper's release: within bins of 1.25 the longer text
is still the good one more often (AUC 0.53), within bins of 1.1 hardly (0.51), and hardly fewer texts are left."""

FOLDS = 5

_PENALTY = 10.0
"""C of the logistic regressions: of 1 and 10 the better on pairs whose chosen text is the shorter one."""


class NgramPairModel:
    """Bradley-Terry, linear in character n-grams: P(chosen beats rejected) = σ(score(chosen) - score(rejected)).

    The query cancels in a linear model and is not looked at.
    """

    def __init__(self) -> None:
        self._vectorizer = _vectorizer()
        self._weights = np.zeros(0)

    def fit(self, pairs: Sequence[Preference]) -> Self:
        """Logistic regression without intercept on differences of TF-IDF vectors. 6,000 pairs take about two seconds.

        Raises:
            DataError: fewer than two pairs, or texts without a character n-gram in common.
        """
        _enough(len(pairs))
        chosen, rejected = [p.chosen for p in pairs], [p.rejected for p in pairs]
        try:
            self._vectorizer = _vectorizer()
            vectors = self._vectorizer.fit_transform([*chosen, *rejected])
        except ValueError:  # scikit-learn's "empty vocabulary"
            raise DataError("the texts of the pairs are empty; nothing can be learnt from them") from None
        self._weights = _bradley_terry(vectors[: len(pairs)] - vectors[len(pairs) :])
        return self

    def score(self, queries: Sequence[str], responses: Sequence[str]) -> list[float]:
        """Scores of texts, higher is better; only differences mean something."""
        if len(queries) != len(responses):
            raise ValueError("as many queries as responses are needed")
        if len(responses) == 0:
            return []
        scores: list[float] = (self._vectorizer.transform(responses) @ self._weights).tolist()
        return scores

    def save(self, folder: Path) -> None:
        """Write ngram.json (the n-grams) and ngram.npz (their idf and weights)."""
        vocabulary = sorted(self._vectorizer.vocabulary_, key=self._vectorizer.vocabulary_.__getitem__)
        write_json(folder / "ngram.json", {"ngrams": vocabulary})
        with atomic(folder / "ngram.npz") as file:
            np.savez_compressed(file, idf=self._vectorizer.idf_, weights=self._weights)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: a file is missing or damaged.
        """
        try:
            text = (folder / "ngram.json").read_text(encoding="utf-8")
            with np.load(folder / "ngram.npz", allow_pickle=False) as arrays:
                idf, weights = arrays["idf"], arrays["weights"]
            vocabulary = parse_json(text, path=folder / "ngram.json")["ngrams"]
            if not len(vocabulary) == len(idf) == len(weights):
                raise ValueError("the parts differ in length")
            model = cls()
            model._vectorizer = _vectorizer(vocabulary)
            model._vectorizer.idf_ = idf
        except FileNotFoundError as error:
            raise DataError("no such file; is this a linear reward model?", path=error.filename) from None
        except DataError:
            raise
        except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
            raise DataError(f"damaged n-gram model: {error}", path=folder) from None
        model._weights = weights
        return model

    @classmethod
    def cross_validate(cls, pairs: Sequence[Preference], folds: int = FOLDS, seed: int = 0) -> dict[str, Any]:
        """:func:`pair_slices` of :meth:`held_out_scores`, all folds pooled."""
        return pair_slices(pairs, cls.held_out_scores(pairs, folds, seed))

    @classmethod
    def held_out_scores(
        cls, pairs: Sequence[Preference], folds: int = FOLDS, seed: int = 0
    ) -> list[tuple[float, float]]:
        """(chosen, rejected) scores of each pair by a model that has not seen its query.

        Raises:
            DataError: pairs of fewer than two queries.
        """
        n = len(pairs)
        scores = np.full((n, 2), math.nan)
        counts = _counts([*(p.chosen for p in pairs), *(p.rejected for p in pairs)])
        for train, test in query_folds([p.query for p in pairs], None, folds, seed):
            _enough(len(train))
            seen, new = _fold_vectors(counts, [*train, *(n + i for i in train)], [*test, *(n + i for i in test)])
            weights = _bradley_terry(seen[: len(train)] - seen[len(train) :])
            scores[test] = (new @ weights).reshape(2, -1).T
        return [(float(chosen), float(rejected)) for chosen, rejected in scores]


def _enough(pairs: int) -> None:
    if pairs < 2:
        raise DataError(f"{pairs} pairs are too few to fit a model; at least two are needed")


def _bradley_terry(differences: Any) -> Any:
    """Weights of a logistic regression without intercept on (pairs, n-grams) differences, chosen minus rejected."""
    from sklearn.linear_model import LogisticRegression

    # A classifier needs both classes: every other pair is turned around, which changes nothing without intercept.
    signs = np.where(np.arange(differences.shape[0]) % 2, 1, -1)
    model = LogisticRegression(C=_PENALTY, fit_intercept=False, solver="liblinear", max_iter=1000, random_state=0)
    model.fit(differences.multiply(signs[:, None]).tocsr(), signs)
    return model.coef_[0]


def _counts(texts: Sequence[str]) -> Any:
    """How often each n-gram stands in each text: (texts, n-grams), sparse. Cut once, whatever the number of folds.

    Raises:
        DataError: nothing but empty texts.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        return CountVectorizer(analyzer="char", ngram_range=(1, 3)).fit_transform(texts)
    except ValueError:  # scikit-learn's "empty vocabulary"
        raise DataError("the texts are empty; nothing can be learnt from them") from None


def _fold_vectors(counts: Any, train: Sequence[int], test: Sequence[int]) -> tuple[Any, Any]:
    """TF-IDF vectors of the texts of a fold, by the n-grams and weights of its training texts alone.

    Raises:
        DataError: nothing but empty texts to train on.
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    seen = counts[train]
    known = np.flatnonzero(seen.getnnz(axis=0))
    if not len(known):
        raise DataError("the texts are empty; nothing can be learnt from them")
    weighted = TfidfTransformer()
    return weighted.fit_transform(seen[:, known]), weighted.transform(counts[test][:, known])


def _vectorizer(vocabulary: Sequence[str] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), vocabulary=vocabulary)


def query_folds(
    queries: Sequence[Hashable], labels: Sequence[int] | None, folds: int, seed: int
) -> list[tuple[list[int], list[int]]]:
    """(train, test) rows per fold, no query in both; balanced by label where there are labels."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    numbers = {query: number for number, query in enumerate(dict.fromkeys(queries))}
    if len(numbers) < 2 or (labels is not None and min(labels.count(0), labels.count(1)) < 2):
        raise DataError("cross-validation needs texts for at least two different queries, and two of each label")
    folds = min(folds, len(numbers))
    groups = [numbers[query] for query in queries]
    if labels is None:
        splits = GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)
    else:
        folds = min(folds, labels.count(0), labels.count(1))
        splitter = StratifiedGroupKFold(max(folds, 2), shuffle=True, random_state=seed)
        splits = splitter.split(groups, labels, groups)
    return [(train.tolist(), test.tolist()) for train, test in splits]


def pair_slices(pairs: Sequence[Preference], scores: Sequence[tuple[float | None, float | None]]) -> dict[str, Any]:
    """Accuracy of (chosen, rejected) scores on all pairs and where length cannot help, beside "the longer wins".

    A pair counts as right when chosen scores strictly higher. Pairs with a missing score are left out of ``n`` and
    of every rate, and counted in ``missing``. Slices: length-matched (:data:`LENGTH_MATCHED`), and chosen the
    shorter text. Rates carry intervals as ``NAME_ci``, clustered by query (``NAME_clusters`` counts these).
    """
    if len(pairs) != len(scores):
        raise ValueError("one (chosen, rejected) score a pair is needed")
    rows = [
        (right > wrong, pair)
        for pair, (right, wrong) in zip(pairs, scores, strict=True)
        if right is not None and wrong is not None
    ]
    matched = [row for row in rows if like_length(row[1])]
    shorter = [row for row in rows if len(row[1].chosen) < len(row[1].rejected)]
    out: dict[str, Any] = {"n": len(rows), "missing": len(pairs) - len(rows)}
    out |= {"n_length_matched": len(matched), "n_chosen_shorter": len(shorter)}
    for suffix, part in (("", rows), ("_length_matched", matched), ("_chosen_shorter", shorter)):
        queries = [pair.query for _, pair in part]
        out |= rate(f"accuracy{suffix}", [right for right, _ in part], queries)
        if suffix != "_chosen_shorter":
            out |= rate(f"longer_wins{suffix}", [len(pair.chosen) > len(pair.rejected) for _, pair in part], queries)
    return out


def like_length(pair: Preference) -> bool:
    """Whether a pair is length-matched."""
    low, high = LENGTH_MATCHED
    return low * len(pair.rejected) <= len(pair.chosen) <= high * len(pair.rejected)


def rate(name: str, hits: Sequence[float], clusters: Sequence[Hashable] | None = None) -> dict[str, Any]:
    """A rate under its name with ``NAME_ci``; both None where there is nothing to count.

    Hits that share a query or another cluster say which in ``clusters``; ``NAME_clusters`` then counts these.
    """
    found = intervals.clustered_rate(hits, clusters)
    return found.named(name) | ({} if clusters is None else {f"{name}_clusters": found.clusters})


def length_auc(labelled: Sequence[Labelled], seed: int = 0) -> Interval:
    """AUC of the length in characters as a score for label 1; below 0.5, the shorter texts are the good ones."""
    return intervals.bootstrap_auc(
        [row.label for row in labelled],
        [len(row.response) for row in labelled],
        clusters=[row.query for row in labelled],
        seed=seed,
    )


def length_matched(labelled: Sequence[Labelled], seed: int = 0) -> list[int]:
    """Indices, rising, of a slice in which length says nothing: as many good as bad texts of every length.

    Coarsened exact matching (Iacus, King and Porro 2012) on bins of :data:`MATCH_RATIO`; where a bin has more texts of
    a class, the seed draws.
    """
    bins: dict[int, tuple[list[int], list[int]]] = {}
    for index, row in enumerate(labelled):
        size = round(math.log(max(len(row.response), 1)) / math.log(MATCH_RATIO))
        bins.setdefault(size, ([], []))[row.label].append(index)
    rng = random.Random(seed)
    kept: list[int] = []
    for size in sorted(bins):
        bad, good = bins[size]
        n = min(len(bad), len(good))
        kept += rng.sample(bad, n) + rng.sample(good, n)
    return sorted(kept)


def length_best_accuracy(labelled: Sequence[Labelled]) -> float:
    """The share of labels that the best single cut in length gets right, in whichever direction (fitted on the same
    texts: an upper bound of what one cut explains). NaN without texts."""
    if len(labelled) == 0:
        return math.nan
    return sum(_cut_hits(labelled, *_best_cut(labelled))) / len(labelled)


def _best_cut(labelled: Sequence[Labelled]) -> tuple[float, bool]:
    """The length from which on texts are best called good (True) or bad (False)."""
    lengths, good = np.array([(len(row.response), row.label) for row in labelled]).T
    cuts = [*np.unique(lengths).tolist(), math.inf]
    right = np.array([np.count_nonzero((lengths >= cut) == good) for cut in cuts])
    longer_is_good = bool(right.max() >= len(labelled) - right.min())
    return cuts[right.argmax() if longer_is_good else right.argmin()], longer_is_good


def _cut_hits(labelled: Sequence[Labelled], cut: float, longer_is_good: bool) -> list[bool]:
    """Whether each label is what the cut says."""
    return [(len(row.response) >= cut) == (bool(row.label) == longer_is_good) for row in labelled]


def length_cv_hits(labelled: Sequence[Labelled], seed: int = 0) -> list[bool] | None:
    """Whether each label is that of the best single cut in length on the texts of other queries.

    None where that cannot be done: fewer than two queries, or fewer than two texts of a class.
    """
    hits = np.zeros(len(labelled), bool)
    try:
        for train, test in query_folds([row.query for row in labelled], [row.label for row in labelled], FOLDS, seed):
            hits[test] = _cut_hits([labelled[i] for i in test], *_best_cut([labelled[i] for i in train]))
    except DataError:
        return None
    return [bool(hit) for hit in hits]


def ngram_cv_scores(labelled: Sequence[Labelled], seed: int = 0) -> list[float] | None:
    """Log-odds of label 1 by a logistic regression on TF-IDF of character 1- to 3-grams, cross-validated by query.

    Each text is scored by a model that has not seen its query. None where that cannot be done: fewer than two
    queries, or fewer than two texts of a class.
    """
    from sklearn.linear_model import LogisticRegression

    labels = [row.label for row in labelled]
    scores = np.zeros(len(labelled))
    try:
        counts = _counts([row.response for row in labelled])
        for train, test in query_folds([row.query for row in labelled], labels, FOLDS, seed):
            classes = [labels[i] for i in train]
            if len(set(classes)) < 2:
                return None
            seen, new = _fold_vectors(counts, train, test)
            model = LogisticRegression(C=_PENALTY, solver="liblinear", random_state=0).fit(seen, classes)
            scores[test] = model.decision_function(new)
    except DataError:  # or nothing but empty texts
        return None
    out: list[float] = scores.tolist()
    return out


def writer_cv_scores(labelled: Sequence[Labelled], writers: Sequence[str], seed: int = 0) -> list[float] | None:
    """Where a text's writer stands among all by the share of good ones among their texts of other queries.

    A rank, so that folds can be pooled; shares are smoothed by one good and one bad text. None where it cannot be done:
    one writer, fewer than two queries, or fewer than two texts of a class.
    """
    names = sorted(set(writers))
    if len(names) < 2:
        return None
    labels = [row.label for row in labelled]
    scores = np.zeros(len(labelled))
    try:
        for train, test in query_folds([row.query for row in labelled], labels, FOLDS, seed):
            n, good = Counter(writers[i] for i in train), Counter(writers[i] for i in train if labels[i])
            shares = {name: (good[name] + 1) / (n[name] + 2) for name in names}
            ranks = {share: rank / len(names) for rank, share in enumerate(sorted(set(shares.values())))}
            scores[test] = [ranks[shares[writers[i]]] for i in test]
    except DataError:
        return None
    out: list[float] = scores.tolist()
    return out
