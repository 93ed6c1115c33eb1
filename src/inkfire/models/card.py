"""A policy's card, policy.json: what the policy was made from, and the template that turns a query into its messages.

    base       the model under the adapter, by name (local/smollm2-135m) or folder
    template   the task's query → messages template, word for word: SFT, GRPO, evaluate and write all use it
    task, task_version, parent (the policy it continued), reward, trained (sft or grpo), steps
    own_rewards  every reward that it or a policy before it was trained against

It loads no torch, so that reports and rewards may read it where no policy can run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from inkfire.errors import DataError
from inkfire.files.jsonl import parse_json, write_json
from inkfire.records import Identity, Message, RewardKind
from inkfire.tasks.prompts import parse_prompt
from inkfire.tasks.task import Task

CARD = "policy.json"


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

    @classmethod
    def of(cls, base: str, task: Task) -> Self:
        """The card of a model that was not trained yet; one that is a policy hands down its ``own_rewards``."""
        inherited = trained_against(base)
        return cls(base, Template.of(task), task.name, task.version, own_rewards=inherited)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read policy.json. What another version of inkfire put into it besides is passed over.

        Raises:
            DataError: it is missing or damaged.
        """
        path = folder / CARD
        try:
            data = parse_json(path.read_text(encoding="utf-8"), path=path)
            data |= {"template": Template(**data["template"]), "own_rewards": _own_rewards(data)}
            return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None
        except (TypeError, KeyError) as error:
            raise DataError(f"not the card of a policy: {error}", path=path) from None

    def write(self, folder: Path) -> None:
        """Write policy.json, the last file of a policy's folder: with it the policy is complete."""
        write_json(folder / CARD, asdict(self))


def is_policy(source: str | Path) -> bool:
    """Whether ``source`` is a policy folder rather than the name of a model."""
    return (Path(source) / CARD).is_file()


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
