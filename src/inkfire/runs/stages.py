"""The stages of a recipe, in the order of the paper. Each reads the context and returns its result as JSON values.

Heavy imports are inside the stages: a stage that is done already loads nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

from inkfire.errors import RefusedReward
from inkfire.files import formats
from inkfire.files.jsonl import write_jsonl
from inkfire.judge.examples import Examples
from inkfire.judge.judging import at_once, lasting
from inkfire.judge.spec import JudgeSpec
from inkfire.llm import loop
from inkfire.records import Candidate, Query, to_json
from inkfire.rewards.base import Reward
from inkfire.runs.context import Context
from inkfire.runs.evaluate import generate_once
from inkfire.runs.progress import Progress
from inkfire.runs.recipe import PolicySpec


def audit_data(context: Context) -> dict[str, Any]:
    """Look for shortcuts in the data before anything learns from it, and fix the splits."""
    from inkfire.stats.audit import audit

    splits = context.splits
    write_jsonl(context.run.path("data", "train_queries.jsonl"), map(to_json, splits.train))
    write_jsonl(context.run.path("data", "held_out_queries.jsonl"), map(to_json, splits.held_out))
    return {
        "labelled": audit(labelled=[*splits.fit, *splits.test], seed=context.seed),
        "pairs": audit(pairs=splits.pairs, seed=context.seed),
        "train_queries": len(splits.train),
        "held_out_queries": len(splits.held_out),
    }


def sft(context: Context) -> dict[str, Any]:
    """Fine-tune the writer on the good texts."""
    from inkfire.training.sft import SftConfig, train_sft

    section = context.recipe.sft
    rows = [Candidate(query, text, "good") for query, text in context.splits.good_texts]
    config = SftConfig(**section.model_dump(), seed=context.seed)
    return train_sft(context.task, rows, context.recipe.models.writer, context.folder("sft"), config, bars=Progress)


def curate_pairs(context: Context) -> dict[str, Any]:
    """Strategy A: the policy and a second writer write, five agents debate, verdicts make preference pairs."""
    from inkfire.debate.debate import Debate
    from inkfire.debate.sampler import curate
    from inkfire.debate.writers import GivenWriter, ModelWriter, Writer
    from inkfire.search import Retriever

    section, task = context.recipe.curate, context.task
    queries = _spread(context.splits.train, section.queries)
    written = _generate(context, "sft", "curate", queries, section.temperature, section.candidates)
    agents = context.model(context.recipe.models.agents)
    given, _ = GivenWriter.of(
        [Candidate(query.query, text, "sft") for query, texts in zip(queries, written, strict=True) for text in texts]
    )
    writers: list[Writer] = [*given, ModelWriter(task, agents, variant="writer_alt", temperature=section.temperature)]
    examples = context.splits.examples
    retriever = Retriever(examples, k_final=1) if examples else None
    with Progress("debates", len(queries), stats=context.ledger.stats) as progress:
        return loop.run(
            curate(
                task,
                queries,
                writers,
                Debate(task, agents, retriever=retriever),
                pairs_path=context.run.path("curate", "pairs.jsonl"),
                transcripts_path=context.run.path("curate", "transcripts.jsonl"),
                candidates_per_query=len(writers) * section.candidates,
                pair_policy=section.pair_policy,
                seed=context.seed,
                limit=at_once(context.recipe.models.agents, "debate"),
                progress=progress,
            )
        )


def reward_model(context: Context) -> dict[str, Any]:
    """Train the reward model on the task's pairs and the curated ones; the labelled texts fit its threshold."""
    from inkfire.training.reward_model import RewardModelConfig, train_reward_model

    splits, curated = context.splits, context.run.path("curate", "pairs.jsonl")
    pairs = [*splits.pairs, *(formats.read_pairs(curated) if curated.stat().st_size else [])]
    section = context.recipe.reward_model
    config = RewardModelConfig(kind=section.kind, base=section.base or context.recipe.models.writer, seed=context.seed)
    return train_reward_model(
        pairs, context.folder("reward_model"), config, task=context.task, labelled=[*splits.fit, *splits.test]
    )


def refine_principles(context: Context) -> dict[str, Any]:
    """Strategy B: adversarial rounds over the principles, accepted only where validation texts are judged better."""
    from inkfire.refine.rounds import RefineSettings
    from inkfire.runs.refine import Splits, refine_and_measure

    section, splits = context.recipe.refine, context.splits
    training, validation = formats.split_by_query(splits.fit, fraction=0.5, seed=context.seed + 1)
    made = loop.run(
        refine_and_measure(
            context.task,
            context.model(context.recipe.models.agents),
            [query.query for query in splits.train],
            Splits(training, validation, splits.test),
            judge=_blank_judge(context),
            settings=RefineSettings(section.rounds, section.attacks, section.errors, seed=context.seed),
            note=lambda message: context.say(f"  {message}"),
        )
    )
    made.write(context.folder("refine"), context.task.name)
    return made.to_json() | {"principles": list(made.refined.principles.texts)}


