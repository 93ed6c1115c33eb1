"""The vocabulary: frozen, JSON with the same names, honest verdicts."""

from __future__ import annotations

import dataclasses
import json

import pytest

from inkfire.records import Preference, Query, Verdict, text_id, to_json


def test_ids_are_stable_for_any_text() -> None:
    assert Query.of("给外婆的八十大寿祝福").id == text_id("给外婆的八十大寿祝福")
    assert len(text_id("\ud800")) == 12
    assert text_id("a") != text_id("b")


def test_a_verdict_is_a_label_or_a_reason_for_none() -> None:
    assert Verdict(label=1, probability=0.7).scored
    assert not Verdict(label=None, unscored="refused").scored
    for wrong in ({"label": None}, {"label": 0, "unscored": "refused"}):
        with pytest.raises(ValueError, match="either a label or the reason"):
            Verdict(**wrong)  # type: ignore[arg-type]


def test_records_are_frozen_and_become_json() -> None:
    query = Query.of("q", ("festival",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        query.query = "other"  # type: ignore[misc]
    assert json.loads(json.dumps(to_json(query))) == {"id": query.id, "query": "q", "tags": ["festival"]}
    assert to_json(Preference("q", "a", "b", {"judge": "m"}))["provenance"] == {"judge": "m"}
