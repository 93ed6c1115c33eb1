"""How likely a frozen model finds texts: the log-probability a token of a response after its query.

It tells writing from word salad without having seen a label, and drift from the texts that a policy began with. It is
no measure of quality: a base model's own dull texts are the likeliest of all.

>>> reader = Likelihood.load("local/qwen2.5-coder-0.5b", task)                                   # doctest: +SKIP
>>> reader.per_token(["给外婆的生日祝福"], ["外婆，生日快乐！"])                                        # doctest: +SKIP
[-2.31]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from inkfire.models.batches import TOKENS, by_length
from inkfire.models.card import Card, Template, is_policy
from inkfire.models.chat import encode
from inkfire.models.policy import Policy, find_model, load_model
from inkfire.models.prefix import Prefix
from inkfire.tasks.task import Task


@dataclass
class Likelihood:
    """A frozen model that reads. Numbers are nats a token of the response, its end token not counted.

    Args:
        tokens: padded tokens that go through the model at once.
    """

    model: Any
    tokenizer: Any
    template: Template
    tokens: int = TOKENS

    @classmethod
    def load(cls, source: str, task: Task, template: Template | None = None) -> Self:
        """A model by name, or a policy folder, asked with ``template``, the task's if none.

        Raises:
            ModelNameError: weights that cannot be loaded.
        """
        policy = Policy.load(source, task=task)
        return cls(policy.model, policy.tokenizer, template or policy.card.template)

    @classmethod
    def bare(cls, source: str, template: Template) -> Self:
        """A model by name, or a policy folder, without a task: asked with ``template``.

        Raises:
            ModelNameError: no such model, or weights that cannot be loaded.
        """
        find_model(source)
        folder = Path(source) if is_policy(source) else None
        card = Card(source, template, "", "") if folder is None else Card.read(folder)
        return cls(*load_model(folder, card, trainable=False), template)

    def per_token(self, queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        """Mean log-probability of each response's tokens after its query's prompt; None for an empty response."""
        prompts = encode(self.tokenizer, [self.template.messages(query) for query in queries])
        texts = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in responses]
        found: list[float | None] = [None] * len(texts)
        some = [i for i, text in enumerate(texts) if text]
        start = Prefix.of(self.model, [prompts[i] for i in some])
        for batch in by_length([len(prompts[i]) + len(texts[i]) - start.tokens for i in some], self.tokens):
            self._read([some[place] for place in batch], prompts, texts, found, start)
        return found

    def relevance(
        self,
        queries: Sequence[str],
        responses: Sequence[str],
        others: Sequence[Sequence[str]],
        own: Sequence[float | None] | None = None,
    ) -> list[float | None]:
        """How much likelier a token of each response is after its own query than, in the mean, after its ``others``.

        Args:
            own: ``per_token(queries, responses)``, where the caller has it.
        """
        own = self.per_token(queries, responses) if own is None else own
        texts = [text for text, more in zip(responses, others, strict=True) for _ in more]
        values = iter(self.per_token([query for more in others for query in more], texts))
        out: list[float | None] = []
        for value, more in zip(own, others, strict=True):
            known = [other for other in [next(values) for _ in more] if other is not None]
            out.append(None if value is None or not known else value - sum(known) / len(known))
        return out

    def _read(
        self,
        batch: Sequence[int],
        prompts: Sequence[Sequence[int]],
        texts: Sequence[Sequence[int]],
        found: list[float | None],
        start: Prefix,
    ) -> None:
        """Fill in the rows of one batch. Logits are made for the responses alone: the vocabulary is what is large."""
        import torch

        longest = max(len(texts[i]) for i in batch)
        rows = [[*prompts[i][start.tokens :], *texts[i]] for i in batch]
        padded = self.tokenizer.pad({"input_ids": rows}, padding=True, padding_side="left", return_tensors="pt")
        padded = padded.to(self.model.device)
        given = start.before(padded["attention_mask"])
        places = (given["attention_mask"].cumsum(-1) - 1).clamp(min=0)[:, start.tokens :]
        with torch.no_grad():
            logits = self.model(
                input_ids=padded["input_ids"], position_ids=places, logits_to_keep=longest + 1, **given
            ).logits
        for row, i in enumerate(batch):  # a row at a time: in float32 those of a batch would be gigabytes
            n = len(texts[i])
            said = logits[row, -n - 1 : -1].float().log_softmax(-1)
            found[i] = float(said.gather(-1, padded["input_ids"][row, -n:, None]).mean())

    def close(self) -> None:
        self.model = None
