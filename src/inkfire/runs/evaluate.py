"""``inkfire evaluate``: any policies, any signals, on a file of held-out queries.

out/responses-NAME.jsonl   what each policy wrote      out/evaluation.json   the comparison

A policy of several trainings is NAME, NAME@2, … : one row of the comparison, with the texts of all of them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from inkfire.debate.settings import DebateSettings
from inkfire.errors import InputError
from inkfire.evaluation.claims import claims, own_signals
from inkfire.evaluation.compare import compare
from inkfire.evaluation.headline import recommendation
from inkfire.evaluation.signals import PeopleSignal
from inkfire.evaluation.texts import Texts
from inkfire.files.formats import read_queries, read_texts
from inkfire.files.jsonl import write_json
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.files.run import EVERYTHING, Redone
from inkfire.judge.spec import JudgeSpec
from inkfire.models.card import trained_against
from inkfire.records import Query
from inkfire.runs import signals as judged
from inkfire.runs.context import Context, Place, named_files, note, opened, read_as
from inkfire.runs.debates import as_curated, corpus_of
from inkfire.runs.lineage import Overlap, overlap, seen
from inkfire.runs.writers import Drawing, FileWriter, Source, Writer, open_writer, sources_of, written
from inkfire.settings import nearest, option, settings, to_json
from inkfire.tasks.people import People, summary
from inkfire.tasks.task import Task, load_task

_DEBATE = tuple(one.name for one in dataclasses.fields(DebateSettings))


@settings
class EvaluateInputs:
    """Who is compared, by whom, on which queries."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    prompts: Data
    """Held-out queries, in any format with queries."""
    policies: Annotated[tuple[str, ...], option("--policy")]
    """NAME=FOLDER, MODEL or TEXTS.jsonl; repeat it; a NAME given again is another training of that policy."""
    signals: Annotated[tuple[str, ...], option("--signal")]
    """debate[=CURATION], rubric, pairwise[=JUDGE], length, rm=FOLDER, judge=FOLDER, people=RATINGS; repeat it."""
    model: str = "local/qwen2.5-coder-1.5b"
    """The model behind debate, rubric and pairwise."""
    corpus: Data = ()
    """Good {query, response, clicks} that a debate's agents are shown; in a full one the task's, if none."""
    train: Data = ()
    """Training texts, for novelty and copying; repeatable."""
    length_from: Data = ()
    """Labelled texts that fit the length twin; by default the task's."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class EvaluateSettings(DebateSettings):
    """How policies are asked, and how the debate that is a signal goes."""

    limit: Annotated[int, Ge(1)] | None = None
    """Use the first N queries."""
    n: Annotated[int, Ge(1), Le(100), option("-n", "--n")] = 1
    """Texts a query of each policy (of each of its trainings)."""
    against: tuple[str, ...] = ()
    """Policies that the others are compared with; base and sft if none is named, or the first one."""
    keep_seen: bool = False
    """Keep queries that a policy or its rewards were trained on; by default they are left out."""
    qualify: Annotated[int, Ge(0)] | None = None
    """Good texts, whole and damaged, shown to a signal without a card; by default 40 to a reward model, else none."""
    temperature: Annotated[float, Ge(0)] = 0.7
    """Sampling temperature of the policies."""
    max_tokens: Annotated[int, Ge(1)] | None = None
    """Of a text; the task's own if none."""


