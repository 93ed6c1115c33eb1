"""``inkfire judge attack`` and ``inkfire judge probe``: what is done on purpose to a judge, and whether it holds.

It is a saved judge, or one that is described by task, model, mode and principles and, where labelled texts are given,
calibrated on them. Uncalibrated, a small judge calls nearly every text good, and then nothing can be shown of it.

    out/trials.jsonl   attack: family, attack, place, the verdict without and with the defences
    out/probes.jsonl   probe: every text under every probe, the verdict before and after
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from inkfire.errors import InputError
from inkfire.files.formats import read_labelled, read_texts, read_texts_or_labelled
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.judge.base import compare_many, judge_many
from inkfire.judge.calibration import MIN_LABELS
from inkfire.judge.guard import GuardedPairwise, Suspicion, suspect
from inkfire.judge.principles import read_principles
from inkfire.judge.ranking import PairwiseJudge
from inkfire.judge.spec import JudgeSpec, Mode, check_mode
from inkfire.llm import loop
from inkfire.llm.base import LLM
from inkfire.records import Candidate, Labelled, Preference, Verdict
from inkfire.runs.context import Context, Place, named_files, note, opened, read_as
from inkfire.settings import option, settings
from inkfire.stress import biases, injections
from inkfire.tasks.task import lasting, load_task

Found = tuple[dict[str, Any], list[dict[str, Any]]]
"""The result, and a row for each thing that was tried."""
Work = Callable[[JudgeSpec, LLM, dict[str, Any]], Awaitable[Found]]
"""(the judge, its model, how texts are put to it) → what is found."""


@settings
class SubjectInputs:
    """The judge under test: a saved one, or what describes one."""

    judge: Path | None = None
    """A saved judge's folder, in place of the options that describe one."""
    task: str | None = None
    """A task's name (inkfire tasks list) or its folder."""
    model: str | None = None
    """On this machine local/NAME, a .gguf or a policy trained on one; else a model of --base-url."""
    mode: Mode = "logprob"
    """logprob: one token; verdict: a reason, then 0/1; rubric: its ratings; debate: strategy A's agents."""
    principles: Path | None = None
    """A principles.toml; the task's own by default."""
    calibration: Data = ()
    """Labelled texts that fit its threshold."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class AttackSettings:
    """Injections: how many, and with which defences."""

    clean: Data = ()
    """Labelled texts whose good ones must pass the defences; the task's by default."""
    defences: bool = True
    """Ask with and without them, or without them only."""
    limit: Annotated[int, Ge(1)] = 280
    """Trials, shared by the families of attacks."""


@settings
class ProbeSettings:
    """Changes that make a text no better."""

    data: Data
    """Texts to change; with source fields, also self-preference."""
    limit: Annotated[int, Ge(2)] | None = None
    """Use the first N texts."""


def _subject(inputs: SubjectInputs) -> tuple[JudgeSpec, list[Labelled]]:
    """The judge, and the labelled texts on which it is calibrated before it is tried; none: it is taken as it is.

    Raises:
        InputError: neither a saved judge nor a description, both of them, or a file that cannot be used.
    """
    if inputs.judge is not None:
        if inputs != SubjectInputs(judge=inputs.judge, mode=inputs.mode, reading=inputs.reading):
            raise InputError("--judge brings its own task, model, principles and calibration: leave those options out")
        return JudgeSpec.read(inputs.judge), []
    if inputs.task is None or inputs.model is None:
        raise InputError("name the judge: --task and --model, or --judge FOLDER of a saved one")
    check_mode(inputs.mode, load_task(inputs.task))
    rules = read_principles(inputs.principles) if inputs.principles else None
    fit = read_labelled(inputs.calibration, inputs.reading)
    if not fit:
        note("uncalibrated: labels come from the model's own bias; fit a threshold with --calibration F")
    return JudgeSpec(lasting(inputs.task), inputs.model, inputs.mode, rules), fit


def _apart(fit: Sequence[Labelled], queries: Iterable[str]) -> list[Labelled]:
    """The texts to fit on without those that share a query with what is tried.

    Raises:
        InputError: too few others are left.
    """
    known = set(queries)
    apart = [row for row in fit if row.query not in known]
    if fit and len(apart) < MIN_LABELS:
        raise InputError(
            f"only {len(apart)} of {len(fit)} calibration texts have other queries than the texts to try; "
            f"{MIN_LABELS} are needed"
        )
    return apart


def _described(spec: JudgeSpec) -> dict[str, Any]:
    """What of the judge decides a result, for the run's manifest."""
    return {
        "task": spec.loaded.name,
        "task_version": spec.loaded.version,
        "model": spec.model,
        "mode": spec.mode,
        "principles": spec.principles and spec.principles.version,
        "examples": len(spec.examples),
        "calibration": spec.calibration and spec.calibration.to_json(),
    }


def _try(
    context: Context, subject: tuple[JudgeSpec, list[Labelled]], total: int, work: Work, name: str, file: str
) -> dict[str, Any]:
    """What ``work`` finds of the judge, calibrated where there are texts for it; its rows go into ``file``."""
    spec, fit = subject
    with context.judging(name, len(fit) + total, spec.model, spec.mode) as (llm, how):

        async def calibrated() -> Found:
            return await work(await spec.fit(llm, fit, **how) if fit else spec, llm, how)

        result, rows = loop.run(calibrated())
    write_jsonl(context.run.path(file), rows)
    return result


# ---- injections ----------------------------------------------------------------------------------------------------


