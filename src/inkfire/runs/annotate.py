"""``inkfire annotate``: people rate texts, blind.

out/form.json, items.jsonl, plan.jsonl   what is rated, by whom (rated_set.py)
out/responses-NAME.jsonl                 what each policy wrote
out/votes.jsonl                          every vote, as it came
out/export/                              the same with the writers' names, as other commands read it
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from inkfire.errors import InputError, RunFolderError
from inkfire.evaluation.ballots import Item, Plan, plan
from inkfire.evaluation.form import Form, Mode
from inkfire.files.formats import read_queries, read_texts
from inkfire.files.jsonl import atomic, write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.files.run import EVERYTHING, Redone
from inkfire.models.card import Card, Template, is_policy
from inkfire.runs.context import Context, Place, described, named_files, note, opened
from inkfire.runs.rated_set import FILES, RatedSet, sitting, votes_in
from inkfire.runs.writers import Drawing, FileWriter, Source, Writer, open_writer, sources_of, written
from inkfire.settings import option, settings, to_json
from inkfire.tasks.task import Task, load_task

_SAMPLES: Mapping[Mode, int] = {"rubric": 4, "pairwise": 1}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would work out
_PLANNED = ("settings.raters", "settings.overlap", "settings.repeats")


@settings
class AnnotateInputs:
    """Whose texts are rated."""

    policies: Annotated[tuple[str, ...], option("--policy")]
    """Who writes: a folder, a model's name or a file of texts, with or without NAME= before it; repeatable."""
    queries: Data = ()
    """What they write for, in any format with queries; of files of texts alone by default theirs."""
    task: str | None = None
    """Its rubric is what texts are rated by; policies have their task's own."""
    mode: Literal["pairwise", "rubric"] | None = None
    """pairwise: which of two is better; rubric: points by dimension. By default rubric of one policy, else pairwise."""
    n: Annotated[int, Ge(1), Le(1000), option("-n", "--n")] | None = None
    """Texts a query of each policy; 4 with a rubric, else 1; of files of texts alone as many as they have."""
    temperature: Annotated[float, Ge(0)] = 0.8
    """Sampling temperature of the policies."""
    max_tokens: Annotated[int, Ge(1)] | None = None
    """Of a text; the task's own if none."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class ServeSettings:
    """Where the page is served."""

    host: str = "127.0.0.1"
    """The address to listen on; this machine alone, if not said otherwise."""
    port: Annotated[int, Ge(0), Le(65535)] = 8765
    """The port; 0 takes a free one."""


@dataclass(frozen=True)
class Cast:
    """Who writes what: checked, nothing opened yet."""

    mode: Mode
    sources: Mapping[str, Source]
    queries: Sequence[str]
    n: int
    task: Task | None
    template: Template | None
    form: Form


def new(inputs: AnnotateInputs, how: Plan, place: Place) -> dict[str, Any]:
    """Lay out a set: ``items``, ``queries``, ``planned`` votes, ``raters`` (votes of each), ``policies`` (who wrote),
    ``missing`` texts that did not come and ``same`` that were written twice.

    Raises:
        InputError, DataError, ModelNameError: what is wrong with the inputs; nothing is written then.
        RunFolderError: also where people have voted on what would be laid out anew.
        EndpointDown, BudgetExceeded: stopped; the same call resumes.
    """
    cast = cast_of(inputs)
    for source in cast.sources.values():
        source.check(cast.task, base_url=place.access.base_url)
    about = described(inputs, mode=cast.mode, n=cast.n) | to_json(how)
    del about["policies"]  # they stand under their names
    about |= {"task": cast.task and cast.task.name, "task_version": cast.task and cast.task.version}
    about |= {f"policy {name}": source.described(f"policy {name}") for name, source in cast.sources.items()}
    files = named_files(inputs) | {f"policy {name}": at for name, source in cast.sources.items() if (at := source.path)}
    if place.access.retry_unscored:
        _keep(place.out, "--retry-unscored")

    def work(context: Context) -> dict[str, Any]:
        texts, by = _texts(context, cast, inputs)
        items, missing, same = _items(cast, texts)
        if not items:
            raise InputError("there is nothing to rate: " + _why_none(missing, same))
        lists = plan(items, how, place.seed)
        RatedSet.write(context.run.out, cast.form, cast.template, items, lists)
        out: dict[str, Any] = {"mode": cast.mode, "queries": len({item.query for item in items}), "items": len(items)}
        out |= {"missing": missing, "same": same, "policies": by}
        raters = {rater: len(slots) for rater, slots in lists.items()}
        return out | {"planned": sum(raters.values()), "raters": raters}

    redo = partial(_void, place.out)
    with opened("annotate", place, settings=about, files=files, redo=redo) as context:
        return context.once("annotate", lambda: work(context)) | {"out": str(place.out)}


def serve(out: Path, where: ServeSettings, ready: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Serve the page until the process is interrupted.

    Args:
        ready: told when the page can be asked: ``urls``, rater → address, and what :func:`status` says.

    Returns:
        What :func:`status` says at the end.

    Raises:
        RunFolderError: it is no set, or another process has it open.
        InputError: the address cannot be had.
        MissingExtraError: starlette or uvicorn is not installed.
    """
    from inkfire.serve.page import rating_page
    from inkfire.serve.page import serve as answer
    from inkfire.serve.port import base_url, is_loopback, listen

    with sitting(out) as (found, raters), listen(where.host, where.port) as at:
        tokens = found.tokens()
        if not is_loopback(where.host):
            note(
                f"whoever reaches {where.host} and has a rater's address can vote in that name, and what is sent is "
                "not encrypted: put a proxy with TLS before it where others share the network"
            )
        base = base_url(where.host, at)
        ready({"urls": {rater: f"{base}/r/{token}" for rater, token in tokens.items()}} | status(out))
        with suppress(KeyboardInterrupt):  # how it is told to stop
            answer(rating_page(raters, tokens), at)
    return status(out)


