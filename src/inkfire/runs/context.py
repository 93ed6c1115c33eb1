"""What every command needs, opened once and closed at the end, also after an error: folder, lock, ledger, models.

    with opened("judge", place, settings=described, files={"data": data}) as context:
        return context.once("judge", lambda: work(context))

A command line says where (:class:`Place`): the folder, the seed, how models are reached. A recipe's stage is the same
command in a folder below, with the ledger of the whole run.
"""

from __future__ import annotations

import dataclasses
import sys
import time
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt

from inkfire.errors import InputError, RunFolderError
from inkfire.files.jsonl import visible
from inkfire.files.reading import Data, Reading
from inkfire.files.run import EVERYTHING, Redo, Run, locked
from inkfire.judge.base import at_once
from inkfire.llm import loop
from inkfire.llm.bill import used
from inkfire.models.card import is_policy
from inkfire.runs.memory import Peak
from inkfire.runs.progress import Progress
from inkfire.settings import option, settings, to_json
from inkfire.training import ranks

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from inkfire.judge.spec import JudgeSpec
    from inkfire.llm.batch import Batch
    from inkfire.llm.client import Client
    from inkfire.llm.ledger import Ledger
    from inkfire.models.embeddings import Embedder
    from inkfire.records import Comparison, Ranking, Verdict
    from inkfire.rewards.base import Among, Reward
    from inkfire.tasks.task import Task

T = TypeVar("T", bound="DataclassInstance")


@settings
class Access:
    """How models are reached and what they may cost: no part of what a run is."""

    base_url: Annotated[str | None, option(env="OPENAI_BASE_URL")] = None
    """OpenAI-compatible endpoint of remote models."""
    budget: Annotated[float, Gt(0)] | None = None
    """Spend limit in the currency of the prices; a run stops with exit 3."""
    budget_tokens: Annotated[int, Gt(0)] | None = None
    """Spend limit in tokens."""
    retry_unscored: bool = False
    """Ask again where a reply could not be used before."""
    concurrency: Annotated[int, Ge(1)] | None = None
    """Calls in flight at once; by default 64 texts at an endpoint, embedded 1 (logprob) or 2 to 4."""
    rpm: Annotated[int, Ge(1)] | None = None
    """Requests a minute, at most, to each remote model."""
    tpm: Annotated[int, Ge(1)] | None = None
    """Tokens a minute, at most, to each remote model."""
    reply_tokens: Annotated[int, Ge(1)] | None = None
    """Tokens of a reply, thinking included; by default what is asked for, and more where thinking takes that."""
    extra_body: str | None = None
    """Fields for every request to a remote model, as JSON: '{"top_k": 20}'."""
    timeout: Annotated[float, Gt(0)] | None = None
    """Seconds that a request may take; by default 120."""

    def at_once(self, model: str, mode: str) -> int:
        return self.concurrency or at_once(model, mode)

    def ledger(self, path: Path, run: str) -> Ledger:
        """The ledger of a folder, with this run's limits."""
        from inkfire.llm.ledger import Ledger
        from inkfire.llm.pace import Pace
        from inkfire.llm.prices import Budget
        from inkfire.llm.terms import Terms, read_extra

        limited = self.budget is not None or self.budget_tokens is not None
        return Ledger(
            path,
            budget=Budget(money=self.budget, tokens=self.budget_tokens) if limited else None,
            pace=Pace(self.rpm, self.tpm),
            terms=Terms(self.reply_tokens, read_extra(self.extra_body), self.timeout),
            retry_unscored=self.retry_unscored,
            run=run,
        )


@dataclass(frozen=True)
class Place:
    """Where a command works. ``yes`` agrees to what a changed setting redoes; ``parent`` is the recipe's run."""

    out: Path
    seed: int = 0
    access: Access = Access()
    yes: bool = False
    parent: Context | None = field(default=None, compare=False)

    def consent(self, question: str) -> bool:
        if self.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return self.yes
        sys.stderr.write(f"{question} Go on? [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")


