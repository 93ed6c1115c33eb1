"""A user's own function as a check or a reward: ``python:FILE.py:NAME``. It runs only where the user names it.

>>> load_function("FILE.py:rhymes")                                                              # doctest: +SKIP
<function rhymes at …>
"""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from inkfire.errors import InputError
from inkfire.files.jsonl import sha256_file
from inkfire.records import Identity
from inkfire.rewards.identity import check_identity


def load_function(spec: str, folder: Path = Path()) -> Callable[[str, str], Any]:
    """The function of ``FILE.py:NAME``, which takes a query and a response; it raises InputError where that fails.

    Raises:
        InputError: no such file or function, or the file fails when it is run.
    """
    file, _, name = spec.rpartition(":")
    path = folder / file
    if not file or not path.is_file():
        raise InputError(f"python:{spec}: no such file; write python:FILE.py:FUNCTION")
    try:
        function = runpy.run_path(str(path)).get(name)
    except Exception as error:  # whatever the user's file raises
        raise InputError(f"python:{spec}: {path} fails: {type(error).__name__}: {error}") from error
    if not isinstance(function, FunctionType):
        raise InputError(f"python:{spec}: {path} has no function {name!r}")

    def call(query: str, response: str) -> Any:
        try:
            return function(query, response)
        except Exception as error:  # whatever the user's function raises
            raise InputError(f"python:{spec} fails on {response!r}: {type(error).__name__}: {error}") from error

    return call


@dataclass(frozen=True)
class PythonReward:
    """The function's number as a score; None, or what is no finite number, is missing."""

    name: str
    function: Callable[[str, str], Any]
    identities: tuple[Identity, ...]
    threshold = None

    @classmethod
    def load(cls, spec: str) -> PythonReward:
        """Raises InputError: as :func:`load_function`."""
        function, (file, _, name) = load_function(spec), spec.rpartition(":")
        return cls(
            f"python:{Path(file).name}:{name}", function, (check_identity(f"python:{name} {sha256_file(Path(file))}"),)
        )

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        return [self._one(query, response) for query, response in zip(queries, responses, strict=True)]

    def _one(self, query: str, response: str) -> float | None:
        said = self.function(query, response)
        if isinstance(said, (bool, int, float)):
            return float(said) if math.isfinite(said) else None
        if said is None:
            return None
        raise InputError(f"{self.name} answered {said!r}: a number, True or False, or None is needed")

    def close(self) -> None:
        pass
