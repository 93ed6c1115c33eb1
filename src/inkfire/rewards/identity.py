"""Who a reward is, by what decides its scores: what a policy was trained against is no independent witness of it.

A folder that is renamed, moved or copied holds the same reward, one that was trained anew another. A judge that is
calibrated or measured anew is the same judge: it reads texts as before. Nothing of it is a path.

>>> check_identity("share:!").same(check_identity("share:!")), check_identity("share:!").same(check_identity("share:?"))
(True, False)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inkfire import settings
from inkfire.errors import DataError
from inkfire.files.jsonl import sha256_file
from inkfire.judge.principles import Principles
from inkfire.judge.spec import SHORT, JudgeSpec
from inkfire.models.card import hub_id, is_policy
from inkfire.records import Identity, to_json
from inkfire.tasks.task import load_task


def reward_model_identity(folder: Path, card: Mapping[str, Any]) -> Identity:
    """By its weights and, where it has them, the template that turns a query into messages and the length part that is
    taken out; ``card`` is reward.json's.

    Raises:
        DataError: the folder has no weights.
    """
    weights = sorted(folder.glob("ngram.*" if card["kind"] == "linear" else "*.safetensors"))
    if not weights:
        raise DataError("damaged reward model: it has no weights", path=folder)
    decides = {path.name: sha256_file(path) for path in weights}
    length = [card["length"]] if card.get("length") else []
    return Identity("reward model", folder.name, _digest([card["kind"], card.get("template"), decides, *length]))


def judge_identity(judge: JudgeSpec, name: str) -> Identity:
    """By task, model, mode and examples; in the modes that judge by them by principles, and a debate by how it goes.

    Raises:
        TaskError: its task is not there.
    """
    task = load_task(judge.task)
    model = judge.model
    if model.endswith(".gguf") or Path(model).is_absolute() or is_policy(model):
        model = Path(model).name
    rules = judge.principles or Principles.of(task.principles)
    ruled = judge.mode not in ("rubric", "debate")
    examples = judge.examples.to_json() if judge.examples else None
    decides: list[Any] = [task.name, model, judge.mode, rules.texts if ruled else None, examples]
    if judge.mode == "debate" and (judge.debate, judge.corpus) != (SHORT, ()):
        decides += [settings.to_json(judge.debate), [to_json(example) for example in judge.corpus]]
    if judge.mode == "checklist":
        decides.append(judge.author)
    return Identity("judge", name, _digest(decides), model, judge.mode)


def check_identity(name: str) -> Identity:
    """A check is what its name says."""
    return Identity("check", name, _digest(name))


def reader_identity(what: str, base: str) -> Identity:
    """``what`` (fluency, relevance) a frozen model says, by its name or, of a folder, by its weights."""
    folder = Path(base)
    weights = {path.name: sha256_file(path) for path in sorted(folder.glob("*.safetensors"))} if folder.is_dir() else {}
    return Identity("likelihood", what, _digest([what, weights or hub_id(base)]), hub_id(base))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
