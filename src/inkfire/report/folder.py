"""A run folder as a report reads it: the manifest, the stages' results, the rows of its files, seconds and cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, RunFolderError
from inkfire.files.jsonl import json_kind, open_input, parse_json
from inkfire.files.run import Run
from inkfire.report.sections import Section, Table
from inkfire.report.words import duration, number

Result = dict[str, Any]

USED = ("calls", "cached", "tokens", "cost")
"""What a stage took of models; ``total_tokens`` and ``total_cost`` are with what earlier attempts took."""


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
            found.setdefault("evaluate", parse_json(alone.read_text("utf-8"), path=alone))
        return found

    def rows(self, name: str) -> Iterator[Result]:
        """The rows of a file; none where it is not there. A last line that a kill cut off is left out."""
        path = self.path / name
        if not path.is_file():
            return
        with open_input(path) as file:
            for place, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    row = parse_json(line.decode("utf-8", "replace"), path=path, line=place)
                    if not isinstance(row, dict):
                        raise DataError(f"expected a JSON object, found {json_kind(row)}", path=path, line=place)
                    yield row

    def sizes(self) -> list[tuple[str, str]]:
        """(file, its rows) of every table of records, those that are still being written too."""
        found = sorted([*self.path.glob("*.jsonl"), *self.path.glob("*.jsonl.partial")])
        sizes = []
        for path in found:
            with open_input(path) as file:
                sizes.append((path.name, str(sum(line.endswith(b"\n") for line in file))))
        return sizes

    def costs(self) -> Section:
        """Seconds of every stage, and what was asked of models where the stage recorded it."""
        seconds, stages, apart = self.run.seconds(), self.stages(), self.run.used()
        asked = any("calls" in stages.get(name, {}) | apart.get(name, {}) for name in seconds)
        rows = []
        for name, spent in seconds.items():
            used = stages.get(name, {}) | apart.get(name, {})
            tokens, cost = (used.get(f"total_{key}", used.get(key, "")) for key in ("tokens", "cost"))
            rows.append(
                [
                    name,
                    duration(spent),
                    str(used.get("calls", "")),
                    str(tokens),
                    "unknown" if cost is None else number(cost),
                ]
            )
        rows.append(["all", duration(sum(seconds.values())), "", "", ""])
        head = ("stage", "time", "model calls", "tokens", "cost")
        if asked:
            return Section("Time and cost", table=Table(head, rows))
        asks = not self.command.startswith("train ")
        words = ["What models were asked, and what that cost, is in the ledger: inkfire ledger --out THIS FOLDER"]
        return Section("Time and cost", words if asks else (), Table(head[:2], [row[:2] for row in rows]))

    def made_by(self) -> Section:
        """What decided the result: settings and inputs."""
        rows = [(name, _plain(value)) for name, value in _flat(self.settings, "")]
        rows += [
            (f"input {name}", f"{value['path']} · SHA-256 {value['sha256'][:12]}…")
            for name, value in self.manifest.get("inputs", {}).items()
        ]
        version = self.manifest.get("inkfire", "of unknown version")
        words = [f"inkfire {self.command}, seed {self.manifest['seed']}, inkfire {version}"]
        return Section("What was run", words, Table(("setting", "value"), rows))


def _flat(settings: Result, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else "–" if value is None else json.dumps(value, ensure_ascii=False)
