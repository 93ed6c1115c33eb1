"""The transformer reward model: a language model with a head that gives a conversation one number.

Trained by training/reward_model.py; saved merged, so that others load it too:

    AutoModelForSequenceClassification.from_pretrained("runs/rm")      # num_labels = 1; its logit is the score

>>> reward = load_reward("runs/rm")                                                              # doctest: +SKIP
>>> reward.score(["生日祝福语"], ["愿你的新一岁如星辰般闪耀。"])                                      # doctest: +SKIP
[0.73]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from inkfire.errors import DataError, MissingExtraError, ModelNameError
from inkfire.models import chat
from inkfire.models.card import Template
from inkfire.models.policy import compute_dtype, load_tokenizer, quiet
from inkfire.records import Identity
from inkfire.rewards.identity import reward_model_identity

try:
    import torch
    from transformers import AutoModelForSequenceClassification
except ImportError as error:
    raise MissingExtraError(error.name or "torch", "train") from error


@dataclass
class TransformerReward:
    """Scores are log-odds: σ(a - b) is the probability that the text scored ``a`` is preferred for its query."""

    model: Any
    tokenizer: Any
    template: Template
    name: str
    threshold: float | None = None
    batch_size: int = 16
    identities: tuple[Identity, ...] = (Identity("reward model", "not saved yet"),)

    @classmethod
    def load(cls, folder: Path, card: Mapping[str, Any]) -> Self:
        """Read a reward's folder; ``card`` is its reward.json.

        Raises:
            DataError: it is damaged.
        """
        try:
            template = Template(**card["template"])
        except (KeyError, TypeError) as error:
            raise DataError(f"reward.json has no template: {error}", path=folder) from error
        reward = cls.open(folder, template, card["threshold"])
        reward.identities = (reward_model_identity(folder, card),)
        return reward

    @classmethod
    def open(cls, folder: Path, template: Template, threshold: float | None = None) -> Self:
        """The saved model of a folder whose card may not be written yet."""
        try:
            with quiet():
                tokenizer = load_tokenizer(folder)
                model = AutoModelForSequenceClassification.from_pretrained(
                    folder, dtype=compute_dtype(), trust_remote_code=False
                )
        except (OSError, ValueError, ModelNameError) as error:
            raise DataError(f"damaged reward model: {error}", path=folder) from error
        tokenizer.pad_token_id = model.config.get_text_config().pad_token_id  # the score is read before the pads
        if torch.cuda.is_available():
            model = model.to("cuda")
        return cls(model.eval(), tokenizer, template, f"rm:{folder.name}", threshold)

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        """The texts with their queries, in batches of ``batch_size``, the long ones together."""
        ids = [
            chat.encode_whole(self.tokenizer, self.template.messages(query), response)
            for query, response in zip(queries, responses, strict=True)
        ]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        scores: list[float | None] = [None] * len(ids)
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            padded = self.tokenizer.pad(
                {"input_ids": [ids[i] for i in batch]}, padding=True, padding_side="right", return_tensors="pt"
            )
            with torch.no_grad():
                logits = self.model(**padded.to(self.model.device)).logits[:, 0].float().tolist()
            for i, value in zip(batch, logits, strict=True):
                scores[i] = value
        return scores

    def close(self) -> None:
        self.model = None
