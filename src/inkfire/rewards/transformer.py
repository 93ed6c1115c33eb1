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
from inkfire.models.batches import by_length
from inkfire.models.card import Template
from inkfire.models.policy import compute_dtype, load_tokenizer, quiet
from inkfire.models.prefix import Prefix
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
        """The texts with their queries, those of like length together; what all begin with is read once."""
        ids = [
            chat.encode_whole(self.tokenizer, self.template.messages(query), response)
            for query, response in zip(queries, responses, strict=True)
        ]
        start = Prefix.of(self.model, ids)
        scores: list[float | None] = [None] * len(ids)
        for batch in by_length([len(of_text) - start.tokens for of_text in ids]):
            for i, value in zip(batch, self._read([ids[i][start.tokens :] for i in batch], start), strict=True):
                scores[i] = value
        return scores

    def _read(self, rows: Sequence[Sequence[int]], start: Prefix) -> list[float]:
        padded = self.tokenizer.pad(
            {"input_ids": list(rows)}, padding=True, padding_side="right", return_tensors="pt"
        ).to(self.model.device)
        with torch.no_grad():
            logits = self.model(input_ids=padded["input_ids"], **start.before(padded["attention_mask"])).logits
        values: list[float] = logits[:, 0].float().tolist()
        return values

    def close(self) -> None:
        self.model = None
