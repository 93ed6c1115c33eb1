"""Adversarial refinement with a scripted model: what is learnt, what is refused, and that it repeats itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.datafiles import split_by_query
from inkfire.errors import InputError
from inkfire.judge.principles import read_principles
from inkfire.judge.refine import Refined, RefineSettings, refine, worst_errors
from inkfire.judge.refining import refine_and_measure, split_labelled
from inkfire.judge.saved import SavedJudge
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Labelled, Verdict, text_id
from inkfire.tasks.task import Task
from inkfire.workspace import read_jsonl

RULE = "A good text names a window."
QUERIES = [f"a query for the generator {number}" for number in range(12)]
Model = Callable[..., ScriptedLLM]


async def refined(task: Task, llm: ScriptedLLM, texts: list[Labelled], **settings: Any) -> Refined:
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    return await refine(task, llm, QUERIES, training, validation, settings=RefineSettings(**settings))


async def test_a_rule_that_helps_is_accepted_with_its_history(task: Task, model: Model, texts: list[Labelled]) -> None:
    made = await refined(task, model(), texts)
    assert made.accepted == 1
    assert RULE in made.principles.texts
    new = next(item for item in made.principles.items if item.text == RULE)
    assert (new.origin, new.round) == ("reflection", 1)
    assert new.because
    row = made.history[0]
    assert row["effect"] > 0.3
    assert row["effect_ci"][0] > 0
    assert row["merged"] == "appended"
    assert row["merged_why"].startswith("optimizer")


async def test_a_rule_that_does_nothing_is_rejected_and_not_tried_again(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    llm = model("A text has words in it.")
    made = await refined(task, llm, texts, rounds=2)
    assert (made.accepted, made.rejected) == (0, 2)
    assert made.principles.texts == task.principles
    assert "not shown to be better" in made.history[0]["why"]
    refused = {proposal["refused"] for proposal in made.history[1]["proposals"] if proposal["kind"] == "principles"}
    assert refused == {"it was part of a rejected candidate"}
    assert made.history[1]["why"] == "no usable proposal"


async def test_caught_attacks_teach_the_generator_and_fooling_ones_are_kept(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    made = await refined(task, model(), texts, attacks=8)
    row = made.history[0]
    assert row["attacks"] == 8
    assert row["caught"] + row["fooled"] == 8
    assert row["caught"] > 0
    assert row["fooled"] == len(made.attacks) > 0
    assert all("well hidden" in attack["text"] for attack in made.attacks)
    assert "Hide it deeper in the text." in made.flaws.texts
    origins = {(p["kind"], p["origin"]) for p in row["proposals"]}
    assert origins == {("flaws", "adversarial"), ("principles", "adversarial"), ("principles", "reflection")}


@pytest.mark.parametrize(
    ("proposal", "why"),
    [
        ("", "0 characters"),
        ("no", "2 characters"),
        ("文字要有具体的细节，不能空洞。", "not in the task's language"),
        ("It fits the OCCASION!", "a copy"),
        ("One line.\nAnd another.", "more than one line"),
    ],
)
async def test_bad_proposals_are_refused_with_a_reason(
    task: Task, model: Model, texts: list[Labelled], proposal: str, why: str
) -> None:
    made = await refined(task, model(proposal), texts)
    reflected = [p for p in made.history[0]["proposals"] if p["origin"] == "reflection"]
    assert reflected
    assert all(why in p["refused"] for p in reflected)


async def test_a_generator_that_fails_makes_no_attack(task: Task, model: Model, texts: list[Labelled]) -> None:
    inner = model("A text has words in it.")

    def silent(messages: list[Any]) -> Any:
        return "" if "flawed" in messages[0]["content"] else inner._replies(messages)

    made = await refined(task, ScriptedLLM(silent), texts)
    row = made.history[0]
    assert (row["caught"], row["fooled"], len(row["dropped"])) == (0, 0, 4)
    assert made.attacks == ()


async def test_the_same_replies_give_the_same_history(task: Task, model: Model, texts: list[Labelled]) -> None:
    first = await refined(task, model(), texts, rounds=2, seed=7)
    second = await refined(task, model(), texts, rounds=2, seed=7)
    assert first == second


async def test_splits_that_share_a_query_are_refused(task: Task, model: Model, texts: list[Labelled]) -> None:
    with pytest.raises(InputError, match="share the query"):
        await refine(task, model(), QUERIES, texts, texts)
    with pytest.raises(InputError, match="at least one query"):
        await refine(task, model(), [], texts[:20], texts[20:])


def test_the_surest_errors_of_both_kinds_come_first() -> None:
    texts = [Labelled(f"q{number}", "r", 1 if number % 2 else 0) for number in range(6)]
    verdicts = [Verdict(1, probability=p) for p in (0.6, 0.9, 0.99)] + [Verdict(0, probability=0.1)]
    verdicts += [Verdict(None, unscored="x"), Verdict(0, probability=0.4)]
    found = worst_errors(texts, verdicts, 3)
    assert [text.query for text, _ in found] == ["q2", "q3", "q0"]


def test_labelled_texts_are_split_by_query(texts: list[Labelled]) -> None:
    splits = split_labelled(texts, seed=1, validation=12)
    queries = [{row.query for row in part} for part in (splits.training, splits.validation, splits.test)]
    assert len(splits.validation) == 12
    assert sum(map(len, queries)) == len(set().union(*queries)) == 40
    assert len(splits.test) == 40
    with pytest.raises(InputError, match="four queries"):
        split_labelled(texts[:6], seed=1)


async def test_it_is_measured_before_and_after_and_written(
    task: Task, model: Model, texts: list[Labelled], tmp_path: Path
) -> None:
    judge = SavedJudge("tiny", "scripted", "logprob")
    made = await refine_and_measure(task, model(), QUERIES, split_labelled(texts, seed=0), judge=judge)
    summary = made.to_json()
    assert summary["after"]["auc"] == 1.0
    assert summary["before"]["auc"] < 0.8
    assert made.after.principles is not None
    assert RULE in made.after.principles.texts
    made.write(tmp_path, task.name)
    assert read_principles(tmp_path / "principles.toml") == made.refined.principles
    assert next(iter(read_jsonl(tmp_path / "history.jsonl")))["accepted"] is True
    assert text_id(made.refined.attacks[0]["text"])


async def test_with_nothing_accepted_after_is_before(task: Task, model: Model, texts: list[Labelled]) -> None:
    judge = SavedJudge("tiny", "scripted", "logprob")
    splits = split_labelled(texts, seed=0)
    made = await refine_and_measure(task, model("A text has words in it."), QUERIES, splits, judge=judge)
    assert made.after is made.before
