"""``inkfire run --like RUN``: a run again, from its manifest.

The manifest has the command, the settings and the seed; where the inputs lay is in places.json, relative to the folder,
and each must still be what it was by its SHA-256.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inkfire.debate.settings import AGENTS
from inkfire.errors import InputError
from inkfire.evaluation.ballots import Plan
from inkfire.files.reading import Data
from inkfire.files.run import Run, before_named
from inkfire.judge.spec import JudgeSettings
from inkfire.refine.settings import RefineSettings
from inkfire.rewards.shaped import Shaping
from inkfire.runs import (
    annotate,
    curate,
    curve,
    evaluate,
    experiment,
    judge,
    recipe,
    refine,
    score,
    stress,
    train,
    write,
)
from inkfire.runs.context import Place
from inkfire.settings import from_json
from inkfire.training.settings import BonSettings, DpoSettings, GrpoSettings, RewardModelSettings, SftSettings

Values = dict[str, Any]


def repeat(folder: Path, place: Place) -> dict[str, Any]:
    """The same command with the same settings, inputs and seed, in another folder.

    Raises:
        RunFolderError: ``folder`` is no run.
        InputError: an input is no longer there, or has changed.
    """
    run = Run.read(folder)
    command = run.manifest["command"]
    if command not in _COMMANDS:
        raise InputError(f"{folder} was made by inkfire {command}, which cannot be repeated from its manifest")
    places = run.inputs()
    values = _filled(run.manifest["settings"], places) | {name: str(path) for name, path in places.items()}
    return _COMMANDS[command](values, dataclasses.replace(place, seed=run.manifest["seed"]))


def _filled(values: Mapping[str, Any], places: Mapping[str, Path]) -> Values:
    """``<reward 1>`` and its kind as the folders that they stand for."""

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        for name, path in places.items() if isinstance(value, str) else ():
            value = value.replace(f"<{name}>", str(path))
        return value

    return {key: filled(value) for key, value in values.items()}


def _as(model: type, values: Values) -> Any:
    """Settings of a class, by those of its fields that are known; a list of files by its numbered ones."""
    known = {}
    for field in dataclasses.fields(model):
        hint = typing.get_type_hints(model)[field.name]
        if Data in (hint, *typing.get_args(hint)):
            names = [name for name in values if re.fullmatch(rf"{field.name}( \d+)?", name) and values[name]]
            known[field.name] = [values[name] for name in sorted(names, key=lambda name: (len(name), name))]
        elif field.name in values:
            known[field.name] = values[field.name]
    return from_json(known, model)


def _two(run: Callable[[Any, Any, Place], Values], inputs: type, settings: type) -> Callable[[Values, Place], Values]:
    return lambda values, place: run(_as(inputs, values), _as(settings, values), place)


def _shaped(run: Callable[..., Values], inputs: type, settings: type) -> Callable[[Values, Place], Values]:
    return lambda values, place: run(_as(inputs, values), _as(settings, values), place, _as(Shaping, values))


def _judge(values: Values, place: Place) -> Values:
    # Where the manifest says nothing of it, no texts were set apart.
    inputs = _as(judge.JudgeInputs, {"calibration_fraction": 0.0} | values)
    return judge.judge(inputs, _as(JudgeSettings, _debated(values)), place)


def _curve(values: Values, place: Place) -> Values:
    sizes = {"sizes": ",".join(map(str, values["sizes"]))}
    return curve.curve(_as(curve.CurveInputs, values | sizes), _as(JudgeSettings, _debated(values)), place)


def _debated(values: Values) -> Values:
    """With the depth of a debate, also where a manifest is from before debates had one."""
    debates = values.get("mode") == "debate" or "debate" in values.get("signals", ())
    return values | {"depth": before_named(values, "depth")} if debates else values


def _stress(run: Callable[[Any, Any, Place], Values], settings: type) -> Callable[[Values, Place], Values]:
    def again(values: Values, place: Place) -> Values:
        if "judge" in values:
            subject = {"judge": values["judge"]}
        else:  # the manifest also says by which rules and calibration a judge was, for a reader
            subject = {key: value for key, value in values.items() if key != "calibration" or isinstance(value, str)}
        return run(_as(stress.SubjectInputs, subject), _as(settings, values), place)

    return again


def _curate(values: Values, place: Place) -> Values:
    how = curate.CurateHow(shard=values["shard"])
    values = values | {
        "depth": before_named(values, "depth"),
        "writer": [f"{w['model']},prompt={w['prompt']},temperature={w['temperature']:g}" for w in values["writers"]],
        "agent": [f"{agent}={values['agents'].get(agent, 'off')}" for agent in AGENTS],
    }
    return curate.curate(_as(curate.CurateInputs, values), _as(curate.CurateSettings, values), place, how)


def _score(values: Values, place: Place) -> Values:
    return score.score(_as(score.ScoreInputs, values), place, access=place.access, seed=place.seed)


def _policies(values: Values) -> list[str]:
    named = {key.removeprefix("policy "): at for key, at in values.items() if key.startswith("policy ")}
    return [f"{name.partition('@')[0]}={at}" for name, at in named.items()]


def _annotate(values: Values, place: Place) -> Values:
    inputs = _as(annotate.AnnotateInputs, values | {"policies": _policies(values)})
    return annotate.new(inputs, _as(Plan, values), place)


def _evaluate(values: Values, place: Place) -> Values:
    signals = [
        f"{kind}={values[f'signal {kind}']}" if f"signal {kind}" in values else kind for kind in values["signals"]
    ]
    inputs = _as(evaluate.EvaluateInputs, values | {"policies": _policies(values), "signals": signals})
    return evaluate.evaluate(inputs, _as(evaluate.EvaluateSettings, _debated(values)), place)


def _recipe(values: Values, place: Place) -> Values:
    made = dataclasses.replace(_as(recipe.Recipe, values), data=_as(recipe.Data, values))
    return experiment.run_recipe(made, place)


_COMMANDS: dict[str, Callable[[Values, Place], Values]] = {
    "judge": _judge,
    "judge pairwise": _two(judge.compare, judge.JudgeInputs, judge.JudgeOptions),
    "judge curve": _curve,
    "judge attack": _stress(stress.attack, stress.AttackSettings),
    "judge probe": _stress(stress.probe, stress.ProbeSettings),
    "refine": _two(refine.refine, refine.RefineInputs, RefineSettings),
    "train sft": _two(train.sft, train.SftInputs, SftSettings),
    "train rm": _two(train.reward_model, train.RewardModelInputs, RewardModelSettings),
    "train grpo": _shaped(train.grpo, train.GrpoInputs, GrpoSettings),
    "train bon": _shaped(train.bon, train.BonInputs, BonSettings),
    "train dpo": _shaped(train.dpo, train.DpoInputs, DpoSettings),
    "curate": _curate,
    "score": _score,
    "annotate": _annotate,
    "evaluate": _evaluate,
    "write": lambda values, place: write.write_all(_as(write.WriteInputs, values), place),
    "run": _recipe,
}
