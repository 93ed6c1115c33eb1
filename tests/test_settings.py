"""Strict settings: every mistake names file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from inkfire.errors import RecipeError
from inkfire.settings import Strict, load_toml


class Reward(Strict):
    kind: Literal["linear", "judge"]
    weight: float = 1.0


class Grpo(Strict):
    steps: int
    rewards: tuple[Reward, ...] = ()
    base: Path | None = None


class Demo(Strict):
    title: str
    grpo: Grpo
    sft: Grpo | None = None


GOOD = """\
title = "demo"

[grpo]
steps = 8
base = "a/b"

[[grpo.rewards]]
kind = "linear"

[[grpo.rewards]]
kind = "judge"
weight = 2
"""


def load(tmp_path: Path, text: str) -> Demo:
    path = tmp_path / "demo.toml"
    path.write_text(text)
    return load_toml(path, Demo)


def test_a_recipe_loads(tmp_path: Path) -> None:
    demo = load(tmp_path, GOOD)
    assert demo.grpo.base == Path("a/b")
    assert demo.grpo.rewards == (Reward(kind="linear"), Reward(kind="judge", weight=2.0))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 8", "step = 8", "demo.toml:4: unknown key 'grpo.step'; did you mean 'steps'?"),
        ("title", "colour", "demo.toml:1: unknown key 'colour'; known: title, grpo, sft"),
        ("weight = 2", "wieght = 2", "demo.toml:12: unknown key 'grpo.rewards.1.wieght'; did you mean 'weight'?"),
        ("steps = 8", 'steps = "8"', "demo.toml:4: grpo.steps: Input should be a valid integer"),
        ("steps = 8", "steps = true", "demo.toml:4: grpo.steps: Input should be a valid integer"),
        ('"judge"', '"jduge"', "demo.toml:11: grpo.rewards.1.kind: Input should be 'linear' or 'judge'"),
        ("steps = 8\n", "", "demo.toml:3: the key 'grpo.steps' is missing"),
        ("[grpo]", "[grpo", "demo.toml:3: not valid TOML"),
        ("steps = 8", "steps = 8\nsteps = 9", "demo.toml:5: not valid TOML"),
        ("weight = 2", "weight = 2\n[sft]\nstepz = 3", "demo.toml:14: unknown key 'sft.stepz'; did you mean 'steps'?"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(error.value)


def test_unreadable_recipes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_toml(tmp_path / "absent.toml", Demo)
    with pytest.raises(RecipeError, match="cannot be read"):
        load_toml(tmp_path, Demo)
    (tmp_path / "latin.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(RecipeError, match="cannot be read"):
        load_toml(tmp_path / "latin.toml", Demo)
