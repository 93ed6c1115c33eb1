"""Presets: below what the user gives, on the command line and in a recipe alike."""

from pathlib import Path
from typing import Any

import pytest

from inkfire.cli.app import TABLES, command_line
from inkfire.errors import RecipeError
from inkfire.runs.recipe import Recipe, load_recipe
from inkfire.settings import from_json, preset, to_json
from inkfire.training.settings import GrpoSettings

GRPO = "train grpo --task t --policy p --reward r --out o"


def settings(line: str) -> Any:
    _, bound, _ = command_line().parse_args(line.split(), exit_on_error=False, print_error=False)
    bound.apply_defaults()
    return bound.arguments["settings"]


@pytest.mark.parametrize(("command", "table"), TABLES.items())
def test_a_command_takes_all_of_its_table(command: tuple[str, ...], table: str) -> None:
    needed = {"train grpo": "--task t --policy p --reward r", "train rm": "--pairs p"}[" ".join(command)]
    given = to_json(settings(f"{' '.join(command)} {needed} --out o --preset paper"))
    wanted = preset("paper", table)
    assert wanted
    assert {key: given[key] for key in wanted} == wanted
    assert given["preset"] == "paper"


def test_single_options_stand_on_top() -> None:
    assert settings(f"{GRPO} --preset paper --beta 0.5 --max-steps 3") == from_json(
        {**preset("paper", "grpo"), "preset": "paper", "beta": 0.5, "max_steps": 3}, GrpoSettings
    )
    assert settings(GRPO) == GrpoSettings()


def test_a_recipe_takes_the_same(tmp_path: Path) -> None:
    head = 'name = "mine"\ntask = "greetings-zh"\n[models]\nwriter = "local/a"\nagents = "local/b"\n'
    path = tmp_path / "mine.toml"
    path.write_text(head + '[grpo]\npreset = "paper"\nbeta = 0.5\n')
    assert load_recipe(str(path)).grpo == settings(f"{GRPO} --preset paper --beta 0.5")
    path.write_text(head + '[grpo]\npreset = "papr"\n')
    with pytest.raises(RecipeError, match=r"mine\.toml:7: grpo\.preset: Input should be 'paper'"):
        load_recipe(str(path))
    path.write_text(head + '[evaluate]\npreset = "paper"\n')
    with pytest.raises(RecipeError, match=r"mine\.toml:7: unknown key 'evaluate\.preset'"):
        load_recipe(str(path))


def test_a_preset_names_tables_and_keys_that_there_are() -> None:
    tables = {name: preset("paper", name) for name in Recipe.__dataclass_fields__}
    assert {name for name, table in tables.items() if table} >= set(TABLES.values())