def fit_judge(context: Context) -> dict[str, Any]:
    """Calibrate the judge on the fit part, measure it on the test part, and save it."""
    from inkfire.judge.judging import fit_judge as fit
    from inkfire.judge.principles import read_principles

    recipe, splits = context.recipe, context.splits
    principles = read_principles(context.run.path("refine", "principles.toml"))
    blank = dataclasses.replace(_blank_judge(context), mode=recipe.judge.mode, principles=principles)
    total = len(splits.fit) + len(splits.test)
    with Progress("judge", total, stats=context.ledger.stats) as progress:
        saved = loop.run(
            fit(
                blank,
                context.task,
                context.model(recipe.models.agents),
                fit=splits.fit,
                test=splits.test,
                seed=context.seed,
                concurrency=at_once(recipe.models.agents, recipe.judge.mode),
                advance=lambda verdict: progress.advance(failed=not verdict.scored),
            )
        )
    saved.save(context.folder("judge"))
    measured = dict(saved.measured or {})
    return measured | {"model": saved.model, "mode": saved.mode, "n_fit": len(blank.examples.unshown(splits.fit))}


def _blank_judge(context: Context) -> JudgeSpec:
    """The recipe's judge before anything is fitted, by the task's own principles."""
    recipe, section = context.recipe, context.recipe.judge
    shown = Examples(tuple(context.splits.fit), section.examples, section.examples_choice, context.seed)
    return JudgeSpec(lasting(recipe.task), recipe.models.agents, "logprob", examples=shown)


def grpo(context: Context, policy: PolicySpec) -> dict[str, Any]:
    """Train one policy against its reward; a judge that is refused as a reward trains nothing, and that is said."""
    from inkfire.training.grpo import GrpoConfig, train_grpo

    section = context.recipe.grpo
    try:
        reward = _reward(context, policy.reward)
    except RefusedReward as refusal:
        context.say(f"  {policy.name} is not trained: {refusal}")
        return {"refused": str(refusal), "reward": policy.reward, "start": policy.start}
    config = GrpoConfig(**section.model_dump(), seed=context.seed)
    with closing(reward):
        result = train_grpo(
            context.task,
            context.splits.train,
            _source(context, policy.start),
            reward,
            context.folder(policy.name),
            config,
            bars=partial(Progress, stats=context.ledger.stats),
        )
    return result | {"reward": policy.reward, "start": policy.start}


def _reward(context: Context, name: str) -> Reward:
    """The reward a recipe names: the run's own ``rm`` or ``judge``, a check such as ``share:!``, or a folder."""
    from inkfire.rewards.judge import load_judge_reward
    from inkfire.rewards.load import load_reward

    if name == "judge":
        folder = context.folder("judge")
        return load_judge_reward(
            folder, ledger=context.ledger, base_url=context.base_url, value=context.recipe.judge.value
        )
    return load_reward(str(context.folder("reward_model")) if name == "rm" else name, ledger=context.ledger)


def evaluate(context: Context) -> dict[str, Any]:
    """Compare base, SFT and every policy on the held-out queries, by every signal, beside the length twin."""
    from inkfire.evaluation.claims import own_signals
    from inkfire.evaluation.compare import compare
    from inkfire.evaluation.signals import LengthSignal, RewardSignal, Signal
    from inkfire.models.policy import trained_against

    section, splits = context.recipe.evaluate, context.splits
    trained = [policy for policy in context.recipe.policies if "refused" not in context.result(policy.name)]
    names = ["base", "sft", *(policy.name for policy in trained)]
    responses = {
        name: [texts[0] for texts in _generate(context, name, "evaluate", splits.held_out, section.temperature, 1)]
        for name in names
    }
    rewards: dict[str, Reward] = {}
    left_out: dict[str, str] = {}
    with ExitStack() as opened:
        for name in section.signals:
            try:
                rewards[name] = _reward(context, name)
            except RefusedReward as refusal:
                left_out[name] = str(refusal)
            else:
                opened.callback(rewards[name].close)
        signals: list[Signal] = [RewardSignal(name, reward) for name, reward in rewards.items()]
        result = compare(
            context.task,
            splits.held_out,
            responses,
            [*signals, LengthSignal.fit([*splits.fit, *splits.test])],
            corpus=[text for _, text in splits.good_texts],
            rewards=own_signals(
                {name: reward.identities for name, reward in rewards.items()},
                {name: trained_against(_source(context, name)) for name in names},
            ),
            seed=context.seed,
        )
    refused = {p.name: context.result(p.name)["refused"] for p in context.recipe.policies if p not in trained}
    return result | {"left_out": left_out, "refused": refused}


def _generate(
    context: Context, policy: str, stage: str, queries: Sequence[Query], temperature: float, n: int
) -> list[list[str]]:
    """``n`` responses of a policy of this run to each query."""
    context.say(f"  {policy} writes for {len(queries)} queries")
    name = f"{stage}/responses-{policy}"
    return generate_once(
        context.run,
        name,
        _source(context, policy),
        context.task,
        queries,
        temperature=temperature,
        n=n,
        seed=context.seed,
    )


def _source(context: Context, policy: str) -> str:
    """The folder of a policy of this run, or the model that all begin with."""
    return context.recipe.models.writer if policy == "base" else str(context.folder(policy))


def _spread(queries: Sequence[Query], n: int) -> list[Query]:
    """``n`` queries at equal distances, so that every part of the list is there."""
    step = max(1, len(queries) // n)
    return list(queries[::step][:n])
