"""The words of the report claim only what the intervals support."""

from __future__ import annotations

import numpy as np
import pytest

from inkfire.evaluation.claims import claims, own_signals, with_holm
from inkfire.evaluation.headline import caveats, headline, recommendation
from inkfire.records import Identity
from inkfire.stats.intervals import bootstrap_mean_difference, sign_test


def evaluation(*rows, own=None):
    policies = {"base": {"own_reward": []}, "rl": {"own_reward": [own or "rm"]}}
    return {"n": 20, "policies": policies, "differences": list(rows)}


def row(signal="judge", difference=0.3, ci=(0.1, 0.5), own=False, by_length=0.0, p=0.01):
    return {
        "policy": "rl",
        "against": "base",
        "signal": signal,
        "n": 20,
        "own_reward": own,
        "difference": difference,
        "difference_ci": list(ci),
        "difference_p": p,
        "difference_by_length": by_length,
    }


def test_an_interval_above_zero_by_an_independent_signal_is_a_claim():
    (claim,) = claims(evaluation(row()))
    assert claim["kind"] == "better"
    assert "+30 points (+10 to +50, n = 20)" in claim["text"]
    assert "wrote better than the base model" in headline(evaluation(row()))


def test_a_gain_that_sft_alone_may_explain_is_told():
    over_sft = {**row(ci=(-0.1, 0.4)), "against": "sft"}
    assert "None is shown to be better than SFT alone" in headline(evaluation(row(), over_sft))
    assert "SFT alone" not in headline(evaluation(row(), {**over_sft, "difference_ci": [0.1, 0.4]}))


def test_an_interval_that_includes_zero_is_not():
    result = evaluation(row(ci=(-0.05, 0.5)))
    assert claims(result)[0]["kind"] == "open"
    assert "no trained policy is shown to write better" in headline(result)


def test_an_interval_of_too_few_queries_is_not():
    result = evaluation(row(p=0.25), row("rm", ci=(-0.6, -0.1), p=0.06))
    (claim,) = claims(result)
    assert claim["kind"] == "open"
    assert "(+10 to +50, n = 20; sign test p = 0.25)" in claim["text"]
    assert "no trained policy is shown to write better" in headline(result)


def test_several_signals_are_several_chances():
    """One of four signals at p = 0.03 is what chance gives; at p = 0.01 it still is a claim."""
    silent = [row(name, 0.0, (-0.2, 0.2), p=0.8) for name in "abc"]
    (claim,) = claims(evaluation(row(p=0.03), *silent))
    assert claim["kind"] == "open"
    assert "sign test p = 0.12 by Holm" in claim["text"]
    assert claims(evaluation(row(p=0.01), *silent))[0]["kind"] == "better"
    # a signal that no claim may rest on is no chance of a false one
    own = [row(name, 0.3, own=True) for name in "abc"]
    assert claims(evaluation(row(p=0.03), *own, row("length")))[0]["kind"] == "better"
    rows = with_holm([row(p=0.03), *silent, *own, row("length"), {**row(p=0.04), "against": "sft"}])
    found = [r["difference_p_holm"] for r in rows]
    assert found == [0.15, 1, 1, 1, None, None, None, None, 0.16]  # one family: signals, policies and baselines


def test_four_signals_of_policies_that_are_alike_rarely_make_a_claim():
    """The small twin of benchmarks/bench_coverage.py: at most 6.5 %, and three standard errors of 300 sets."""
    random, queries, false = np.random.default_rng(0), list(range(100)), 0
    for _ in range(300):
        rows = []
        for name in "abcd":
            mine, theirs = random.integers(0, 2, (2, 100)).astype(float)
            found = bootstrap_mean_difference(mine, theirs, queries, 0, n_resamples=200)
            rows.append(row(name, found.estimate, (found.low, found.high), p=sign_test(mine, theirs, queries)))
        false += claims(evaluation(*rows))[0]["kind"] != "open"
    assert false / 300 <= 0.065 + 3 * (0.065 * 0.935 / 300) ** 0.5


def test_few_queries_behind_many_rows_are_told():
    (claim,) = claims(evaluation({**row(), "difference_clusters": 7}))
    assert "n = 20 of only 7 queries)" in claim["text"]


def test_the_own_reward_never_counts():
    (claim,) = claims(evaluation(row("rm", own=True)))
    assert claim["kind"] == "none"
    assert "nothing is claimed" in claim["text"]


def test_signals_that_disagree_make_no_claim():
    (claim,) = claims(evaluation(row("judge"), row("debate", -0.3, (-0.5, -0.1))))
    assert claim["kind"] == "open"
    assert "disagree" in claim["text"]


def test_worse_is_said():
    result = evaluation(row("judge", -0.3, (-0.5, -0.1)))
    assert claims(result)[0]["kind"] == "worse"
    assert "wrote worse" in headline(result)


def test_length_is_named_when_it_explains_the_gain():
    (claim,) = claims(evaluation(row(by_length=0.28)))
    assert "length alone predicts +28 of the +30 points" in claim["text"]


def test_the_length_twin_makes_no_claims():
    assert claims(evaluation(row("length"))) == []


RM, TASTE, STRICT = (
    Identity("reward model", "rm", "a1"),
    Identity("judge", "taste", "b2", "m", "logprob"),
    Identity("judge", "strict", "c3", "m", "logprob"),
)


