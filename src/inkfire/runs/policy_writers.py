"""The writers of a curation as ``--writer`` names them, and the policies among them that no engine serves.

A policy whose base is no .gguf writes as weights in this process: all its texts at once, before the debates begin,
into ``responses-NAME-i.jsonl`` of the run folder, so that a run that was killed repeats none of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from inkfire.debate.writers import clean
from inkfire.errors import InputError
from inkfire.models import gguf_lora
from inkfire.models.card import is_policy
from inkfire.records import Candidate
from inkfire.runs.context import Context
from inkfire.runs.writers import Drawing, Source, open_writer, written
from inkfire.tasks.task import Task

Spec = dict[str, Any]
"""``model``, ``prompt`` and ``temperature`` of a writer."""


def specs_of(given: Sequence[str], temperature: float) -> list[Spec]:
    """``MODEL[,prompt=P][,temperature=T]`` → their parts.

    Args:
        temperature: of those that name none.
    """
    writers = []
    for spec in given:
        name, *options = spec.split(",")
        values = dict(option.partition("=")[::2] for option in options)
        if not name or set(values) - {"prompt", "temperature"}:
            raise InputError(f"--writer {spec!r}: write MODEL,prompt=writer_alt,temperature=0.8")
        try:
            own = float(values.get("temperature", temperature))
        except ValueError:
            raise InputError(f"--writer {spec!r}: temperature must be a number") from None
        writers.append({"model": name, "prompt": values.get("prompt", "writer"), "temperature": own})
    return writers


def shares(specs: Sequence[Spec], candidates: int) -> list[tuple[Spec, int]]:
    """The writers with the candidates a query of each: as even as can be, the first ones first."""
    return [(spec, len(range(i, candidates, len(specs)))) for i, spec in enumerate(specs)]


def writes_here(spec: Spec) -> bool:
    """Whether a writer is a policy that writes as weights in this process."""
    return is_policy(spec["model"]) and not gguf_lora.can_serve(Path(spec["model"]))


def check_policy(spec: Spec, *, estimate: bool) -> None:
    """Raises InputError where a policy that writes here cannot do what is asked, ModelNameError without its weights."""
    if not writes_here(spec):
        return
    from inkfire.models.policy import find_model

    if spec["prompt"] != "writer":
        raise InputError(f"--writer {spec['model']},prompt={spec['prompt']}: a policy writes with its own prompt")
    if estimate:
        raise InputError(f"--estimate times no policy that writes in this process ({spec['model']}); try --limit 8")
    find_model(spec["model"])


def texts_of_policies(
    context: Context, task: Task, writers: Iterable[tuple[Spec, int]], queries: Iterable[str]
) -> list[Candidate]:
    """What the policies that write here write for the queries, those of a query side by side."""
    asked: list[str] | None = None
    found: dict[str, list[Candidate]] = {}
    for number, (spec, n) in enumerate(writers, 1):
        if not n or not writes_here(spec):
            continue
        asked = list(queries) if asked is None else asked
        name, source = Path(spec["model"]).resolve().name, Source(spec["model"], "weights")
        how = Drawing(n=n, temperature=spec["temperature"], max_tokens=task.max_tokens, seed=context.seed)
        texts = written(context, f"{name}-{number}", partial(open_writer, context, source, task), asked, how).texts
        by = f"{name},prompt={spec['prompt']},temperature={spec['temperature']:g}"
        for query, of_query in zip(asked, texts, strict=True):
            found.setdefault(query, []).extend(Candidate(query, clean(text), by) for text in of_query if text)
    return list(itertools.chain.from_iterable(found.values()))
