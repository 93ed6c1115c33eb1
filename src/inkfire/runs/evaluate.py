"""``inkfire evaluate``: any policies, any signals, on a file of held-out queries.

out/responses-NAME.jsonl   what each policy wrote      out/evaluation.json   the comparison
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from inkfire.debate.settings import DebateSettings
from inkfire.errors import InputError
from inkfire.evaluation.claims import own_signals
from inkfire.evaluation.compare import compare
from inkfire.evaluation.signals import JudgeSignal, LengthSignal, PeopleSignal, RewardSignal, Signal
from inkfire.files.formats import read_labelled, read_queries, read_texts
from inkfire.files.jsonl import write_json
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.files.run import EVERYTHING, Redone
from inkfire.judge.spec import JudgeSpec, check_mode
from inkfire.models.card import trained_against
from inkfire.records import Identity
from inkfire.rewards.identity import judge_identity
from inkfire.rewards.load import check_reward, identities_of
from inkfire.runs.context import Context, Place, named_files, note, opened, read_as
from inkfire.runs.debates import as_curated, corpus_of
from inkfire.runs.lineage import seen
from inkfire.runs.writers import Drawing, FileWriter, Writer, open_writer, sources_of, written
from inkfire.search import without
from inkfire.settings import nearest, option, settings, to_json
from inkfire.tasks.people import People, read_people, summary
from inkfire.tasks.task import Task, load_task

SIGNALS = ("debate", "judge", "rm", "rubric", "people", "length")
_CARDS = {"rm": "reward.json", "judge": "judge.json"}
_DEBATE = tuple(one.name for one in dataclasses.fields(DebateSettings))


@settings
class EvaluateInputs:
    """Who is compared, by whom, on which queries."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    prompts: Data
    """Held-out queries, in any format with queries."""
    policies: Annotated[tuple[str, ...], option("--policy")]
    """NAME=FOLDER, NAME=MODEL or NAME=TEXTS.jsonl; repeat it for every policy to compare."""
    signals: Annotated[tuple[str, ...], option("--signal")]
    """debate[=CURATION], rubric, length, rm=FOLDER, judge=FOLDER, people=RATINGS; repeat it."""
    model: str = "local/qwen2.5-coder-1.5b"
    """The model behind debate and rubric."""
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
    temperature: Annotated[float, Ge(0)] = 0.7
    """Sampling temperature of the policies."""
    max_tokens: Annotated[int, Ge(1)] | None = None
    """Of a text; the task's own if none."""


def evaluate(inputs: EvaluateInputs, settings: EvaluateSettings, place: Place) -> dict[str, Any]:
    """Compare policies by signals; see ``compare``.

    Raises:
        InputError: no policies, signals or queries, or a signal without what it needs.
        ModelNameError, DataError: a policy that is not there. Nothing is written then.
        EndpointDown, BudgetExceeded: an endpoint's model wrote nothing, or costs too much; the same call resumes.
    """
    policies, signals = _policies(inputs.policies), _signals(inputs.signals)
    task = load_task(inputs.task).limited(settings.max_tokens)
    held_out = {query.query: query for query in read_queries(inputs.prompts, inputs.reading)}
    queries = list(held_out.values())[: settings.limit]
    asked = [query.query for query in queries]
    sources = sources_of(policies)
    for source in sources.values():
        source.check(task, base_url=place.access.base_url)
    people = _checked(signals, task, inputs.reading)
    settings, judges = _judges(signals, inputs, settings, task)
    about: dict[str, Any] = {"task": task.name, "task_version": task.version, "signals": list(signals)}
    about |= {"model": inputs.model} | to_json(settings) | read_as(inputs.reading)
    about |= {f"policy {name}": source.described(f"policy {name}") for name, source in sources.items()}
    about |= {f"weights {name}": True for name, source in sources.items() if source.is_base}
    files = named_files(inputs) | {f"policy {name}": at for name, source in sources.items() if (at := source.path)}
    files |= {f"signal {kind}": Path(folder) for kind, folder in signals.items() if folder}
    how = Drawing(temperature=settings.temperature, max_tokens=task.max_tokens, seed=place.seed)
    given = {
        name: FileWriter.read(Path(source.name), asked, inputs.reading)
        for name, source in sources.items()
        if source.kind == "texts"
    }

    def work(context: Context) -> dict[str, Any]:
        def writer(name: str) -> Writer:
            return given[name] if name in given else open_writer(context, sources[name], task)

        texts = {name: written(context, name, partial(writer, name), asked, how) for name in sources}
        responses = {name: [first for first, *_ in each.texts] for name, each in texts.items()}
        result = compare(
            task,
            queries,
            responses,
            [
                PeopleSignal(people)
                if kind == "people"
                else _signal(context, kind, folder, task, inputs, _apart(judges.get(kind), responses))
                for kind, folder in signals.items()
            ],
            corpus=[text.response for text in read_texts(inputs.train, inputs.reading)],
            rewards=own_signals(
                {kind: _identities(kind, folder, judges.get(kind)) for kind, folder in signals.items()},
                {name: trained_against(at) for name, at in policies.items()},
            ),
            baselines=[name for name in ("base", "sft") if name in policies] or list(policies)[:1],
            seed=place.seed,
        )
        for name, policy in result["policies"].items():
            policy["written_by"] = texts[name].by
        made = {name: at for name, source in sources.items() if (at := source.path)}
        # The debate of a curation, and people, have learnt nothing.
        learnt = {kind: folder for kind, folder in signals.items() if kind not in ("debate", "people")}
        made |= {kind: Path(folder) for kind, folder in learnt.items() if folder}
        if "debate" in judges:
            result["depth"] = judges["debate"].debate.depth
        result["seen"] = seen(inputs.prompts, made)
        if people:
            firsts = {name: [first or "" for first in each] for name, each in responses.items()}
            rated = {name: PeopleSignal(people).of(asked, each) for name, each in firsts.items()}
            result["people"] = {name: summary(filter(None, each)) for name, each in rated.items()}
            if not any(row["n"] for row in result["people"].values()):
                note(f"{signals['people']} rates none of these policies' texts: they are in responses-NAME.jsonl")
        write_json(context.run.path("evaluation.json"), result)
        return result

    with opened("evaluate", place, settings=about, files=files, redo=_void) as context:
        result = context.once("evaluate", lambda: work(context))
    return {key: value for key, value in result.items() if key != "seconds"}


