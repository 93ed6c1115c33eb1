"""A policy's card, policy.json: what the policy was made from, and the template that turns a query into its messages.

    base       the model under the adapter, by name (local/smollm2-135m) or folder
    template   the task's query → messages template, word for word: SFT, GRPO, evaluate and write all use it
    task, task_version, parent (the policy it continued), reward, trained (sft or grpo), steps

It loads no torch, so that reports and rewards may read it where no policy can run.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from inkfire.errors import DataError
from inkfire.files.jsonl import parse_json, write_json
from inkfire.llm.base import Message
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
        source = (task.folder / "prompts" / f"{variant}.jinja").read_text(encoding="utf-8")
        names = {"name", "title", "description", "language", "good", "bad", "rubric"}
        return cls(source, task.model_dump(mode="json", include=names))

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

    @classmethod
    def of(cls, base: str, task: Task) -> Self:
        """The card of a model that was not trained yet."""
        return cls(base=base, template=Template.of(task), task=task.name, task_version=task.version)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read policy.json. What another version of inkfire put into it besides is passed over.

        Raises:
            DataError: it is missing or damaged.
        """
        path = folder / CARD
        try:
            data = parse_json(path.read_text(encoding="utf-8"), path=path)
            data["template"] = Template(**data["template"])
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