def evaluate(inputs: EvaluateInputs, settings: EvaluateSettings, place: Place) -> dict[str, Any]:
    """Compare policies by signals; see ``compare``.

    Returns:
        Besides: ``claims`` (in words), ``recommendation`` (one sentence) and ``recommended`` (a policy or None),
        ``overlap`` (queries that were trained on) and ``seen`` (whole files).

    Raises:
        InputError: no policies, signals or queries, or a signal without what it needs.
        ModelNameError, DataError: a policy that is not there. Nothing is written then.
        EndpointDown, BudgetExceeded: an endpoint's model wrote nothing, or costs too much; the same call resumes.
    """
    policies, signals = _policies(inputs.policies), judged.parse(inputs.signals)
    task = load_task(inputs.task).limited(settings.max_tokens)
    sources = sources_of(policies)
    known_as = list(dict.fromkeys(map(_named, sources)))
    for name in settings.against:
        if name not in known_as:
            raise InputError(f"--against {name!r} is no policy of this comparison{nearest(name, known_as)}")
    for source in sources.values():
        source.check(task, base_url=place.access.base_url)
    queries, known = _held_out(inputs, settings, sources)
    asked = [query.query for query in queries]
    people = judged.checked(signals, task, inputs.reading)
    settings, judges = _judges(signals, inputs, settings, task)
    about: dict[str, Any] = {"task": task.name, "task_version": task.version} | judged.described(signals)
    about |= {"model": inputs.model} | _of_settings(settings) | read_as(inputs.reading)
    about |= {f"policy {name}": source.described(f"policy {name}") for name, source in sources.items()}
    about |= {f"weights {name}": True for name, source in sources.items() if source.is_base}
    about |= {"left_out": sorted(known.taught)} if known.taught and not settings.keep_seen else {}
    files = named_files(inputs) | {f"policy {name}": at for name, source in sources.items() if (at := source.path)}
    files |= judged.inputs_of(signals)
    how = Drawing(n=settings.n, temperature=settings.temperature, max_tokens=task.max_tokens, seed=place.seed)
    given = {
        name: FileWriter.read(Path(source.name), asked, inputs.reading)
        for name, source in sources.items()
        if source.kind == "texts"
    }

    def work(context: Context) -> dict[str, Any]:
        def writer(name: str) -> Writer:
            return given[name] if name in given else open_writer(context, sources[name], task)

        drawn = {name: written(context, name, partial(writer, name), asked, how) for name in sources}
        corpus = [text.response for text in read_texts(inputs.train, inputs.reading)]
        texts = Texts(queries, _together({name: each.texts for name, each in drawn.items()}), corpus, task.slop())
        every = [text.text for name in texts.written for text in texts.of(name)]
        asking = judged.Asked(task, signals, judges, people, inputs.length_from, inputs.reading, settings.qualify)
        bench = asking.open(context, every)
        trained = _together({name: trained_against(at) for name, at in policies.items()})
        names = list(texts.written)
        result = compare(
            task,
            texts,
            bench.signals,
            duels=bench.duels,
            rewards=own_signals(
                judged.identities(signals, judges),
                {name: [one for each in of for one in each] for name, of in trained.items()},
            ),
            sights=bench.sights,
            baselines=settings.against or [name for name in ("base", "sft") if name in names] or names[:1],
            seed=place.seed,
        )
        for name, policy in result["policies"].items():
            policy["written_by"] = drawn[name].by
            given_as = sources[name].name
            policy["at"] = Path(given_as).name if Path(given_as).is_absolute() else given_as  # no path of this machine
        made = {name: at for name, source in sources.items() if (at := source.path)}
        if "debate" in judges:
            result["depth"] = judges["debate"].debate.depth
        result["seen"] = seen(inputs.prompts, made | judged.learnt(signals))
        result["overlap"] = {
            "rows": list(known.rows),
            "queries": len(known.taught),
            "left_out": 0 if settings.keep_seen else len(known.taught),
            "unread": list(known.unread),
        }
        if people:
            result["people"] = _rated(people, texts)
            if not any(row["n"] for row in result["people"].values()):
                note(f"{signals['people']} rates none of these policies' texts: they are in responses-NAME.jsonl")
        result["claims"] = claims(result)
        result["recommended"], result["recommendation"] = recommendation(result)
        write_json(context.run.path("evaluation.json"), result)
        return result

    with opened("evaluate", place, settings=about, files=files, redo=_void) as context:
        result = context.once("evaluate", lambda: work(context))
    return {key: value for key, value in result.items() if key != "seconds"}


def _of_settings(settings: EvaluateSettings) -> dict[str, Any]:
    """What a manifest says of them: what earlier versions did not know stands there where it is not the default."""
    said = to_json(settings)
    for name, default in (("n", 1), ("keep_seen", False), ("qualify", None), ("against", [])):
        if said[name] == default:
            del said[name]
    return said


def _held_out(
    inputs: EvaluateInputs, settings: EvaluateSettings, sources: Mapping[str, Source]
) -> tuple[list[Query], Overlap]:
    """The queries, each once, without those that a policy or a reward of it has learnt from.

    Raises:
        InputError: none is left.
    """
    every = {query.query: query for query in read_queries(inputs.prompts, inputs.reading)}
    made = {name: at for name, source in sources.items() if (at := source.path)}
    known = overlap(list(every), made, inputs.prompts)
    for row in known.rows:
        of = "" if row["run"] == row["by"] else f" of {row['run']}"
        done = "kept" if settings.keep_seen else "left out (--keep-seen keeps them)"
        note(
            f"{row['queries']} of {len(every)} queries are part of what {row['by']} was trained on ({row['as']}{of}): "
            f"{done}"
        )
    if known.unread:
        note(
            f"not looked into for queries that were trained on, as they are gone or changed: {', '.join(known.unread)}"
        )
    if settings.keep_seen:
        return list(every.values())[: settings.limit], known
    left = [query for query in every.values() if query.query not in known.taught]
    if every and not left:
        names = ", ".join(dict.fromkeys(row["by"] for row in known.rows))
        raise InputError(
            f"every query of --prompts is part of what {names} was trained on; name others, or --keep-seen"
        )
    return left[: settings.limit], known