def attack(inputs: SubjectInputs, settings: AttackSettings, place: Place) -> dict[str, Any]:
    """Clean carriers first, then the attacks, with the defences off and on: the fields of the command's ``--json``.

    Only carriers that the judge calls bad by themselves can be flipped, so they are judged first and the attacks are
    drawn for those. A text that the defences catch costs no call, and most others look the same with and without them:
    a trial costs about one call.
    """
    spec, fit = _subject(inputs)
    task = spec.loaded
    carriers = injections.carriers_for(task)
    fit = _apart(fit, [carrier.query for carrier in carriers])
    labelled = read_labelled(settings.clean, inputs.reading) if settings.clean else task.labelled()
    good = [row for row in labelled if row.label == 1]
    # The only good texts that the defences can change: those that they suspect or look at twice.
    watched = [row for row in good if suspect(row.query, row.response, task) != Suspicion()]
    total = len(carriers) + (2 * settings.limit + 2 * len(watched) if settings.defences else settings.limit)

    async def tried(spec: JudgeSpec, llm: LLM, how: dict[str, Any]) -> Found:
        bare, judge = spec.build(llm, guarded=False), spec.build(llm)
        clean = await judge_many(bare, [Candidate(carrier.query, carrier.response) for carrier in carriers], **how)
        bad = [carrier for carrier, verdict in zip(carriers, clean, strict=True) if verdict.label == 0]
        trials = injections.draw(injections.load_suite(), bad, task, limit=settings.limit, seed=place.seed)
        attacked = [Candidate(trial.query, trial.response) for trial in trials]
        off = await judge_many(bare, attacked, **how)
        on, passed = None, {}
        if settings.defences:
            on = await judge_many(judge, attacked, **how)
            before, after = await judge_many(bare, watched, **how), await judge_many(judge, watched, **how)
            passed = injections.lost(before, after, len(good))
        found = {
            "carriers": len(carriers),
            "carriers_bad": len(bad),
            "carriers_unscored": sum(verdict.label is None for verdict in clean),
        }
        rows = [_trial_row(trial, i, off, on) for i, trial in enumerate(trials)]
        return found | injections.summarise(trials, off, on) | passed, rows

    about = _described(spec) | {"defences": settings.defences, "limit": settings.limit} | read_as(inputs.reading)
    with opened("judge attack", place, settings=about, files=named_files(inputs, settings)) as context:
        return context.once("attack", lambda: _try(context, (spec, fit), total, tried, "attack", "trials.jsonl"))


def _trial_row(trial: injections.Trial, i: int, off: Sequence[Verdict], on: Sequence[Verdict] | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "family": trial.family,
        "split": trial.split,
        "place": trial.place,
        "attack": trial.attack,
        "query": trial.query,
        "response": trial.response,
        "label_off": off[i].label,
        "probability_off": off[i].probability,
        "unscored_off": off[i].unscored,
    }
    if on is not None:
        row |= {"label": on[i].label, "probability": on[i].probability, "injection": on[i].injection}
    return row


# ---- biases --------------------------------------------------------------------------------------------------------


def probe(inputs: SubjectInputs, settings: ProbeSettings, place: Place) -> dict[str, Any]:
    """The texts as they are, then changed in one way at a time: the fields of the command's ``--json``.

    Labels are used for self-preference only; the order probe takes at most half as many pairs as there are texts.
    """
    spec, fit = _subject(inputs)
    texts = read_texts_or_labelled(settings.data, inputs.reading)[: settings.limit]
    sources = [text.source for text in read_texts(settings.data, inputs.reading)][: settings.limit]
    fit = _apart(fit, [text.query for text in texts])
    task, seed = spec.loaded, place.seed
    task.require("pairwise")
    bad = [row for row in task.labelled() if row.label == 0] if task.has("labelled") else []
    material = biases.Material.of(task.language, bad or texts)
    probed = {name: biases.changed(name, texts, material, seed) for name in biases.PROBES}
    pairs = biases.order_pairs(texts, max(1, len(texts) // 2))
    total = len(texts) * (1 + len(biases.PROBES)) + len(pairs)

    async def tried(spec: JudgeSpec, llm: LLM, how: dict[str, Any]) -> Found:
        judge = spec.build(llm)
        before = await judge_many(judge, texts, **how)
        result: dict[str, Any] = {"n": len(texts), "probes": [*biases.PROBES, "order", "self_preference"]}
        rows: list[dict[str, Any]] = []
        for name, candidates in probed.items():
            after = await judge_many(judge, candidates, **how)
            result |= biases.measure_probe(name, [text.query for text in texts], before, after, seed)
            rows += map(_probe_row, [name] * len(texts), candidates, before, after)
        pairwise = GuardedPairwise(PairwiseJudge(task, llm, spec.principles, spec.examples, seed))
        neighbours = [Preference(query, one, other) for query, one, other in pairs]
        said = await compare_many(pairwise, neighbours, **how)
        result |= biases.measure_order(said)
        return result | biases.measure_self_preference(texts, sources, before, spec.model, seed), rows

    about = _described(spec) | {"limit": settings.limit} | read_as(inputs.reading)
    with opened("judge probe", place, settings=about, files=named_files(inputs, settings)) as context:
        return context.once("probe", lambda: _try(context, (spec, fit), total, tried, "probe", "probes.jsonl"))


def _probe_row(name: str, text: Candidate, before: Verdict, after: Verdict) -> dict[str, Any]:
    return {
        "probe": name,
        "query": text.query,
        "response": text.response,
        "label_before": before.label,
        "probability_before": before.probability,
        "label": after.label,
        "probability": after.probability,
        "unscored": after.unscored,
        "injection": after.injection,
    }
