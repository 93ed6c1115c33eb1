"""Every trainer for two steps on a tiny model of random weights, on a GPU where there is one: does it run at all?

    python benchmarks/gpu_smoke.py

Nothing is downloaded. A line a trainer: seconds and peak memory (of the card, or of the process), or what failed; exit
1 where one did. On a CPU it says so: then nothing was tried on a GPU.
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from plain_trl import Rule, base_of, device

from inkfire.records import Candidate
from inkfire.tasks.task import load_task
from inkfire.training.bon import train_bon
from inkfire.training.dpo import train_dpo, train_dpo_rounds
from inkfire.training.grpo import train_grpo
from inkfire.training.reward_model import train_reward_model
from inkfire.training.settings import BonSettings, DpoSettings, GrpoSettings, RewardModelSettings, SftSettings
from inkfire.training.sft import train_sft


def capitals(_: Sequence[str], responses: Sequence[str]) -> list[float | None]:
    return [sum(char.isupper() for char in text) + len(text) / 1000 for text in responses]


def trainers(base: str, folder: Path) -> dict[str, Callable[[], dict[str, object]]]:
    """Trainer → a call of two steps, whose result has ``steps``."""
    task = load_task("greetings-en")
    queries, pairs = task.queries()[:4], task.pairs()[:8]
    texts = [Candidate(pair.query, pair.chosen) for pair in task.pairs()[:16]]
    reward, short, whole_text = Rule(capitals), 16, 400  # tokens: of 259 random ones each may be the end
    rm = RewardModelSettings(kind="transformer", base=base, epochs=1, batch_size=3)
    adapter = GrpoSettings(max_steps=2, max_completion_length=short)
    whole = GrpoSettings(max_steps=2, max_completion_length=short, weights="full")
    bon = BonSettings(n=4, limit=4, epochs=1, batch_size=2, samples=4, max_completion_length=whole_text)
    own = DpoSettings(n=4, limit=4, epochs=1, batch_size=2, samples=4, max_completion_length=whole_text)
    learn = SftSettings(epochs=1, samples=4)
    return {
        "sft": lambda: train_sft(task, texts, base, folder / "sft", learn),
        "rm transformer": lambda: train_reward_model(pairs, folder / "rm", rm, task=task),
        "grpo": lambda: train_grpo(task, queries, base, reward, folder / "grpo", adapter),
        "grpo, all weights": lambda: train_grpo(task, queries, base, reward, folder / "full", whole),
        "dpo": lambda: train_dpo(task, pairs, base, folder / "dpo", DpoSettings(batch_size=4, samples=4)),
        "dpo, own pairs": lambda: train_dpo_rounds(task, queries, base, reward, folder / "own", own),
        "bon": lambda: train_bon(task, queries, base, reward, folder / "bon", bon),
    }


def main() -> int:
    torch.set_num_threads(1)
    failed = []
    print(f"on {device()}")
    with tempfile.TemporaryDirectory() as temporary:
        for name, train in trainers(base_of("tiny", Path(temporary)), Path(temporary)).items():
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            try:
                steps = train()["steps"]
            except Exception:  # whatever a card brings out; the next trainer is tried all the same
                failed.append(name)
                traceback.print_exc()
                print(f"{name}: FAILED", flush=True)
                continue
            print(f"{name}: {steps} steps, {time.perf_counter() - began:.1f} s, peak {peak()}", flush=True)
    if not torch.cuda.is_available():
        print("no GPU here: nothing was tried on one")
    return int(bool(failed))


def peak() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.max_memory_allocated() / 1e6:.0f} MB of the card"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB of the process so far"


if __name__ == "__main__":
    sys.exit(main())