@dataclass
class Context:
    """What one command has open. Make one with :func:`opened`."""

    run: Run
    place: Place
    stack: ExitStack
    models: dict[tuple[str, int | None], Client] = field(default_factory=dict)
    rewards: dict[str, Reward] = field(default_factory=dict)
    took: dict[str, Any] = field(default_factory=dict)
    """What the stage at work found out of seconds and memory, for used.json."""

    @property
    def seed(self) -> int:
        return self.place.seed

    @property
    def access(self) -> Access:
        return self.place.access

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger beside the run folder, or that of the whole recipe."""
        if self.place.parent is not None:
            return self.place.parent.ledger
        ledger = self.access.ledger(self.run.ledger_path, self.run.out.absolute().name)
        return self.stack.enter_context(ledger)

    def model(self, name: str, *, concurrency: int | None = None, batch: Batch | None = None) -> Client:
        """A model, opened once."""
        from inkfire.models.open import open_model

        key = name, concurrency
        if key not in self.models:
            client = open_model(
                name, ledger=self.ledger, base_url=self.access.base_url, concurrency=concurrency, batch=batch
            )
            self.stack.callback(lambda: loop.run(client.close()))
            self.models[key] = client
        return self.models[key]

    def embedder(self, name: str) -> Embedder:
        from inkfire.models.open import open_embedder

        access = self.access
        embedder = open_embedder(name, ledger=self.ledger, base_url=access.base_url, concurrency=access.concurrency)
        self.stack.callback(lambda: loop.run(embedder.close()))
        return embedder

    def besides(self, judge: JudgeSpec) -> JudgeSpec:
        """A judge with what it asks besides its own model open."""
        return judge.opened(
            lambda name: self.model(name, concurrency=self.access.at_once(name, judge.mode)), self.embedder
        )

    def reward(
        self,
        name: str,
        *,
        value: Literal["probability", "label"] = "probability",
        force: bool = False,
        among: Among | None = None,
    ) -> Reward:
        """A reward by its name, opened once."""
        from inkfire.rewards.base import Among
        from inkfire.rewards.load import load_reward
        from inkfire.rewards.qualified import blind_of

        if name not in self.rewards:
            for line in blind_of(name):
                note(line)
            asked: dict[str, Any] = {"value": value, "force": force, "among": among or Among()}
            reward = load_reward(name, ledger=self.ledger, base_url=self.access.base_url, **asked)
            self.stack.callback(reward.close)
            self.rewards[name] = reward
        return self.rewards[name]

    def bars(self, label: str, total: int) -> Progress:
        return Progress(label, total, stats=self.ledger.stats if "ledger" in vars(self) else None)

    @contextmanager
    def judging(self, label: str, total: int, model: str, mode: str) -> Iterator[tuple[Client, dict[str, Any]]]:
        """A judge's model, and how ``total`` texts are put to it: ``judge_many``'s ``concurrency`` and ``advance``."""
        concurrency = self.access.at_once(model, mode)
        llm = self.model(model, concurrency=concurrency)
        with self.bars(label, total) as bar:

            def advance(said: Verdict | Comparison | Ranking) -> None:
                bar.advance(failed=said.unscored is not None)

            yield llm, {"concurrency": concurrency, "advance": advance}

    def once(self, stage: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The result of a stage: read back where it is done, else worked out and recorded.

        With it stands what models were found ``lacking`` (a judge that answers at its own temperature is another
        judge), and beside it what it took: ``calls``, ``cached`` and ``seconds``. used.json has calls, tokens, cost and
        the most memory.
        """
        done = self.run.done(stage)
        if done is not None and not self.access.retry_unscored:
            return done | {"calls": 0, "cached": 0, "seconds": self.run.seconds()[stage]}
        started, before = time.monotonic(), self.ledger.stats()
        with Peak() as peak:
            result = dict(work()) | self.lacking()
        seconds, stats = time.monotonic() - started, self.ledger.stats()
        self.run.complete(stage, result, seconds=seconds, used=used(before, stats) | peak.fields() | self.took)
        return {**result, "calls": stats["calls"], "cached": stats["cached"], "seconds": round(seconds, 2)}

    def lacking(self) -> dict[str, dict[str, list[str]]]:
        """``lacking`` by model, where one was found to lack something."""
        found = self.ledger.stats()["lacking"]
        return {"lacking": found} if found else {}

    def below(self, name: str) -> Place:
        """The place of one of this run's stages."""
        return dataclasses.replace(self.place, out=self.run.out / name, yes=True, parent=self)


