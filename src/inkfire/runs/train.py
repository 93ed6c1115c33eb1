"""``inkfire train``: read and check the inputs, open the run folder, train once.

Everything that can be wrong with the inputs is found before the folder is touched. The folder is the policy's or the
reward's own: ``--out runs/sft`` is what ``--policy runs/sft`` names afterwards.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from inkfire.errors import InputError
from inkfire.files.formats import read_labelled, read_pairs, read_queries, read_texts, read_texts_or_labelled
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.llm.bill import FIELDS, between
from inkfire.models.card import is_policy
from inkfire.records import Candidate, Labelled
from inkfire.rewards import checks
from inkfire.rewards.base import Reward
from inkfire.rewards.load import check_reward, identities_of, is_relative, placeholders, read_card, write_card
from inkfire.rewards.shaped import Shaped, Shaping
from inkfire.runs import speed
from inkfire.runs.context import Context, Place, described, named_files, note, opened, with_own_data
from inkfire.runs.damage import good_texts
from inkfire.runs.lineage import off_policy
from inkfire.runs.memory import Peak
from inkfire.runs.qualify import QUALIFY, Exam, check_qualified, read_ratings
from inkfire.settings import option, settings, to_json
from inkfire.tasks.task import Task, load_task
from inkfire.training import ranks
from inkfire.training.reward_model import Material, train_reward_model
from inkfire.training.settings import (
    BonSettings,
    DpoSettings,
    GrpoSettings,
    RewardModelSettings,
    Rounds,
    SftSettings,
    check_reports,
)
from inkfire.training.watched import Watched

Training = Callable[[Context], dict[str, Any]]
_USED = ("calls", "cached", "tokens", *FIELDS, "currency", "seconds_canaries")


@settings
class SftInputs:
    """Who learns from which texts."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    base: Annotated[str, option("--base", "--model")]
    """The model to train: local/NAME, a .gguf, a folder (a policy's too) or a hub id."""
    data: Data = ()
    """Texts; those labelled 0 are left out. The task's good texts if none."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class RewardModelInputs:
    """Which pairs a reward model learns from."""

    pairs: Data = ()
    """Preference pairs, in any format; those of --task if none."""
    task: str | None = None
    """A task's name (inkfire tasks list) or its folder."""
    labelled: Data = ()
    """Texts with labels that fit the threshold for 'excellent'."""
    hard_negatives: Data = ()
    """Texts that a gamed policy wrote: each loses against an honest text of its query."""
    honest: Data = ()
    """Good texts for them, beside the pairs' chosen ones and the task's good texts."""
    start_from: Path | None = None
    """A transformer reward model to go on from."""
    qualify: Annotated[int, Ge(0)] = QUALIFY
    """Good texts that it is shown beside each kind of damage; 0: none."""
    ratings: Data = ()
    """Rated texts of the policy (20 queries with 3 or more): the correlation within the query."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class BonInputs:
    """Who is trained, and who scores."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    policy: Annotated[str, option("--policy", "--model")]
    """Where to start: a policy folder (say runs/sft) or a model."""
    reward: str
    """Who scores: a folder, rank:, tournament:, reference: or checklist:JUDGE, python:F:NAME, share:X, W*A + W*B."""
    prompts: Data = ()
    """Queries, in any format; the task's own if none."""
    value: Literal["probability", "label"] = "probability"
    """What a judge gives: P(Good), or 0 and 1."""
    force: bool = False
    """Take a reward that is refused: a judge no better than chance, or damage that nothing sees."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class GrpoInputs(BonInputs):
    """Who is trained, who scores, and who watches."""

    validation: Data = ()
    """Queries to write for every --validation-steps: up to 16, none of those that are trained on."""
    canary: tuple[str, ...] = ()
    """A signal that is no part of the reward, as --reward takes it; repeatable. When it falls, an alarm."""


@settings
class DpoInputs:
    """Who is trained, and on which pairs."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    policy: Annotated[str, option("--policy", "--model")]
    """Where to start, and the reference: a policy folder (say runs/sft) or a model."""
    pairs: Data = ()
    """Preference pairs, in any format."""
    reward: str | None = None
    """Instead of pairs: who scores the policy's own texts, the best against the worst; as train grpo takes it."""
    prompts: Data = ()
    """With a reward: queries, in any format; the task's own if none."""
    value: Literal["probability", "label"] = "probability"
    """What a judge gives: P(Good), or 0 and 1."""
    force: bool = False
    """Take a reward that is refused: a judge no better than chance, or damage that nothing sees."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def sft(inputs: SftInputs, settings: SftSettings, place: Place) -> dict[str, Any]:
    """Fine-tune on the good texts of ``data`` (those labelled 0 are left out), or of the task where it is None."""
    from inkfire.models.policy import find_model
    from inkfire.training.sft import train_sft

    task = load_task(inputs.task)
    texts = read_texts_or_labelled(inputs.data, inputs.reading) if inputs.data else task.good_texts() or task.labelled()
    good = [Candidate(t.query, t.response) for t in texts if not isinstance(t, Labelled) or t.label == 1]
    find_model(inputs.base)
    started, files = _start(inputs.base, "base")
    files |= named_files(inputs) | {"task": task.folder}

    def train(context: Context) -> dict[str, Any]:
        return train_sft(task, good, inputs.base, context.run.out, settings, seed=place.seed, bars=context.bars)

    return _trained("train sft", place, described(inputs, settings, task=task.name, **started), files, train)


def _start(source: str, field: str) -> tuple[dict[str, str], dict[str, Path]]:
    """What a manifest says of where a training starts, and its folder if it is a policy's."""
    return ({field: "<policy>"}, {"policy": Path(source)}) if is_policy(source) else ({}, {})


