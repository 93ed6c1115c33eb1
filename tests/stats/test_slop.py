"""Stock phrases."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkfire.errors import DataError
from inkfire.stats.slop import LANGUAGES, Slop, of_script, read_phrases, stock_phrases
from inkfire.stats.texts import units
from inkfire.tasks.task import load_task


def test_the_longest_phrase_counts_once() -> None:
    slop = Slop(["如春风", "如春风般", "beacon of hope", "beacon"])
    assert slop.found("愿你如春风般温暖，如春风。") == ["如春风般", "如春风"]
    assert slop.found("A Beacon of — hope; beacons shine.") == ["beacon of hope"]
    assert slop.per_hundred("beacon of hope again") == 25
    assert (slop.found(""), slop.per_hundred("")) == ([], 0)
    assert not Slop(["", "!"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_list_says_how_it_was_made_and_has_no_phrase_twice(language: str) -> None:
    phrases = stock_phrases(language)
    assert len(phrases) > 80
    assert len({tuple(units(phrase)) for phrase in phrases}) == len(phrases)
    path = Path(__file__).parents[2] / "src" / "inkfire" / "stats" / "slop" / f"{language}.txt"
    assert "How it was made" in path.read_text(encoding="utf-8")


def test_a_task_adds_its_own(tiny_task: Path) -> None:
    before = load_task(tiny_task).slop()
    (tiny_task / "slop.txt").write_text("# ours\n\nopen like a window\n", encoding="utf-8")
    assert load_task(tiny_task).slop() == [*before, "open like a window"]
    assert read_phrases(tiny_task / "slop.txt") == ["open like a window"]
    assert (stock_phrases("fi"), of_script("cyrillic"), of_script(None)) == ([], [], [])
    assert of_script("han") == stock_phrases("zh")


def test_a_list_that_is_no_text_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "slop.txt").write_bytes(b"like a breeze\n# none\n" + b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"slop\.txt:3"):
        read_phrases(tmp_path / "slop.txt")
