"""What the audit counts, and that it says it in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import InputError
from inkfire.files.formats import read_pairs
from inkfire.records import Labelled, Preference
from inkfire.stats.audit import audit
from inkfire.stats.intervals import wilson


def say(found: dict[str, Any], word: str) -> str:
    return next(sentence for sentence in found["findings"] if word in sentence)


LONGER = [Preference(f"q{i}", f"第{i}个又长又好的句子愿你快乐", f"第{i}句") for i in range(30)]


def test_a_length_shortcut_is_said_in_words() -> None:
    found = audit(pairs=LONGER)
    assert (found["n"], found["longer_wins"], found["length_auc"], found["length_best_accuracy"]) == (30, 1, 1, 1)
    assert found["longer_wins_ci"][0] > 0.85
    assert "Length is a shortcut: in 100.0 % of pairs the chosen text is the longer one" in found["findings"][0]
    assert "strongly: the good ones are longer" in say(found, "AUC")
    assert "Wording is a shortcut" in say(found, "Wording")
    turned = audit(pairs=[Preference(p.query, p.rejected, p.chosen) for p in LONGER])
    assert turned["longer_wins"] == 0
    assert "the chosen text is the shorter one" in turned["findings"][0]


def test_no_shortcut_is_said_too() -> None:
    found = audit(labelled=[Labelled(f"q{i // 2}", f"{i % 4}同样的一句话{i}" * 3, i % 2) for i in range(40)])  # type: ignore[arg-type]
    assert found["longer_wins"] is None
    assert found["n_labelled"] == 40
    assert "Length does not tell" in say(found, "Length")


def test_overlap_counts_rows_under_any_label() -> None:
    rows = [Labelled("a", "x", 1), Labelled("a", "y", 0), Labelled("b", "x", 1), Labelled("c", "z", 0)]
    found = audit(labelled=rows, against=[[("a ", ("y", "x"))], [("c", ()), ("c", ("other",))]])
    assert (found["overlap_exact"], found["overlap_query"]) == (2, 3)
    assert "Leak: 2 of 4 rows (50.0 %)" in say(found, "Leak")
    pairs = [Preference("a", "x", "new"), Preference("a", "new", "newer")]
    assert audit(pairs=pairs, against=[[("a", ("x",))]])["overlap_exact"] == 1
    clean = audit(labelled=rows, against=[[("d", ("x",))]])
    assert (clean["overlap_exact"], clean["overlap_query"]) == (0, 0)
    assert "No row stands" in say(clean, "other files")
    assert audit(labelled=rows)["overlap_exact"] is None


def test_repeats() -> None:
    text = "愿你的新一岁如星辰般闪耀，每一天都被甜蜜和惊喜填满"
    rows = [
        Labelled("a", text, 1),
        Labelled("a", text, 0),
        Labelled("b", text + "！", 1),
        Labelled("b", "完全不同的一句", 0),
    ]
    found = audit(labelled=rows)
    assert (found["duplicates"], found["near_duplicates"], found["n_texts"]) == (1, 2, 4)
    assert "1 of 4 rows repeat" in say(found, "rows repeat")


def test_little_data_gives_what_it_can() -> None:
    found = audit(pairs=LONGER[:1])
    assert found["longer_wins"] == 1
    assert found["ngram_accuracy"] is found["ngram_auc"] is None
    assert "too few" in say(found, "n-gram")
    one_label = audit(labelled=[Labelled("a", "x", 1), Labelled("b", "yy", 1)])
    assert one_label["length_auc"] is None
    assert "one label" in one_label["findings"][0]
    both = audit(pairs=LONGER, labelled=[Labelled("a", "x", 1)])
    assert (both["n"], both["n_pairs"], both["n_labelled"], both["n_texts"]) == (31, 30, 1, 61)


def test_nothing_to_audit() -> None:
    with pytest.raises(InputError, match="--pairs"):
        audit()


@pytest.mark.slow
def test_the_release(release_data: Path) -> None:
    found = audit(pairs=read_pairs(release_data / "reward_data_train.json"))
    assert found["n"] == 6310
    assert found["longer_wins"] == pytest.approx(0.961, abs=5e-4)
    assert found["ngram_accuracy"] >= 0.985
    assert found["ngram_accuracy_length_matched"] >= 0.90
    assert found["ngram_auc"] >= 0.99
    assert "Length is a shortcut: in 96.1 % of pairs" in found["findings"][0]


def test_overlap_also_counts_what_is_nearly_the_same() -> None:
    theirs = [("祝外婆八十大寿生日快乐", ("愿您的新一岁如星辰般闪耀，每一天都被甜蜜和惊喜填满",))]
    rows = [
        Labelled("祝外婆八十大寿，生日快乐", "愿您的新一岁如星辰般闪耀，每一天都被甜蜜和惊喜填满！", 1),
        Labelled("乔迁之喜", "推开窗就是山，愿新家的灯火照着每一次归来", 0),
    ]
    found = audit(labelled=rows, against=[theirs])
    assert (found["overlap_exact"], found["overlap_query"]) == (0, 0)
    assert (found["overlap_near"], found["overlap_query_near"]) == (1, 0)
    assert "1 of 2 rows (50.0 %) have a text that exactly or nearly repeats" in say(found, "nearly repeats")
    ours_only = audit(labelled=[*rows, *rows], against=[[("x", ("something else entirely",))]])
    assert ours_only["overlap_near"] == 0  # repeats among ourselves are another matter
    assert audit(labelled=rows)["overlap_near"] is None


def test_a_text_with_both_labels_is_a_contradiction() -> None:
    rows = [Labelled("a", "x", 1), Labelled("a", "x", 0), Labelled("b", "x", 1), Labelled("b", "y", 0)]
    found = audit(labelled=rows)
    assert found["contradictions"] == 1
    assert "1 texts are labelled good and bad" in say(found, "labelled good and bad")
    assert audit(pairs=[Preference("a", "x", "y"), Preference("a", "y", "x")])["contradictions"] == 2


def test_empty_and_blank_texts_are_counted() -> None:
    texts = ["", " \n\u3000", "\u200b\ufeff", "x", "0"]
    found = audit(labelled=[Labelled(f"q{i}", text, 1 if i < 2 else 0) for i, text in enumerate(texts)])
    assert (found["blank"], found["blank_good"]) == (3, 2)
    assert say(found, "blank") == "3 of 5 texts are empty or blank, 2 of them labelled good."
    assert audit(pairs=LONGER)["blank"] == 0


def test_repeats_across_files_are_counted() -> None:
    one = [("a", ("x", "y")), ("a", ("x", "y")), ("b", ("z",))]
    other = [(" a", ("y ",)), ("b", ("x",)), ("c", ())]
    found = audit(pairs=LONGER, files=[one, other, [("b", ("x",)), ("b", ("z",))]])
    assert found["repeats_across"] == 3
    assert say(found, "more than one") == "3 rows stand with their text in more than one of the audited files."
    assert audit(pairs=LONGER, files=[one, [("c", ("x",))]])["repeats_across"] == 0
    assert audit(pairs=LONGER)["repeats_across"] is None


def test_mixed_languages_are_counted_by_label() -> None:
    clean = [Labelled(f"q{i}", f"愿你在第{i}个春天里慢慢走，风会把好消息带来", 1) for i in range(30)]
    mixed = [Labelled(f"q{i}", f"愿你的第{i}个 awakening 充满 sunshine 和好消息", 0) for i in range(30)]
    found = audit(labelled=[*clean, *mixed])
    assert (found["script"], found["mixed_share"], found["mixed_share_good"], found["mixed_share_bad"]) == (
        "han",
        0.5,
        0,
        1,
    )
    assert found["mixed_share_bad_ci"][0] > 0.85
    assert "gives labels away" in say(found, "mix other scripts")
    english = audit(labelled=[Labelled("q", "A quiet year and a loud kitchen.", 1), Labelled("q", "All the best!", 0)])
    assert (english["script"], english["mixed_share"]) == ("latin", 0)
    assert not any("scripts" in sentence for sentence in english["findings"])


def test_refusals_are_counted_by_label() -> None:
    pairs = [
        Preference(f"q{i}", f"May day {i} be kind to you.", "I'm sorry, but I can't help with that.") for i in range(4)
    ]
    found = audit(pairs=pairs)
    assert (found["refusal_share"], found["refusal_share_good"], found["refusal_share_bad"]) == (0.5, 0, 1)
    assert "a model's refusal to write, none of the good ones" in say(found, "refusal")


def test_an_unbalanced_slice_is_said() -> None:
    rows = [Labelled(f"spring {i}", f"text {i} {'abc'[i % 3]}", int(i < 36)) for i in range(40)]  # type: ignore[arg-type]
    rows += [Labelled(f"work {i}", f"words {i} {'xyz'[i % 3]}", int(i < 4)) for i in range(40)]  # type: ignore[arg-type]
    tags = {row.query: (row.query.split()[0],) for row in rows}
    found = audit(labelled=rows, tags=tags)
    assert found["slices"]["spring"] == {
        "n_pairs": 0, "n_labelled": 40, "longer_wins": None, "longer_wins_ci": None,
        "longer_wins_clusters": 0, "good_share_clusters": 40,
        "good_share": 0.9, "good_share_ci": found["slices"]["spring"]["good_share_ci"],
    }  # fmt: skip
    assert "In slice spring 90.0 % of 40 texts are good" in say(found, "slice spring")
    assert not any("slice" in sentence for sentence in audit(labelled=rows[30:50], tags=tags)["findings"])
    pairs = audit(pairs=[Preference("spring 0", "longer text", "short")], tags=tags)
    assert pairs["slices"] == {
        "spring": {
            "n_pairs": 1, "n_labelled": 0, "longer_wins": 1, "longer_wins_ci": pairs["longer_wins_ci"],
            "longer_wins_clusters": 1, "good_share": None, "good_share_ci": None, "good_share_clusters": 0,
        }
    }  # fmt: skip


def test_pairs_of_one_query_prove_no_shortcut() -> None:
    found = audit(pairs=[Preference("q", f"第{i}个又长又好的句子愿你快乐", f"第{i}句") for i in range(30)])
    assert (found["longer_wins"], found["longer_wins_clusters"]) == (1, 1)
    assert found["longer_wins_ci"][0] < 0.5
    two = audit(pairs=[Preference(f"q{i % 5}", f"第{i}个又长又好的句子愿你快乐", f"第{i}句") for i in range(30)])
    assert "%, of only 5 queries)" in two["findings"][0]


def test_the_length_cut_is_cross_validated() -> None:
    found = audit(pairs=LONGER)
    assert found["length_cv_accuracy"] == 1
    assert found["length_cv_accuracy_ci"][0] == pytest.approx(wilson(30, 30)[0])  # two texts of each of 30 queries
    noise = [Labelled(f"q{i}", "x" * (1 + i * 37 % 50), i % 2) for i in range(50)]  # type: ignore[arg-type]
    flat = audit(labelled=noise)
    assert flat["length_cv_accuracy"] < flat["length_best_accuracy"]  # what is fitted on the same texts flatters
    assert audit(labelled=[Labelled("a", "x", 1)])["length_cv_accuracy"] is None


def by(chosen: str, rejected: str, n: int, start: int = 0) -> list[Preference]:
    who = {"chosen_source": chosen, "rejected_source": rejected}
    return [Preference(f"q{i}", f"good words {i}", f"bad words {i}", who) for i in range(start, start + n)]


def test_the_writers_name_may_give_the_side_away() -> None:
    found = audit(pairs=[*by("big", "small", 36), *by("small", "big", 4, 36)])
    assert found["n_written"] == 80
    assert found["writers"]["big"]["n"] == 40
    assert found["writers"]["big"]["good_share"] == 0.9
    assert found["writer_accuracy"] == 0.9
    assert found["writer_auc"] == pytest.approx(0.9)
    assert found["writer_auc_ci"][0] > 0.5
    said = say(found, "writer's name")
    assert said.startswith("The writer's name alone tells good texts from bad ones (cross-validated AUC 0.900, ")
    assert "90.0 % of the pairs right" in said
    assert "big 40 (90.0 % chosen), small 40 (10.0 % chosen)" in said


def test_a_name_that_tells_nothing_is_said_to() -> None:
    """Half of the pairs one way, half the other, and some by one writer: out of fold, no more than chance."""
    found = audit(pairs=[*by("a", "b", 20), *by("b", "a", 20, 20), *by("a", "a", 10, 40)])
    assert found["writer_accuracy"] < 0.6
    assert found["writer_auc_ci"][0] < 0.5
    assert "alone does not tell good texts" in say(found, "writer's name")
    same = audit(pairs=by("a", "a", 10))
    assert (same["writer_auc"], same["writer_accuracy"], same["writers"]["a"]["n"]) == (None, None, 20)
    assert "Of 20 texts the writer is known: a 20 (50.0 % chosen)" in say(same, "writer")
    unknown = audit(pairs=LONGER)
    assert (unknown["n_written"], unknown["writers"], unknown["writer_auc"]) == (0, {}, None)
    assert not any("writer" in sentence for sentence in unknown["findings"])


def test_writers_of_labelled_texts_and_variety() -> None:
    rows = [Labelled(f"q{i}", f"one two {i}", i % 2) for i in range(40)]  # type: ignore[arg-type]
    known = {(row.query, row.response): "ab"[row.label] for row in rows[:30]}
    found = audit(labelled=rows, writers=known)
    assert (found["n_written"], found["writer_accuracy"], found["writer_auc"]) == (30, None, 1.0)
    assert (found["n_queries"], found["distinct_1_good"]) == (40, pytest.approx(22 / 60))
    assert found["distinct_2_bad"] == pytest.approx(21 / 40)
    assert "The texts answer 40 queries; the good ones have distinct-1 0.367 and distinct-2 0.525" in say(
        found, "answer"
    )
    assert audit(labelled=rows[1:2])["distinct_1_bad"] is None
