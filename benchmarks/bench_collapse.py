"""Diversity and novelty alone against collapse: does a policy that writes one text nine times of ten come out of it?

    python benchmarks/bench_collapse.py

The policy is a softmax over a list of endings, trained by GRPO's own gradient (REINFORCE with the advantage inside the
group) on exact arithmetic: no language model, so what is seen is the reward's doing. It begins with one ending at
probability 0.9. "One text": the ending is all of the text. "One phrase": the ending stands behind a beginning drawn at
random, so that no two texts are the same. The score is the same for all texts. The share of distinct endings among what
64 prompts get has to double in 30 steps.

Peer: the same policy with the score alone, which has nothing to learn from.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkfire.records import Identity
from inkfire.rewards.reading import Start
from inkfire.rewards.shaped import Shaped, Shaping

STEPS, SEEDS, PROMPTS, GROUP, RATE = 30, 10, 8, 8, 0.5
WORDS = ["tea", "bread", "snow", "lamp", "river", "kite", "door", "song", "moon", "garden", "train", "letter", "coat"]


class Same:
    """Every text is as good as any other."""

    name, threshold = "same", None
    identities = (Identity("check", "same"),)

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        return [0.0] * len(responses)

    def close(self) -> None: ...


@dataclass
class Softmax:
    """A policy over endings, the first of which has probability 0.9."""

    endings: int

    def __post_init__(self) -> None:
        self.logits: NDArray[np.float64] = np.full(self.endings, np.log(0.1 / (self.endings - 1)))
        self.logits[0] = np.log(0.9)

    def probabilities(self) -> NDArray[np.float64]:
        odds = np.exp(self.logits - self.logits.max())
        return np.asarray(odds / odds.sum())

    def learn(self, written: Sequence[int], advantages: Sequence[float]) -> None:
        now, step = self.probabilities(), np.zeros(self.endings)
        for ending, advantage in zip(written, advantages, strict=True):
            step -= advantage * now
            step[ending] += advantage
        self.logits += RATE * step / len(written)

    def distinct(self) -> float:
        """Expected share of distinct endings among 64 texts."""
        return float((1 - (1 - self.probabilities()) ** 64).sum() / 64)


def trained(kind: str, seed: int, **asked: float) -> tuple[float, float]:
    """(before, after) of a training: the share of distinct endings."""
    rng = random.Random(seed)
    endings = ["like a spring breeze", *(" ".join(rng.sample(WORDS, 4)) for _ in range(60))]
    policy, shaping = Softmax(len(endings)), Shaping(**asked)  # type: ignore[arg-type]

    def text(ending: int) -> str:
        return " ".join([*(rng.sample(WORDS, 8) if kind == "one phrase" else []), endings[ending]])

    reward = Shaped(Same(), shaping, seed=seed)
    reward.begin(Start(responses=tuple(text(rng.randrange(1, len(endings))) for _ in range(64))), None)
    before = policy.distinct()
    for step in range(STEPS):
        draw = np.random.default_rng([seed, step])
        written = draw.choice(len(endings), size=PROMPTS * GROUP, p=policy.probabilities()).tolist()
        queries = [f"wish {step} {i // GROUP}" for i in range(len(written))]
        scores = reward.score(queries, [text(ending) for ending in written])
        values = np.array(scores, dtype=float).reshape(PROMPTS, GROUP)
        spread = values.std(axis=1, keepdims=True)
        advantages = np.where(spread > 1e-9, (values - values.mean(axis=1, keepdims=True)) / (spread + 1e-4), 0.0)
        policy.learn(written, advantages.ravel().tolist())
    return before, policy.distinct()


def main() -> None:
    for kind in ("one text", "one phrase"):
        print(f"{kind}, at 0.9: {STEPS} steps of {PROMPTS} x {GROUP}, {SEEDS} seeds")
        for name, asked in {
            "the score alone": {},
            "diversity 0.3": {"diversity": 0.3},
            "novelty 0.3": {"novelty": 0.3},
            "both": {"diversity": 0.3, "novelty": 0.3},
        }.items():
            runs = [trained(kind, seed, **asked) for seed in range(SEEDS)]
            ratios = [after / before for before, after in runs]
            doubled = sum(ratio >= 2 for ratio in ratios)
            said = f"{runs[0][0]:.2f} -> {np.mean([after for _, after in runs]):.2f}"
            ratio = f"ratio {np.mean(ratios):.1f} (least {min(ratios):.1f}), {doubled} of {SEEDS} doubled"
            print(f"  {name:16} distinct {said}, {ratio}")


if __name__ == "__main__":
    main()
