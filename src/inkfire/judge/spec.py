"""A judge in one description: what judge.json holds, and everything that is needed to judge the same way again.

spec = JudgeSpec(task="greetings-zh", model="local/qwen2.5-coder-1.5b", mode="logprob", examples=examples)
spec = await spec.fit(llm, labelled, concurrency=1)                    # calibrated
spec.save(out / "judge")
judge = JudgeSpec.read(out / "judge").open(ledger=ledger)
verdict = await judge.judge(query, response)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from annotated_types import Ge, Gt

from inkfire.debate.debate import Debate
from inkfire.debate.settings import DebateSettings, prompt_of
from inkfire.errors import DataError, InputError
from inkfire.files.jsonl import read_json, write_json
from inkfire.judge.answers import RubricJudge, VerdictJudge
from inkfire.judge.base import Besides, Closes, Judge, Metered, Owner, judge_many
from inkfire.judge.calibration import MIN_LABELS, CalibratedJudge, Calibration, Method, fit_calibration
from inkfire.judge.checklist import Checklist, ChecklistJudge
from inkfire.judge.examples import NO_EXAMPLES, Choice, Examples
from inkfire.judge.guard import Guarded, GuardedPairwise, GuardedRanking
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.measure import measure_both
from inkfire.judge.principles import Principles
from inkfire.judge.ranking import PairwiseJudge, RankingJudge
from inkfire.judge.votes import VotingJudge
from inkfire.llm import futile, loop
from inkfire.llm.base import LLM
from inkfire.llm.ledger import Ledger
from inkfire.models.embeddings import Embedder
from inkfire.records import Example, Labelled, Verdict, to_json
from inkfire.search import ExampleSource, Retriever
from inkfire.settings import WithPreset, from_json, settings
from inkfire.tasks.task import Task, load_task

Mode = Literal["verdict", "logprob", "rubric", "checklist", "debate"]
MODES: tuple[Mode, ...] = get_args(Mode)
Comparing = Literal["pairwise", "rank"]
"""Modes that say which of several texts is better, and nothing of one alone."""
COMPARING: tuple[Comparing, ...] = get_args(Comparing)
_PROMPTED = {judge.mode: judge for judge in (VerdictJudge, LogprobJudge, RubricJudge)}
JUDGE = "judge.json"
_AT_WORK = ("besides", "took")
"""Fields that are no part of what is saved."""

C = TypeVar("C", bound=Closes)
T = TypeVar("T")


@settings
class JudgeSettings(DebateSettings, WithPreset):
    """How texts are judged, and how the judge is calibrated."""

    mode: Mode = "logprob"
    """logprob: a token; verdict: a reason, then 0/1; rubric: its ratings; checklist: of each query; debate: agents."""
    author_model: str | None = None
    """Of checklist: who writes the criteria; --model by default."""
    examples: Annotated[int, Ge(0)] = 0
    """Labelled texts shown before each text, found by --retrieval (to a debate half as many)."""
    examples_choice: Choice = "nearest"
    """nearest: those most like the text; fixed: the same for every text, half of them good."""
    calibration_method: Method = "platt"
    """platt: for dozens of labels; isotonic: any shape, for hundreds."""
    cost_false_good: Annotated[float, Gt(0)] | None = None
    """Cost of a bad text called good, the opposite costing 1; by default the threshold balances accuracy."""
    votes: Annotated[int, Ge(1)] = 1
    """Samples a text; the majority decides. For verdict and rubric."""

    def check(self, task: Task, model: str) -> Self:
        """The settings with a debate's depth decided.

        Raises:
            InputError: votes of a mode that does not vary, settings of a debate in another mode, a retrieval without
                what it needs, a prompt that is missing or shows no examples.
        """
        if self.votes > 1 and self.mode not in ("verdict", "rubric"):
            raise InputError(
                f"--votes {self.votes}: {self.mode} is deterministic, every vote would be the same; use --mode verdict "
                "or --mode rubric, or leave --votes out"
            )
        if self.author_model is not None and self.mode != "checklist":
            raise InputError("--author-model writes the criteria of a checklist: add --mode checklist, or leave it out")
        searched = self.examples > 0 and self.examples_choice == "nearest"
        made = self
        if self.mode == "debate":
            made = self.settled(task, model)
        else:
            self.check_no_debate()
            check_mode(self.mode, task)
        if searched or self.mode != "debate":
            self.check_retrieval(searched=searched, otherwise="add --examples N")
        if self.examples:
            shown_by = {"debate": prompt_of("judge", made.depth or "short"), "checklist": "criteria"}
            task.check_examples(shown_by.get(self.mode, self.mode))
        return made

    def check_no_debate(self) -> None:
        """
        Raises:
            InputError: a setting of a debate.
        """
        if given := self.given("depth", "points", "sentence", "agent_tokens", "agent", "k_search", "k_final"):
            raise InputError(f"{given[0]} is a setting of a debate: add --mode debate, or leave it out")


SHORT = DebateSettings(depth="short")


@dataclass(frozen=True)
class JudgeSpec:
    """A judge.

    ``task`` is a name or a folder; ``principles`` None judges by the task's own; ``examples`` come with their pool, so
    that the judge shows the same ones wherever it is used; ``calibration`` None: uncalibrated; ``measured`` are its
    metrics on labelled texts (``measure.py``), which decide whether it may be a reward. ``debate`` says how a debate
    goes, and ``corpus`` are the good texts that its agents are shown examples of, where there are no ``examples``.
    ``author`` is the model that writes ``checklists``, None: its own.
    ``qualified`` and ``within_query`` say what damage it sees and whether it ranks as a reader does (``stress/``).

    What it asks besides its own model (an embedder, other models of a debate's agents) is open in what :meth:`opened`
    gives; a judge that asks nothing else needs no opening.
    """

    task: str
    model: str
    mode: Mode | Comparing
    principles: Principles | None = None
    examples: Examples = NO_EXAMPLES
    votes: int = 1
    calibration: Calibration | None = None
    measured: Mapping[str, Any] | None = None
    debate: DebateSettings = SHORT
    corpus: tuple[Example, ...] = ()
    author: str | None = None
    checklists: tuple[Checklist, ...] = ()
    qualified: Mapping[str, Any] | None = None
    within_query: Mapping[str, Any] | None = None
    besides: Any = field(default=None, compare=False, repr=False)  # a Besides; any, since it is not saved
    took: Any = field(default=None, compare=False, repr=False)  # a Took to note in what each text takes, or None

    @cached_property
    def loaded(self) -> Task:
        return load_task(self.task)

    @property
    def rules(self) -> Principles:
        """The principles that it judges by."""
        return self.principles or Principles.of(self.loaded.principles)

    @property
    def uncalibrated(self) -> JudgeSpec:
        return dataclasses.replace(self, calibration=None, measured=None)

    def build(self, llm: LLM, task: Task | None = None, *, guarded: bool = True) -> Judge:
        """The judge, on a model that is already open (and its task, where that is loaded)."""
        task = task or self.loaded
        if self.mode in COMPARING:
            why = "says which text is better and nothing of one alone: it may be a reward, and no other judge"
            raise InputError(f"a judge of mode {self.mode} {why}")
        whole = self._whole(llm, task)
        inner = build_judge(
            self.mode, task, llm, self.principles, self.examples, self.votes, guarded=guarded, whole=whole
        )
        judge = inner if self.calibration is None else CalibratedJudge(inner, self.calibration)
        return judge if self.took is None else Metered(judge, self.took)

    def ranks(self, llm: LLM, task: Task | None = None) -> GuardedRanking:
        """The judge of whole groups of mode ``rank``, on a model that is already open."""
        task = task or self.loaded
        return GuardedRanking(RankingJudge(task, llm, self.principles, self.examples), task)

    def compares(self, llm: LLM, task: Task | None = None) -> GuardedPairwise:
        """The judge of pairs of mode ``pairwise``, on a model that is already open."""
        return GuardedPairwise(PairwiseJudge(task or self.loaded, llm, self.principles, self.examples))

    def _whole(self, llm: LLM, task: Task) -> Judge | None:
        """The judge of a mode that takes more than a prompt."""
        besides: Besides = self.besides or Besides()
        if self.mode == "checklist":
            lists = besides.lists
            lists |= {one.query: one for one in self.checklists if one.query not in lists}
            author = besides.models.get(self.author or "")
            return ChecklistJudge(task, llm, self.principles, self.examples, author=author, lists=lists)
        if self.mode != "debate":
            return None
        agents = self.debate.agents(self.model)
        retriever: ExampleSource | None = self.examples if self.examples else None
        if self.corpus and not self.examples:
            retriever = Retriever.of(self.corpus, self.debate, besides.embedder, own_query=False)
        return Debate(
            task,
            llm,
            retriever=retriever,
            agents=list(agents),
            per_agent={agent: llm if name == self.model else besides.models[name] for agent, name in agents.items()},
            depth=self.debate,
        )

    def opened(self, model: Callable[[str], LLM], embedder: Callable[[str], Embedder]) -> Self:
        """The same with what it asks besides its own model open; who opens it closes it."""
        agents = self.debate.agents(self.model).values() if self.mode == "debate" else filter(None, [self.author])
        models = {name: model(name) for name in dict.fromkeys(agents) if name != self.model}
        name = self.examples.embedder if self.examples else self.debate.embedder if self.corpus else None
        opened = embedder(name) if name else None
        examples = self.examples.embedded(opened) if self.examples and opened else self.examples
        return dataclasses.replace(self, examples=examples, besides=Besides(models, opened))

    def open(self, *, ledger: Ledger | None = None, base_url: str | None = None) -> Judge:
        """The judge on its own model, and whatever else it asks. Close it."""
        judge, held = self.open_as(JudgeSpec.build, ledger=ledger, base_url=base_url)
        return judge if len(held) == 1 else Owner(judge, tuple(held))

    def open_as(
        self, build: Callable[[JudgeSpec, LLM], T], *, ledger: Ledger | None, base_url: str | None
    ) -> tuple[T, list[Closes]]:
        """What ``build`` makes of the judge on its own model, and what is open for it: close all of that."""
        from inkfire.models.open import open_embedder, open_model

        held: list[Closes] = []

        def hold(opened: C) -> C:
            held.append(opened)
            return opened

        try:
            llm = hold(open_model(self.model, ledger=ledger, base_url=base_url))
            spec = self.opened(
                lambda name: hold(open_model(name, ledger=ledger, base_url=base_url)),
                lambda name: hold(open_embedder(name, ledger=ledger, base_url=base_url)),
            )
            return build(spec, llm), held
        except BaseException:
            for one in held:
                loop.run(one.close())
            raise

    async def fit(
        self,
        llm: LLM,
        labelled: Sequence[Labelled],
        *,
        task: Task | None = None,
        method: Method = "platt",
        cost_false_good: float | None = None,
        concurrency: int,
        advance: Callable[[Verdict], None] = lambda verdict: None,
    ) -> JudgeSpec:
        """The same judge, calibrated on labelled texts; those that its fixed examples share a query with are left out.

        Raises:
            InputError: too few texts are scored, or of one class only.
        """
        rows = self.examples.unshown(labelled)
        if len(rows) < MIN_LABELS <= len(labelled):
            raise InputError(
                f"{len(self.examples)} examples leave {len(rows)} texts to fit on and {MIN_LABELS} are needed: show "
                "fewer, or take them from another file (--examples-from)"
            )
        verdicts = await judge_many(self.uncalibrated.build(llm, task), rows, concurrency=concurrency, advance=advance)
        labels = [row.label for row in rows]
        calibration = fit_calibration(verdicts, labels, method=method, cost_false_good=cost_false_good)
        return dataclasses.replace(self, calibration=calibration)

    async def judge(
        self,
        llm: LLM,
        texts: Sequence[Any],
        *,
        task: Task | None = None,
        concurrency: int,
        advance: Callable[[Verdict], None] = lambda verdict: None,
        seed: int = 0,
    ) -> tuple[list[Verdict], JudgeSpec]:
        """The verdicts of ``texts``, calibrated; and the judge with what was measured, where they are labelled.

        Raises:
            InputError, EndpointDown: none of them could be judged, mostly for one reason.
        """
        raw = await judge_many(self.uncalibrated.build(llm, task), texts, concurrency=concurrency, advance=advance)
        futile.check((verdict.unscored for verdict in raw), "texts")
        verdicts = [verdict if self.calibration is None else self.calibration.apply(verdict) for verdict in raw]
        labelled = [text for text in texts if isinstance(text, Labelled)]
        if not labelled:
            return verdicts, dataclasses.replace(self, measured=None)
        shares = await self.good_shares(labelled)
        measured = measure_both(labelled, raw, self.calibration, good_shares=shares, seed=seed)
        return verdicts, dataclasses.replace(self, measured=measured)

    async def good_shares(self, texts: Sequence[Labelled]) -> list[float] | None:
        """What the labels of its examples say of each text (:meth:`Examples.good_shares`); None for a debate, which is
        shown good texts only, and for a checklist, whose author is shown them."""
        return None if self.mode in ("debate", "checklist") else await self.examples.good_shares(texts)

    def foreign(self, other: JudgeSpec) -> str | None:
        """What ``other`` has in another way, so that its calibration is not this judge's; None where it may be."""
        names = ("model", "mode", "number of votes", "principle set", "kind of debate", "author of checklists")
        read = attrgetter("model", "mode", "votes", "rules.version", "debate", "author")
        return next((name for name, a, b in zip(names, read(self), read(other), strict=True) if a != b), None)

    def save(self, folder: Path) -> Path:
        """Write folder/judge.json and return its path."""
        path = folder / JUDGE
        about = to_json(dataclasses.replace(self, besides=None, took=None)) | {
            "principles": self.principles and self.principles.to_json(),
            "examples": self.examples.to_json() if self.examples else None,
        }
        others = {"debate": ("debate", "corpus"), "checklist": ("author", "checklists")}
        for name in (*_AT_WORK, *(name for mode, names in others.items() if mode != self.mode for name in names)):
            del about[name]
        write_json(path, about)
        return path

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read a saved judge, from its folder or its judge.json.

        Raises:
            DataError: no such file, or not a saved judge.
        """
        path = Path(folder)
        path = path / JUDGE if path.is_dir() else path
        try:
            data = read_json(path)
        except OSError:
            raise DataError("no such file; a judge's folder holds judge.json", path=path) from None
        try:  # what is null has its default
            kept = {key: value for key, value in data.items() if value is not None and key not in _AT_WORK}
            return from_json(kept, cls)
        except (AttributeError, InputError) as error:
            raise DataError(f"not a saved judge ({error})", path=path) from None


def load_judge(folder: str | Path, *, ledger: Ledger | None = None, base_url: str | None = None) -> Judge:
    """A saved judge on its own model, with its examples and calibration. Close it.

    Args:
        folder: a judge's folder (``inkfire judge``, ``inkfire refine``), or its judge.json.
        ledger, base_url: as for ``open_model``.

    Raises:
        DataError: no such file, or not a saved judge.
        ModelNameError, InputError: as ``open_model``.
    """
    return JudgeSpec.read(folder).open(ledger=ledger, base_url=base_url)


def build_judge(
    mode: str,
    task: Task,
    llm: LLM,
    principles: Principles | None = None,
    examples: Examples = NO_EXAMPLES,
    votes: int = 1,
    *,
    guarded: bool = True,
    whole: Judge | None = None,
) -> Judge:
    """An uncalibrated judge of one of the modes; several ``votes`` are samples at a temperature. It stands behind the
    defences against injections unless ``guarded`` is False. ``whole`` is that of the modes debate (by default a short
    one) and checklist (by default its model is the author).

    Raises:
        InputError: an unknown mode, or votes of a mode that does not vary.
        TaskError: as :func:`check_mode`, or examples are for a mode whose prompt shows none.
    """
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}; the modes are {', '.join(MODES)}")
    if mode == "debate":
        judge: Judge = whole or Debate(task, llm, retriever=examples if examples else None)
    elif mode == "checklist":
        judge = whole or ChecklistJudge(task, llm, principles, examples)
    else:
        check_mode(mode, task)
        if examples:
            task.check_examples(mode)
        judge = _PROMPTED[mode](task, llm, principles, examples)
    voting = judge if votes == 1 else VotingJudge.of(judge, votes)
    return Guarded(voting, task) if guarded else voting


def check_mode(mode: str, task: Task) -> None:
    """Whether a task has what a mode, but for a debate, asks with.

    Raises:
        TaskError: its prompt is missing, or a rubric that says what is excellent.
    """
    task.require(mode, *(("criteria",) if mode == "checklist" else ()))
    if mode == "rubric":
        task.check_excellent()
