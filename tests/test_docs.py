"""The pages hold: every command in them is one, every key of a recipe is listed, every file that they name is there."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import pytest
from cyclopts import CycloptsError
from docstring_parser import parse_from_object

from inkfire.cli.app import COMMANDS, command_line
from inkfire.runs.recipe import Recipe, load_recipe

HOME = Path(__file__).parents[1]
PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").glob("*.md"))]
RECIPES = HOME / "docs" / "recipes.md"
BEGIN, END = "<!-- keys: written by tests/test_docs.py -->\n", "<!-- end of keys -->\n"


# ---- commands ------------------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[str]:
    """The lines of code blocks that call inkfire, continued ones joined, without what a comment says."""
    code = re.findall(r"^```(?:sh|bash)?\n(.*?)^```|((?:^    .*\n|^\n)+)", text, re.M | re.S)
    for line in re.sub(r"\\\n\s*", "", "\n".join(fenced or indented for fenced, indented in code)).splitlines():
        if line.strip().startswith("inkfire "):
            yield re.sub(r"\s+#.*", "", line.strip())


def mentions(text: str) -> Iterator[str]:
    """What stands in running text as `inkfire …`."""
    for found in re.findall(r"`(inkfire [^`]+)`", text):
        yield " ".join(found.split())


def complaint(command: str) -> str | None:
    """What the command line has against a whole command; nothing is run."""
    root, words = command_line(), shlex.split(command)[1:]
    try:
        root.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return str(error)
    return None if root.parse_commands(words)[1][-1].default_command else "a group of commands"


def unknown(command: str) -> list[str]:
    """The words of a command, or of a part of one, that name no command and no option."""
    words = [word for word in re.split(r"[\s\[\]]+", command.replace("…", " ")) if word][1:]
    _, apps, rest = command_line().parse_commands(words)
    if apps[-1].default_command is None or not rest:
        return [*rest[:1]]
    options = {name for one in apps[-1].assemble_argument_collection() for name in one.names}
    return [word for word in rest if re.match("--?[a-z]", word) and word not in options]


def examples() -> Iterator[tuple[str, str]]:
    """(command, what its page of help gives as an example) of every command and every group of them."""
    root = command_line()
    for name in COMMANDS:
        apps = {name: root[name]} | {f"{name} {sub}": root[name][sub] for sub in root[name] if not sub.startswith("-")}
        for called, app in apps.items():
            for example in re.findall(r"^ *(?:\w+: )?(inkfire [^\\\n]*(?:\\\n[^\\\n]*)*)", app.help, re.M):
                yield called, re.sub(r"\\\n\s*", "", example)


WRITTEN = [(page.name, command) for page in PAGES for command in commands(page.read_text(encoding="utf-8"))]


def test_what_is_no_command_is_found() -> None:
    text = "Text\n\n    inkfire audit --pairs a \\\n        --seed 1   # why\n    make x\n\n```sh\ninkfire x y\n```\n"
    assert list(commands(text)) == ["inkfire audit --pairs a --seed 1", "inkfire x y"]
    assert len(WRITTEN) > 40
    for wrong in ("audit --pear x", "judge --task t", "audit --seed 1.5", "auditt", "train", "models lst"):
        assert complaint(f"inkfire {wrong}") is not None
    assert unknown("inkfire curate … --engine ray [--shard N] --shrad 1/2") == ["--shrad"]
    assert unknown("inkfire train smf --task t") == ["smf"]
    assert unknown("inkfire judge") == unknown("inkfire models") == []


@pytest.mark.parametrize(("page", "command"), WRITTEN)
def test_a_command_in_a_block_can_be_typed(page: str, command: str) -> None:
    del page
    if "…" in command:
        assert unknown(command) == []
    else:
        assert complaint(command) is None


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_of_help_can_be_typed(command: str) -> None:
    found = [(called, example) for called, example in examples() if called.split()[0] == command]
    groups = {called for called, example in found if f"{example} ".startswith(f"inkfire {called} ")}
    assert groups == {called for called, _ in found}
    assert {example: why for _, example in found if (why := complaint(example))} == {}


def test_every_page_of_help_has_an_example() -> None:
    root = command_line()
    called = [f"{name} {sub}" for name in COMMANDS for sub in root[name] if not sub.startswith("-")]
    assert {name for name, _ in examples()} == {*COMMANDS, *called}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_running_text_is_one(page: Path) -> None:
    wrong = {said: unknown(said) for said in mentions(page.read_text(encoding="utf-8"))}
    assert {said: words for said, words in wrong.items() if words} == {}


# ---- links and files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"\b(?:src/inkfire|docs|tests|benchmarks)/[\w./-]*\w", text):
        assert (HOME / target).exists(), target


def test_the_tree_in_the_readme_is_the_house() -> None:
    text = (HOME / "README.md").read_text(encoding="utf-8").partition("## The tree")[2]
    shown = re.findall(r"^      (\S+)  ", text.partition("## ")[0], re.M)
    there = [path for path in (HOME / "src" / "inkfire").iterdir() if not path.name.startswith("_")]
    assert sorted(shown) == sorted(path.name + "/" * path.is_dir() for path in there)


# ---- the keys of a recipe ------------------------------------------------------------------------------------------


def keys() -> str:
    """Every table of a recipe, key by key."""
    hints = typing.get_type_hints(Recipe, include_extras=True)
    plain = [field for field in dataclasses.fields(Recipe) if _settings_in(hints[field.name]) is None]
    parts = [_table("At the top", Recipe, plain)]
    for field in dataclasses.fields(Recipe):
        if (model := _settings_in(hints[field.name])) is not None:
            title = f"`[[{field.name}]]`" if get_origin(hints[field.name]) is tuple else f"`[{field.name}]`"
            parts.append(_table(title, model, dataclasses.fields(model)))
    return "\n".join(parts)


def descriptions(model: type) -> dict[str, str]:
    """Field → the string that stands after it, on one line; those of base classes first."""
    parsed = [parse_from_object(cls) for cls in reversed(model.__mro__[:-1])]
    return {field.arg_name: " ".join((field.description or "").split()) for doc in parsed for field in doc.params}


def _table(title: str, model: Any, fields: typing.Iterable[Any]) -> str:
    hints, meanings = typing.get_type_hints(model, include_extras=True), descriptions(model)
    about = " ".join((model.__doc__ or "").split())
    lines = [f"### {title}", "", about, "", "| key | value | default | meaning |", "|---|---|---|---|"]
    for field in fields:
        cells = [f"`{field.name}`", _kind(hints[field.name]), _default(field), meanings[field.name]]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _settings_in(hint: Any) -> type | None:
    inner = next(iter(get_args(hint)), hint)
    return inner if dataclasses.is_dataclass(inner) and isinstance(inner, type) else None


_BOUNDS = (("≥", annotated_types.Ge, "ge"), (">", annotated_types.Gt, "gt"), ("≤", annotated_types.Le, "le"),
           ("<", annotated_types.Lt, "lt"))  # fmt: skip
_KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}


def _kind(hint: Any) -> str:
    """A type in words, with its choices and bounds."""
    if hasattr(hint, "__metadata__"):
        bounds = [f"{sign} {getattr(one, name):g}" for one in hint.__metadata__ for sign, kind, name in _BOUNDS
                  if isinstance(one, kind)]  # fmt: skip
        return " ".join([_kind(hint.__origin__), ", ".join(bounds)]).strip()
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"list of {_kind(get_args(hint)[0])}"
    inner = [one for one in get_args(hint) if one is not type(None)]
    return " or ".join(map(_kind, inner)) if inner else _KINDS[hint]


def _default(field: Any) -> str:
    if field.default is dataclasses.MISSING:
        return "needed"
    if field.default is None or field.default == ():
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple):
        return "`[" + ", ".join(f'"{one}"' for one in field.default) + "]`"
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def test_docs_recipes_has_every_key() -> None:
    text = RECIPES.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    wanted = head + BEGIN + "\n" + keys() + "\n" + END + rest.partition(END)[2]
    if os.environ.get("INKFIRE_WRITE_DOCS"):
        RECIPES.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        pytest.fail("docs/recipes.md is not what the settings say: INKFIRE_WRITE_DOCS=1 pytest tests/test_docs.py")


def test_the_table_says_what_the_settings_say() -> None:
    rows = keys().splitlines()
    assert "| `rounds` | whole number ≥ 1 | `2` | Fresh candidates until a pair, this often. |" in rows
    assert any(row.startswith("| `fit_fraction` | number > 0, < 1 | `0.5` | Share of the labelled") for row in rows)
    assert '| `signals` | list of text | `["rm", "judge"]` |' in "\n".join(rows)
    assert "### `[[policies]]`" in rows


def test_the_recipe_on_the_page_is_one(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", RECIPES.read_text(encoding="utf-8"), re.S)
    assert example is not None
    (tmp_path / "mine.toml").write_text(example[1], encoding="utf-8")
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert recipe.data.labelled == tmp_path / "data" / "labelled.jsonl"