def reward_model(inputs: RewardModelInputs, settings: RewardModelSettings, place: Place) -> dict[str, Any]:
    """Train a reward model on the pairs of a file."""
    task = None if inputs.task is None else load_task(inputs.task)
    if task is not None:
        inputs = with_own_data(inputs, task, pairs="pairs")
    elif not inputs.pairs:
        raise InputError("name the pairs: --pairs F, or --task FOLDER of a task that has some")
    pairs = read_pairs(inputs.pairs, inputs.reading)
    labelled = read_labelled(inputs.labelled, inputs.reading) if inputs.labelled else None
    settings.check(task=task, start_from=inputs.start_from)
    material = _material(inputs, task)
    rated = read_ratings(inputs.ratings, inputs.reading)
    if settings.base is not None:
        from inkfire.models.policy import find_model

        find_model(settings.base)
    files = named_files(inputs) | ({} if task is None else {"task": task.folder})

    def train(context: Context) -> dict[str, Any]:
        out = context.run.out
        result = train_reward_model(
            pairs,
            out,
            settings,
            task=task,
            labelled=labelled,
            material=material,
            seed=place.seed,
            bars=context.bars,
        )
        ranks.leave()
        held_out = [Candidate(pair.query, pair.chosen) for pair in read_pairs(out / "held_out_pairs.jsonl")]
        learnt = {pair.chosen for pair in pairs}
        own = [text for text in (task.exam_texts() if task else []) if text.response not in learnt]
        exam = Exam.of(inputs.qualify, rated, held_out, good_texts(labelled or ()), own)
        reward = context.reward(str(out))
        found = exam.taken(reward.score, place.seed)
        write_card(out, read_card(out) | found)
        from inkfire.runs.model_card import write_reward_card

        write_reward_card(out)
        return result | found | speed.timed(reward.score, held_out)

    return _trained("train rm", place, described(inputs, settings, task=task and task.name), files, train)


def _material(inputs: RewardModelInputs, task: Task | None) -> Material:
    """What a reward model learns from besides its pairs.

    Raises:
        InputError: honest texts for no hard negatives, or no transformer to go on from.
    """
    if inputs.honest and not inputs.hard_negatives:
        raise InputError("--honest has good texts for --hard-negatives: name these as well")
    start = inputs.start_from
    if start is not None and read_card(start)["kind"] != "transformer":
        raise InputError(f"--start-from {start}: a linear reward model; only a transformer is gone on with")
    if not inputs.hard_negatives:
        return Material(start_from=start)
    good = good_texts(read_texts_or_labelled(inputs.honest, inputs.reading) if inputs.honest else ())
    honest: dict[str, list[str]] = {}
    known = [(text.query, text.response) for text in good]
    known += [(text.query, text.response) for text in (*task.exam_texts(), *task.good_texts())] if task else []
    for query, text in dict.fromkeys(known):
        honest.setdefault(query, []).append(text)
    return Material(read_texts(inputs.hard_negatives, inputs.reading), honest, start)


