"""The transformer reward model: a language model with a head that gives a conversation one number.

Trained by training/reward_model.py; saved merged, so that others load it too:

    AutoModelForSequenceClassification.from_pretrained("runs/rm")      # num_labels = 1; its logit is the score

>>> reward = load_reward("runs/rm")                                                              # doctest: +SKIP
>>> reward.score(["生日祝福语"], ["愿你的新一岁如星辰般闪耀。"])                                      # doctest: +SKIP
[0.73]
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from inkfire.errors import DataError, MissingExtraError, ModelNameError
from inkfire.models import chat
from inkfire.models.batches import by_length
from inkfire.models.card import Template
from inkfire.models.policy import compute_dtype, load_tokenizer, quiet
from inkfire.records import Identity
from inkfire.rewards.identity import reward_model_identity

try:
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.cache_utils import DynamicCache, DynamicLayer
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
        with torch.no_grad():
            start, cache = self._shared(ids)
            scores: list[float | None] = [None] * len(ids)
            for batch in by_length([len(of_text) - start for of_text in ids]):
                for i, value in zip(batch, self._read([ids[i][start:] for i in batch], start, cache), strict=True):
                    scores[i] = value
        return scores

    def _shared(self, ids: list[list[int]]) -> tuple[int, DynamicCache | None]:
        """How many tokens all texts begin with (the system turn, say), and the model's keys and values of them.

        None are shared where a layer does not keep them all (sliding windows, recurrent layers).
        """
        first, last = (min(ids), max(ids)) if len(ids) > 1 else ([], [])
        same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        same = min(same, len(first) - 1)  # each text keeps a token of its own: its score is read there
        if same < 1:
            return 0, None
        ones = torch.tensor([first[:same]], device=self.model.device)
        cache = self.model.base_model(input_ids=ones, use_cache=True).get("past_key_values")
        whole = isinstance(cache, DynamicCache) and all(type(layer) is DynamicLayer for layer in cache.layers)
        return (same, cache) if whole else (0, None)

    def _read(self, rows: Sequence[Sequence[int]], start: int, cache: DynamicCache | None) -> list[float]:
        padded = self.tokenizer.pad(
            {"input_ids": list(rows)}, padding=True, padding_side="right", return_tensors="pt"
        ).to(self.model.device)
        if cache is not None:
            cache = copy.deepcopy(cache)  # the model adds to what it is given
            cache.batch_repeat_interleave(len(rows))
            before = padded["attention_mask"].new_ones(len(rows), start)
            padded["attention_mask"] = torch.cat([before, padded["attention_mask"]], dim=1)
        logits = self.model(**padded, past_key_values=cache, use_cache=cache is not None).logits
        values: list[float] = logits[:, 0].float().tolist()
        return values

    def close(self) -> None:
        self.model = None
