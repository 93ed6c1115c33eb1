"""A run folder as a report reads it: the manifest, the stages' results, the rows of its files, seconds and cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from inkfire.errors import RunFolderError
from inkfire.files.formats import iter_pairs
from inkfire.files.jsonl import open_input, read_json
from inkfire.files.log import read_log
from inkfire.files.run import Run
from inkfire.judge.principles import Principle, read_principles
from inkfire.llm.bill import Bill, repriced
from inkfire.llm.prices import prices_beside
from inkfire.records import Preference
from inkfire.report.words import duration, number

Result = dict[str, Any]
TOTAL = "total"


class Folder:
    """A run folder, which nothing here changes.

    Raises:
        RunFolderError: ``path`` is no run folder.
    """

    def __init__(self, path: Path):
        if not (path / "manifest.json").is_file():
            raise RunFolderError(
                f"{path} is not a run folder (it has no manifest.json); name the --out of a command, or make one with "
                "inkfire demo"
            )
        self.path = path
        self.run = Run.read(path)
        self.manifest = self.run.manifest
        if not {"command", "settings", "seed"} <= self.manifest.keys():
            raise RunFolderError(
                f"{path / 'manifest.json'} is not a manifest of inkfire's; name the --out of a command"
            )
        self.command: str = self.manifest["command"]
        self.settings: Result = self.manifest["settings"]

    def stages(self) -> dict[str, Result]:
        """The results that are there, by stage, in the order in which they were made. That of ``inkfire evaluate`` is
        its evaluation.json."""
        return self._stages

    @cached_property
    def _stages(self) -> dict[str, Result]:
        done = {path.stem for path in (self.path / "stages").glob("*.json")}
        names = [*(name for name in self.run.seconds() if name in done), *sorted(done - self.run.seconds().keys())]
        found = {name: result for name in names if (result := self.run.done(name)) is not None}
        alone = self.path / "evaluation.json"
        if alone.is_file():
            found.setdefault("evaluate", read_json(alone))
        return found

    def rows(self, name: str) -> Iterator[Result]:
        """The rows of a file; none where it is not there. A last line that a kill cut off is left out."""
        return (row for _, row in read_log(self.path / name))

    def sizes(self) -> list[tuple[str, int]]:
        """(file, its rows) of every table of records, those that are still being written too."""
        found = sorted([*self.path.glob("*.jsonl"), *self.path.glob("*.jsonl.partial")])
        sizes = []
        for path in found:
            with open_input(path) as file:
                sizes.append((path.name, sum(line.endswith(b"\n") for line in file)))
        return sizes

    def pairs(self, most: int) -> list[Preference]:
        """The first preference pairs of a curation."""
        return list(islice(iter_pairs(self.path / "pairs.jsonl"), most))

    def principles(self, below: str = "") -> tuple[Principle, ...]:
        """Those that a refinement here, or in a folder ``below``, ended with."""
        path = self.path / below / "principles.toml"
        return read_principles(path).items if path.is_file() else ()

    def recorded_calls(self) -> bool:
        """Whether a stage says what it asked of models."""
        return any("calls" in self._used(name) for name in self.run.seconds())

    def costs(self) -> list[tuple[str, str, Any, Any, str]]:
        """(stage, time, model calls, tokens, cost), the last row the total; what no stage recorded is empty. The total
        cost is unknown where a part of it is, and empty where parts are in several currencies."""
        seconds, prices = self.run.seconds(), prices_beside(self.run.ledger_path)
        rows: list[tuple[str, str, Any, Any, str]] = []
        calls, bill, currencies, known = 0, Bill(), set[str](), True
        for name, spent in seconds.items():
            used = self._used(name)
            prefix = "total_" if "total_cost" in used else ""
            used = repriced(used, prices, prefix)
            tokens, cost = (used.get(f"total_{key}", used.get(key, "")) for key in ("tokens", "cost"))
            rows.append((name, duration(spent), used.get("calls", ""), tokens, _money(cost, used.get("currency", ""))))
            calls += used.get("calls", 0)
            bill += Bill.read(used, prefix)
            currencies |= {used.get("currency", "")} if cost != "" else set()
            known = known and cost is not None
        if not self.recorded_calls():
            return [*rows, (TOTAL, duration(sum(seconds.values())), "", "", "")]
        money = _money(bill.cost if known else None, *currencies) if len(currencies) == 1 else ""
        return [*rows, (TOTAL, duration(sum(seconds.values())), calls, bill.tokens, money)]

    def _used(self, stage: str) -> Result:
        return self.stages().get(stage, {}) | self.run.used().get(stage, {})

    def made_by(self) -> list[tuple[str, str]]:
        """What decided the result: settings and inputs."""
        settings = {name: value for name, value in self.settings.items() if name != "slices"}  # its words
        rows = [(name, _plain(value)) for name, value in _flat(settings, "")]
        for name, value in self.manifest.get("inputs", {}).items():
            rows.append((f"input {name}", f"{value['path']} · SHA-256 {value['sha256'][:12]}…"))
        return rows


def _money(cost: float | str | None, currency: str) -> str:
    return "unknown" if cost is None else f"{number(cost)} {currency}".strip()


def _flat(settings: Result, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else "–" if value is None else json.dumps(value, ensure_ascii=False)
