"""Recipes: every one that ships parses, and a wrong one says what is wrong."""

from __future__ import annotations

import dataclasses

import pytest

from inkfire.errors import RecipeError, TaskError
from inkfire.judge.spec import JudgeSettings, JudgeSpec
from inkfire.models.release import RELEASES
from inkfire.refine.settings import RefineSettings
from inkfire.rewards.checks import Checks
from inkfire.runs.context import Place
from inkfire.runs.curate import CurateSettings
from inkfire.runs.evaluate import EvaluateSettings
from inkfire.runs.experiment import checked, stages_of
from inkfire.runs.recipe import (
    Recipe,
    check_recipe,
    for_task,
    load_recipe,
    new_recipe,
    placed,
    recipe_names,
    rewards_of,
)
from inkfire.runs.stages import basis
from inkfire.tasks.task import load_task, task_names
from inkfire.training.settings import BonSettings, DpoSettings, GrpoSettings, RewardModelSettings, SftSettings

MODELS = '[models]\nwriter = "local/smollm2-135m"\nagents = "local/qwen2.5-coder-1.5b"\n'
MINIMAL = f'name = "mine"\ntask = "greetings-en"\n{MODELS}'


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_parses(name, tmp_path, monkeypatch):
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path))
    folder = tmp_path / "data" / "greetings-zh"
    folder.mkdir(parents=True)
    release = RELEASES["greetings-zh"]
    for file in (*release.files, *release.evaluation.files):
        (folder / file).touch()  # paper-zh reads all but those of the test pairs
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.task in task_names()


@pytest.mark.parametrize("name", ["demo-en", "demo-zh", "greetings-en-7b", "paper-en", "paper-zh-small"])
def test_every_policy_that_ships_is_watched_by_what_is_no_part_of_its_reward(name):
    recipe = load_recipe(name)
    check_recipe(
        dataclasses.replace(recipe, models=dataclasses.replace(recipe.models, agents="local/qwen2.5-coder-1.5b"))
    )
    assert recipe.grpo.validation >= 2
    assert all(policy.canary for policy in recipe.policies)


def test_what_is_compared_with_has_to_be_there(tmp_path):
    policy = '[[policies]]\nname = "rl"\nreward = "rm"\n[evaluate]\nagainst = ["RL"]\n'
    with pytest.raises(RecipeError, match=r"evaluate\.against: 'RL' is no policy of this recipe"):
        load_recipe(write(tmp_path, MINIMAL + policy))
    assert load_recipe(write(tmp_path, MINIMAL + policy.replace("RL", "rl"))).evaluate.against == ("rl",)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ('reward = "0.5*rm + 0.5*judge"\ncanary = ["rm"]', "rm is a part of its reward"),
        ('reward = "rm"\ncanary = ["jugde"]', "did you mean 'judge'"),
        ('reward = "rm"\nmethod = "bon"\ncanary = ["judge"]', "a canary watches grpo"),
    ],
)
def test_canaries_that_cannot_watch(tmp_path, policy, message):
    recipe = load_recipe(write(tmp_path, f'{MINIMAL}[[policies]]\nname = "a"\n{policy}\n'))
    with pytest.raises(RecipeError, match=message):
        check_recipe(recipe)


def test_a_canary_of_ones_own_lies_beside_the_recipe(tmp_path):
    policy = '[[policies]]\nname = "a"\nreward = "rm"\ncanary = ["python:mine.py:sings"]\n'
    assert load_recipe(write(tmp_path, MINIMAL + policy)).policies[0].canary == (f"python:{tmp_path}/mine.py:sings",)


def test_the_demo_compares_both_strategies():
    recipe = load_recipe("demo-zh")
    assert [recipe.reward_of(policy).score for policy in recipe.policies] == ["rm", "judge"]
    assert [name for name, _ in stages_of(recipe)][-3:] == ["rm-rl", "judge-rl", "evaluate"]


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


REWARD = """[[rewards]]
name = "taste"
score = "0.7*rm + 0.3*python:mine.py:f"
checks = ["length:2..", "forbid:slop.txt", "fluent"]
fluency = 1
length = "rescale"
[[policies]]
name = "a"
reward = "taste"
"""


def test_a_reward_of_several_parts_is_a_table(tmp_path):
    (tmp_path / "mine.py").write_text("def f(query, response):\n    return 1\n")
    (tmp_path / "slop.txt").write_text("slop\n")
    recipe = load_recipe(write(tmp_path, MINIMAL + REWARD))
    table = recipe.reward_of(recipe.policies[0])
    assert (table.name, table.fluency, table.length, table.mix) == ("taste", 1, "rescale", "standardise")
    assert table.checks == ("length:2..", f"forbid:{tmp_path}/slop.txt", "fluent")
    assert rewards_of(table) == ["rm", f"python:{tmp_path}/mine.py:f"]
    said, files = placed(table)
    assert said.score == "0.7*rm + 0.3*python:<reward 1>:f"
    assert said.checks == ("length:2..", "forbid:<check 2>", "fluent")
    assert files == {"reward 1": tmp_path / "mine.py", "check 2": tmp_path / "slop.txt"}
    assert basis(recipe)["a"][1] == ("audit", "sft", "reward_model")
    check_recipe(recipe)


