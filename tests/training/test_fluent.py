"""The check ``fluent`` outside a training: a frozen tiny model reads, reference texts are the measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkfire.files.jsonl import write_jsonl
from inkfire.models.likelihood import Likelihood
from inkfire.rewards.reading import others
from inkfire.runs.check import CheckInputs, check
from inkfire.tasks.task import load_task

pytestmark = pytest.mark.slow


def test_fluent_is_a_band_around_reference_texts(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    good = load_task(tiny_task).good_texts()
    reference, data = tmp_path / "reference.jsonl", tmp_path / "data.jsonl"
    write_jsonl(reference, [{"query": text.query, "response": text.response} for text in good] * 4)
    write_jsonl(data, [{"query": "a wish", "response": text} for text in (good[0].response, "ÿ" * 30, "")])
    own = CheckInputs(data=(data,), checks=("fluent",), task=str(tiny_task), base=tiny_base)
    named = CheckInputs(data=(data,), checks=("fluent",), task=str(tiny_task), base=tiny_base, reference=(reference,))
    for inputs, n in ((own, len(good)), (named, 4 * len(good))):
        found = check(inputs)
        assert found["fluent"]["reference"]["n"] == n
        assert found["fluent"]["low"] < found["fluent"]["high"]
        assert 3 in [row["line"] for row in found["failures"]]  # an empty text is not fluent


def test_what_a_frozen_model_says_does_not_depend_on_the_batch(tiny_base: str, tiny_task: Path) -> None:
    reader = Likelihood.load(tiny_base, load_task(tiny_task))
    queries = ["a wish", "a wish for a wedding", "x"]
    texts = ["Well done!", "", "May your day be long and bright, and the night after it too."]
    together = reader.per_token(queries, texts)
    alone = [reader.per_token([query], [text])[0] for query, text in zip(queries, texts, strict=True)]
    assert together[1] is alone[1] is None
    assert [together[0], together[2]] == pytest.approx([alone[0], alone[2]], abs=1e-2)
    asked = [["x", "y"], [], []]
    foreign = [value for value in reader.per_token(["x", "y"], texts[:1] * 2) if value is not None]
    found = reader.relevance(queries, texts, asked)
    assert found == [pytest.approx(together[0] - sum(foreign) / 2, abs=1e-2), None, None]


def test_the_head_of_a_frozen_model_is_given_one_piece_of_memory(tiny_base: str, tiny_task: Path) -> None:
    """By a part of one it is multiplied only after torch has copied the head's weights for every text."""
    reader = Likelihood.load(tiny_base, load_task(tiny_task))
    seen = []
    reader.model.get_output_embeddings().register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    reader.per_token(["a wish", "a wish for a wedding"], ["Well done!", "May your day be long and bright."])
    (read,) = [given for given in seen if len(given) == 2]
    assert read.shape[1] == len("May your day be long and bright.") + 1
    assert read.is_contiguous()


def test_foreign_queries_are_drawn_once_for_a_text() -> None:
    pool = [f"q{i}" for i in range(9)] * 2
    drawn = others("q3", "text", pool, seed=1)
    assert drawn == others("q3", "text", pool, seed=1)
    assert len(set(drawn)) == 3
    assert "q3" not in drawn
    assert drawn != others("q3", "text", pool, seed=2)
    assert others("q3", "text", ["q3", "a"], seed=1) == ["a"]
