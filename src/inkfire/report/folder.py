"""A run folder as a report reads it: the manifest, the stages' results, the rows of its files, seconds and cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from inkfire.errors import RunFolderError
from inkfire.files.formats import iter_pairs
from inkfire.files.jsonl import open_input, read_json
from inkfire.files.log import read_log
from inkfire.files.run import Run
from inkfire.judge.principles import Principle, read_principles
from inkfire.llm.bill import repriced
from inkfire.llm.prices import prices_beside
from inkfire.records import Preference
from inkfire.report.words import duration, number

Result = dict[str, Any]


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
        """The results that are there, by stage. That of ``inkfire evaluate`` is its evaluation.json."""
        names = sorted(path.stem for path in (self.path / "stages").glob("*.json"))
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

    def principles(self) -> tuple[Principle, ...]:
        """Those that a refinement ended with."""
        path = self.path / "principles.toml"
        return read_principles(path).items if path.is_file() else ()

    def recorded_calls(self) -> bool:
        """Whether a stage says what it asked of models."""
        stages, apart = self.stages(), self.run.used()
        return any("calls" in stages.get(name, {}) | apart.get(name, {}) for name in self.run.seconds())

    def costs(self) -> list[tuple[Any, ...]]:
        """(stage, time, model calls, tokens, cost); the last three are empty where the stage does not record them."""
        seconds, stages, apart = self.run.seconds(), self.stages(), self.run.used()
        rows, prices = [], prices_beside(self.run.ledger_path)
        for name, spent in seconds.items():
            used = stages.get(name, {}) | apart.get(name, {})
            used = repriced(used, prices, "total_" if "total_cost" in used else "")
            tokens, cost = (used.get(f"total_{key}", used.get(key, "")) for key in ("tokens", "cost"))
            said = "unknown" if cost is None else f"{number(cost)} {used.get('currency', '')}".strip()
            rows.append((name, duration(spent), used.get("calls", ""), tokens, said))
        return [*rows, ("all", duration(sum(seconds.values())), "", "", "")]

    def made_by(self) -> list[tuple[str, str]]:
        """What decided the result: settings and inputs."""
        settings = {name: value for name, value in self.settings.items() if name != "slices"}  # its words
        rows = [(name, _plain(value)) for name, value in _flat(settings, "")]
        for name, value in self.manifest.get("inputs", {}).items():
            rows.append((f"input {name}", f"{value['path']} · SHA-256 {value['sha256'][:12]}…"))
        return rows


def _flat(settings: Result, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else "–" if value is None else json.dumps(value, ensure_ascii=False)
