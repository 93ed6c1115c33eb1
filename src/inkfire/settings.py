"""Strict, typed settings: one class a command, which is its command line, its table in a recipe and its manifest.

A class made by :func:`settings` is a frozen dataclass whose fields have the help text as their docstrings: cyclopts
makes options of them, a recipe's table has them as keys, docs/recipes.md lists them. ``load_toml`` reads any file of
settings and turns whatever is wrong with it into one message with file, line and key; a misspelt key is an error that
names the right one, never a silent default.

>>> @settings
... class Training:
...     steps: Annotated[int, Ge(1)] = 10
...     \"""Optimizer steps.\"""
>>> load_toml(path, Training)                                                                    # doctest: +SKIP
RecipeError: demo.toml:3: unknown key 'step'; did you mean 'steps'?
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, dataclass_transform, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from inkfire.errors import InputError, RecipeError

T = TypeVar("T")
Preset = Literal["paper"]
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """A frozen dataclass of keyword fields that, read from a file, refuses unknown keys and converts no types."""
    cls.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[attr-defined]
    made = dataclass(frozen=True, kw_only=True)(cls)
    if made.__base__ is not object:  # cyclopts looks hints up in this module, where those of inherited fields are not
        made.__init__.__annotations__ = typing.get_type_hints(made, include_extras=True)
    return made


@settings
class WithPreset:
    """Settings that a preset has values for."""

    preset: Preset | None = None
    """paper: the paper's own settings (docs/paper.md); options given beside it count."""


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and does not convert types ("8" is no number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def option(*names: str, env: str | None = None, several: bool = False) -> Any:
    """How a field is called on the command line where its own name does not do (for ``Annotated``).

    Args:
        names: the option's names, as ``--base``.
        env: the environment variable that stands in for it.
        several: whether it takes all values up to the next option; else it is repeated.
    """
    from cyclopts import Parameter

    if several:
        return Parameter(name=names or None, env_var=env, consume_multiple=True, allow_leading_hyphen=False)
    return Parameter(name=names or None, env_var=env)


def _read(text: str, model: type[T]) -> T:
    """By way of JSON: there strict types still let an array be a tuple and a string a path, as TOML needs."""
    return TypeAdapter(model).validate_json(text)


def preset(name: str, table: str) -> dict[str, Any]:
    """The keys that a preset gives a recipe's table; none where there is no such preset or it says nothing of it."""
    file = resources.files("inkfire.recipes") / "presets" / f"{name}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")).get(table, {}) if file.is_file() else {}


def to_json(value: Any) -> dict[str, Any]:
    """Settings as JSON values, for a manifest: paths as strings, nested settings as objects."""
    return json.loads(json.dumps(dataclasses.asdict(value), default=str))  # type: ignore[no-any-return]


def from_json(data: Mapping[str, Any], model: type[T]) -> T:
    """The inverse of :func:`to_json`.

    Raises:
        InputError: an unknown key or a wrong value.
    """
    try:
        return _read(json.dumps(dict(data)), model)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise InputError(_in_words(first, model, first["loc"])) from None


def load_toml(
    path: str | Path,
    model: type[T],
    *,
    error: type[InputError] = RecipeError,
    renamed: Mapping[tuple[str, str], str] = {},
) -> T:
    """Read a TOML file as ``model``, a :class:`Strict` model or a class of :func:`settings`.

    Args:
        renamed: (table, key) of earlier versions → what the key is called now.

    Raises:
        RecipeError: (or ``error``) no such file, not TOML, an unknown key or a wrong value; the first one is named
            with its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path}: cannot be read: {problem}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        place = re.search(r"\(at line (\d+)", str(problem))
        at = place[1] if place else text.count("\n") + 1
        raise error(f"{path}:{at}: not valid TOML: {problem}") from None
    for (table, old), new in renamed.items():
        if isinstance(data.get(table), dict) and old in data[table]:
            data[table].setdefault(new, data[table].pop(old))
    for name, table in data.items():
        if isinstance(table, dict) and isinstance(table.get("preset"), str):
            data[name] = preset(table["preset"], name) | table
    try:
        return _read(json.dumps(data, default=str), model)
    except ValidationError as problem:
        # A misspelt key is both unknown and missing: say the former.
        first = min(problem.errors(), key=lambda one: one["type"] not in _UNKNOWN)
        location = first["loc"]
        at = _line_of(text, location)
        raise error(f"{path}{at and f':{at}'}: {_in_words(first, model, location)}") from None


def nearest(name: str, known: Sequence[str]) -> str:
    """``; did you mean 'X'?`` when a known name is near, else the list of them: the end of an error message."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _in_words(first: Any, model: type, location: Sequence[int | str]) -> str:
    key = ".".join(str(part) for part in location)
    if first["type"] in _UNKNOWN:
        return f"unknown key {key!r}{nearest(str(location[-1]), _keys_at(model, location[:-1]))}"
    if first["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"the key {key!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _keys_at(model: type, location: Sequence[int | str]) -> list[str]:
    """The keys known at a place inside a model."""
    for part in location:
        inner = _model_in(_annotations(model).get(str(part)))
        if inner:
            model = inner
    return list(_annotations(model))


def _annotations(model: type) -> dict[str, Any]:
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return typing.get_type_hints(model)


def _model_in(annotation: Any) -> type | None:
    """The first model inside an annotation such as ``tuple[Dimension, ...] | None``."""
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _line_of(text: str, location: Sequence[int | str]) -> int | str:
    """The line where a key stands, or the one that opens the nearest table above it; "" where neither is found."""
    wanted = [part for part in location if isinstance(part, str)]
    index = next((part for part in location if isinstance(part, int)), 0)
    best: int | str = ""
    table: list[str] = []
    seen = -1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$", line):
            table = [part.strip().strip("\"'") for part in header[2].split(".")]
            seen += header[1] == "[[" and table == wanted[: len(table)]
            if table == wanted[: len(table)] and (header[1] == "[" or seen == index):
                best = number
        elif (
            (key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line))
            and [*table, key[1]] == wanted[: len(table) + 1]
            and (seen < 0 or seen == index)
        ):
            best = number
    return best
