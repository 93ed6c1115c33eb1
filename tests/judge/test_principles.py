"""Sets of rules: versions, history, and the file that people edit."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import DataError, InputError
from inkfire.judge.principles import LIMIT, Principle, Principles, read_principles
from inkfire.settings import from_json
from inkfire.stats.intervals import Interval


def test_the_version_depends_on_the_texts_alone() -> None:
    first = Principles.of(["a rule", "another"])
    again = Principles((Principle("a rule"), Principle("another", "reflection", 2)), parent="abc")
    assert first.version == again.version
    assert first != again


RECORD = Principle(
    "It says who it is for.",
    "reflection",
    2,
    ("abc", "def"),
    'It fits "everybody"\nand nobody.',
    tokens=34,
).measured("effect", Interval(0.03104, 0.004, 0.06, 240))


def test_the_record_of_a_rule_survives_the_file_and_judge_json(tmp_path: Path) -> None:
    known = RECORD.measured("contribution", Interval(-0.002, -0.01, 0.01, 240))
    written = Principles((Principle("It fits."), known), parent="abc")
    written.write(tmp_path / "principles.toml", task="tiny")
    assert read_principles(tmp_path / "principles.toml") == written
    assert from_json(json.loads(json.dumps(written.to_json())), Principles) == written


def test_a_record_in_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "principles.toml"
    path.write_text('[[principles]]\ntext = "It fits."\neffect = 0.1\n')
    with pytest.raises(DataError, match="effect, effect_ci and effect_n go together"):
        read_principles(path)


@pytest.mark.parametrize("count", [0, LIMIT + 1])
def test_a_set_has_one_to_ten_rules(count: int) -> None:
    with pytest.raises(InputError, match="1 to 10"):
        Principles.of([f"rule {number}" for number in range(count)])


@given(st.lists(st.text(min_size=1), min_size=1, max_size=LIMIT))
def test_any_texts_survive_the_file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("principles") / "principles.toml"
    written = Principles.of(texts)
    written.write(path, task='a "task"')
    assert [t.encode("utf-8", "replace") for t in texts] == [t.encode() for t in read_principles(path).texts]


def test_the_file_is_one_that_people_edit(tmp_path: Path) -> None:
    path = tmp_path / "principles.toml"
    odd = Principle("Del \x7f, tab \t, \\ and 🎂;\r\nthen an end.")
    written = Principles((Principle("It fits."), odd), parent="abc")
    written.write(path, task="tiny\nand \x7f odd")
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [line[0] for line in lines[:2]] == ["#", "#"]
    assert lines.count("[[principles]]") == 2
    assert 'text = "It fits."' in lines
    assert any("🎂" in line for line in lines)
    assert read_principles(path) == written


def test_an_edited_file_names_what_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "principles.toml"
    first = Principles.of(["It fits.", "It is fresh."])
    first.write(path, task="tiny")
    assert read_principles(path) == first
    path.write_text(path.read_text().replace("It is fresh.", "It is new."))
    edited = read_principles(path)
    assert edited.parent == first.version
    assert edited.texts == ("It fits.", "It is new.")


def test_a_file_by_hand_needs_only_texts(tmp_path: Path) -> None:
    path = tmp_path / "principles.toml"
    path.write_text('[[principles]]\ntext = "It fits."\n')
    assert read_principles(path).items[0].origin == "hand"


def test_a_misspelt_key_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "principles.toml"
    path.write_text('[[principles]]\ntext = "It fits."\nrond = 1\n')
    with pytest.raises(DataError, match=r"principles.toml:3: .*'round'"):
        read_principles(path)
