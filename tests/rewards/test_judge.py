"""A judge as a reward."""

import asyncio
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import Counted

from inkfire.errors import BudgetExceeded, InputError, ModelCallError, RefusedReward
from inkfire.judge.calibration import Calibration
from inkfire.judge.spec import JudgeSpec
from inkfire.records import Identity, Verdict
from inkfire.rewards.base import why_unscored
from inkfire.rewards.judge import JudgeReward, load_judge_reward
from inkfire.rewards.load import load_reward
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.share import Share


class Listed:
    """Answers by the text: a probability, ``none`` unscored, ``fail`` and ``broke`` raise."""

    name = "listed"

    def __init__(self) -> None:
        self.running = self.most = self.closed = 0

    async def close(self) -> None:
        self.closed += 1

    async def judge(self, query: str, response: str) -> Verdict:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        if response == "fail":
            raise ModelCallError("timed out")
        if response == "broke":
            raise BudgetExceeded("the limit is reached")
        if response == "none":
            return Verdict(None, unscored="refused")
        probability = float(response)
        return Verdict(1 if probability >= 0.6 else 0, probability=probability)


def score(reward: JudgeReward, texts: Sequence[str]) -> list[float | None]:
    return reward.score(["q"] * len(texts), texts)


def test_probabilities_in_order_and_missing_is_none() -> None:
    assert score(JudgeReward(Listed()), ["0.9", "none", "0.1", "fail"]) == [0.9, None, 0.1, None]


def test_why_texts_have_no_score_is_counted_also_within_a_mixture() -> None:
    reward = JudgeReward(Listed())
    mixture = Mixture(((1.0, reward), (0.5, Share("!"))))
    assert mixture.score(["q"] * 4, ["0.9", "none", "fail", "none"]) == [0.9, None, None, None]
    assert why_unscored(reward) == why_unscored(mixture) == {"refused": 2, "timed out": 1}
    assert why_unscored(Share("!")) == {}


def test_the_papers_label() -> None:
    reward = JudgeReward(Listed(), value="label", cut=0.6)
    assert score(reward, ["0.9", "none", "0.55", "0.1"]) == [1.0, None, 0.0, 0.0]
    assert reward.threshold == 0.5


def test_it_is_bounded_and_named() -> None:
    judge = Listed()
    reward = JudgeReward(judge, concurrency=3, cut=0.6)
    assert len(score(reward, ["0.5"] * 20)) == 20
    assert judge.most == 3
    assert reward.name == "judge:listed"
    assert reward.threshold == 0.6


def test_it_closes_its_judge() -> None:
    judge = Listed()
    JudgeReward(judge).close()
    assert judge.closed == 1


def test_a_judge_that_was_not_saved_may_be_any_judge() -> None:
    (unknown,) = JudgeReward(Listed()).identities
    assert unknown.same(Identity("judge", "another", "ab12"))


def test_nothing_to_score() -> None:
    assert score(JudgeReward(Listed()), []) == []


def test_the_spend_limit_stops_the_run() -> None:
    with pytest.raises(BudgetExceeded):
        score(JudgeReward(Listed()), ["0.5", "broke"])


def test_queries_and_responses_go_together() -> None:
    with pytest.raises(ValueError, match="zip"):
        JudgeReward(Listed()).score(["q"], ["0.1", "0.2"])


def saved(auc: float | None, low: float) -> JudgeSpec:
    measured: dict[str, Any] | None = auc and {"scored": 86, "auc": auc, "auc_ci": [low, 2 * auc - low]}
    return JudgeSpec("greetings-en", "m", "logprob", calibration=Calibration(1, 0, 0.4, 80, 40), measured=measured)


@pytest.mark.parametrize(
    ("judge", "why"),
    [(saved(None, 0), "never measured"), (saved(0.45, 0.35), "coin"), (saved(0.56, 0.48), "reaches 0.5")],
)
def test_a_judge_that_may_be_a_coin_is_refused(tmp_path: Path, judge: JudgeSpec, why: str) -> None:
    judge.save(tmp_path)
    with pytest.raises(RefusedReward, match=why) as refused:
        load_judge_reward(tmp_path)
    assert refused.value.exit_code == 2


def test_a_good_judge_and_a_forced_one_are_loaded(tmp_path: Path) -> None:
    for number, (judge, force) in enumerate([(saved(0.7, 0.6), False), (saved(0.45, 0.35), True)]):
        folder = tmp_path / str(number)
        judge.save(folder)
        reward = load_judge_reward(folder, base_url="http://127.0.0.1:9/v1", force=force)
        assert reward.threshold == 0.4
        assert not math.isnan(reward.threshold or 0)


def test_a_written_verdict_needs_no_threshold(tmp_path: Path) -> None:
    for mode, threshold in (("verdict", 0.5), ("logprob", None)):
        dataclasses.replace(saved(0.7, 0.6), mode=mode, calibration=None).save(tmp_path)
        assert load_judge_reward(tmp_path, base_url="http://127.0.0.1:9/v1").threshold == threshold


def test_a_mixture_that_cannot_be_loaded_leaves_no_judge_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = Counted([])
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    saved(0.7, 0.6).save(tmp_path / "judge")
    with pytest.raises(InputError, match="no reward"):
        load_reward(f"0.5*{tmp_path / 'judge'} + 0.5*{tmp_path / 'nothing'}")
    assert llm.closes == 1
