"""``inkfire write``: a writer at work, on one query or on a file of them.

out/texts.jsonl              {query, response}, in the order of the queries; with --best-of the best of each
out/candidates.jsonl         with --best-of: all that were written, with their scores
out/responses-writer.jsonl   what was written, a row a query: what a try that was cut off goes on from
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from inkfire.errors import InputError
from inkfire.files.formats import read_queries
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.files.run import EVERYTHING, Redone, Run
from inkfire.models.card import Card, is_policy
from inkfire.rewards.load import check_reward, placeholders
from inkfire.runs.context import Access, Context, Place, described, named_files, opened
from inkfire.runs.score import best_first, rank
from inkfire.runs.writers import Drawing, Source, open_writer, written
from inkfire.settings import option, settings
from inkfire.tasks.task import Task, load_task

Row = dict[str, Any]
_CHOICE = 4  # texts to choose the best of, where nothing is said


@settings
class WriteInputs:
    """Who writes, and how."""

    policy: str
    """A policy folder, or (with --task) a model's name: local/NAME, hf/ORG/NAME, an endpoint's."""
    prompts: Data = ()
    """Write for all these queries, in any format, into --out."""
    n: Annotated[int, Ge(1), Le(1000), option("-n", "--n")] | None = None
    """How many texts a query; 1, or 4 with --best-of."""
    best_of: str | None = None
    """A reward that orders them, the best first: a folder or share:X."""
    temperature: Annotated[float, Ge(0)] = 0.8
    """0 takes the likeliest token."""
    max_tokens: Annotated[int, Ge(1)] | None = None
    """Of a text; the task's own if none."""
    task: str | None = None
    """Whose template a model is asked with; a policy has its own."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def write(query: str, inputs: WriteInputs, *, access: Access = Access(), seed: int = 0) -> dict[str, Any]:
    """Texts for a query: ``responses``, with their ``scores`` and the best first where a reward orders them.

    Replies of an endpoint are kept in the ledger of ``runs/``; a text that it did not give is ``missing``.

    Raises:
        InputError, ModelNameError: who cannot write, and why.
        EndpointDown: nothing was written.
    """
    source, task, how = _checked(inputs, access, seed)
    place = Place(Path("runs/write"), seed, access)
    with ExitStack() as stack:
        writer = open_writer(Context(Run(place.out, {}), place, stack), source, task)
        (drawn,) = writer.write([query], how, done=0, advance=lambda count, failed: None)
    texts = [text for text in drawn if text is not None]
    name = Path(source.name).name if is_policy(source.name) else source.name
    result: dict[str, Any] = {"query": query, "policy": name, "written_by": writer.by, "responses": texts}
    result["missing"] = how.n - len(texts)
    if inputs.best_of is not None:
        ranked = rank(inputs.best_of, query, texts, access=access)
        result |= {"responses": [text for text, _ in ranked], "scores": [score for _, score in ranked]}
    return result


def write_all(inputs: WriteInputs, place: Place) -> dict[str, Any]:
    """Texts for the queries of a file: out/texts.jsonl.

    Returns:
        ``queries``, ``texts`` (rows of texts.jsonl), ``missing`` (texts that did not come) and ``written_by``.

    Raises:
        InputError, ModelNameError, DataError: what is wrong with the inputs; nothing is written then.
        EndpointDown, BudgetExceeded: stopped; the same call resumes.
    """
    source, task, how = _checked(inputs, place.access, place.seed)
    queries = [query.query for query in read_queries(inputs.prompts, inputs.reading)]
    about = described(inputs, policy=source.described("policy"), n=how.n, max_tokens=how.max_tokens)
    about |= {"task": task and task.name, "task_version": task and task.version}
    files = named_files(inputs) | ({"policy": at} if (at := source.path) else {})
    if inputs.best_of is not None:
        about["best_of"], rewards = placeholders(inputs.best_of)
        files |= rewards

    def work(context: Context) -> dict[str, Any]:
        drawn = written(context, "writer", lambda: open_writer(context, source, task), queries, how)
        rows: list[list[Row]] = [
            [{"query": query, "response": text} for text in texts if text is not None]
            for query, texts in zip(queries, drawn.texts, strict=True)
        ]
        missing = how.n * len(queries) - sum(map(len, rows))
        if inputs.best_of is not None:
            rows = _ranked(context, inputs.best_of, rows)
            write_jsonl(context.run.path("candidates.jsonl"), chain.from_iterable(rows))
            rows = [of_query[:1] for of_query in rows]
        texts = write_jsonl(context.run.path("texts.jsonl"), chain.from_iterable(rows))
        return {"queries": len(queries), "texts": texts, "missing": missing, "written_by": drawn.by}

    with opened("write", place, settings=about, files=files, redo=_void) as context:
        return context.once("write", lambda: work(context)) | {"out": str(context.run.path("texts.jsonl"))}


def _checked(inputs: WriteInputs, access: Access, seed: int) -> tuple[Source, Task | None, Drawing]:
    """Who writes, with whose template where it is no policy's own, and how."""
    source = Source.of(inputs.policy)
    if source.kind == "texts":
        raise InputError(
            f"{inputs.policy}: texts are written there already; --policy of inkfire write names who writes"
        )
    task = load_task(inputs.task) if inputs.task else None
    source.check(task, base_url=access.base_url)
    if inputs.best_of is not None:
        check_reward(inputs.best_of)
    if is_policy(source.name):
        task, length = None, Card.read(Path(source.name)).max_tokens
    else:
        assert task is not None  # Source.check
        length = task.max_tokens
    n = inputs.n or (1 if inputs.best_of is None else _CHOICE)
    return source, task, Drawing(n=n, temperature=inputs.temperature, max_tokens=inputs.max_tokens or length, seed=seed)


def _ranked(context: Context, reward: str, rows: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """The texts of each query with their scores, the best first."""
    flat = [row for of_query in rows for row in of_query]
    scores = context.reward(reward).score([row["query"] for row in flat], [row["response"] for row in flat])
    scored = iter([row | {"score": score} for row, score in zip(flat, scores, strict=True)])
    return [best_first(islice(scored, len(of_query)), lambda row: row["score"]) for of_query in rows]


def _void(changed: Sequence[str]) -> Redone:
    """Another reward orders the same texts."""
    if all(name.partition(".")[2].startswith(("best_of", "reward ")) for name in changed):
        return Redone("the choice (the texts stay)", ("stages/write.json", "texts.jsonl", "candidates.jsonl"))
    return EVERYTHING