def status(out: Path) -> dict[str, Any]:
    """How far the raters are: :meth:`Tally.progress`. It may be asked while they work."""
    found = RatedSet.read(out)
    return {"out": str(out), "mode": found.tally.form.mode} | found.tally.progress()


def export(out: Path, to: Path | None = None) -> dict[str, Any]:
    """Write the votes until now with the writers' names; may be done again, also while raters work.

    Returns:
        ``progress``, ``results`` by writer, and ``files``: name → rows.

    Raises:
        InputError: nobody has voted yet.
    """
    found = RatedSet.read(out)
    tally, to = found.tally, to or out / "export"
    rows = tally.vote_rows()
    if not rows:
        raise InputError(f"nobody has voted in {out} yet; inkfire annotate serve {out} shows where")
    made: dict[str, Sequence[Mapping[str, Any]]] = {"votes.jsonl": rows}
    if tally.form.mode == "rubric":
        made["ratings.jsonl"] = tally.rating_rows()
    made |= {"rated.jsonl": tally.rated_rows(), "labelled.jsonl": tally.labelled_rows()}
    made["pairs.jsonl"] = [found.pair_row(pair) for pair in tally.pairs()]
    for name, of_file in made.items():
        if of_file:
            write_jsonl(to / name, of_file)
        else:
            (to / name).unlink(missing_ok=True)  # of an export before
    _write_csv(to / "votes.csv", rows)
    files = {name: len(of_file) for name, of_file in made.items() if of_file} | {"votes.csv": len(rows)}
    results = {"mode": tally.form.mode, "results": tally.results(), "progress": tally.progress()}
    return {"out": str(to)} | results | {"files": files}


# ---- what is rated -------------------------------------------------------------------------------------------------


def cast_of(inputs: AnnotateInputs) -> Cast:
    """Who writes what is rated, and what is asked of it; nothing is opened or written."""
    policies = _policies(inputs.policies)
    sources = sources_of(policies)
    mode: Mode = inputs.mode or ("rubric" if len(policies) == 1 else "pairwise")
    if mode == "pairwise" and len(policies) < 2:
        raise InputError("--mode pairwise compares two policies or more: repeat --policy")
    task = load_task(inputs.task).limited(inputs.max_tokens) if inputs.task else None
    if task is not None:
        template = Template.of(task) if task.has_prompt("writer") else None
    else:
        template = next((Card.read(Path(at)).template for at in policies.values() if is_policy(at)), None)
    about = task.about() if task is not None else template.task if template is not None else {}
    form = Form.of(mode, about, task.excellent_from if task is not None else None)
    n = inputs.n or _SAMPLES[mode]
    if inputs.queries:
        queries = list(dict.fromkeys(query.query for query in read_queries(inputs.queries, inputs.reading)))
    else:
        queries, most = _answered(inputs, sources)
        n = inputs.n or most
    return Cast(mode, sources, queries, n, task, template, form)


def _policies(values: Sequence[str]) -> dict[str, str]:
    """Name → where; what has no name is called after its folder or file."""
    named: dict[str, str] = {}
    for value in values:
        name, given, target = value.partition("=")
        if not given:
            at = Path(value)
            name, target = at.parent.name if at.name == "texts.jsonl" else at.stem if at.is_file() else at.name, value
        if not target or not re.fullmatch(r"[\w.+-]+", name):
            raise InputError(f"--policy {value!r}: give it a name of letters, digits, _, ., + and -: NAME={target}")
        if name in named:
            raise InputError(f"two policies are called {name!r}: give one another name, --policy NAME={target}")
        named[name] = target
    return named