def _checked(signals: Mapping[str, str | None], task: Task, reading: Reading) -> People:
    """What people said, where they are a signal; every other signal is found to be what it must be.

    Raises:
        InputError: a reward that cannot be one, ratings that cannot be read, or a task without what a signal asks with.
    """
    for kind, at in signals.items():
        if kind == "rubric":
            check_mode(kind, task)
        elif at and kind not in ("people", "debate"):
            check_reward(at)
    ratings = signals.get("people")
    return read_people(ratings, task, reading) if ratings else {}


def _void(changed: Sequence[str]) -> Redone:
    """Signals, and what is beside the texts, change the comparison alone; another policy its own texts besides."""
    names = [key.partition(".")[2] for key in changed]
    policies = {name.partition(" ")[2] for name in names if name.startswith(("policy ", "weights "))}
    beside = ("signals", "model", "signal ", "policy ", "weights ", "train", "length_from", "corpus", *_DEBATE)
    if not all(name.startswith(beside) for name in names):
        return EVERYTHING
    texts = tuple(f"responses-{name}.jsonl*" for name in policies)
    what = f"the texts of {', '.join(sorted(policies))} and " if policies else ""
    return Redone(f"{what}the comparison (other texts stay)", ("stages/evaluate.json", "evaluation.json", *texts))


def _policies(values: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for value in values:
        name, _, target = value.partition("=")
        if not name or not target:
            raise InputError(f"--policy {value!r}: write NAME=FOLDER, for instance --policy sft=runs/sft")
        if not re.fullmatch(r"[\w.+-]+", name):
            raise InputError(f"--policy {value!r}: {name!r} names a file: of letters, digits, _, ., + and - alone")
        if name in named:
            raise InputError(f"--policy names {name!r} twice")
        named[name] = target
    if not named:
        raise InputError("name at least one policy: --policy NAME=FOLDER")
    return named


def _signals(values: Sequence[str]) -> dict[str, str | None]:
    signals: dict[str, str | None] = {}
    for value in values:
        kind, _, target = value.partition("=")
        if kind not in SIGNALS:
            raise InputError(f"--signal {value!r}: unknown signal{nearest(kind, SIGNALS)}")
        if kind in ("rm", "judge", "people") and not target:
            what, where = ("ratings", "FILE") if kind == "people" else ("folder", "FOLDER")
            raise InputError(f"--signal {kind} needs its {what}: --signal {kind}={where}")
        for other, card in _CARDS.items():
            if kind in _CARDS and kind != other and (Path(target) / card).is_file():
                raise InputError(f"--signal {value!r}: the folder holds no {kind}; write --signal {other}={target}")
        signals[kind] = target or None
    if not signals:
        raise InputError("name at least one signal: --signal rm=FOLDER")
    return signals


def _judges(
    signals: Mapping[str, str | None], inputs: EvaluateInputs, settings: EvaluateSettings, task: Task
) -> tuple[EvaluateSettings, dict[str, JudgeSpec]]:
    """The settings with the debate's depth decided, and the judges behind the signals that are no reward.

    Raises:
        InputError: settings of a debate that is no signal, or that do not fit together.
    """
    judges = {"rubric": JudgeSpec(inputs.task, inputs.model, "rubric")} if "rubric" in signals else {}
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


def _apart(judge: JudgeSpec | None, responses: Mapping[str, Sequence[str | None]]) -> JudgeSpec | None:
    """A judge whose corpus has no text of the policies: an example that a policy wrote would be its own witness."""
    if judge is None or not judge.corpus:
        return judge
    texts = [text for of_policy in responses.values() for text in of_policy if text is not None]
    return dataclasses.replace(judge, corpus=tuple(without(judge.corpus, texts)))


def _signal(
    context: Context, kind: str, folder: str | None, task: Task, inputs: EvaluateInputs, judge: JudgeSpec | None
) -> Signal:
    if kind == "length":
        return LengthSignal.fit(
            read_labelled(inputs.length_from, inputs.reading) if inputs.length_from else task.labelled()
        )
    if judge is None:
        assert folder is not None
        return RewardSignal(kind, context.reward(folder))
    concurrency = context.access.at_once(judge.model, kind)
    llm = context.model(judge.model, concurrency=concurrency)
    return JudgeSignal(kind, context.besides(judge).build(llm, task), concurrency)


def _identities(kind: str, folder: str | None, judge: JudgeSpec | None) -> tuple[Identity, ...]:
    """Who a signal is; nobody for people and the length twin, against which nothing is trained."""
    if judge is not None:
        return (judge_identity(judge, kind),)
    return () if folder is None or kind == "people" else identities_of(folder)