def test_a_reward_by_groups_has_its_keys(tmp_path):
    rewards = '[[rewards]]\nname = "g"\nscore = "reference:m"\npairs_per_text = 2\nreference = "start.jsonl"\n'
    policy = '[[policies]]\nname = "a"\nreward = "g"\n'
    recipe = load_recipe(write(tmp_path, MINIMAL + rewards + policy))
    (table,) = recipe.rewards
    assert (table.pairs_per_text, table.reference) == (2, tmp_path / "start.jsonl")
    said, files = placed(table)
    assert (said.reference, files) == (None, {"reference": tmp_path / "start.jsonl"})
    with pytest.raises(RecipeError, match="nobody has measured it"):
        check_recipe(recipe)
    check_recipe(load_recipe(write(tmp_path, MINIMAL + rewards + "force = true\n" + policy)))
    canary = '[[policies]]\nname = "a"\nreward = "share:!"\ncanary = ["CANARY"]\n'
    folder = tmp_path / "rank"
    measured = {"accuracy_better_first": 0.8, "accuracy_worse_first": 0.8, "scored": 90, "first_share": 0.5}
    measured |= {f"accuracy_{name}_first_ci": [0.7, 0.9] for name in ("better", "worse")}
    JudgeSpec("greetings-en", "m", "rank", measured=measured).save(folder)
    with pytest.raises(RecipeError, match="its mean never falls"):
        check_recipe(load_recipe(write(tmp_path, MINIMAL + canary.replace("CANARY", f"rank:{folder}"))))


def test_a_policy_may_name_its_score_itself(tmp_path):
    recipe = load_recipe(write(tmp_path, MINIMAL + '[[policies]]\nname = "a"\nreward = "min(rm, judge)"\n'))
    table = recipe.reward_of(recipe.policies[0])
    assert (table.score, table.checks, rewards_of(table)) == ("min(rm, judge)", (), ["rm", "judge"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('score = "0.7*rm + 0.3*python:mine.py:f"', 'score = "rn"'), r"reward of 'a': rn: no reward"),
        (('"length:2.."', '"lenght:2.."'), "unknown check; did you mean 'length'"),
        (('"forbid:slop.txt"', '"forbid:none.txt"'), "no such file"),
        (('name = "taste"', 'name = "rm"'), "rewards: the name 'rm' is taken"),
        (("fluency = 1", "fluensy = 1"), "did you mean 'fluency'"),
        (('reward = "taste"', 'reward = "tatse"'), "tatse: no reward.*did you mean 'taste'"),
    ],
)
def test_what_is_wrong_with_a_reward(tmp_path, change, message):
    (tmp_path / "mine.py").write_text("def f(query, response):\n    return 1\n")
    (tmp_path / "slop.txt").write_text("slop\n")
    with pytest.raises(RecipeError, match=message):
        check_recipe(load_recipe(write(tmp_path, MINIMAL + REWARD.replace(*change))))


def test_data_paths_are_relative_to_the_recipe(tmp_path):
    recipe = load_recipe(write(tmp_path, MINIMAL + '[data]\nqueries = "q.txt"\n'))
    assert recipe.data.queries == tmp_path / "q.txt"
    recipe = load_recipe(write(tmp_path, MINIMAL + '[data]\npairs = ["a.jsonl", "b/c.csv"]\n'))
    assert recipe.data.pairs == (tmp_path / "a.jsonl", tmp_path / "b" / "c.csv")
    with pytest.raises(RecipeError, match=r"mine.toml:\d+: data.pairs"):
        load_recipe(write(tmp_path, MINIMAL + "[data]\npairs = [1]\n"))


def test_keys_of_earlier_recipes_mean_what_they_meant(tmp_path):
    recipe = load_recipe(write(tmp_path, MINIMAL + '[curate]\nqueries = 3\npair_policy = "all"\n'))
    assert (recipe.curate.limit, recipe.curate.pairs) == (3, "all")


def test_a_table_is_the_settings_of_its_command():
    """The same names and the same defaults, whichever door is taken."""
    for table, settings in (
        (Recipe.sft, SftSettings),
        (Recipe.curate, CurateSettings),
        (Recipe.reward_model, RewardModelSettings),
        (Recipe.refine, RefineSettings),
        (Recipe.judge, JudgeSettings),
        (Recipe.grpo, GrpoSettings),
        (Recipe.bon, BonSettings),
        (Recipe.dpo, DpoSettings),
        (Recipe.evaluate, EvaluateSettings),
    ):
        assert isinstance(table, settings)
        assert {name: getattr(table, name) for name in vars(settings())} == vars(settings())


def test_a_recipe_of_ones_own_is_begun_from_one_that_ships(tmp_path):
    new_recipe(tmp_path / "My Cards.toml", like="demo-en")
    recipe = load_recipe(str(tmp_path / "My Cards.toml"))
    assert recipe.name == "my-cards"
    assert dataclasses.replace(recipe, name="demo-en") == load_recipe("demo-en")
    with pytest.raises(RecipeError, match="there already"):
        new_recipe(tmp_path / "My Cards.toml", like="demo-en")


@pytest.mark.parametrize("name", task_names())
def test_the_demo_takes_every_task_that_ships(name, tmp_path):
    task = load_task(name)
    recipe = for_task(load_recipe(f"demo-{task.language}"), name)
    _, splits = checked(recipe, Place(tmp_path / "demo"))
    assert len(splits.held_out) == recipe.evaluate.queries
    good = splits.good_texts
    for table in recipe.rewards:
        failed = Checks.parse(table.checks).failures([q for q, _ in good], [text for _, text in good])
        assert sum(map(bool, failed)) <= len(good) / 50


def test_a_demo_in_another_language_is_another_recipe():
    with pytest.raises(TaskError, match="jueju-zh is in another language"):
        for_task(load_recipe("demo-en"), "jueju-zh")
