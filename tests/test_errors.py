"""The exception tree: every error has an exit code, and the drawing in the docstring is the tree."""

from __future__ import annotations

import inspect

import pytest

from inkfire import errors
from inkfire.errors import DataError, InkfireError, InputError, MissingExtraError

EVERY = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, InkfireError)]


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_has_a_code_and_stands_in_the_drawing(kind: type[InkfireError]) -> None:
    assert kind.exit_code == (1 if kind is InkfireError else 2 if issubclass(kind, InputError) else kind.exit_code)
    assert kind is InkfireError or kind.exit_code in (2, 3, 4)
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_a_data_error_says_where() -> None:
    assert str(DataError("wrong")) == "wrong"
    assert str(DataError("wrong", path="a.jsonl")) == "a.jsonl: wrong"
    error = DataError("wrong", path="a.jsonl", line=3)
    assert str(error) == "a.jsonl:3: wrong"
    assert (error.path, error.line) == ("a.jsonl", 3)


def test_a_missing_extra_says_what_to_run() -> None:
    assert "pip install 'inkfire[train]'" in str(MissingExtraError("torch", "train"))
