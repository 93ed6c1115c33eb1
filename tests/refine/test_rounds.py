"""Adversarial refinement with a scripted model: what is learnt, what is refused, and that it repeats itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import InputError, ModelCallError
from inkfire.files.formats import split_by_query
from inkfire.files.jsonl import read_jsonl
from inkfire.judge.examples import Examples
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principles, read_principles
from inkfire.judge.spec import JudgeSpec
from inkfire.llm.base import Reply, Usage
from inkfire.llm.progress import Bar
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Labelled, Verdict, text_id
from inkfire.refine.contribution import count_tokens
from inkfire.refine.forgeries import Forgery, best
from inkfire.refine.history import Refined
from inkfire.refine.proposals import errors_of
from inkfire.refine.rounds import Refiner
from inkfire.refine.settings import RefineSettings
from inkfire.runs.refine import Refinement, Splits, refine_and_measure, split_labelled
from inkfire.tasks.task import Task

RULE = "A good text names a window."
QUERIES = [f"a query for the generator {number}" for number in range(12)]
Model = Callable[..., ScriptedLLM]


async def refined(task: Task, llm: ScriptedLLM, texts: list[Labelled], seed: int = 0, **settings: Any) -> Refined:
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    return await Refiner(task, llm, QUERIES, training, validation, RefineSettings(**settings), seed=seed).run()


async def measured(task: Task, llm: ScriptedLLM, splits: Splits, judge: JudgeSpec) -> Refinement:
    refiner = Refiner(task, llm, QUERIES, splits.training, splits.validation)
    return await refine_and_measure(refiner, judge, splits.test)


async def test_a_rule_that_helps_is_accepted_with_its_history(task: Task, model: Model, texts: list[Labelled]) -> None:
    made = await refined(task, model(), texts)
    assert made.accepted == 1
    assert RULE in made.principles.texts
    new = next(item for item in made.principles.items if item.text == RULE)
    assert (new.origin, new.round) == ("reflection", 1)
    assert new.because
    assert set(new.because) <= {one["id"] for one in made.counterexamples}
    assert new.why == "It was not told."
    assert new.effect is not None
    assert (new.effect, new.effect_n) == (pytest.approx(made.history[0]["effect"], abs=1e-4), 40)
    assert made.principles.items[0].effect is None
    row = made.history[0]
    assert row["effect"] > 0.3
    assert row["effect_ci"][0] > 0
    assert row["merged"] == "appended"
    assert row["merged_why"].startswith("optimizer")


async def test_an_author_of_its_own_writes_and_the_judge_only_judges(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    llm, author = model("The judge's own model would propose this rule."), model()
    made = await Refiner(task, llm, QUERIES, training, validation, author=author).run()
    assert RULE in made.principles.texts
    judging = {"Say Good or Bad" in call.messages[0]["content"] for call in llm.calls}
    writing = {"Say Good or Bad" in call.messages[0]["content"] for call in author.calls}
    assert (judging, writing) == ({True}, {False})


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


async def test_an_author_that_answers_nothing_is_said(task: Task, model: Model, texts: list[Labelled]) -> None:
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    made = await Refiner(task, model(), QUERIES, training, validation, author=ScriptedLLM(lambda messages: "")).run()
    row = made.history[0]
    asked = row["attacks"] + row["errors"]
    failed = f"{asked} of {asked} attacks and reflections failed: the reply is empty"
    assert row["why"] == f"no usable proposal; {failed}"


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
        ("A wish for occasion.", "copies the text"),
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
        await Refiner(task, model(), QUERIES, texts, texts).run()
    with pytest.raises(InputError, match="at least one query"):
        await Refiner(task, model(), [], texts[:20], texts[20:]).run()


def test_the_surest_errors_of_both_kinds_come_first() -> None:
    texts = [Labelled(f"q{number}", "r", 1 if number % 2 else 0) for number in range(6)]
    verdicts = [Verdict(1, probability=p) for p in (0.6, 0.9, 0.99)] + [Verdict(0, probability=0.1)]
    verdicts += [Verdict(None, unscored="x"), Verdict(0, probability=0.4)]
    found = errors_of(texts, verdicts, 3)
    assert [text.query for text, _ in found] == ["q2", "q3", "q0"]


def test_labelled_texts_are_split_by_query(texts: list[Labelled]) -> None:
    splits = split_labelled(texts, seed=1, validation=12)
    queries = [{row.query for row in part} for part in (splits.training, splits.validation, splits.test)]
    assert len(splits.validation) == 12
    assert sum(map(len, queries)) == len(set().union(*queries)) == 40
    assert len(splits.test) == 40
    smaller = split_labelled(texts, seed=1, validation=12, test=10)
    assert (len(smaller.training), len(smaller.validation), len(smaller.test)) == (58, 12, 10)
    with pytest.raises(InputError, match="fewer than one query"):
        split_labelled([Labelled(f"q{i % 4}", str(i), i % 2) for i in range(40)], seed=0, test=4)
    with pytest.raises(InputError, match="four queries"):
        split_labelled(texts[:6], seed=1)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_held_out_has_both_labels_however_few_texts_it_may_have(seed: int) -> None:
    """The good queries stand before the bad ones, so that the first queries alone have one label."""
    rows = [Labelled(f"q{number}", "a text", 1 if number < 30 else 0) for number in range(60)]
    splits = split_labelled(rows, seed=seed, validation=4, test=4)
    for part in (splits.validation, splits.test):
        assert len(part) == 4
        assert {row.label for row in part} == {0, 1}
    queries = [row.query for part in (splits.training, splits.validation, splits.test) for row in part]
    assert sorted(queries) == sorted(row.query for row in rows)
    pairs = [Labelled(f"q{number // 3}", str(number), 1 if number < 90 else 0) for number in range(180)]
    with pytest.raises(InputError, match="cannot be both good and bad"):
        split_labelled(pairs, seed=seed, test=4)


async def test_it_is_measured_before_and_after_and_written(
    task: Task, model: Model, texts: list[Labelled], tmp_path: Path
) -> None:
    judge = JudgeSpec("tiny", "scripted", "logprob")
    made = await measured(task, model(), split_labelled(texts, seed=0), judge)
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
    judge = JudgeSpec("tiny", "scripted", "logprob")
    splits = split_labelled(texts, seed=0)
    made = await measured(task, model("A text has words in it."), splits, judge)
    assert made.after is made.before


async def test_hard_negatives_that_still_fool_the_judge_are_reflected_on(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    """Round 1 finds them; in round 2 the judge sees them again and the Reflector gets those that pass."""
    llm = model("A text has words in it.")
    made = await refined(task, llm, texts, rounds=2, attacks=8, patience=3)
    first, second = made.history
    assert first["hard_negatives"] == {"n": 0, "still_fool": 0}
    assert second["hard_negatives"]["n"] > 0
    assert second["hard_negatives"]["still_fool"] == second["hard_negatives"]["n"]
    assert second["errors"] == first["errors"] + 2
    reflected = [call for call in llm.calls if "Is 0, was 1" in call.messages[-1]["content"]]
    assert sum("well hidden" in call.messages[-1]["content"] for call in reflected) == 2
    assert {one["round"] for one in made.hard_negatives} <= {1, 2}
    assert all(one["probability"] > 0.5 for one in made.hard_negatives)


def test_the_best_hard_negatives_are_the_surest_and_all_different() -> None:
    texts = ["a moon", "the sea at night", "cold tea", "two doors", "a bell", "snow again", "no lamp", "old roads"]
    found = [Forgery("q", text, verdict=Verdict(1, number / 10)) for number, text in enumerate(texts)]
    copy = Forgery("q", found[7].text + "!", verdict=Verdict(1, 0.65))
    kept = best([*found, copy], limit=4)
    assert kept == [found[7], found[6], found[5], found[4]]


async def test_a_run_without_gain_stops_early(task: Task, model: Model, texts: list[Labelled]) -> None:
    made = await refined(task, model("A text has words in it."), texts, rounds=6, patience=2)
    assert (len(made.history), made.stopped) == (2, "no gain in 2 rounds")
    made = await refined(task, model(), texts, rounds=3, patience=1)
    assert [row["accepted"] for row in made.history] == [True, False]
    assert made.stopped == "no gain in 1 rounds"


async def test_screening_rejects_what_gains_nothing_without_the_other_texts(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    useless = model("A text has words in it.")
    made = await refined(task, useless, texts, screen=12)
    row = made.history[0]
    full = await refined(task, model("A text has words in it."), texts)
    assert row["screened"]["n"] == 12
    assert row["screened"]["passed"] == (row["screened"]["effect"] > 0)
    if not row["screened"]["passed"]:
        assert "on the 12 texts of the screening" in row["why"]
    assert not row["accepted"]
    assert not full.history[0]["accepted"]

    helpful = await refined(task, model(), texts, screen=12)
    assert helpful.history[0]["screened"]["passed"]
    assert helpful.principles == (await refined(task, model(), texts)).principles


async def test_leave_one_out_finds_the_rule_that_matters(task: Task, model: Model, texts: list[Labelled]) -> None:
    made = await refined(task, model(), texts, leave_one_out=True)
    worth = {item.text: item for item in made.principles.items}
    assert all(item.contribution_n == 40 for item in worth.values())
    assert worth[RULE].contribution_ci is not None
    assert worth[RULE].contribution_ci[0] > 0.2
    assert worth[task.principles[0]].contribution == 0


async def test_rules_that_add_nothing_are_dropped_when_that_is_no_worse(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    made = await refined(task, model(), texts, shorten=True)
    assert made.principles.texts == (RULE,)
    row = made.history[-1]
    assert (row["round"], row["shortens"], row["accepted"], row["effect"]) == (2, True, True, 0)
    assert "no worse" in row["why"]
    assert made.principles.items[0].contribution is not None
    alone = await refined(task, model("A text has words in it."), texts, shorten=True)
    assert [row.get("shortens") for row in alone.history] == [None]
    assert alone.principles.texts == task.principles


async def test_it_tells_how_far_it_is(task: Task, model: Model, texts: list[Labelled]) -> None:
    seen: dict[str, list[int]] = {}

    @contextmanager
    def bars(label: str, total: int) -> Iterator[Bar]:
        class Counting:
            def advance(self, n: int = 1, failed: int = 0) -> None:
                seen[label][1] += n

        seen[label] = [total, 0]
        yield Counting()

    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    await Refiner(task, model(), QUERIES, training, validation, bars=bars).run()
    assert {label.partition(": ")[2] for label in seen} == {
        "training texts",
        "attacks",
        "reflections",
        "validation texts, current",
        "validation texts, candidate",
    }
    assert all(total == done for total, done in seen.values())


async def test_tokens_are_what_the_model_counts(task: Task) -> None:
    def counting(messages: list[Any]) -> Reply:
        return Reply("Good", usage=Usage(prompt_tokens=sum(len(m["content"].split()) for m in messages)))

    judge = LogprobJudge(task, ScriptedLLM(counting), Principles.of(["one two three", "four five"]))
    counted = await count_tokens(judge, Labelled("q", "r", 1))
    assert [item.tokens for item in counted.items] == [4, 3]
    unknown = LogprobJudge(task, ScriptedLLM(lambda messages: Reply("Good")), counted)
    assert await count_tokens(unknown, Labelled("q", "r", 1)) == counted
    failing = ScriptedLLM(lambda messages: ModelCallError("timed out"))
    alone = LogprobJudge(task, failing, Principles.of(["one", "two"]))
    assert {item.tokens for item in (await count_tokens(alone, Labelled("q", "r", 1))).items} == {None}


async def test_a_judge_with_examples_is_refined_without_those_of_validation_queries(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    splits = split_labelled(texts, seed=0)
    examples = Examples(tuple(splits.fit), 4)
    llm = model()
    judge = JudgeSpec("tiny", "scripted", "logprob", None, examples)
    made = await measured(task, llm, splits, judge)
    assert made.after.examples == examples
    validating = {row.response for row in splits.validation}
    before = ["\n".join(message["content"] for message in call.messages[:-1]) for call in llm.calls]
    shown = [prompt for prompt in before if "Example" in prompt]
    while_refining = shown[: len(splits.training) + 2 * len(splits.validation)]
    assert while_refining
    assert not any(text in prompt for prompt in while_refining for text in validating)
