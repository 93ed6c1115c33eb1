"""The run of ``inkfire judge probe``: the texts as they are, then changed in one way at a time.

out/probes.jsonl   every text under every probe, the verdict before and after
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.files.formats import read_texts, read_texts_or_labelled
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.judge.answers import Comparison, PairwiseJudge
from inkfire.judge.guard import GuardedPairwise
from inkfire.judge.judging import Access, finish, judge_all, read_back
from inkfire.judge.subject import Subject
from inkfire.llm import loop
from inkfire.llm.ledger import Ledger
from inkfire.records import Candidate, Labelled, Preference, Verdict
from inkfire.runs.compare import compare_all
from inkfire.runs.progress import Progress
from inkfire.stress.biases import (
    PROBES,
    changed,
    measure_order,
    measure_probe,
    measure_self_preference,
    order_pairs,
)

Texts = Sequence[Candidate | Labelled]


def probe_data(
    subject: Subject,
    *,
    data: Path,
    out: Path,
    limit: int | None = None,
    access: Access = Access(),
    inputs: dict[str, Path] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The fields of the command's ``--json``: for each probe those of ``probes.measure_probe``.

    Args:
        data: texts, best of both classes; their labels are used for self-preference only.
        limit: use the first N texts; the order probe takes at most N / 2 pairs of them.
        inputs: files behind ``subject``, for the manifest.
    """
    texts = read_texts_or_labelled(data)[:limit]
    sources = [text.source for text in read_texts(data)][:limit]
    subject = subject.leave_out([text.query for text in texts])
    run = Run.open(
        out,
        command="judge probe",
        settings=subject.settings | {"limit": limit},
        inputs=(inputs or {}) | {"data": data},
        seed=seed,
    )
    if (done := read_back(run, "probe", access)) is not None:
        return done
    started = time.monotonic()
    with access.ledger(run) as ledger:
        result, rows = loop.run(_probe(subject, texts, sources, seed, access, ledger))
        stats = ledger.stats()
    write_jsonl(run.path("probes.jsonl"), rows)
    return finish(run, "probe", result, stats, started)


async def _probe(
    subject: Subject, texts: Texts, sources: Sequence[str], seed: int, access: Access, ledger: Ledger
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from inkfire.models.open import open_model

    model = subject.saved.model
    at_once = access.at_once(model, subject.saved.mode)
    pairs = order_pairs(texts, max(1, len(texts) // 2))
    total = len(subject.fit) + len(texts) * (1 + len(PROBES)) + len(pairs)
    async with open_model(model, ledger=ledger, base_url=access.base_url, concurrency=at_once) as llm:
        with Progress("probe", total, stats=ledger.stats) as progress:

            def advance(verdict: Verdict | Comparison) -> None:
                progress.advance(failed=verdict.unscored is not None)

            saved = await subject.calibrated(llm, concurrency=at_once, advance=advance)
            judge = saved.build(llm, subject.task)
            before = await judge_all(judge, texts, concurrency=at_once, advance=advance)
            result: dict[str, Any] = {"n": len(texts), "probes": [*PROBES, "order", "self_preference"]}
            rows: list[dict[str, Any]] = []
            for name in PROBES:
                candidates = changed(name, texts, subject.task.language, seed)
                after = await judge_all(judge, candidates, concurrency=at_once, advance=advance)
                result |= measure_probe(name, [text.query for text in texts], before, after, seed)
                rows += map(_row, [name] * len(texts), candidates, before, after)
            pairwise = GuardedPairwise(
                PairwiseJudge(subject.task, llm, subject.saved.principles, subject.saved.examples, seed)
            )
            neighbours = [Preference(query, one, other) for query, one, other in pairs]
            comparisons = await compare_all(pairwise, neighbours, concurrency=at_once, advance=advance)
    result |= measure_order(comparisons)
    return result | measure_self_preference(texts, sources, before, model, seed), rows


def _row(name: str, text: Candidate, before: Verdict, after: Verdict) -> dict[str, Any]:
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
