"""Presets: below what the user gives, on the command line and in a recipe alike, and all of it in docs/paper.md."""

import dataclasses
import re
import tomllib
import typing
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from inkfire.cli.app import TABLES, command_line
from inkfire.errors import InputError, RecipeError
from inkfire.runs.recipe import Recipe, load_recipe
from inkfire.settings import from_json, preset, to_json
from inkfire.tasks.task import load_task
from inkfire.training.settings import GrpoSettings

NEEDED = {
    "curate": "--task t --model m", "refine": "--task t --model m", "judge": "--task t --model m",
    "judge curve": "--task t --model m", "train grpo": "--task t --policy p --reward r", "train rm": "--pairs p",
}  # fmt: skip
GRPO = f"train grpo {NEEDED['train grpo']} --out o"
HEAD = 'name = "mine"\ntask = "greetings-zh"\n[models]\nwriter = "local/a"\nagents = "local/b"\n'
PAGE = Path(__file__).parents[1] / "docs" / "paper.md"
PAPER: dict[str, dict[str, Any]] = tomllib.loads(
    (resources.files("inkfire.recipes") / "presets" / "paper.toml").read_text(encoding="utf-8")
)


def parsed(line: str) -> dict[str, Any]:
    _, bound, _ = command_line().parse_args(line.split(), exit_on_error=False, print_error=False)
    bound.apply_defaults()
    return {name: getattr(bound.arguments[part], name) for part in ("settings", "inputs") if part in bound.arguments
            for name in vars(bound.arguments[part])}  # fmt: skip


@pytest.mark.parametrize(("command", "tables"), TABLES.items())
def test_a_command_takes_all_of_its_table(command: tuple[str, ...], tables: tuple[str, ...]) -> None:
    name = " ".join(command)
    given = parsed(f"{name} {NEEDED[name]} --out o --preset paper")
    # What a judge is worth as a reward is said where it is one, and a curve shows it nothing damaged.
    elsewhere = {"value"} if command[0] == "judge" else set()
    elsewhere |= {"qualify"} if command[-1] == "curve" else set()
    wanted = {key: value for key, value in PAPER[tables[-1]].items() if key not in elsewhere}
    assert wanted
    assert {key: given[key] for key in wanted} == wanted
    assert given["preset"] == "paper"


def test_a_judge_gives_the_papers_reward() -> None:
    assert parsed(f"{GRPO} --preset paper")["value"] == PAPER["judge"]["value"] == "label"
    assert parsed(f"{GRPO} --preset paper --value probability")["value"] == parsed(GRPO)["value"] == "probability"


def test_single_options_stand_on_top() -> None:
    given = parsed(f"{GRPO} --preset paper --beta 0.5 --max-steps 3")
    wanted = from_json({**PAPER["grpo"], "preset": "paper", "beta": 0.5, "max_steps": 3}, GrpoSettings)
    assert {key: given[key] for key in vars(wanted)} == vars(wanted)
    assert {key: parsed(GRPO)[key] for key in vars(wanted)} == vars(GrpoSettings())


def test_a_recipe_takes_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + '[grpo]\npreset = "paper"\nbeta = 0.5\n')
    given = parsed(f"{GRPO} --preset paper --beta 0.5")
    table = vars(load_recipe(str(path)).grpo)
    assert table.pop("validation") == 0  # queries of the recipe, which a command names by files
    assert table == {key: given[key] for key in vars(GrpoSettings())}
    path.write_text(HEAD + '[grpo]\npreset = "papr"\n')
    with pytest.raises(RecipeError, match=r"mine\.toml:7: grpo\.preset: Input should be 'paper'"):
        load_recipe(str(path))
    path.write_text(HEAD + '[evaluate]\npreset = "paper"\n')
    with pytest.raises(RecipeError, match=r"mine\.toml:7: unknown key 'evaluate\.preset'"):
        load_recipe(str(path))


def test_a_whole_recipe_holds_the_paper(tmp_path: Path) -> None:
    """And so does its manifest, which has the recipe as it was read."""
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + "".join(f'[{table}]\npreset = "paper"\n' for table in PAPER))
    recipe = load_recipe(str(path))
    about = to_json(recipe)
    assert {table: {key: about[table][key] for key in keys} for table, keys in PAPER.items()} == PAPER
    assert {name for (*_, name) in TABLES.values()} == PAPER.keys()
    with pytest.raises(InputError, match="--retrieval dense needs --embedder MODEL"):  # before the first stage
        recipe.curate.settled(load_task("greetings-zh"), "local/b")


def test_another_name_has_nothing() -> None:
    assert preset("nobody", "grpo") == {} == preset("paper", "sft")


# ---- the page ------------------------------------------------------------------------------------------------------


def lines() -> list[tuple[str, list[str]]]:
    """(what the preset says as TOML, or nothing; the cells) of every line of the page's tables of settings."""
    text = PAGE.read_text(encoding="utf-8").partition("## Line by line")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| ")]
    rows = [row for row in rows if row[0]]
    assert {len(row) for row in rows} == {6}
    found = [re.match(r"`(\w+\.\w+ = [^`]+)`", row[4]) for row in rows]
    return [(said[1] if said else "", row) for said, row in zip(found, rows, strict=True)]


def test_the_page_has_every_line_of_the_preset_and_no_other() -> None:
    said = [toml for toml, _ in lines() if toml]
    assert len(said) == len(set(said)) == sum(map(len, PAPER.values()))
    assert tomllib.loads("\n".join(said)) == PAPER


@pytest.mark.parametrize(("toml", "cells"), [(toml, cells) for toml, cells in lines() if toml])
def test_the_page_says_our_default(toml: str, cells: list[str]) -> None:
    ((table, keys),) = tomllib.loads(toml).items()
    ((key, _),) = keys.items()
    model = typing.get_type_hints(Recipe)[table]
    (default,) = (field.default for field in dataclasses.fields(model) if field.name == key)
    shown = re.match(r"`([^`]+)`", cells[3])
    if default is None:
        assert cells[3].startswith("none: ")
    else:
        assert shown is not None
        assert tomllib.loads(f"x = {shown[1]}")["x"] == default


def test_every_line_says_what_it_stands_on() -> None:
    for toml, (what, paper, release, ours, here, of) in lines():
        assert all((what, paper, release, ours, here)), what
        assert of in ("paper", "code", "data", "ours"), what
        assert not (toml and of == "ours"), f"{what}: the preset has what neither paper nor code says"
        assert {"paper": paper, "code": release, "data": release}.get(of, ours) != "–", what
