"""Recipes: every one that ships parses, and a wrong one says what is wrong."""

from __future__ import annotations

import pytest

from inkfire.errors import RecipeError
from inkfire.files.run import Run
from inkfire.llm.ledger import Ledger
from inkfire.runs.context import Context
from inkfire.runs.experiment import plan
from inkfire.runs.recipe import load_recipe, recipe_names
from inkfire.tasks.task import load_task, task_names

MINIMAL = 'name = "mine"\ntask = "greetings-en"\n[models]\nwriter = "local/a"\nagents = "local/b"\n'


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_parses(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.task in task_names()


def test_the_demo_compares_both_strategies():
    recipe = load_recipe("demo-zh")
    assert [policy.reward for policy in recipe.policies] == ["rm", "judge"]
    assert [name for name, _ in plan(recipe)][-3:] == ["rm-rl", "judge-rl", "evaluate"]


@pytest.mark.parametrize(("line", "most"), [("", load_task("greetings-en").max_tokens), ("max_tokens = 9\n", 9)])
def test_a_recipe_may_say_how_long_a_text_can_be(tmp_path, line, most):
    recipe = load_recipe(write(tmp_path, line + MINIMAL))
    run = Run.open(tmp_path / "run", command="run", settings={}, inputs={}, seed=0)
    with Ledger(tmp_path / "ledger.sqlite", run="run") as ledger:
        assert Context(recipe, run, ledger).task.max_tokens == most


def test_an_unknown_key_is_named_with_its_line(tmp_path):
    with pytest.raises(RecipeError, match=r"mine.toml:7: unknown key 'sft.epoch'; did you mean 'epochs'"):
        load_recipe(write(tmp_path, MINIMAL + "[sft]\nepoch = 3\n"))


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(RecipeError, match="did you mean 'demo-zh'"):
        load_recipe("demo-hz")


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ('[[policies]]\nname = "sft"\nreward = "rm"\n', "taken"),
        ('[[policies]]\nname = "a"\nstart = "sftt"\nreward = "rm"\n', "did you mean 'sft'"),
    ],
)
def test_policies_that_cannot_be_trained(tmp_path, policies, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, MINIMAL + policies))


def test_data_paths_are_relative_to_the_recipe(tmp_path):
    recipe = load_recipe(write(tmp_path, MINIMAL + '[data]\nqueries = "q.txt"\n'))
    assert recipe.data.queries == tmp_path / "q.txt"
