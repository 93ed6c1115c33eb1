"""A policy's card, policy.json: what the policy was made from, and the template that turns a query into its messages.

    base       the model under the adapter, by name (local/smollm2-135m, a hub id) or path; a path is relative to the
               policy's folder, so that both can be moved together
    template   the task's query → messages template, word for word: SFT, GRPO, evaluate and write all use it
    task, task_version, max_tokens (of a text, by the task), parent (the policy it continued), reward, trained (sft or
    grpo), steps
    own_rewards  every reward that it or a policy before it was trained against

It loads no torch, so that reports and rewards may read it where no policy can run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from inkfire.errors import DataError
from inkfire.files.jsonl import read_json, write_json
from inkfire.models import store
from inkfire.records import Identity, Message, RewardKind
from inkfire.tasks.prompts import parse_prompt
from inkfire.tasks.task import Task

CARD = "policy.json"
_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+)/snapshots/\w+")


@dataclass(frozen=True)
class Template:
    """A task's query → messages template, on its own: the prompt file and the values of ``task`` in it."""

    source: str
    task: dict[str, Any]

    @classmethod
    def of(cls, task: Task, variant: str = "writer") -> Self:
        task.require(variant)
        source = (task.folder / "prompts" / f"{variant}.jinja").read_text(encoding="utf-8")
        return cls(source, task.about())

    def messages(self, query: str) -> list[Message]:
        """The same messages as ``task.messages(query)``."""
        rendered = parse_prompt(self.source, CARD).render({"task": self.task, "query": query})
        return [{"role": message["role"], "content": message["content"]} for message in rendered]


@dataclass(frozen=True)
class Card:
    """What policy.json holds."""

    base: str
    template: Template
    task: str
    task_version: str
    parent: str | None = None
    reward: str | None = None
    trained: str | None = None
    steps: int = 0
    own_rewards: tuple[Identity, ...] = ()
    max_tokens: int = 200

    @classmethod
    def of(cls, base: str, task: Task) -> Self:
        """The card of a model that was not trained yet; one that is a policy hands down its ``own_rewards``."""
        inherited = trained_against(base)
        template, length = Template.of(task), task.max_tokens
        return cls(base, template, task.name, task.version, own_rewards=inherited, max_tokens=length)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read policy.json. What another version of inkfire put into it besides is passed over.

        Raises:
            DataError: it is missing or damaged.
        """
        path = folder / CARD
        try:
            data = read_json(path)
            data |= {"template": Template(**data["template"]), "own_rewards": _own_rewards(data)}
            if (at := Path(os.path.normpath(folder / data["base"]))).exists():
                data["base"] = str(at)
            return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None
        except (TypeError, KeyError) as error:
            raise DataError(f"not the card of a policy: {error}", path=path) from None

    def write(self, folder: Path) -> None:
        """Write policy.json, the last file of a policy's folder: with it the policy is complete."""
        write_json(folder / CARD, asdict(replace(self, base=portable(self.base, folder))))


def portable(model: str, folder: Path) -> str:
    """A model's name as a file in ``folder`` says it: a path from there, of one in the hub's cache its id."""
    path = Path(model.removeprefix("local/")).expanduser()
    if not path.exists():
        return model
    from huggingface_hub.constants import HF_HUB_CACHE

    cached = _CACHED.fullmatch(os.path.relpath(path.absolute(), HF_HUB_CACHE))
    if cached is not None:
        return f"{cached[1]}/{cached[2]}"
    relative = os.path.relpath(path.absolute(), folder.absolute())
    return relative if relative.startswith(".") else f"./{relative}"


def hub_id(model: str) -> str:
    """What loaders of Hugging Face find a model's weights under: its hub id, also of what local/NAME was made from; of
    a path its way from the working folder."""
    if model.startswith("local/") and not store.is_file_name(model):
        return store.origin(model)
    return portable(model, Path()).removeprefix("hf/")


def is_policy(source: str | Path) -> bool:
    """Whether ``source`` is a policy folder rather than the name of a model."""
    return (Path(source) / CARD).is_file()


def is_adapter(folder: Path) -> bool:
    """Whether a policy folder holds an adapter, on top of its card's base, rather than whole weights."""
    return (folder / "adapter_config.json").is_file()


def trained_against(source: str | Path) -> tuple[Identity, ...]:
    """The rewards of a policy and of those before it; none of a plain model.

    Raises:
        DataError: the folder's card is damaged.
    """
    return Card.read(Path(source)).own_rewards if is_policy(source) else ()


def _own_rewards(card: Mapping[str, Any]) -> tuple[Identity, ...]:
    """A card from before they were kept has only its reward's name: any judge, any reward model, where that has one."""
    if "own_rewards" in card:
        return tuple(Identity(**row) for row in card["own_rewards"])
    reward = card.get("reward") or ""
    kinds: dict[str, RewardKind] = {"judge:": "judge", "rm:": "reward model"}
    return tuple(Identity(kind, reward) for mark, kind in kinds.items() if mark in reward)
