"""``inkfire judge``: read and check the inputs, calibrate, judge, measure, save; or compare the texts of a query.

out/verdicts.jsonl      one line a text, in the order of the data
out/judge.json          the judge, with its calibration, examples and measurements: what serves as a reward
out/checklists.jsonl    of --mode checklist, the criteria of each query, and those that were dropped
out/comparisons.jsonl   one line a pair, each compared in both orders (--mode pairwise, rank)
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from annotated_types import Ge, Lt

from inkfire.errors import DataError, InputError
from inkfire.files.formats import read_any, read_labelled, read_pairs, read_texts_or_labelled, split_by_query
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.judge.base import Took, compare_many, judge_many, rank_many
from inkfire.judge.calibration import MIN_LABELS, raw_score
from inkfire.judge.checklist import counted, sifted
from inkfire.judge.examples import NO_EXAMPLES, Examples
from inkfire.judge.measure import measure_no_overlap
from inkfire.judge.principles import read_principles
from inkfire.judge.ranking import measure_pairs, pairs_of
from inkfire.judge.spec import Comparing, JudgeSettings, JudgeSpec, Mode
from inkfire.llm import futile, loop
from inkfire.records import Candidate, Comparison, Labelled, Preference, Verdict, to_json
from inkfire.runs.context import Context, Place, described, named_files, note, opened, with_own_data
from inkfire.runs.damage import good_texts
from inkfire.runs.debates import debate_of
from inkfire.runs.qualify import QUALIFY, Exam, read_ratings
from inkfire.runs.speed import of_verdicts
from inkfire.settings import option, settings
from inkfire.tasks.task import lasting, load_task

GROUP = 8
"""Labelled texts of a query that are ranked in one call, at most."""


@settings
class JudgeOptions(JudgeSettings):
    """Those of a judge; here it may also compare."""

    mode: Literal[Mode, Comparing] = "logprob"  # type: ignore[assignment]
    """logprob: a token; verdict: reason, 0/1; rubric; checklist: a query's; debate; pairwise; rank: a query's texts."""


@settings
class JudgeInputs:
    """What is judged, by which model."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    model: str
    """On this machine local/NAME, a .gguf or a policy trained on one; else a model of --base-url."""
    data: Data = ()
    """Texts in any format, labels are used; pairwise: pairs; rank: labelled. The task's own if none; repeatable."""
    principles: Path | None = None
    """A principles.toml; the task's own by default."""
    calibration: Data = ()
    """Labelled texts of other queries to fit on, or a saved judge's folder."""
    examples_from: Data = ()
    """Labelled texts to choose examples from; by default --calibration's."""
    corpus: Data = ()
    """Good {query, response, clicks} that a debate's agents are shown; in a full one the task's, if none."""
    overlap: Data = ()
    """Texts that the judge, or what it learnt from, may know: metrics also without those of --data."""
    qualify: Annotated[int, Ge(0)] | None = None
    """Good texts shown beside each kind of damage: 40, so 280 texts more (rank: 40 calls); debate, pairwise 0."""
    ratings: Data = ()
    """Rated texts of the policy (20 queries with 3 or more): the correlation within the query."""
    calibration_fraction: Annotated[float, Ge(0), Lt(1)] = 0.3
    """Of labelled --data without another file, the share of the queries that calibrates."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def judge(inputs: JudgeInputs, settings: JudgeSettings, place: Place) -> dict[str, Any]:
    """Judge the texts of ``data``: out/verdicts.jsonl in their order and out/judge.json.

    Returns:
        The fields of the command's ``--json``; metrics only where ``data`` has labels.

    Raises:
        InputError: anything about the inputs that the user must change.
    """
    task = load_task(inputs.task)
    settings = settings.check(task, inputs.model)
    inputs = with_own_data(inputs, task, data="labelled")
    texts = read_texts_or_labelled(inputs.data, inputs.reading)
    rated = read_ratings(inputs.ratings, inputs.reading)
    texts, apart = _set_apart(inputs, texts, place.seed)
    known = {text.query for text in texts}
    fixed, fit = _calibration(inputs, settings, known, apart)
    if fixed is not None:
        if settings.examples or inputs.examples_from:
            raise InputError("a saved judge brings its own examples; leave --examples and --examples-from out")
        examples = fixed.examples
    else:
        examples = choose_examples(settings, inputs, fit, known, place.seed)
    rules = read_principles(inputs.principles) if inputs.principles else None
    spec = JudgeSpec(
        lasting(inputs.task),
        inputs.model,
        settings.mode,
        rules,
        examples,
        settings.votes,
        fixed.calibration if fixed else None,
        author=settings.author_model,
        checklists=fixed.checklists if fixed else (),
        **debate_of(settings, task, inputs.corpus, inputs.reading, known),
    )
    if fixed is not None and (why := spec.foreign(fixed)):
        raise InputError(
            f"{inputs.calibration[0]}: its calibration is of another {why}; fit anew: --calibration LABELLED"
        )
    if (left := len(examples.unshown(fit))) < len(fit):
        note(f"the calibration is fitted on the {left} texts of other queries than the examples'")
    about = described(inputs, settings, task=task.name, task_version=task.version)
    if not apart:  # then it decides nothing
        del about["calibration_fraction"]
    overlap = [text for _, texts in read_any(inputs.overlap, inputs.reading) for text in texts]
    shown = {row.query for row in (*fit, *examples.pool)}
    own = [text for text in task.exam_texts() if text.query not in shown]
    n = (0 if settings.mode == "debate" else QUALIFY) if inputs.qualify is None else inputs.qualify
    exam = Exam.of(n, rated, good_texts(texts) if isinstance(texts[0], Labelled) else [], own)
    with opened("judge", place, settings=about, files=named_files(inputs)) as context:
        if not (fixed or fit) and context.run.done("judge") is None:
            note("uncalibrated: labels come from the model's own bias; fit a threshold with --calibration F")
        return context.once("judge", lambda: _judge(context, spec, settings, fit, texts, overlap, exam))


def _judge(
    context: Context,
    spec: JudgeSpec,
    settings: JudgeSettings,
    fit: Sequence[Labelled],
    texts: Sequence[Candidate | Labelled],
    overlap: Sequence[str],
    exam: Exam,
) -> dict[str, Any]:
    took: Took = {}
    spec = dataclasses.replace(context.besides(spec), took=took)
    method, cost = settings.calibration_method, settings.cost_false_good
    if exam.texts:
        note(f"about {exam.texts} texts more are judged, to say what it sees (--qualify 0 leaves the damaged ones out)")
    with context.judging("judge", len(fit) + len(texts) + exam.texts, spec.model, spec.mode) as (llm, how):

        async def work() -> tuple[list[Verdict], JudgeSpec]:
            fitted = await spec.fit(llm, fit, method=method, cost_false_good=cost, **how) if fit else spec
            return await fitted.judge(llm, texts, seed=context.seed, **how)

        verdicts, judged = loop.run(work())
        judge = judged.build(llm)

        def score(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
            shown = [Candidate(query, response) for query, response in zip(queries, responses, strict=True)]
            return [raw_score(verdict) for verdict in loop.run(judge_many(judge, shown, **how))]

        found = exam.taken(score, context.seed)
    judged, listed = _listed(context, spec, judged, texts, verdicts)
    write_jsonl(context.run.path("verdicts.jsonl"), map(_verdict_row, texts, verdicts))
    scored = sum(verdict.scored for verdict in verdicts)
    result: dict[str, Any] = {"n": len(texts), "scored": scored, "unscored": len(texts) - scored}
    result["calibrated"] = judged.calibration is not None
    if spec.mode == "debate":
        result["depth"] = spec.debate.depth
    if fit:
        result["n_fit"] = len(fit)
    result |= judged.measured or {}
    if overlap and judged.measured:
        labelled = [text for text in texts if isinstance(text, Labelled)]
        result |= measure_no_overlap(labelled, verdicts, overlap, seed=context.seed)
    result |= listed
    result["injections"] = sum(bool(verdict.injection) for verdict in verdicts)
    result |= context.lacking()
    dataclasses.replace(judged, measured=judged.measured and result, **found).save(context.run.out)
    context.took |= of_verdicts(took)
    return result | found


def _listed(
    context: Context, spec: JudgeSpec, judged: JudgeSpec, texts: Sequence[Candidate | Labelled], said: Sequence[Verdict]
) -> tuple[JudgeSpec, dict[str, Any]]:
    """The judge with the checklists that were written, without the criteria that separated nothing in what was measured
    (which had them); and what there is of them."""
    if spec.mode != "checklist":
        return judged, {}
    lists = sifted(spec.besides.lists, texts, said)
    write_jsonl(context.run.path("checklists.jsonl"), map(to_json, lists))
    return dataclasses.replace(judged, checklists=lists), counted(lists)


def _set_apart(
    inputs: JudgeInputs, texts: list[Candidate] | list[Labelled], seed: int
) -> tuple[list[Candidate] | list[Labelled], list[Labelled]]:
    """(the texts to judge, those that calibrate): of one file of labelled texts, parts that share no query."""
    labelled = [text for text in texts if isinstance(text, Labelled)]
    if inputs.calibration or inputs.examples_from or not inputs.calibration_fraction or not labelled:
        return texts, []
    try:
        rest, fit = split_by_query(labelled, fraction=inputs.calibration_fraction, seed=seed)
        if len(fit) < MIN_LABELS or len({row.label for row in fit}) < 2 or not rest:
            raise DataError(
                f"a share of {inputs.calibration_fraction:g} of the queries of {len(texts)} labelled texts has "
                f"{len(fit)} texts; {MIN_LABELS} are needed, good and bad ones"
            )
    except DataError as why:
        note(f"no texts are set apart to calibrate on: {why}")
        return texts, []
    note(
        f"{len(fit)} of the {len(labelled)} labelled texts calibrate the judge, and the {len(rest)} of other queries "
        f"measure it (--calibration-fraction {inputs.calibration_fraction:g}; 0 judges all, uncalibrated)"
    )
    return rest, fit


def _calibration(
    inputs: JudgeInputs, settings: JudgeSettings, known: set[str], apart: list[Labelled]
) -> tuple[JudgeSpec | None, list[Labelled]]:
    """A judge that is calibrated already, or the labelled texts that fit one."""
    refitting = settings.calibration_method != "platt" or settings.cost_false_good is not None
    if not inputs.calibration and not apart and refitting:
        raise InputError("--calibration-method and --cost-false-good fit a calibration: add --calibration LABELLED")
    if not inputs.calibration:
        return None, apart
    path = next(filter(is_judge, inputs.calibration), inputs.calibration[0])
    if is_judge(path):
        if len(inputs.calibration) > 1:
            raise InputError(f"{path}: a saved judge is calibrated already; give no other --calibration beside it")
        saved = JudgeSpec.read(path)
        if saved.calibration is None:
            raise DataError("this judge was saved without a calibration", path=path)
        if refitting:
            raise InputError(f"{path}: a saved judge is calibrated already; fit anew: --calibration LABELLED")
        return saved, []
    fit = of_other_queries(inputs.calibration, inputs.reading, known, "calibration texts")
    if len(fit) < MIN_LABELS:
        raise DataError(f"only {len(fit)} texts to fit on; {MIN_LABELS} are needed, of other queries", path=path)
    return None, fit


def is_judge(path: Path) -> bool:
    """Whether a path is a saved judge's, and not labelled texts."""
    return path.name == "judge.json" or (path / "judge.json").is_file()


