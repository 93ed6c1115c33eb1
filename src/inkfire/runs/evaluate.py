"""The run of ``inkfire evaluate``: any policies, any signals, on a file of held-out queries.

out/responses-NAME.jsonl   what each policy wrote      out/evaluation.json   the comparison
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.evaluation.compare import compare
from inkfire.evaluation.signals import JudgeSignal, LengthSignal, RewardSignal, Signal
from inkfire.files import formats
from inkfire.files.jsonl import read_jsonl, write_json, write_jsonl
from inkfire.files.run import Run
from inkfire.judge.judging import Access
from inkfire.llm import loop
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.records import Query
from inkfire.runs.memory import give_back
from inkfire.tasks.task import Task, load_task


def generate_once(
    run: Run, name: str, source: str, task: Task, queries: Sequence[Query], *, temperature: float, n: int, seed: int
) -> list[list[str]]:
    """``n`` responses of a policy to each query; written to NAME's file once, and read back afterwards.

    Args:
        name: the file's stem below the run folder, for instance ``evaluate/responses-sft``.
        source: a policy folder or the name of a model.
    """
    path = run.path(f"{name}.jsonl")
    if not path.exists():
        from inkfire.models.policy import Policy

        texts = Policy.load(source, task=task).generate(
            [query.query for query in queries],
            n=n,
            temperature=temperature,
            max_new_tokens=task.max_tokens,
            seed=seed,
        )
        give_back()  # the model is gone before the next one is loaded
        write_jsonl(path, ({"query": q.query, "responses": t} for q, t in zip(queries, texts, strict=True)))
    return [row["responses"] for row in read_jsonl(path)]


def own_rewards(source: str) -> list[str]:
    """The signals a policy was trained against, from the reward's name in its policy.json; none for a plain model."""
    from inkfire.models.card import CARD, Card

    folder = Path(source)
    reward = (Card.read(folder).reward or "") if (folder / CARD).is_file() else ""
    return [kind for kind in ("judge", "rm") if f"{kind}:" in reward]


def evaluate_policies(
    *,
    policies: Mapping[str, str],
    signals: Mapping[str, str | None],
    prompts: Path,
    task: str,
    out: Path,
    model: str,
    access: Access = Access(),
    train: Sequence[Path] = (),
    limit: int | None = None,
    temperature: float = 0.7,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare ``policies`` (name → folder or model) by ``signals`` (kind → folder, or None); see ``compare``.

    Raises:
        InputError: no policies or queries, or a signal without what it needs.
    """
    if not policies:
        raise InputError("name at least one policy: --policy NAME=FOLDER")
    loaded = load_task(task)
    queries = list({query.query: query for query in formats.read_queries(prompts)}.values())[:limit]
    inputs = {"prompts": prompts} | {f"train {i}": path for i, path in enumerate(train)}
    folders = {f"policy {name}": Path(source) for name, source in policies.items() if Path(source).is_dir()}
    folders |= {f"signal {kind}": Path(folder) for kind, folder in signals.items() if folder}
    settings = {
        "task": loaded.name,
        "task_version": loaded.version,
        "policies": dict(policies),
        "signals": list(signals),
        "model": model,
        "limit": limit,
        "temperature": temperature,
    }
    run = Run.open(out, command="evaluate", settings=settings, inputs=inputs | folders, seed=seed)
    with access.ledger(run) as ledger:
        opened: list[Client] = []
        try:
            scorers = [
                _signal(kind, at, loaded, model, access.base_url, ledger, opened) for kind, at in signals.items()
            ]
            responses = {
                name: [
                    texts[0]
                    for texts in generate_once(
                        run, f"responses-{name}", source, loaded, queries, temperature=temperature, n=1, seed=seed
                    )
                ]
                for name, source in policies.items()
            }
            result = compare(
                loaded,
                queries,
                responses,
                scorers,
                corpus=[text.response for path in train for text in formats.read_texts(path)],
                rewards={name: own_rewards(source) for name, source in policies.items()},
                baselines=[name for name in ("base", "sft") if name in policies] or list(policies)[:1],
                seed=seed,
            )
        finally:
            for client in opened:
                loop.run(client.close())
        stats = ledger.stats()
    write_json(run.path("evaluation.json"), result)
    return result | {"calls": stats["calls"], "cached": stats["cached"]}


def _signal(
    kind: str,
    folder: str | None,
    task: Task,
    model: str,
    base_url: str | None,
    ledger: Ledger,
    opened: list[Client],
) -> Signal:
    """One signal; a model it needs is added to ``opened``, for the caller to close."""
    from inkfire.judge.spec import build_judge
    from inkfire.models.open import open_model
    from inkfire.rewards.load import load_reward

    if kind == "length":
        return LengthSignal.fit(task.labelled())
    if kind in ("rm", "judge"):
        return RewardSignal(kind, load_reward(str(folder), ledger=ledger, base_url=base_url))
    client = open_model(model, ledger=ledger, base_url=base_url)
    opened.append(client)
    return JudgeSignal(kind, build_judge(kind, task, client))
