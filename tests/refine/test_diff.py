"""What changed between two sets of rules."""

from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import DataError
from inkfire.files.jsonl import write_jsonl
from inkfire.judge.principles import Principle, Principles
from inkfire.refine.diff import RuleSet, diff
from inkfire.stats.intervals import Interval

FITS, FRESH = Principle("It fits the occasion.", tokens=6), Principle("It is new.", "task", tokens=5)
OLD = Principles((FITS, FRESH, Principle("Short.")))
REWORDED = Principle("It is new and fresh.", "reflection", 1, ("a1",))
ADDED = Principle("A thing of this person alone.", "reflection", 1, ("a1", "zz"), "It was hollow.").measured(
    "effect", Interval(0.1, 0.02, 0.2, 60)
)
NEW = Principles((FITS, REWORDED, ADDED), OLD.version)


def folder(path: Path, principles: Principles, history: list[dict[str, Any]]) -> Path:
    principles.write(path / "principles.toml", task="tiny")
    write_jsonl(path / "history.jsonl", history)
    row = {"id": "a1", "query": "q", "response": "r", "label": 0, "judged": 1}
    write_jsonl(path / "counterexamples.jsonl", [row])
    return path


def test_added_removed_changed_and_why(tmp_path: Path) -> None:
    decided = {"effect": 0.1, "effect_ci": [0.02, 0.2], "n": 60}
    history = [
        {"round": 1, "accepted": False, "candidate": Principles.of(["Nothing like it."]).to_json(), **decided},
        {"round": 2, "accepted": True, "candidate": NEW.to_json(), **decided},
    ]
    a, b = folder(tmp_path / "a", OLD, []), folder(tmp_path / "b", NEW, history)
    found = diff(RuleSet.read(a), RuleSet.read(b / "principles.toml"))
    assert (found["kept"], found["n_added"], found["n_removed"], found["n_changed"]) == (1, 1, 1, 1)
    (added,) = found["added"]
    assert (added["text"], added["why"], added["effect_ci"]) == (ADDED.text, "It was hollow.", [0.02, 0.2])
    assert [one["response"] for one in added["counterexamples"]] == ["r"]
    assert [(one["from"], one["text"]) for one in found["changed"]] == [(FRESH.text, REWORDED.text)]
    (removed,) = found["removed"]
    assert (removed["round"], removed["effect_n"]) == (2, 60)
    assert found["from"] == {"version": OLD.version, "rules": 3, "tokens": None}


def test_files_alone_tell_what_the_rules_carry(tmp_path: Path) -> None:
    a, b = tmp_path / "a.toml", tmp_path / "b.toml"
    Principles(OLD.items[:2]).write(a, task="tiny")
    Principles((OLD.items[0],)).write(b, task="tiny")
    found = diff(RuleSet.read(a), RuleSet.read(b))
    assert found["removed"] == [
        {"text": "It is new.", "origin": "task", "round": None, "effect": None, "effect_ci": None, "effect_n": None}
    ]
    assert (found["from"]["tokens"], found["to"]["tokens"]) == (11, 6)


def test_a_set_does_not_differ_from_itself(tmp_path: Path) -> None:
    found = diff(RuleSet(NEW), RuleSet(NEW))
    assert (found["kept"], found["n_added"], found["n_removed"], found["n_changed"]) == (3, 0, 0, 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"principles\.toml: no such file"):
        RuleSet.read(tmp_path)