class ExampleInputs(Protocol):
    """Inputs that may name files of examples."""

    @property
    def examples_from(self) -> Data: ...
    @property
    def reading(self) -> Reading: ...


def choose_examples(
    settings: JudgeSettings, inputs: ExampleInputs, fit: Sequence[Labelled], known: set[str], seed: int
) -> Examples:
    """The examples that were asked for, from their files or else from ``fit``; none of a query in ``known``."""
    paths = inputs.examples_from
    if not settings.examples:
        if paths:
            raise InputError("--examples-from names a file, and no examples are asked for: add --examples 8")
        return NO_EXAMPLES
    pool = of_other_queries(paths, inputs.reading, known, "examples") if paths else fit
    if not paths and not fit:
        raise InputError("--examples needs labelled texts to choose from: --examples-from F or --calibration F")
    chosen, found = settings.examples_choice, (settings.retrieval, settings.embedder)
    return Examples(tuple(pool), settings.examples, chosen, seed, *(found if chosen == "nearest" else ()))


def of_other_queries(paths: Data, reading: Reading, known: set[str], what: str) -> list[Labelled]:
    """The labelled texts of files without those that share a query with the data."""
    labelled = read_labelled(paths, reading)
    apart = [row for row in labelled if row.query not in known]
    if dropped := len(labelled) - len(apart):
        note(f"{dropped} of {len(labelled)} {what} share a query with the data and are left out")
    return apart