def grpo(inputs: GrpoInputs, settings: GrpoSettings, place: Place, shaping: Shaping = Shaping()) -> dict[str, Any]:
    """Train the policy against the reward on the queries of ``prompts``, or of the task."""
    from inkfire.training.grpo import train_grpo

    _check_canaries(inputs)
    settings.check_rollouts()
    if settings.redraw:
        ranks.alone("GRPO with redraw")
    return _rewarded("train grpo", train_grpo, inputs, inputs.reward, settings, place, shaping)


def _check_canaries(inputs: GrpoInputs) -> None:
    """Raises InputError or RefusedReward where a canary is no reward, no use, or a part of the reward."""
    from inkfire.training.canaries import refuse_shared

    for spec in inputs.canary:
        check_reward(spec, force=inputs.force)
        if is_relative(spec):
            raise InputError(f"--canary {spec}: its scores are centred in each group, so that their mean never falls")
        refuse_shared(spec, identities_of(spec), identities_of(inputs.reward))


def bon(inputs: BonInputs, settings: BonSettings, place: Place, shaping: Shaping = Shaping()) -> dict[str, Any]:
    """Train the policy on the best of its own texts by the reward."""
    from inkfire.training.bon import train_bon

    ranks.alone("train bon")
    return _rewarded("train bon", train_bon, inputs, inputs.reward, settings, place, shaping)


def dpo(inputs: DpoInputs, settings: DpoSettings, place: Place, shaping: Shaping = Shaping()) -> dict[str, Any]:
    """Train the policy on the pairs of a file, or on pairs of its own texts by the reward."""
    from inkfire.models.policy import find_model
    from inkfire.training.dpo import train_dpo, train_dpo_rounds
    from inkfire.training.reward_model import writers_of

    if bool(inputs.pairs) == (inputs.reward is not None):
        raise InputError(
            "train dpo learns from pairs that are there (--pairs F) or from pairs of the policy's own texts "
            "(--reward R): name one of the two"
        )
    if inputs.reward is not None:
        ranks.alone("train dpo --reward")
        return _rewarded("train dpo", train_dpo_rounds, inputs, inputs.reward, settings, place, shaping)
    unused = [name for name, value in to_json(shaping).items() if value != to_json(Shaping())[name]]
    unused += [field.name for field in fields(Rounds) if getattr(settings, field.name) != field.default]
    if inputs.prompts or unused:
        raise InputError(
            f"{'prompts' if inputs.prompts else unused[0]} is for pairs that a reward makes: name --reward"
        )
    task, pairs = load_task(inputs.task), read_pairs(inputs.pairs, inputs.reading)
    find_model(inputs.policy)
    started, files = _start(inputs.policy, "policy")
    files |= named_files(inputs) | {"task": task.folder}

    def train(context: Context) -> dict[str, Any]:
        out = context.run.out
        result = train_dpo(task, pairs, inputs.policy, out, settings, seed=place.seed, bars=context.bars)
        return result | {"writers": writers_of(pairs)}

    return _trained("train dpo", place, described(inputs, settings, task=task.name, **started), files, train)


