"""Watching a reward while a policy learns from it: is there a signal, and of what?

Three things make GRPO learn nothing, or the wrong thing, without any error:

- groups whose rewards are all equal have no advantage (a 0/1 reward with four completions often gives such groups);
- rewards that are missing are masked: a group with fewer than two of them compares nothing, which is another fault than
  equal ones, with another remedy;
- a reward that follows length teaches length.

>>> monitor = Monitor(num_generations=2)
>>> monitor.observe(["a", "a"], ["x", "xyz"], [0.0, 1.0])
>>> monitor.step()["length_correlation"]
1.0
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inkfire.stats.texts import distinct


class Monitor:
    """Collects what was written and scored since the last step, and sums it up once a step."""

    def __init__(self, num_generations: int):
        self._group = num_generations
        self._texts: list[str] = []
        self._scores: list[float | None] = []
        self._tokens: list[int] = []

    def observe(
        self,
        queries: Sequence[str],
        responses: Sequence[str],
        scores: Sequence[float | None],
        tokens: Sequence[int] = (),
    ) -> None:
        """Completions of one generation, the ``num_generations`` of a prompt side by side; ``tokens``: their length."""
        self._texts += responses
        self._scores += scores
        self._tokens += tokens

    def step(self) -> dict[str, Any]:
        """Numbers since the last call, {} when nothing was written.

        reward, reward_std; missing (a count); missing_groups (share of groups with fewer than two rewards);
        zero_variance (share of the other groups whose rewards are equal); mean_length (characters) and mean_tokens;
        distinct (distinct-2 over all texts); length_correlation (Pearson, within groups).
        """
        if not self._texts:
            return {}
        known = [score for score in self._scores if score is not None]
        every = [self._scores[i : i + self._group] for i in range(0, len(self._scores), self._group)]
        groups = [scores for group in every if len(scores := [s for s in group if s is not None]) > 1]
        out = {
            "reward": float(np.mean(known)) if known else None,
            "reward_std": float(np.std(known)) if known else None,
            "missing": len(self._scores) - len(known),
            "missing_groups": 1 - len(groups) / len(every),
            "zero_variance": _mean([float(max(group) - min(group) < 1e-8) for group in groups]),
            "mean_length": float(np.mean([len(text) for text in self._texts])),
            "mean_tokens": _mean(self._tokens),
            "distinct": distinct(self._texts, 2),
            "length_correlation": within_groups(self._texts, self._scores, self._group),
        }
        self._texts, self._scores, self._tokens = [], [], []
        return out


def within_groups(texts: Sequence[str], scores: Sequence[float | None], group: int) -> float | None:
    """Pearson correlation of length and reward around their group's means: what GRPO's advantage sees of length.

    None where either does not vary.
    """
    lengths: list[float] = []
    rewards: list[float] = []
    for start in range(0, len(texts), group):
        block = zip(texts[start : start + group], scores[start : start + group], strict=True)
        rows = [(float(len(text)), score) for text, score in block if score is not None]
        if len(rows) < 2:
            continue
        of_group = np.array(rows)
        centred = of_group - of_group.mean(axis=0)
        lengths += centred[:, 0].tolist()
        rewards += centred[:, 1].tolist()
    a, b = np.array(lengths), np.array(rewards)
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return round(float(a @ b) / norm, 6) if norm > 1e-12 else None


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A training's metrics in a few numbers, and what is to be said about them in words (``warnings``)."""
    rewards = [row["reward"] for row in rows if row.get("reward") is not None]
    edge = max(1, min(3, len(rewards) // 2))
    correlations = [row["length_correlation"] for row in rows if row.get("length_correlation") is not None]
    flat = [row["zero_variance"] for row in rows if row.get("zero_variance") is not None]
    lengths = [row["mean_length"] for row in rows if row.get("mean_length") is not None]
    out: dict[str, Any] = {
        "steps": rows[-1]["step"] if rows else 0,
        "reward_first": _mean(rewards[:edge]),
        "reward_last": _mean(rewards[-edge:]),
        "mean_length_first": _mean(lengths[:edge]),
        "mean_length_last": _mean(lengths[-edge:]),
        "zero_variance": _mean(flat),
        "missing_groups": _mean([row["missing_groups"] for row in rows if row.get("missing_groups") is not None]),
        "length_correlation": _mean(correlations),
        "missing": sum(row.get("missing") or 0 for row in rows),
        "kl_last": rows[-1].get("kl") if rows else None,
        "kl_text": rows[-1].get("kl_text") if rows else None,
    }
    for name in ("score", "failed", "fluency", "relevance"):  # of a reward that looks at the group
        if known := [row[name] for row in rows if row.get(name) is not None]:
            out |= {f"{name}_first": _mean(known[:edge]), f"{name}_last": _mean(known[-edge:])}
    return out | {"warnings": [*remarks(out), *_spread(rows)]}


def _spread(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The phrase that spread most, where it stands in a fifth more of the last texts than of the first."""
    grown = max((rows[-1].get("phrases") or [] if rows else []), key=lambda row: row[2] - row[1], default=None)
    if grown is None or grown[2] - grown[1] < 0.2:
        return []
    return [f"{grown[0]!r} stands in {grown[2]:.0%} of the last texts, and stood in {grown[1]:.0%} of the start's."]


def remarks(numbers: Mapping[str, Any]) -> list[str]:
    """What a reader of the numbers ought to know, in sentences."""
    said = []
    flat, follows = numbers["zero_variance"], numbers["length_correlation"]
    if flat is not None and flat >= 0.3:
        said.append(
            f"In {flat:.0%} of the groups all rewards were equal, so these taught nothing; a reward of 0 and 1 "
            "(value = label) does that, a probability rarely does."
        )
    if follows is not None and abs(follows) >= 0.5:
        said.append(
            f"Within groups the reward follows length (correlation {follows:.2f}): the policy may only learn to write "
            f"{'longer' if follows > 0 else 'shorter'} texts."
        )
    if numbers["missing"]:
        line = f"{numbers['missing']} completions had no reward and were masked"
        if numbers["missing_groups"]:
            line += (
                f"; in {numbers['missing_groups']:.0%} of the groups fewer than two had one, so these taught nothing: "
                "their rewards were missing, not equal"
            )
        said.append(f"{line}.")
    return said


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