def _verdict_row(text: Candidate | Labelled, verdict: Verdict) -> Mapping[str, Any]:
    """One line of verdicts.jsonl: ``label`` is the judge's, ``expected`` the one that the data has."""
    row = {"query": text.query, "response": text.response, **to_json(verdict)}
    if verdict.points is None:
        del row["points"]
    return row | ({"expected": text.label} if isinstance(text, Labelled) else {})


# ---- pairs ---------------------------------------------------------------------------------------------------------


def compare(inputs: JudgeInputs, settings: JudgeSettings, place: Place) -> dict[str, Any]:
    """Compare the texts of each pair of ``data``, or rank its labelled texts by query, each set in both orders: the
    fields of :func:`measure_pairs`, ``qualified`` and what it cost; out/comparisons.jsonl and out/judge.json.

    Raises:
        InputError: anything about the inputs that the user must change.
    """
    mode: Comparing = "rank" if settings.mode == "rank" else "pairwise"  # type: ignore[comparison-overlap]
    settings.check_no_debate()
    settings.check_retrieval(searched=settings.examples > 0, otherwise="add --examples N")
    if inputs.corpus or inputs.overlap:
        raise InputError(f"--mode {mode} knows neither --corpus nor --overlap: leave them out")
    if inputs.calibration or settings.cost_false_good is not None or settings.votes > 1:
        raise InputError(f"--mode {mode} has nothing to calibrate and no votes: leave these options out")
    if inputs.ratings:
        raise InputError(f"--mode {mode} gives no scores to hold --ratings against: leave it out")
    task = load_task(inputs.task)
    task.require(mode)
    if settings.examples:
        task.check_examples(mode)
    inputs = with_own_data(inputs, task, data="pairs" if mode == "pairwise" else "labelled")
    pairs = read_pairs(inputs.data, inputs.reading) if mode == "pairwise" else []
    sets = _sets(read_labelled(inputs.data, inputs.reading), place.seed) if mode == "rank" else []
    known = {pair.query for pair in pairs} | {texts[0].query for texts in sets}
    rules = read_principles(inputs.principles) if inputs.principles else None
    examples = choose_examples(settings, inputs, [], known, place.seed)
    spec = JudgeSpec(lasting(inputs.task), inputs.model, mode, rules, examples)
    about = described(inputs, task=task.name, task_version=task.version)
    del about["calibration_fraction"]
    if inputs.qualify is None:
        del about["qualify"]
    about |= {"examples": settings.examples, "examples_choice": settings.examples_choice}
    about |= {"retrieval": settings.retrieval, "embedder": settings.embedder} | ({"mode": mode} if sets else {})
    good = [Candidate(pair.query, pair.chosen) for pair in pairs] + good_texts(list(chain.from_iterable(sets)))
    n = (QUALIFY if mode == "rank" else 0) if inputs.qualify is None else inputs.qualify
    exam = Exam.of(n, [], good, task.exam_texts())

    def work(context: Context) -> dict[str, Any]:
        with context.judging(mode, len(pairs) + 2 * len(sets), inputs.model, mode) as (llm, how):
            judge = context.besides(spec)
            if mode == "pairwise":
                rows = list(zip(pairs, loop.run(compare_many(judge.compares(llm), pairs, **how)), strict=True))
            else:
                shown = [(texts[0].query, [text.response for text in texts]) for texts in sets]
                twice = [(*group, turned) for group in shown for turned in (False, True)]
                said = loop.run(rank_many(judge.ranks(llm), twice, **how))
                both = zip(sets, zip(said[::2], said[1::2], strict=True), strict=True)
                rows = [row for texts, rankings in both for row in pairs_of(texts, rankings)]
            found = exam.compared(judge, llm, how["concurrency"], context.seed)
        futile.check((one.unscored for _, one in rows), "pairs")
        write_jsonl(context.run.path("comparisons.jsonl"), (_comparison_row(*row) for row in rows))
        result = measure_pairs([pair for pair, _ in rows], [one for _, one in rows])
        result |= {"sets": len(sets), "ranked": sum(map(len, sets))} if sets else {}
        dataclasses.replace(judge, measured=result, **found).save(context.run.out)
        return result | found

    with opened("judge pairwise", place, settings=about, files=named_files(inputs)) as context:
        return context.once("pairwise", lambda: work(context))


