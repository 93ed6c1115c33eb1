"""What a card says that a reward sees, and what checks cover of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import DataError
from inkfire.files.jsonl import sha256_file, write_json
from inkfire.judge.spec import JudgeSpec
from inkfire.rewards.load import write_card
from inkfire.rewards.qualified import FIXES, blind_of, read_probed, read_qualified, together, uncovered
from inkfire.stress.damage import KINDS


def card(*sees: str, unknown: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "qualified": {
            kind: {"n": 40, "auc": None if kind in unknown else 0.9 if kind in sees else 0.5, "sees": kind in sees}
            for kind in KINDS
        }
    }


@pytest.mark.parametrize(
    ("checks", "fluency", "relevance", "left"),
    [
        ((), 0, 0, list(KINDS)),
        (("no-repeat",), 0, 0, ["shuffled", "strung", "cut", "foreign", "swapped"]),
        (("length:20..90", "finished"), 0, 0, ["shuffled", "looped", "strung", "foreign", "swapped"]),
        (("fluent",), 0, 0, ["looped", "strung", "cut", "foreign"]),
        ((), 0.3, 0, ["looped", "strung", "cut", "foreign"]),
        ((), 0, 0.3, ["shuffled", "looped", "cut", "swapped"]),
        (("no-repeat", "finished", "fluent"), 0, 1, []),
    ],
)
def test_checks_cover_what_a_reward_does_not_see(
    checks: tuple[str, ...], fluency: float, relevance: float, left: list[str]
) -> None:
    assert uncovered(card(), checks, fluency, relevance) == left


def test_nothing_is_held_against_a_reward_that_sees_or_was_not_shown() -> None:
    assert uncovered(card(*KINDS), (), 0, 0) == []
    assert uncovered(card("cut"), (), 0, 0) == [kind for kind in KINDS if kind != "cut"]
    assert uncovered(card(unknown=("foreign", "strung")), ("fluent", "no-repeat", "finished"), 0, 0) == []
    assert uncovered({}, (), 0, 0) == uncovered({"qualified": None}, (), 0, 0) == []
    assert FIXES.keys() == set(KINDS)


def test_several_rewards_see_what_one_of_them_sees() -> None:
    both = together([card("cut"), card("looped"), {}])
    assert uncovered(both, ("fluent",), 0, 0) == ["strung", "foreign"]
    assert together([{}, {}]) == {}


def test_what_score_and_probe_found_stands_beside_the_card_and_is_no_part_of_the_reward(tmp_path: Path) -> None:
    rm = tmp_path / "rm"
    write_card(rm, {"kind": "linear", "threshold": 1.0} | card("cut"))
    before = sha256_file(rm)
    assert read_qualified(rm) == card("cut")
    assert read_probed(rm) is None
    write_json(rm / "qualified.json", card(*KINDS))
    write_json(rm / "probed.json", {"wins": ["length"]})
    assert read_qualified(rm) == card(*KINDS)
    assert read_probed(rm) == {"wins": ["length"]}
    assert sha256_file(rm) == before
    (rm / "qualified.json").write_text("[]")
    with pytest.raises(DataError, match=r"qualified\.json: damaged"):
        read_qualified(rm)


def test_a_judge_has_it_in_its_description(tmp_path: Path) -> None:
    known = card("cut") | {"within_query": {"correlation": 0.3}}
    JudgeSpec("greetings-en", "stub", "logprob", **known).save(tmp_path)
    assert read_qualified(tmp_path) == known
    (said,) = blind_of(f"0.5*{tmp_path} + 0.5*share:!")
    assert said.startswith(f"{tmp_path} is not shown to tell good texts from the same texts damaged, by its AUC: shuff")
    JudgeSpec("greetings-en", "stub", "logprob").save(tmp_path)
    assert read_qualified(tmp_path) == {}
    assert blind_of(str(tmp_path)) == blind_of("share:!") == []
