"""Splits: disjoint by query, the held-out queries seen by nobody, whatever the seed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inkfire.errors import InputError
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import Reading
from inkfire.runs.recipe import Data, load_recipe
from inkfire.runs.splits import make_splits
from inkfire.tasks.task import load_task


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("name", ["demo-zh", "demo-en"])
def test_no_query_is_on_two_sides(name, seed):
    recipe = load_recipe(name)
    task = load_task(recipe.task)
    splits = make_splits(recipe, task, seed)
    held_out = {query.query for query in splits.held_out}
    assert len(held_out) == recipe.evaluate.queries
    assert not held_out & {query.query for query in splits.train}
    assert not held_out & {row.query for row in (*splits.fit, *splits.test)}
    assert not held_out & {pair.query for pair in splits.pairs}
    assert not held_out & {query for query, _ in splits.good_texts}
    assert not {row.query for row in splits.fit} & {row.query for row in splits.test}
    looked_at = {query.query for query in splits.validation}
    assert len(looked_at) == recipe.grpo.validation
    assert not looked_at & (held_out | {query.query for query in (*splits.train, *splits.curated)})
    assert not looked_at & {query for query, _ in splits.good_texts}
    slices = [task.slice_of(query) for query in splits.held_out]
    assert abs(slices.count("high-frequency") - slices.count("general")) <= 1


def test_a_bound_on_the_judged_texts_keeps_whole_queries():
    recipe = load_recipe("demo-zh")
    task = load_task(recipe.task)
    splits = make_splits(recipe, task, 0)
    unbounded = make_splits(replace(recipe, judge=replace(recipe.judge, labelled=None)), task, 0)
    judged = {row.query for row in (*splits.fit, *splits.test)}
    assert len([*splits.fit, *splits.test]) == recipe.judge.labelled
    assert [row for row in task.labelled() if row.query in judged] == [
        row for row in task.labelled() if row in splits.fit or row in splits.test
    ]
    assert len([*unbounded.fit, *unbounded.test]) == len(task.labelled())


def test_curation_and_sft_may_have_files_of_their_own_and_see_no_held_out_query(tmp_path):
    recipe = load_recipe("demo-en")
    task = load_task(recipe.task)
    held_out = [query.query for query in make_splits(recipe, task, 0).held_out]
    measured = task.labelled()[0].query
    write_jsonl(tmp_path / "curate_queries.jsonl", [{"query": q} for q in ("new", "new", held_out[0], measured)])
    write_jsonl(tmp_path / "good.jsonl", [{"query": q, "response": "r"} for q in ("new", "new", held_out[1])])
    data = Data(curate_queries=tmp_path / "curate_queries.jsonl", good=tmp_path / "good.jsonl")
    splits = make_splits(replace(recipe, data=data), task, 0)
    assert [query.query for query in splits.curated] == ["new"]
    assert splits.good_texts == [("new", "r")]
    assert [query.query for query in splits.held_out] == held_out
    for name, row in (("curate_queries", {"query": measured}), ("good", {"query": held_out[0], "response": "r"})):
        write_jsonl(tmp_path / f"{name}.jsonl", [row])
        with pytest.raises(InputError, match=rf"data\.{name}: .*name others"):
            make_splits(replace(recipe, data=Data(**{name: tmp_path / f"{name}.jsonl"})), task, 0)


def test_sft_learns_the_tasks_good_texts_and_judges_are_asked_others(tmp_path):
    recipe = load_recipe("demo-zh")
    task = load_task(recipe.task)
    splits = make_splits(recipe, task, 0)
    apart = {query.query for query in (*splits.held_out, *splits.validation)}
    good = [(text.query, text.response) for text in task.good_texts()]
    assert splits.good_texts == [text for text in good if text[0] not in apart]
    assert not {text for _, text in splits.good_texts} & {text.response for text in task.exam_texts()}
    own = make_splits(replace(recipe, data=Data(pairs=task.folder / "pairs.jsonl")), task, 0)
    assert own.good is None
    assert {pair.chosen for pair in task.pairs()} <= {text for _, text in own.good_texts}


def test_the_seed_decides_the_split():
    recipe = load_recipe("demo-en")
    task = load_task(recipe.task)
    first, again, other = (make_splits(recipe, task, seed) for seed in (0, 0, 1))
    assert first.held_out == again.held_out
    assert first.held_out != other.held_out


def test_files_of_one_kind_add_up_and_their_columns_are_there(tmp_path):
    recipe = load_recipe("demo-en")
    task = load_task(recipe.task)
    write_jsonl(tmp_path / "a.jsonl", [{"query": "q", "chosen": "x", "rejected": "y"}])
    (tmp_path / "b.csv").write_text("Ask,chosen,rejected\nr,x,y\n")
    both = Data(pairs=(tmp_path / "a.jsonl", tmp_path / "b.csv"))
    splits = make_splits(replace(recipe, data=both, reading=Reading(column=("query=Ask",))), task, 0)
    assert [pair.query for pair in splits.pairs] == ["q", "r"]
    with pytest.raises(InputError, match="no row has a column 'Aks'; did you mean 'Ask'"):
        make_splits(replace(recipe, data=both, reading=Reading(column=("query=Aks",))), task, 0)


def test_too_few_queries_are_refused_with_the_fix():
    recipe = load_recipe("demo-en")
    greedy = replace(recipe, evaluate=replace(recipe.evaluate, queries=10_000))
    with pytest.raises(InputError, match=r"lower evaluate\.queries"):
        make_splits(greedy, load_task(recipe.task), 0)