def _sets(texts: Sequence[Labelled], seed: int) -> list[list[Labelled]]:
    """The texts of each query that has good and bad ones, at most :data:`GROUP` of them, good and bad by turns.

    Raises:
        DataError: no query has both.
    """
    by_query: dict[str, dict[Labelled, None]] = {}
    for text in texts:
        by_query.setdefault(text.query, {})[text] = None
    sets = []
    for query, members in by_query.items():
        drawn = random.Random(f"{seed} {query}").sample(list(members), len(members))
        sides = [[text for text in drawn if text.label == label] for label in (1, 0)]
        if all(sides):
            turns = [text for pair in zip_longest(*sides) for text in pair if text is not None]
            sets.append(turns[:GROUP])
    if not sets:
        raise DataError("no query has both good and bad texts, and ranking compares the texts of a query")
    return sets


def _comparison_row(pair: Preference, said: Comparison) -> Mapping[str, Any]:
    """One line of comparisons.jsonl: ``winner`` is ``chosen``, ``rejected``, ``tie`` or null."""
    names = {"a": "chosen", "b": "rejected", "tie": "tie"}
    return {
        "query": pair.query,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "winner": said.winner and names[said.winner],
        "place": said.place,
        "reason": said.reason,
        "unscored": said.unscored,
    }
