"""Strict, typed settings from TOML: a misspelt key is an error that names the right one, never a silent default.

A recipe (or any other settings file) is a :class:`Strict` model; ``load_toml`` reads one and turns whatever is wrong
with it into one message with file, line and key.

>>> class Training(Strict):
...     steps: int
>>> load_toml(path, Training)                                                                    # doctest: +SKIP
RecipeError: demo.toml:3: unknown key 'step'; did you mean 'steps'?
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from inkfire.errors import InputError, RecipeError

T = TypeVar("T", bound=BaseModel)


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and does not convert types ("8" is no number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def load_toml(path: str | Path, model: type[T], *, error: type[InputError] = RecipeError) -> T:
    """Read a TOML file as ``model``.

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
    try:
        # By way of JSON: there strict types still let an array be a tuple and a string a path, as TOML needs.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as problem:
        # A misspelt key is both unknown and missing: say the former.
        first = min(problem.errors(), key=lambda one: one["type"] != "extra_forbidden")
        location = first["loc"]
        at = _line_of(text, location)
        raise error(f"{path}{at and f':{at}'}: {_in_words(first, model, location)}") from None


def nearest(name: str, known: Sequence[str]) -> str:
    """``; did you mean 'X'?`` when a known name is near, else the list of them: the end of an error message."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _in_words(first: Any, model: type[BaseModel], location: Sequence[int | str]) -> str:
    key = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(str(location[-1]), _keys_at(model, location[:-1]))}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _keys_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys known at a place inside a model."""
    for part in location:
        field = model.model_fields.get(str(part))
        inner = field and _model_in(field.annotation)
        if inner:
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model inside an annotation such as ``tuple[Dimension, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
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
