"""``inkfire check``: which texts of a file pass which checks (``rewards/checks.py``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Any

from inkfire.errors import DataError, InputError
from inkfire.files.formats import iter_placed_texts, read_texts
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.records import Candidate, Example
from inkfire.rewards.checks import FLUENT, Checks
from inkfire.rewards.forms import haiku_lines, tones
from inkfire.rewards.reading import Band
from inkfire.rewards.syllables import syllables
from inkfire.settings import option, settings
from inkfire.stats.twins import rate
from inkfire.tasks.task import Task, load_task

JUEJU, HAIKU = "form:jueju", "form:haiku"


@settings
class CheckInputs:
    """Which texts, and what they have to be."""

    data: Data
    """Texts, in any format; repeatable."""
    checks: Annotated[tuple[str, ...], option("--check")] = ()
    """A check, see above; repeatable. Those of the task if none."""
    task: str | None = None
    """A task's name (inkfire tasks list) or its folder: its checks, its good texts, its prompt."""
    base: Annotated[str | None, option("--base", "--model")] = None
    """The frozen model that reads for fluent: local/NAME, a folder or a hub id."""
    reference: Data = ()
    """Texts that fluent measures by; the task's good texts if none."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def check(inputs: CheckInputs) -> dict[str, Any]:
    """Every check on every text.

    Returns:
        ``n``, ``passed``, ``passed_rate`` (all checks; its interval is clustered by query), ``failed`` (check → texts)
        and ``failures`` (file, line, query, response, failed); with the check form:jueju also ``tones`` (file, line and
        the tones of its lines, of each text that has the form), with form:haiku ``syllables`` (file, line, and the
        least and the most of each of its lines, of every text); with the check fluent also ``fluent``: the ``base``
        that read, ``low`` and ``high`` (nats a token), and what share of the ``reference`` texts passes.

    Raises:
        InputError: a check that means nothing, none at all, or fluent without a model and a task.
        DataError: what is wrong with a file.
    """
    task = None if inputs.task is None else load_task(inputs.task)
    checks = Checks.parse(inputs.checks)
    if not inputs.checks and task is not None:
        checks = Checks.parse(task.checks, folder=task.folder)
    if not checks.names:
        raise InputError("there is nothing to check: name --check length:20..90 or another (see inkfire check --help)")
    rows = list(iter_placed_texts(inputs.data, inputs.reading))
    queries, texts = [text.query for _, _, text in rows], [text.response for _, _, text in rows]
    failures = checks.failures(queries, texts)
    found: dict[str, Any] = {}
    if checks.fluent:
        found, fluent = _fluent(inputs, task, queries, texts)
        for names, holds in zip(failures, fluent, strict=True):
            names += [] if holds else [FLUENT]
    failed = Counter(name for names in failures for name in names)
    result: dict[str, Any] = {"n": len(rows), "passed": sum(not names for names in failures)}
    result |= rate("passed_rate", [float(not names) for names in failures], queries)
    result["failed"] = {name: failed[name] for name in checks.names}
    result["failures"] = [
        {"file": str(file), "line": line, "query": text.query, "response": text.response, "failed": names}
        for (file, line, text), names in zip(rows, failures, strict=True)
        if names
    ]
    if JUEJU in checks.names:
        result["tones"] = [
            {"file": str(file), "line": line, "tones": tones(text.response)}
            for (file, line, text), names in zip(rows, failures, strict=True)
            if JUEJU not in names
        ]
    if HAIKU in checks.names:
        result["syllables"] = [
            {"file": str(file), "line": line, "syllables": [list(syllables(one)) for one in haiku_lines(text.response)]}
            for file, line, text in rows
        ]
    return result | found


def _fluent(
    inputs: CheckInputs, task: Task | None, queries: Sequence[str], texts: Sequence[str]
) -> tuple[dict[str, Any], list[bool]]:
    """What fluent measured by, and which texts are in its band."""
    if task is None or inputs.base is None:
        raise InputError("the check fluent needs a model that reads and a task whose prompt it reads: --base, --task")
    reference: Sequence[Candidate | Example] = (
        read_texts(inputs.reference, inputs.reading) if inputs.reference else task.exam_texts()
    )
    if not reference:
        raise DataError(f"the task {task.name} has no good texts to measure by: name some with --reference F")
    from inkfire.models.likelihood import Likelihood

    with closing(Likelihood.load(inputs.base, task)) as reader:
        own = reader.per_token([text.query for text in reference], [text.response for text in reference])
        band = Band.of(own)
        about = {"base": inputs.base, **vars(band), "reference": {"n": len(own), "share": band.share(own)}}
        return {FLUENT: about}, [band.holds(value) for value in reader.per_token(queries, texts)]
