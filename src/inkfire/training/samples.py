"""What a writer that was just trained writes, beside its base and what it learnt from: no loss shows that it broke.

samples.jsonl has the texts (by: trained or base), samples.json the numbers of each:

    loops         share that goes round in circles (rewards/writing.py)
    unfinished    share that ends in the middle or met the length limit
    log_prob      median log-probability a token under the frozen base, nats

It is said where the trained writer's share is a quarter above that of the base and of the good texts, where half of
its texts are less likely, by a tenth of a nat, than all but 5 % of the good ones, and where they are less likely than
its base's own by two nats a token: good texts that surprise a small model teach it to surprise, and not to make sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inkfire.files.jsonl import SAMPLES, read_json, write_json, write_jsonl
from inkfire.models.card import Card
from inkfire.models.likelihood import Likelihood
from inkfire.records import Candidate
from inkfire.rewards.reading import quantile, spaced
from inkfire.rewards.writing import finished, loops
from inkfire.training import begin
from inkfire.training.settings import TEMPERATURE, GrpoSettings

NUMBERS = "samples.json"
_GOOD, _FOR_EACH = 64, 4  # good texts, and how many for each text that is written
_WORSE = 0.25  # of 16 texts four: from none to four happens by chance in one of some fifty
_LOW, _BELOW = 0.05, 0.1
_FAR = 2.0  # nats a token, see remarks


def look(trainer: Any, tokenizer: Any, card: Card, good: Sequence[Candidate], n: int, seed: int, out: Path) -> None:
    """Let the model, with its adapter and without, write ``n`` texts each for queries of the training, and keep them.

    Args:
        trainer: that has trained the adapter.
        good: what it was trained on.
        n: none where it is 0.
    """
    if not n:
        return
    # Without what mixed precision wraps around it, which makes a copy of all logits in float32: gigabytes.
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    model.eval()
    how = GrpoSettings(temperature=TEMPERATURE, max_completion_length=card.max_tokens)
    writer = begin.Writer(card, model, tokenizer, how, list(dict.fromkeys(text.query for text in good)))
    some = spaced(good, min(len(good), _GOOD, _FOR_EACH * n))
    texts = {"trained": writer.texts(n, seed)}
    with model.disable_adapter():
        texts["base"] = writer.texts(n, seed)
        model.eval()  # writing leaves a model as it is while it trains
        texts["good"] = [{"query": text.query, "response": text.response, "truncated": None} for text in some]
        reader = Likelihood(model, tokenizer, card.template)
        for rows in texts.values():
            values = reader.per_token([row["query"] for row in rows], [row["response"] for row in rows])
            for row, value in zip(rows, values, strict=True):
                row["log_prob"] = value
    numbers: dict[str, Any] = {by: _numbers(rows) for by, rows in texts.items()}
    numbers["good"]["log_prob_low"] = quantile([row["log_prob"] for row in texts["good"]], _LOW)
    write_jsonl(out / SAMPLES, ({"by": by} | row for by in ("trained", "base") for row in texts[by]))
    write_json(out / NUMBERS, numbers)


def _numbers(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    known = [row["log_prob"] for row in rows if row["log_prob"] is not None]
    return {
        "n": len(rows),
        "loops": sum(loops(row["response"]) for row in rows) / len(rows),
        "unfinished": sum(not finished(row["response"], row["truncated"]) for row in rows) / len(rows),
        "log_prob": float(np.median(known)) if known else None,
    }


def result(out: Path) -> tuple[dict[str, Any], list[str]]:
    """``samples`` for the result of the training in a folder, and what is to be said of them; nothing where there are
    none."""
    path = out / NUMBERS
    if not path.is_file():
        return {}, []
    numbers = read_json(path)
    return {"samples": numbers}, remarks(numbers)


def remarks(numbers: dict[str, Any]) -> list[str]:
    """What is to be said of them: a writer that was fluent, and is not."""
    trained, base, good = numbers["trained"], numbers["base"], numbers["good"]
    less = "train less: a lower --learning-rate, fewer --epochs or more texts"
    said = [
        f"The trained writer {what} in {trained[name]:.0%} of {trained['n']} texts, its base in {base[name]:.0%}, the "
        f"good texts in {good[name]:.0%} ({SAMPLES}): {less}."
        for name, what in (("loops", "repeats itself"), ("unfinished", "does not come to an end"))
        if trained[name] >= max(base[name], good[name]) + _WORSE
    ]
    value, low = trained["log_prob"], good["log_prob_low"]
    if value is not None and low is not None and value < low - _BELOW:
        said.append(
            f"Half of the trained writer's texts are less likely to its base than {value:.2f} nats a token, where 95% "
            f"of the good texts are above {low:.2f} ({SAMPLES}): {less}."
        )
    if value is not None and base["log_prob"] is not None and value < base["log_prob"] - _FAR:
        said.append(
            f"The trained writer's texts have {value:.2f} nats a token under its base, the base's own "
            f"{base['log_prob']:.2f} and the good texts {good['log_prob']:.2f}: it surprises, and so far from what it "
            f"knew a small model seldom makes sense. Read {SAMPLES}; {less}, or write at a lower temperature."
        )
    return said
