"""What is said of each kind of result, the odd ones too: no more than its interval, and no number that is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from inkfire.debate.sampler import Tally
from inkfire.evaluation.claims import points
from inkfire.judge.ranking import measure_pairs
from inkfire.records import Comparison, Labelled, Preference
from inkfire.report import findings
from inkfire.report.findings import Finding
from inkfire.report.words import change, duration, interval, percent, rate, several, value
from inkfire.stats.audit import audit
from inkfire.training.monitors import summary

Said = list[str]

LONG = [Preference(f"q{i}", f"A wish {'that goes on ' * (i % 5 + 2)}{i}", f"Bye {i}") for i in range(60)]
EVEN = [Preference(f"q{i}", f"dear {i:02}" + "x" * (i % 2), f"dear {i:02}" + "x" * (1 - i % 2)) for i in range(60)]
TEXTS = [Labelled(f"q{i // 2}", f"text number {i % 7}{i % 3}", i % 2) for i in range(60)]

SFT = {"steps": 14, "n": 60, "loss_first": 3.0, "loss_last": 2.0, "n_held_out": 6, "best_step": 9, "eval_loss": 2.1}
ROUND = {"winners": 7, "pairs": 7, "reward": None, "reward_winners": 0.9, "steps": 2, "accuracy_last": 0.75}
ROUNDS = {"completions": 64, "reward_calls": 60, "rounds": [ROUND | {"winners": 8}, ROUND | {"reward": 0.5}]}
JUDGED: dict[str, Any] = {
    "n": 40, "scored": 40, "unscored": 0, "calibrated": True, "injections": 0, "doubt": None, "n_within_query": 0,
    "accuracy": 0.75, "accuracy_ci": [0.6, 0.86], "auc": 0.8, "auc_ci": [0.66, 0.91],
    "length_auc": 0.55, "length_auc_ci": [0.4, 0.7],
}  # fmt: skip
UNSURE = {"auc": 0.52, "auc_ci": [0.4, 0.64]}
LENGTH = {"length_auc": 0.9, "length_auc_ci": [0.8, 0.95]}
RIGHT: dict[str, Any] = {
    "n": 40, "accuracy": 0.75, "accuracy_ci": [0.6, 0.86], "longer_wins": 0.5, "longer_wins_ci": [0.35, 0.65],
    "n_length_matched": 1, "accuracy_length_matched": 1.0, "accuracy_length_matched_ci": [0.2, 1.0],
}  # fmt: skip
MODEL = RIGHT | {"kind": "transformer", "measured_on": "held-out queries", "warnings": ["Mind the gap."],
                 "ngram_accuracy": 0.7, "ngram_accuracy_ci": [0.5, 0.8]}  # fmt: skip
SCORED = {"reward": "rm:mine", "missing": 0, "threshold": "0.5"}
REFUSED = [{"unscored": "refused: no.", "label": None}] * 3
BEFORE = {"scored": 40, "auc": 0.7, "auc_ci": [0.6, 0.8], "length_auc": 0.5, "doubt": None}
GRPO = [
    {"step": i, "reward": 0.2 * i, "missing": 1, "zero_variance": 0.5, "mean_length": 20.0 + i, "kl": 0.1,
     "length_correlation": 0.8, "truncated": 0.25}
    for i in range(1, 5)
]  # fmt: skip
PROBED: dict[str, Any] = {"n": 1, "probes": ["length", "order", "self_preference"], "order_n": 0}


def compared(said: Sequence[Comparison]) -> dict[str, Any]:
    return measure_pairs(LONG[: len(said)], said)


@pytest.mark.parametrize(
    ("find", "result", "rows", "said"),
    [
        (findings.audit, audit(pairs=LONG), None, [
            "The longer text wins in 100 % (94 to 100) of 60 pairs: a reward learnt from them would mostly measure l",
            "Wording gives the label away: n-grams alone have an AUC of 1.00 (",
            "To be looked at: ",
        ]),
        (findings.audit, audit(pairs=EVEN), None, [
            "Length is not shown to be a shortcut: the longer text wins in 50 % (38 to 62) of 60 pairs.", "Wording ",
            "To be looked at: ",
        ]),
        (findings.audit, audit(pairs=[Preference(p.query, p.rejected, p.chosen) for p in LONG]), None, [
            "The shorter text wins in 100 % (94 to 100) of 60 pairs: a reward", "Wording gives", "To be looked at: ",
        ]),
        (findings.audit, audit(pairs=[Preference("q", "ab", "cd")]), None, [
            "Length is not shown to be a shortcut: the longer text wins in 0 % (0 to 79) of 1 pair of only 1 query.",
            "There are too few texts", "No row repeats another, and no text is blank.",
        ]),
        (findings.audit, audit(labelled=[Labelled("q", "a text", 1), Labelled("r", "", 1)]), None, [
            "All labels are good (2 texts): of shortcuts nothing can be said.", "There are too few texts",
            "To be looked at: 1 blank text.",
        ]),
        (findings.audit, audit(labelled=[*TEXTS, TEXTS[0]]), None, [
            "Length is not shown to be a shortcut to the labels: AUC 0.50 (", "Wording ",
            "To be looked at: 1 repeated row; ",
        ]),
        (findings.curate, Tally().result() | {"queries": 1, "no_pair": {"all_bad": 1}}, (), [
            "No pair came of 1 query: all texts are bad (1)."
        ]),
        (findings.curate, Tally().result() | {"queries": 2, "candidates": 3, "unscored": 3}, REFUSED, [
            "None of the 3 candidates got a verdict: refused: no. Every reply so far is kept; --retry-unscored asks ",
            "No pair came of 2 queries.",
        ]),
        (findings.judge, JUDGED, (), [
            "The judge tells good texts from bad ones: AUC 0.80 (0.66 to 0.91) on 40 texts, length alone 0.55 (0.40 ",
            "It may serve as a reward.",
        ]),
        (findings.judge, JUDGED | UNSURE, (), [
            "The judge is not shown to tell good texts from bad ones: AUC 0.52", "As a reward it is refused: on 40 ",
        ]),
        (findings.judge, JUDGED | {"auc": 0.2, "auc_ci": [0.1, 0.4]}, (), ["The judge ranks bad texts above", "As a "]),
        (findings.judge, JUDGED | LENGTH, (), [
            "The judge tells good texts from bad ones no better than their length does: AUC", "It may serve"
        ]),
        (findings.judge, JUDGED | LENGTH | {"auc": 0.92, "auc_ci": [0.8, 0.97]}, (), [
            "The judge is not shown to tell good texts from bad ones better than their length does: AUC", "It may"
        ]),
        (findings.judge, JUDGED | {"n": 43, "unscored": 3}, REFUSED, ["The judge tells", "It may serve as"]),
        (findings.judge, JUDGED | {"n": 40, "scored": 4, "unscored": 36},
         [{"unscored": "no log-probabilities"}] * 30 + [{"unscored": "other"}] * 6, [
            "36 of 40 texts got no verdict: no log-probabilities (30 of them). Use --mode verdict", "The judge", "It ",
        ]),
        (findings.judge, {"n": 3, "scored": 0, "unscored": 3}, REFUSED, ["None of the 3 texts got a verdict: refused"]),
        (findings.judge, {"n": 3, "scored": 0, "unscored": 3}, (), ["None of the 3 texts got a verdict."]),
        (findings.judge, {"n": 0, "scored": 0, "unscored": 0}, (), ["There was no text to judge."]),
        (findings.judge, {"n": 1, "scored": 1, "unscored": 0}, [{"label": 0, "unscored": None}], [
            "The judge calls 0 of 1 text good (0 %); they have no labels, so nothing says how right it is."
        ]),
        (findings.judge, JUDGED | {"auc": None, "auc_ci": None}, (), ["The judge is right on 75 % (60 to 86) of 40"]),
        (findings.pairwise, compared([Comparison("a")] * 30), (), [
            "The judge prefers the chosen text in 100 % (89 to 100) of 30 pairs; the longer text is the chosen one",
            "Its answer changes with their order in 0 % (0 to 11); these count as ties, half right.",
            "It may serve as a reward.",
        ]),
        (findings.pairwise, compared([Comparison("tie", place=1)] * 3), (), ["The judge prefers the chosen text in 50 "
            "% (13 to 87) of 3 pairs, not shown to be more than a coin; ", "Its answer changes",
            "As a reward it is refused: of 3 pairs"]),
        (findings.pairwise, compared([Comparison(None, unscored="refused: no.")] * 3), REFUSED, [
            "None of the 3 pairs got a verdict: refused: no."
        ]),
        (findings.curve, {"n": 1, "labels": [0, 10], "unscored": 2, "accuracy_0": 0.5, "accuracy_0_ci": [0.1, 0.9],
                          "accuracy_10": 1.0, "accuracy_10_ci": [0.2, 1.0]}, None, [
            "With 10 labels the judge is right on 100 % (20 to 100) of 1 text, without any on 50 % (10 to 90)."
        ]),
        (findings.attack, {"flips": 0.0, "flips_ci": [0, 0.2], "flips_n": 9, "flips_off": None, "flips_off_n": 0,
                           "flips_held_out": None, "clean": 1, "clean_lost": 0.0, "clean_lost_ci": [0.0, 0.8]}, None, [
            "0 % (0 to 20, n = 9) of the injections turn the judge's verdict to good; without the defences – do.",
            "Of the kinds on which the defences were not written – do.", "The defences cost 0 % (0 to 80) of 1 good ",
        ]),
        (findings.attack, {"flips_off": 0.5, "flips_off_n": 2}, None, ["50 % (n = 2) of the injections turn the "]),
        (findings.probe, PROBED | {"length_shift": None}, None, ["None of the 1 text has a verdict before and after"]),
        (findings.probe, PROBED | {"length_shift": 0.1, "length_shift_ci": [-0.1, 0.3], "length_n": 9}, None, [
            "No change that makes no text better is shown to raise P(Good); the most is length (+0.10, -0.10 to +0.30, "
        ]),
        (findings.refine, {"before": BEFORE, "after": BEFORE, "accepted": 0, "stopped": None}, None, [
            "No proposal made the judge better on the validation texts: its principles stay as they were.",
            "Its AUC is 0.70 (0.60 to 0.80) on 40 test texts, where length alone has 0.50.",
        ]),
        (findings.refine, {"before": BEFORE, "after": dict.fromkeys(BEFORE), "accepted": 1, "stopped": "dry"}, None, [
            "New principles took the judge's AUC from 0.70 (0.60 to 0.80) to – on 0 test texts, where length alone has",
            "It stopped early: dry.",
        ]),
        (findings.sft, {"steps": 1, "n": 1, "loss_first": None, "loss_last": None}, None, [
            "In 1 step on 1 text the loss is not known.", "A lower loss says",
        ]),
        (findings.sft, SFT, None, [
            "In 14 steps on 60 texts the loss went from 3 to 2.",
            "On 6 held-out texts it was lowest at step 9, which is kept: 2.1.", "A lower loss says",
        ]),
        (findings.bon, ROUNDS | {"kl_bound": 1.204}, None, [
            "In 2 rounds it wrote 64 texts, 60 of which the reward was asked for, and 15 best ones were learnt from.",
            "In the last round the mean reward was 0.5 of all, 0.9 of the best. These are at most 1.20 nats a text",
            "A higher reward is what was trained, not yet better writing.",
        ]),
        (findings.dpo, ROUNDS, None, [
            "In 2 rounds it wrote 64 texts, 60 of which the reward was asked for, and 14 pairs of best and worst were",
            "In the last steps the chosen text gained on the other in 75 % of the pairs:",
        ]),
        (findings.dpo, {"steps": 1, "n": 8, "loss_first": 0.69, "loss_last": 0.69, "accuracy_last": 0.0}, None, [
            "In 1 step on 8 pairs the loss went from 0.69 to 0.69.", "One step is too few to say what the chosen texts",
        ]),
        (findings.reward_model, MODEL, None, [
            "Measured on held-out queries, the transformer reward model is right on 75 % (60 to 86) of 40 pairs, "
            "length alone on 50 % (35 to 65), n-grams on 70 % (50 to 80).",
            "Of the 1 pair of like length it has 100 % (20 to 100).",
        ]),
        (findings.reward_model, MODEL | {"longer_wins": 0.7}, None, [
            "Measured on", "It is not shown to be better than length alone.", "Of the 1 pair",
        ]),
        (findings.grpo, summary(GRPO), GRPO, [
            "In 4 steps the mean reward went from 0.3 to 0.7; the mean length, in characters, went from 22 to 24.",
            "In the last step 25 % of the texts were cut off at their greatest length.",
            "A higher reward is what was trained, not yet better writing.",
        ]),
        (findings.grpo, summary([]), (), [
            "In 0 steps the mean reward is not known; the mean length, in characters, is not known.", "A higher reward",
        ]),
        (findings.score, SCORED | RIGHT, None, [
            "rm:mine is right on 75 % (60 to 86) of 40 pairs, length alone on 50 % (35 to 65).", "Of the 1 pair of ",
        ]),
        (findings.score, SCORED | RIGHT | {"missing": 10}, None, ["rm:mine gave 10 of 50 pairs no score.", "r", "O"]),
        (findings.score, SCORED | {"n": 0, "missing": 2, "longer_wins": None}, None, ["rm:mine gave none of the 2 "]),
        (findings.score, SCORED | {"n": 1, "missing": 1}, None, ["rm:mine gave none of the 1 text a score."]),
        (findings.score, SCORED | JUDGED | {"excellent_rate": 0.5, "excellent_rate_ci": [0.3, 0.7]}, None, [
            "rm:mine tells good texts from bad ones: AUC 0.80", "At its threshold of 0.5 it calls 50 % (30 to 70) exc",
        ]),
        (findings.score, SCORED | {"n": 1, "scored": 1, "mean": 0.25, "threshold": None}, None, [
            "rm:mine gave 1 text a score, 0.25 on average."
        ]),
    ],
)  # fmt: skip
def test_what_is_said(find: Callable[..., Finding], result: dict[str, Any], rows: Any, said: Said) -> None:
    found = find(result) if rows is None else find(result, rows)
    assert len(found.said) == len(said) <= 3
    for sentence, beginning in zip(found.said, said, strict=True):
        assert sentence.startswith(beginning)
        assert sentence.endswith(".")
    for sentence in (*found.said, *found.warnings):
        assert "None" not in sentence.removeprefix("None of the")
        assert "nan" not in sentence


def test_what_a_reader_must_know_besides() -> None:
    found = findings.judge(JUDGED | {"calibrated": False, "injections": 2, "doubt": "it may be luck"}, ())
    assert found.said[1] == "It is not refused as a reward."
    assert [line.partition(":")[0] for line in found.warnings] == [
        "It is not calibrated", "Texts that seem to tell the judge what to answer", "It may be luck."
    ]  # fmt: skip
    assert findings.reward_model(MODEL).warnings == ["Mind the gap."]
    assert len(findings.grpo(summary(GRPO), ()).warnings) == 3
    assert "4 texts" in findings.curve({"n": 9, "labels": [0], "unscored": 4, "accuracy_0": 0.5}).warnings[0]
    evaluation = {"n": 1, "policies": {"a": {}}, "differences": [], "refused": {"rl": "a coin"}, "left_out": {"j": "x"}}
    found = findings.compared(evaluation)
    assert found.said == ["On 1 held-out query there was nothing to compare a with."]
    assert found.warnings == ["rl was not trained: a coin", "The signal j is left out: x"]
    evaluation |= {"refused": {"rl": "a coin", "on-top": "a coin"}, "left_out": {"j": "a coin"}}
    assert findings.compared(evaluation).warnings == [
        "rl and on-top were not trained: a coin", "The signal j is left out, for the same reason",
    ]  # fmt: skip


def test_an_estimate_says_time_and_money() -> None:
    tried = {"queries": 8138, "n": 8, "estimate_seconds": 1937.0, "estimate_cost": 16.274, "currency": "EUR"}
    said = "8 of 8,138 queries were tried, drawn at random: all of them will take about 32 min 17 s and "
    assert findings.estimate(tried).said[0] == f"{said}16.27 EUR."
    assert findings.estimate(tried | {"estimate_cost": None}).said[0] == f"{said}an unknown cost."


def test_numbers_as_people_write_them() -> None:
    nan = float("nan")
    assert [percent(share) for share in (None, nan, 0.0, 0.004, 0.5, 0.996, 1.0)] == [
        "–", "–", "0 %", "0.4 %", "50 %", "99.6 %", "100 %"
    ]  # fmt: skip
    numbers = {"a": 0.992, "a_ci": [0.989, 0.994], "b": nan, "b_ci": [nan, nan], "c": 0.5, "c_ci": [None, None]}
    assert [rate(numbers, name) for name in "abcd"] == ["99.2 % (98.9 to 99.4)", "–", "50 %", "–"]
    assert [value(numbers, name, 1234) for name in "abc"] == [
        "0.992 (0.989 to 0.994, n = 1,234)",
        "–",
        "0.50 (n = 1,234)",
    ]
    assert change({"d": 0.03, "d_ci": [-0.01, 0.07]}, "d") == "+0.030 (-0.010 to +0.070)"
    assert [several(n, "query", "queries") for n in (0, 1, 6310)] == ["0 queries", "1 query", "6,310 queries"]
    assert [duration(seconds) for seconds in (0.25, 9.96, 59.4, 60, 3600)] == [
        "0.25 s", "10 s", "59 s", "1 min 0 s", "1 h 0 min"
    ]  # fmt: skip


def test_nothing_is_less_than_nothing() -> None:
    assert points(-0.001) == "+0"
    assert interval([-0.001, 0.004], 100) == "0 to 0"
    assert interval([-0.001, 0.004]) == "0.00 to 0.00"
