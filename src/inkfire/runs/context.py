"""What the stages of one run share: its recipe, folder, splits, ledger, and the models they open."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from inkfire.files.run import Run
from inkfire.llm import loop
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.runs.recipe import Recipe
from inkfire.runs.splits import Splits, make_splits
from inkfire.tasks.task import Task, load_task


@dataclass
class Context:
    recipe: Recipe
    run: Run
    ledger: Ledger
    seed: int = 0
    base_url: str | None = None
    _clients: dict[str, Client] = field(default_factory=dict)

    @cached_property
    def task(self) -> Task:
        task, most = load_task(self.recipe.task), self.recipe.max_tokens
        return task if most is None else task.model_copy(update={"max_tokens": most})

    @cached_property
    def splits(self) -> Splits:
        return make_splits(self.recipe, self.task, self.seed)

    def model(self, name: str) -> Client:
        """A model, opened once a run."""
        from inkfire.models.open import open_model

        if name not in self._clients:
            self._clients[name] = open_model(name, ledger=self.ledger, base_url=self.base_url)
        return self._clients[name]

    def folder(self, stage: str) -> Path:
        return self.run.path(stage, "x").parent

    def result(self, stage: str) -> dict[str, Any]:
        """The result of a stage that the plan puts before the caller's."""
        result = self.run.done(stage)
        if result is None:
            raise RuntimeError(f"stage {stage!r} has not run")
        return result

    def close(self) -> None:
        for client in self._clients.values():
            loop.run(client.close())
        self._clients.clear()

    @staticmethod
    def say(message: str) -> None:
        """A line for the person watching; never on stdout."""
        print(message, file=sys.stderr, flush=True)