@contextmanager
def opened(
    command: str,
    place: Place,
    *,
    settings: Mapping[str, Any],
    files: Mapping[str, Path | None] = {},
    redo: Redo = lambda changed: EVERYTHING,
) -> Iterator[Context]:
    """The run folder of a command, locked, with what is opened in it closed at the end.

    Args:
        settings: what decides the result, as JSON values.
        files: the inputs by name, None where one is not given.
        redo: what a change of them makes void.

    Raises:
        RunFolderError: the folder is another run's, in use, or holds results of other settings without consent.
        DataError: an input does not exist.

    An InputError from within takes the folder back, where nothing has come of it yet. Of several processes the first
    holds the folder, and the others read what it opened.
    """
    with ExitStack() as stack:
        together = command == "run" or command.startswith("train ")
        if not together and place.parent is None:
            ranks.alone(f"inkfire {command}")
        if place.parent is None and ranks.first():
            stack.enter_context(locked(place.out))
        if ranks.first():
            run = Run.open(
                place.out,
                command=command,
                settings=settings,
                inputs={name: path for name, path in files.items() if path is not None},
                seed=place.seed,
                consent=place.consent,
                redo=redo,
            )
        if together:
            ranks.meet()
        if not ranks.first():
            run = Run.read(place.out)
        try:
            yield Context(run, place, stack)
        except RunFolderError:  # the disk is at fault, not the input: what was begun is gone on with
            raise
        except InputError:
            if ranks.first():
                run.withdraw()
            raise


def described(*parts: Any, **more: Any) -> dict[str, Any]:
    """What of inputs and settings goes into a manifest: their fields, but for the files, which go by their hash."""
    out: dict[str, Any] = {}
    for part in parts:
        for name, value in to_json(part).items():
            given = getattr(part, name)
            if isinstance(given, Reading):
                out |= read_as(given)
            elif not _has_path(given):
                out[name] = None if given == () and name in _files_of(type(part)) else value
    return out | more


def read_as(reading: Reading) -> dict[str, Any]:
    """How data was read, for a manifest; nothing where it was read as it stands."""
    return {"reading": said} if (said := reading.to_json()) else {}


def with_own_data(inputs: T, task: Task, **options: str) -> T:
    """The inputs with the task's own ``queries``, ``labelled`` or ``pairs`` where one of these options names no file.

    Raises:
        DataError: the task has none.
    """
    own = {name: (task.data_file(data),) for name, data in options.items() if not getattr(inputs, name)}
    return dataclasses.replace(inputs, **own)


def _files_of(model: type) -> set[str]:
    return {name for name, hint in typing.get_type_hints(model).items() if hint == Data}


def named_files(*parts: Any) -> dict[str, Path]:
    """Name → file of the fields that are paths; of a list the first has the field's name, the others a number too. A
    task of the user's own is one too, and so is a policy that serves as the model."""
    out: dict[str, Path] = {}
    for part in parts:
        for one in dataclasses.fields(part):
            value = getattr(part, one.name)
            if value is None:
                continue
            if (one.name == "task" and Path(value).is_dir()) or (one.name == "model" and is_policy(value)):
                out[one.name] = Path(value)
            elif isinstance(value, Path):
                out[one.name] = value
            elif isinstance(value, tuple) and _has_path(value):
                names = [one.name, *(f"{one.name} {number}" for number in range(2, len(value) + 1))]
                out |= dict(zip(names, value, strict=True))
    return out


def _has_path(value: Any) -> bool:
    return isinstance(value, Path) or (isinstance(value, tuple) and any(isinstance(one, Path) for one in value))


def note(message: str) -> None:
    """A line for the person watching; never on stdout, and once where several processes train."""
    if ranks.first():
        print(visible(message), file=sys.stderr, flush=True)