@pytest.mark.parametrize(
    ("signal", "policy", "own"),
    [
        ([RM], [RM], True),
        ([RM], [Identity("reward model", "renamed", "a1")], True),
        ([RM], [Identity("reward model", "rm", "d4")], False),  # trained anew under the same name
        ([TASTE], [STRICT], False),
        ([TASTE], [RM, TASTE], True),  # of a mixture, or of the policy that this one started from
        ([RM, TASTE], [TASTE], True),
        ([RM, STRICT], [TASTE], False),
        ([TASTE], [Identity("judge", "judge:verdict:m")], True),  # all that an old policy.json tells
        ([], [RM, TASTE], False),
        ([RM], [], False),
    ],
)
def test_which_signals_are_a_policys_own(signal, policy, own):
    assert own_signals({"it": signal}, {"rl": policy}) == {"rl": ["it"] if own else []}


def test_own_signals_of_each_policy_in_the_order_of_the_signals():
    signals = {"judge": [TASTE], "length": [], "rm": [RM]}
    assert own_signals(signals, {"base": [], "both": [RM, TASTE], "one": [RM]}) == {
        "base": [],
        "both": ["judge", "rm"],
        "one": ["rm"],
    }


def test_a_policy_whose_reward_is_no_signal_is_in_the_headline():
    """Its reward was another judge: every signal is independent, and it still is a trained policy."""
    result = evaluation(row("judge"))
    result["policies"]["rl"]["own_reward"] = []
    assert "On 20 held-out queries rl wrote better than the base model" in headline(result)


def test_missing_texts_and_several_engines_are_said():
    def policy(by, missing=0):
        return {"written_by": by, "missing": missing}

    one = {"n": 20, "policies": {"base": policy("weights, bfloat16"), "sft": policy("weights, bfloat16")}}
    assert caveats(one) == []
    several = {"n": 20, "policies": one["policies"] | {"gpt": policy("the endpoint", 3)}}
    missing, engines = caveats(several)
    assert missing == "gpt has no text for 3 of 20 queries; they are left out."
    assert "(base and sft: weights, bfloat16; gpt: the endpoint)" in engines
    assert caveats({"n": 20, "policies": {"base": {}, "old": policy(None)}}) == []  # of an earlier version


# ---- what is no claim ----------------------------------------------------------------------------------------------


def test_a_gain_that_only_unqualified_signals_show_is_called_that():
    loves = {**row("rm"), "qualified": False, "unqualified_because": "it does not see strung texts"}
    result = evaluation(loves, row("judge", 0.0, (-0.1, 0.1), p=0.9))
    (claim,) = claims(result)
    assert claim["kind"] == "unqualified"
    assert "only by signals that are not qualified (rm: it does not see strung texts)" in claim["text"]
    assert "not shown to be better writing" in claim["text"]
    assert "only by signals that are not qualified" in headline(result)
    alone = claims(evaluation(loves))[0]
    assert alone["kind"] == "unqualified"
    assert claims(evaluation({**loves, "difference_ci": [-0.1, 0.4]}))[0]["kind"] == "none"


def test_a_gain_that_is_gone_at_equal_length_is_called_that():
    longer = {**row(), "difference_lc": 0.01, "difference_lc_ci": [-0.1, 0.12]}
    (claim,) = claims(evaluation(longer))
    assert claim["kind"] == "length"
    assert "at equal length no difference is shown" in claim["text"]
    assert "; at equal length +1)" in claim["text"]
    assert "may be length alone" in headline(evaluation(longer))
    held = {**longer, "difference_lc": 0.2, "difference_lc_ci": [0.05, 0.4], "difference_matched_ci": [-0.1, 0.3]}
    assert claims(evaluation(held))[0]["kind"] == "better"
    several = [{**held, "signal": name, "difference_lc_p": 0.03} for name in ("judge", "rm")]
    assert claims(evaluation(*several[:1]))[0]["kind"] == "better"
    assert claims(evaluation(*several))[0]["kind"] == "length"  # two chances: 0.06 by Holm
    apart = {**held, "lengths_apart": True}  # the regression says what it has not seen
    assert claims(evaluation(apart))[0]["kind"] == "length"
    assert claims(evaluation({**apart, "difference_matched_ci": [0.1, 0.3]}))[0]["kind"] == "better"
    assert claims(evaluation({**apart, "difference_matched_ci": None}))[0]["kind"] == "length"


def test_a_gain_of_one_training_among_several_is_no_claim():
    (claim,) = claims(evaluation({**row(), "seeds": [0.7, -0.1]}))
    assert claim["kind"] == "open"
    assert "not after every training of it" in claim["text"]
    assert "by seed +70, -10" in claim["text"]
    assert claims(evaluation({**row(), "seeds": [0.4, 0.2]}))[0]["kind"] == "better"


def test_what_would_settle_it_is_said():
    open_ = row(ci=(-0.05, 0.5), p=0.2)
    said = claims(evaluation({**open_, "more_queries": 40}, {**row("rm", 0, (-0.1, 0.1), p=1), "more_queries": None}))
    assert "About 40 more queries would settle it" in said[0]["text"]
    assert "Even ten times as many" in claims(evaluation({**open_, "more_queries": None}))[0]["text"]


def test_one_sentence_says_what_to_use():
    result = evaluation(row())
    result["policies"]["rl"]["at"] = "runs/rl"
    assert recommendation(result) == ("rl", "Use rl (runs/rl): it is shown to be better than base.")
    worse = {**row("judge", -0.3, (-0.5, -0.1)), "against": "sft"}
    assert recommendation(evaluation(row(), worse)) == (None, "No policy is shown to be better than base and sft.")
    faulty = {**result, "faults": [{"kind": "copies", "policy": "rl", "text": "…"}]}
    assert recommendation(faulty)[0] is None
    assert recommendation(evaluation(row("length")))[1] == "There is nothing to choose between."