def _named(name: str) -> str:
    """The policy of one of its trainings."""
    return name.partition("@")[0]


def _together(of_each: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Policy → what there is of each of its trainings."""
    out: dict[str, list[Any]] = {}
    for name, one in of_each.items():
        out.setdefault(_named(name), []).append(one)
    return out


def _rated(people: People, texts: Texts) -> dict[str, Any]:
    """Of each policy what people said of its texts."""
    signal, out = PeopleSignal(people), {}
    for name in texts.written:
        rows = texts.of(name)
        rated = signal.of([texts.asked[row.query] for row in rows], [row.text for row in rows])
        out[name] = summary(filter(None, rated))
    return out


def _void(changed: Sequence[str]) -> Redone:
    """Signals, and what is beside the texts, change the comparison alone; another policy its own texts besides."""
    names = [key.partition(".")[2] for key in changed]
    policies = {name.partition(" ")[2] for name in names if name.startswith(("policy ", "weights "))}
    beside = (
        "signals",
        "model",
        "signal ",
        "policy ",
        "weights ",
        "train",
        "length_from",
        "corpus",
        "qualify",
        *_DEBATE,
    )
    if not all(name.startswith(beside) for name in names):
        return EVERYTHING
    texts = tuple(f"responses-{name}.jsonl*" for name in policies)
    what = f"the texts of {', '.join(sorted(policies))} and " if policies else ""
    return Redone(f"{what}the comparison (other texts stay)", ("stages/evaluate.json", "evaluation.json", *texts))


def _policies(values: Sequence[str]) -> dict[str, str]:
    """NAME → where it is; NAME@2 is its second training."""
    named: dict[str, str] = {}
    for value in values:
        name, _, target = value.partition("=")
        if not name or not target:
            raise InputError(f"--policy {value!r}: write NAME=FOLDER, for instance --policy sft=runs/sft")
        if not re.fullmatch(r"[\w.+-]+", name):
            raise InputError(f"--policy {value!r}: {name!r} names a file: of letters, digits, _, ., + and - alone")
        before = [at for key, at in named.items() if _named(key) == name]
        if target in before:
            raise InputError(f"--policy names {value!r} twice")
        named[f"{name}@{len(before) + 1}" if before else name] = target
    if not named:
        raise InputError("name at least one policy: --policy NAME=FOLDER")
    return named


def _judges(
    signals: judged.Named, inputs: EvaluateInputs, settings: EvaluateSettings, task: Task
) -> tuple[EvaluateSettings, dict[str, JudgeSpec]]:
    """The settings with the debate's depth decided, and the judges behind the signals that are no reward.

    Raises:
        InputError: settings of a debate that is no signal, or that do not fit together.
    """
    judges = {"rubric": JudgeSpec(inputs.task, inputs.model, "rubric")} if "rubric" in signals else {}
    if "pairwise" in signals and signals["pairwise"] is None:
        judges["pairwise"] = JudgeSpec(inputs.task, inputs.model, "logprob")
    if "debate" not in signals:
        if given := [*settings.given(), *(["--corpus"] if inputs.corpus else [])]:
            raise InputError(f"{given[0]} is a setting of a debate: add --signal debate, or leave it out")
        return settings, judges
    if folder := signals["debate"]:
        debate, corpus = as_curated(Path(folder), task, settings, inputs.corpus, inputs.reading)
        settings = dataclasses.replace(settings, depth=debate.depth)
    else:
        settings = settings.settled(task, inputs.model)
        debate, corpus = settings.debate, corpus_of(task, settings, inputs.corpus, inputs.reading)
    agents = debate.agents(inputs.model)  # where all of them have models of their own, no other is opened
    model = inputs.model if inputs.model in agents.values() else agents.get("judge") or agents["reflect"]
    return settings, judges | {"debate": JudgeSpec(inputs.task, model, "debate", debate=debate, corpus=tuple(corpus))}
