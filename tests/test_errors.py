"""The exception tree: every error has an exit code, and the drawing in the docstring is the tree."""

from __future__ import annotations

import inspect
import re

from inkfire import errors
from inkfire.errors import DataError, InkfireError, MissingExtraError

CODES = {  # what scripts that call the command line rely on
    "InkfireError": 1,
    "InputError": 2,
    "DataError": 2,
    "RecipeError": 2,
    "TaskError": 2,
    "ModelNameError": 2,
    "RunFolderError": 2,
    "MissingExtraError": 2,
    "RefusedReward": 2,
    "BudgetExceeded": 3,
    "EndpointDown": 4,
    "ModelCallError": 4,
}


def test_every_error_has_its_code_and_stands_in_the_drawing() -> None:
    kinds = dict(inspect.getmembers(errors, lambda it: inspect.isclass(it) and issubclass(it, InkfireError)))
    assert {name: kind.exit_code for name, kind in kinds.items()} == CODES
    drawn = re.findall(r"^(?:[│ ]*[├└]── )?(\w+)", errors.__doc__ or "", re.MULTILINE)
    assert set(CODES) <= set(drawn)


def test_a_data_error_says_where() -> None:
    assert str(DataError("wrong")) == "wrong"
    assert str(DataError("wrong", path="a.jsonl")) == "a.jsonl: wrong"
    error = DataError("wrong", path="a.jsonl", line=3)
    assert str(error) == "a.jsonl:3: wrong"
    assert (error.path, error.line) == ("a.jsonl", 3)


def test_a_missing_extra_says_what_to_run() -> None:
    assert "pip install 'inkfire[train]'" in str(MissingExtraError("torch", "train"))
