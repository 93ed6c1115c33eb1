"""From the parts of a reward to one number a text: the one order of operations, inside the texts of one query.

Parts are standardised within the group and mixed; fluency and relevance are added; what length explains is taken out
of the sum (likelihood likes short texts as a reward model likes long ones); the result becomes ranks in (0, 1), which
no single text can stretch; diversity multiplies them and novelty lowers them; a text that fails a check lies below the
worst that passes.

Everywhere None is a missing score: the text then has none, whatever the other parts say. Texts that fail a check need
none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from inkfire.stats.texts import units

FLOOR = 0.1
"""Diversity multiplies by no less."""
_BELOW = 0.2
"""How far below the worst text that passes lies one that fails one check, in ranks; half as much for each further."""

Scores = Sequence[float | None]


def members(queries: Sequence[str]) -> list[list[int]]:
    """The places of the texts of each query that stand side by side.

    >>> members(["a", "a", "b", "a"])
    [[0, 1], [2], [3]]
    """
    return [[i for i, _ in rows] for _, rows in groupby(enumerate(queries), key=lambda one: one[1])]


def centred(scores: Scores) -> list[float | None]:
    """Scores in [-1, 1] less their mean, and still in [-1, 1]; a group with fewer than two has none.

    >>> centred([1.0, -0.5, None, -0.5]), centred([1.0, None])
    ([1.0, -0.5, None, -0.5], [None, None])
    """
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        return [None] * len(scores)
    mean = math.fsum(known) / len(known)
    most = max(1.0, *(abs(score - mean) for score in known))
    return [None if score is None else (score - mean) / most for score in scores]


def standardised(scores: Scores) -> list[float | None]:
    """z-scores among the texts that have one; 0 where they do not vary.

    >>> standardised([1.0, None, 3.0]), standardised([2.0, 2.0])
    ([-1.0, None, 1.0], [0.0, 0.0])
    """
    known = np.array([score for score in scores if score is not None])
    if not known.size:
        return list(scores)
    mean, spread = float(known.mean()), float(known.std())
    flat = spread < 1e-9 * max(1.0, abs(mean))
    return [None if score is None else 0.0 if flat else (score - mean) / spread for score in scores]


def flat(scores: Scores) -> bool:
    """Whether a part tells the texts of a group not apart."""
    known = [score for score in scores if score is not None]
    return len(known) > 1 and all(abs(value) < 1e-12 for value in standardised(known) if value is not None)


def added(columns: Sequence[tuple[float, Scores]]) -> list[float | None]:
    """Σ weight · column; a text without one of them has none."""
    rows = zip(*(scores for _, scores in columns), strict=True)
    weights = [weight for weight, _ in columns]
    return [
        None if None in row else math.fsum(w * (s or 0.0) for w, s in zip(weights, row, strict=True)) for row in rows
    ]


def least(columns: Sequence[Scores]) -> list[float | None]:
    """The smallest of each row (Coste et al. 2310.02743): what one part overrates, another has to agree with."""
    rows = zip(*columns, strict=True)
    return [None if None in row else min(score for score in row if score is not None) for row in rows]


def ranked(scores: Scores) -> list[float | None]:
    """Mean ranks in (0, 1): (rank - 1/2) / n among the texts that have a score.

    >>> ranked([5.0, 1.0, None, 1.0])
    [0.8333333333333334, 0.3333333333333333, None, 0.3333333333333333]
    """
    from scipy.stats import rankdata

    known = [i for i, score in enumerate(scores) if score is not None]
    out: list[float | None] = [None] * len(scores)
    for i, rank in zip(known, rankdata([scores[i] for i in known]) if known else (), strict=True):
        out[i] = (float(rank) - 0.5) / len(known)
    return out


def own_share(texts: Sequence[str], size: int = 2) -> list[float]:
    """How unlike the others of its group each text is: the share of its n-grams of units that no other text has.

    It does not grow with length, as counts do. 1 where a text is alone; 0 for one that is there twice.
    """
    sets = [_grams(text, size) for text in texts]
    holders: dict[tuple[str, ...], int] = {}
    for grams in sets:
        for gram in grams:
            holders[gram] = holders.get(gram, 0) + 1
    return [sum(holders[gram] == 1 for gram in grams) / len(grams) if grams else 0.0 for grams in sets]


def _grams(text: str, size: int) -> set[tuple[str, ...]]:
    row = units(text)
    return {tuple(row[i : i + size]) for i in range(len(row) - size + 1)} or ({tuple(row)} if row else set())


def thinned(ranks: Scores, own: Sequence[float], weight: float) -> list[float | None]:
    """Ranks times 1 - weight · (1 - own share), at least :data:`FLOOR`."""
    factors = [max(FLOOR, 1 - weight * (1 - share)) for share in own]
    return [None if rank is None else rank * factor for rank, factor in zip(ranks, factors, strict=True)]


def with_failed(values: Scores, failures: Sequence[int]) -> list[float | None]:
    """Values of the texts that pass, and of those that fail: below the worst of the former, the more failures the
    lower. ``values`` of failed texts are not looked at."""
    passing = [value for value, failed in zip(values, failures, strict=True) if not failed and value is not None]
    worst = min(passing, default=0.0)
    return [
        value if not failed else worst - _BELOW * (1 + (failed - 1) / 2)
        for value, failed in zip(values, failures, strict=True)
    ]


class LengthSlope:
    """What a step of log length adds to a score, within groups, over the last batches: eight texts are too few to say.

    >>> slope = LengthSlope()
    >>> slope.see(["a", "aa", "aaaa"], [0.0, 1.0, 2.0])
    >>> slope.taken_out(["a", "aa", "aaaa"], [0.0, 1.0, 2.0])
    [1.0, 1.0, 1.0]
    """

    def __init__(self, keep: float = 0.9):
        self._keep, self.xy, self.xx = keep, 0.0, 0.0

    def fade(self) -> None:
        """A new batch begins: what the earlier ones said counts less."""
        self.xy, self.xx = self.xy * self._keep, self.xx * self._keep

    def see(self, texts: Sequence[str], scores: Scores) -> None:
        x, y, _ = self._centred(texts, scores)
        self.xy, self.xx = self.xy + float(x @ y), self.xx + float(x @ x)

    def taken_out(self, texts: Sequence[str], scores: Scores) -> list[float | None]:
        """The scores at the group's mean log length."""
        slope = self.slope
        _, _, mean = self._centred(texts, scores)
        return [
            None if score is None else round(score - slope * (_log_length(text) - mean), 12)
            for text, score in zip(texts, scores, strict=True)
        ]

    @property
    def slope(self) -> float:
        return self.xy / self.xx if self.xx > 1e-9 else 0.0

    @staticmethod
    def _centred(texts: Sequence[str], scores: Scores) -> tuple[np.ndarray, np.ndarray, float]:
        rows = [(_log_length(t), s) for t, s in zip(texts, scores, strict=True) if s is not None]
        if not rows:
            return np.zeros(0), np.zeros(0), 0.0
        x, y = np.array(rows).T
        return x - x.mean(), y - y.mean(), float(x.mean())


def _log_length(text: str) -> float:
    return math.log(max(1, len(text)))
