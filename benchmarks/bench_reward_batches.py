"""What a transformer reward model's scoring costs, against a naive loop on the same texts in the same run.

    python benchmarks/bench_reward_batches.py --base local/qwen2.5-coder-0.5b --data TEXTS.jsonl --task greetings-zh

The naive loop takes sixteen texts at a time as they come and pads them to the longest of these. Blocks of texts go
through the one and the other in turn, so that both meet the same load; the ratio of the medians is printed, with the
largest difference between the two scores of a text (bfloat16 rounds by what stands beside it). The head is untrained:
its time is that of any other.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from inkfire.files.formats import read_texts
from inkfire.models import chat
from inkfire.models.card import Template
from inkfire.models.policy import base_source, compute_dtype, load_tokenizer
from inkfire.rewards.transformer import TransformerReward
from inkfire.tasks.task import load_task


def naive(reward: TransformerReward, queries: list[str], texts: list[str]) -> list[float]:
    scores: list[float] = []
    for start in range(0, len(texts), 16):
        some = zip(queries[start : start + 16], texts[start : start + 16], strict=True)
        ids = [chat.encode_whole(reward.tokenizer, reward.template.messages(query), text) for query, text in some]
        padded = reward.tokenizer.pad({"input_ids": ids}, padding_side="right", return_tensors="pt")
        with torch.no_grad():
            scores += reward.model(**padded.to(reward.model.device)).logits[:, 0].float().tolist()
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--block", type=int, default=64, help="texts")
    options = parser.parse_args()
    source = base_source(options.base)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1, dtype=compute_dtype()).eval()
    tokenizer = load_tokenizer(source)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    if torch.cuda.is_available():
        model = model.to("cuda")
    reward = TransformerReward(model, tokenizer, Template.of(load_task(options.task)), "bench")
    rows = read_texts((options.data,))
    rows = random.Random(0).sample(rows, min(len(rows), options.blocks * options.block))
    seconds: dict[str, list[float]] = {"ours": [], "naive": []}
    gap = 0.0
    reward.score([rows[0].query], [rows[0].response])  # the first call is slow
    for start in range(0, len(rows), options.block):
        part = rows[start : start + options.block]
        queries, texts = [row.query for row in part], [row.response for row in part]
        found = {}
        for name, score in (("naive", lambda q, t: naive(reward, q, t)), ("ours", reward.score)):
            begun = time.perf_counter()
            found[name] = score(queries, texts)
            seconds[name].append((time.perf_counter() - begun) / len(part))
        gap = max(gap, *(abs((a or 0.0) - (b or 0.0)) for a, b in zip(found["ours"], found["naive"], strict=True)))
    ours, loop = (1 / statistics.median(seconds[name]) for name in ("ours", "naive"))
    print(f"{options.base}, {compute_dtype()!s}: {len(rows)} texts, largest difference of a score {gap:.3f}")
    print(f"texts a second: {ours:.1f} against {loop:.1f} of the naive loop: {ours / loop:.2f} times")


if __name__ == "__main__":
    main()