def _rewarded(
    command: str,
    method: Callable[..., dict[str, Any]],
    inputs: BonInputs | DpoInputs,
    spec: str,
    settings: GrpoSettings | BonSettings | DpoSettings,
    place: Place,
    shaping: Shaping,
) -> dict[str, Any]:
    """A training of a policy against a reward on the queries of ``prompts``, or of the task."""
    from inkfire.models.policy import find_model

    task = load_task(inputs.task)
    queries = read_queries(inputs.prompts, inputs.reading) if inputs.prompts else task.queries()
    find_model(inputs.policy)
    check_reward(spec, force=inputs.force)
    reward, folders = placeholders(spec)
    unlike = off_policy(spec, inputs.policy)
    for line in unlike:
        note(line)
    check_qualified(spec, folders.values(), shaping, force=inputs.force)
    held_to, listed = checks.Checks.parse(shaping.checks), checks.placeholders(shaping.checks)
    if shaping.base is not None:
        find_model(shaping.base)
    started, start = _start(inputs.policy, "policy")
    watched, watching = _watching(inputs)
    files = named_files(inputs) | {"task": task.folder} | folders | listed[1] | start | watching
    asked = {key: value for key, value in to_json(shaping).items() if value != to_json(Shaping())[key]}
    more = asked | {"task": task.name, "reward": reward} | ({"checks": listed[0]} if listed[0] else {}) | started
    more |= {"canary": watched} if watched else {}
    if shaping.reference is not None:
        files["reference"] = Path(str(more.pop("reference")))
        read_texts(shaping.reference)
    among = shaping.among(inputs.task, place.seed)

    def train(context: Context) -> dict[str, Any]:
        before = context.ledger.stats()  # a recipe's other stages asked as well
        scorer: Reward = ranks.Elsewhere()
        if ranks.first():
            beside = among
            if among.references is None and "reference:" in spec:
                beside = dataclasses.replace(among, references=_start_texts(context, inputs))
            scorer = context.reward(spec, value=inputs.value, force=inputs.force, among=beside)
            if shaping.needed(scorer):
                scorer = Shaped(scorer, shaping, held_to, place.seed)
        against: Reward | Watched = scorer
        if isinstance(inputs, GrpoInputs) and (inputs.canary or inputs.validation):
            held_out = read_queries(inputs.validation, inputs.reading) if inputs.validation else []
            canaries = [context.reward(one, force=inputs.force) for one in inputs.canary if ranks.first()]
            against = Watched(scorer, canaries, held_out)
        out = context.run.out
        result = method(task, queries, inputs.policy, against, out, settings, seed=place.seed, bars=context.bars)
        after = context.ledger.stats()
        result |= context.lacking() | {"warnings": [*result["warnings"], *unlike]}
        return result | {key: after[key] - before[key] for key in ("calls", "cached")} | between(before, after)

    return _trained(command, place, described(inputs, settings, **more), files, train)


def _start_texts(context: Context, inputs: BonInputs | DpoInputs) -> Path:
    """What the policy writes before its training, a text for each query."""
    from inkfire.runs.write import WriteInputs, write_all

    prompts = inputs.prompts or (load_task(inputs.task).data_file("queries"),)
    asked = WriteInputs(policy=inputs.policy, prompts=prompts, task=inputs.task, reading=inputs.reading)
    return Path(write_all(asked, context.below("reference"))["out"])


def _watching(inputs: BonInputs | DpoInputs) -> tuple[list[str], dict[str, Path]]:
    """The canaries as a manifest names them, and their folders and files."""
    said, files = [], dict[str, Path]()
    for spec in inputs.canary if isinstance(inputs, GrpoInputs) else ():
        name, folders = placeholders(spec, "canary", after=len(files))
        said.append(name)
        files |= folders
    return said, files


def _trained(
    command: str, place: Place, about: dict[str, Any], files: dict[str, Path], train: Training
) -> dict[str, Any]:
    """The result of a training that is done once. How often it saves, pauses, what it shows and overrides do not."""
    check_reports(about.get("report_to"))
    ranks.check_whole_weights()
    beside = ("save_steps", "min_coverage", "force", "profile", "report_to", "vllm_server")
    deciding = {key: value for key, value in about.items() if key not in beside}
    with opened(command, place, settings=deciding, files=files) as context:
        run, started = context.run, time.monotonic()
        if run.done("train") is None:
            with Peak() as peak:
                result = train(context)
                ranks.leave()  # where the policy was there already
            used = {key: result.pop(key) for key in (*_USED, *speed.FIELDS) if key in result} | peak.fields()
            run.complete("train", result, seconds=time.monotonic() - started, used=used or None)
        ranks.leave()
        found = {"out": str(run.out)} | (run.done("train") or {}) | run.used().get("train", {})
        return found | {"seconds": round(run.seconds()["train"], 2)}