def _answered(inputs: AnnotateInputs, sources: Mapping[str, Source]) -> tuple[list[str], int]:
    """The queries that all files of texts answer, and how many texts of one there are at most in each.

    Raises:
        InputError: some policy is no file of texts, or no query is answered in all of them.
    """
    if writing := [name for name, source in sources.items() if source.kind != "texts"]:
        raise InputError(f"--queries F: what is {writing[0]} to write for?")
    counts = [Counter(text.query for text in read_texts(source.name, inputs.reading)) for source in sources.values()]
    if common := [query for query in counts[0] if all(query in count for count in counts)]:
        return common, max(min(count[query] for count in counts) for query in common)
    raise InputError("no query is answered in all of the files of texts: they must be the same, word for word")


def _texts(
    context: Context, cast: Cast, inputs: AnnotateInputs
) -> tuple[dict[str, list[list[str | None]]], dict[str, str | None]]:
    """Each policy's texts by query, and who wrote them."""

    def writer(source: Source) -> Writer:
        if source.kind == "texts":
            return FileWriter.read(Path(source.name), cast.queries, inputs.reading)
        return open_writer(context, source, cast.task)

    texts, by = {}, {}
    for name, source in cast.sources.items():
        how = Drawing(
            n=cast.n,
            temperature=inputs.temperature,
            max_tokens=inputs.max_tokens or _length(source, cast.task),
            seed=context.seed,
        )
        drawn = written(context, name, partial(writer, source), cast.queries, how)
        texts[name], by[name] = drawn.texts, drawn.by
    return texts, by


def _length(source: Source, task: Task | None) -> int:
    """Tokens of a text: the task's; without one the policy's own."""
    if task is not None:
        return task.max_tokens
    return Card.read(Path(source.name)).max_tokens if is_policy(source.name) else 1


def _items(cast: Cast, texts: Mapping[str, list[list[str | None]]]) -> tuple[list[Item], int, int]:
    """The items in the order of the queries; how many texts did not come, and how many items say the same twice."""
    items: list[Item] = []
    same = 0
    for place, query in enumerate(cast.queries):
        of_query = {name: of_policy[place] for name, of_policy in texts.items()}
        if cast.mode == "rubric":
            for name, drawn in of_query.items():
                there = [text for text in drawn if text is not None]
                same += len(there) - len(set(there))
                items += [Item(0, query, (text,), (name,)) for text in dict.fromkeys(there)]
            continue
        for a, b in itertools.combinations(of_query, 2):
            for first, second in zip(of_query[a], of_query[b], strict=True):
                if first is not None and second is not None:
                    same += first == second
                    items += [] if first == second else [Item(0, query, (first, second), (a, b))]
    asked = [texts[name] for name, source in cast.sources.items() if source.kind != "texts"]  # a file has what it has
    missing = sum(text is None for of_policy in asked for each in of_policy for text in each)
    numbered = [Item(number, one.query, one.responses, one.sources) for number, one in enumerate(items, 1)]
    return numbered, missing, same


def _why_none(missing: int, same: int) -> str:
    return f"{missing} texts did not come" if missing else f"in {same} pairs both texts are the same"


def _keep(out: Path, what: str) -> None:
    """
    Raises:
        RunFolderError: people have voted in this folder.
    """
    if votes := votes_in(out):
        raise RunFolderError(
            f"{out} holds {votes} votes on the texts that are there, and {what} would lay out others; what people did "
            "is not redone: use another --out"
        )


def _void(out: Path, changed: Sequence[str]) -> Redone:
    """Another plan is of the same texts; votes are never thrown away."""
    _keep(out, changed[0].partition(".")[2] or changed[0])
    if all(name in _PLANNED for name in changed):
        return Redone("the plan (the texts stay)", ("stages/annotate.json", *FILES))
    return EVERYTHING


# ---- a table -------------------------------------------------------------------------------------------------------


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Votes as a table, each dimension a column; UTF-8 with a mark, as spreadsheets need it."""
    flat = [_flat(row) for row in rows]
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(flat[0]))
    table.writeheader()
    table.writerows(flat)
    with atomic(path) as file:
        file.write(text.getvalue().encode("utf-8-sig", "replace"))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):  # points, provenance
            out |= {f"{key} points" if key in row else key: of_key for key, of_key in value.items()}
        else:
            out[name] = f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
    return out
