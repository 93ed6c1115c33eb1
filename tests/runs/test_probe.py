"""``inkfire probe``: what it says, and where that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkfire.errors import InputError
from inkfire.files.jsonl import read_jsonl, sha256_file, write_jsonl
from inkfire.records import Preference
from inkfire.report.looks import edits as said
from inkfire.rewards.load import write_card
from inkfire.rewards.qualified import read_probed
from inkfire.rewards.shaped import Shaping
from inkfire.runs.context import Place
from inkfire.runs.probe import ProbeInputs, probe
from inkfire.runs.qualify import check_qualified
from inkfire.stats.twins import NgramPairModel


@pytest.fixture
def rm(tmp_path: Path) -> Path:
    """A reward model that likes exclamation marks."""
    pairs = [Preference(f"q{i}", f"a lamp {i}!!!", f"a lamp {i}.") for i in range(20)]
    NgramPairModel().fit(pairs).save(tmp_path / "rm")
    write_card(tmp_path / "rm", {"kind": "linear", "task": None, "threshold": 0.0})
    return tmp_path / "rm"


def test_the_edits_that_win_are_said_before_a_training(
    rm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sha256_file(rm)
    found = probe(ProbeInputs(reward=str(rm), task="greetings-en", limit=20), Place(tmp_path / "out"))
    assert found["wins"][:1] == ["decoration"] or found["wins"][:2] == ["copied", "decoration"]
    assert found["edits"]["decoration"]["raised"] == 1.0
    assert found["n"] == 20
    assert said(found)[0].startswith("rm:rm pays for edits that no reader would like: ")
    rows = list(read_jsonl(tmp_path / "out" / "edits.jsonl"))
    assert rows[0].keys() == {"edit", "query", "response", "original", "before", "after"}
    assert found["kept"] == str(rm / "probed.json")
    assert sha256_file(rm) == before
    probed = read_probed(rm)
    assert probed is not None
    assert probed["wins"] == found["wins"]
    capsys.readouterr()
    check_qualified(str(rm), [rm], Shaping(), force=False)
    told = capsys.readouterr().err
    assert f"{rm} rewards edits that no reader would like: {', '.join(found['wins'])}" in told
    assert "nobody has looked at which damage it sees" in told


def test_a_mixture_is_probed_and_keeps_nothing(rm: Path, tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "texts.jsonl",
        [{"query": f"q{i}", "response": f"A lamp for friend {i}, and a door, and bread."} for i in range(6)],
    )
    found = probe(ProbeInputs(reward=f"0.5*{rm} + 0.5*share:!", data=(tmp_path / "texts.jsonl",)), None)
    assert (found["n"], found["kept"], read_probed(rm)) == (6, None, None)


def test_what_cannot_be_probed_is_said(rm: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name the texts to edit: --data F, or --task T"):
        probe(ProbeInputs(reward=str(rm)), None)
    write_jsonl(tmp_path / "one.jsonl", [{"query": "q", "response": f"Text {i}, of one query."} for i in range(3)])
    with pytest.raises(InputError, match="texts of two queries at least"):
        probe(ProbeInputs(reward=str(rm), data=(tmp_path / "one.jsonl",)), None)
    assert not (rm / "probed.json").exists()
