"""The run of ``inkfire judge attack``: clean carriers first, then the attacks, with the defences off and on.

Only carriers that the judge calls bad by themselves can be flipped, so they are judged first and the attacks are drawn
for those. A text that the defences catch costs no call, and most others look the same with and without them: a trial
costs about one call.

    out/trials.jsonl   every trial: family, attack, place, the verdict without and with the defences
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.files.formats import read_labelled
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.judge.guard import Suspicion, suspect
from inkfire.judge.judging import Access, finish, judge_all, read_back
from inkfire.judge.subject import Subject
from inkfire.llm import loop
from inkfire.llm.ledger import Ledger
from inkfire.records import Candidate, Labelled, Verdict
from inkfire.runs.progress import Progress
from inkfire.stress.injections import Carrier, Trial, carriers_for, draw, load_suite, lost, summarise


def attack_data(
    subject: Subject,
    *,
    out: Path,
    clean: Path | None = None,
    defences: bool = True,
    limit: int = 280,
    access: Access = Access(),
    inputs: dict[str, Path] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The fields of the command's ``--json``.

    Args:
        clean: labelled texts whose good ones should pass the defences; the task's own by default.
        defences: False asks only what the judge does without them.
        limit: trials, shared by the families.
        inputs: files behind ``subject``, for the manifest.
    """
    carriers = carriers_for(subject.task)
    subject = subject.leave_out([carrier.query for carrier in carriers])
    good = [row for row in (read_labelled(clean) if clean else subject.task.labelled()) if row.label == 1]
    run = Run.open(
        out,
        command="judge attack",
        settings=subject.settings | {"defences": defences, "limit": limit},
        inputs=(inputs or {}) | ({"clean": clean} if clean else {}),
        seed=seed,
    )
    if (done := read_back(run, "attack", access)) is not None:
        return done
    started = time.monotonic()
    with access.ledger(run) as ledger:
        result, rows = loop.run(_attack(subject, carriers, good if defences else None, limit, seed, access, ledger))
        stats = ledger.stats()
    write_jsonl(run.path("trials.jsonl"), rows)
    return finish(run, "attack", result, stats, started)


async def _attack(
    subject: Subject,
    carriers: Sequence[Carrier],
    good: Sequence[Labelled] | None,
    limit: int,
    seed: int,
    access: Access,
    ledger: Ledger,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """``good`` are the texts that must pass the defences; None where these are off."""
    from inkfire.models.open import open_model

    model = subject.saved.model
    at_once = access.at_once(model, subject.saved.mode)
    # The only good texts that the defences can change: those that they suspect or look at twice.
    watched = [row for row in good or [] if suspect(row.query, row.response, subject.task) != Suspicion()]
    total = len(subject.fit) + len(carriers) + limit * (1 if good is None else 2) + 2 * len(watched)
    async with open_model(model, ledger=ledger, base_url=access.base_url, concurrency=at_once) as llm:
        with Progress("attack", total, stats=ledger.stats) as progress:

            def advance(verdict: Verdict) -> None:
                progress.advance(failed=not verdict.scored)

            saved = await subject.calibrated(llm, concurrency=at_once, advance=advance)
            bare = saved.build(llm, subject.task, guarded=False)
            texts = [Candidate(carrier.query, carrier.response) for carrier in carriers]
            clean = await judge_all(bare, texts, concurrency=at_once, advance=advance)
            bad = [carrier for carrier, verdict in zip(carriers, clean, strict=True) if verdict.label == 0]
            trials = draw(load_suite(), bad, subject.task, limit=limit, seed=seed)
            attacked = [Candidate(trial.query, trial.response) for trial in trials]
            off = await judge_all(bare, attacked, concurrency=at_once, advance=advance)
            on = None
            passed: dict[str, Any] = {}
            if good is not None:
                judge = saved.build(llm, subject.task)
                on = await judge_all(judge, attacked, concurrency=at_once, advance=advance)
                before = await judge_all(bare, watched, concurrency=at_once, advance=advance)
                after = await judge_all(judge, watched, concurrency=at_once, advance=advance)
                passed = lost(before, after, len(good))
    found = {
        "carriers": len(carriers),
        "carriers_bad": len(bad),
        "carriers_unscored": sum(v.label is None for v in clean),
    }
    return found | summarise(trials, off, on) | passed, [_row(trial, i, off, on) for i, trial in enumerate(trials)]


def _row(trial: Trial, i: int, off: Sequence[Verdict], on: Sequence[Verdict] | None) -> dict[str, Any]:
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
