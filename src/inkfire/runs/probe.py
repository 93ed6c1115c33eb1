"""``inkfire probe``: does to any reward what ``judge probe`` does to a judge, and says which edits it pays for.

out/edits.jsonl       every edited text, with the scores before and after
REWARD/probed.json    the result, of a reward that is one folder: ``train grpo`` says which edits win
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge

from inkfire.errors import InputError
from inkfire.files.formats import read_texts_or_labelled
from inkfire.files.jsonl import PROBED, write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.records import Candidate, Labelled
from inkfire.rewards.load import check_reward, is_relative, placeholders
from inkfire.rewards.qualified import keep
from inkfire.runs.context import Access, Place, named_files, note, opened, read_as
from inkfire.runs.damage import good_texts
from inkfire.runs.score import scorer_of
from inkfire.settings import option, settings
from inkfire.stats.texts import main_script
from inkfire.stress.biases import Material
from inkfire.stress.edits import EDITS, measure_edits
from inkfire.stress.qualify import spread
from inkfire.tasks.task import Task, load_task


@settings
class ProbeInputs:
    """Which reward, and which texts are edited."""

    reward: str
    """A reward's or judge's folder, python:FILE:FUNCTION, share:X, 'W*A + W*B', or 'min(A, B)'."""
    task: str | None = None
    """A task's name (inkfire tasks list) or its folder: its language, its bad texts to pad with, its good texts."""
    data: Data = ()
    """Texts to edit, the policy's own or good ones; those labelled 0 are left out. The task's good texts if none."""
    limit: Annotated[int, Ge(2)] = 40
    """Texts, of as many queries as there are; each is scored a dozen times."""
    force: bool = False
    """Take a judge that is refused as a reward."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def probe(inputs: ProbeInputs, place: Place | None, *, access: Access = Access(), seed: int = 0) -> dict[str, Any]:
    """Edit texts in every way and score them again.

    Args:
        place: where given, a run folder for edits.jsonl.

    Returns:
        What ``stress/edits.py`` measures, with the ``reward``'s name and where the result is ``kept``, if anywhere.

    Raises:
        InputError: neither a task nor data, or texts of one query only.
    """
    if inputs.task is None and not inputs.data:
        raise InputError("name the texts to edit: --data F, or --task T for its good texts")
    check_reward(inputs.reward, force=inputs.force)
    if is_relative(inputs.reward):
        raise InputError(f"{inputs.reward} scores a text beside others of its group, and an edited one has none")
    task = None if inputs.task is None else load_task(inputs.task)
    texts = _texts(inputs, task)
    if len({text.query for text in texts}) < 2:
        raise InputError("texts of two queries at least are needed: some edits give one query another one's text")
    chosen, material = spread(texts, inputs.limit, seed), _material(task, texts)
    name, folders = placeholders(inputs.reward)
    note(f"about {len(chosen) * (1 + len(EDITS))} texts are scored")
    with scorer_of(inputs.reward, access, force=inputs.force) as scorer:
        found, rows = measure_edits(scorer.score, chosen, material, seed=seed)
        found = {"reward": scorer.name} | found
    kept = name == "<reward 1>" and folders["reward 1"].is_dir()
    if kept:
        keep(folders["reward 1"], PROBED, found)
    found["kept"] = str(folders["reward 1"] / PROBED) if kept else None
    if place is not None:
        about = {"reward": name, "task": task and task.name, "limit": inputs.limit} | read_as(inputs.reading)
        with opened("probe", place, settings=about, files=named_files(inputs) | folders) as context:
            write_jsonl(context.run.path("edits.jsonl"), rows)
            context.run.complete("probe", found, seconds=0.0)
    return found


def _texts(inputs: ProbeInputs, task: Task | None) -> list[Candidate]:
    if inputs.data:
        return good_texts(read_texts_or_labelled(inputs.data, inputs.reading))
    return [Candidate(text.query, text.response) for text in (task.exam_texts() if task else ())]


def _material(task: Task | None, texts: Sequence[Candidate]) -> Material:
    """A task's bad texts, or else the texts themselves, pad others."""
    bad = [row for row in task.labelled() if row.label == 0] if task is not None and task.has("labelled") else []
    language = task.language if task else "zh" if main_script([text.response for text in texts]) == "han" else "en"
    return Material.of(language, bad or [Labelled(text.query, text.response, 0) for text in texts])
