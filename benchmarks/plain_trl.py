"""What the training benchmarks share: plain TRL scripts of SFT, a reward model and GRPO, a tiny model, a stopwatch.

The scripts are what a user of TRL writes: conversations as data, a model's name, a LoRA configuration. Their settings
are given, so that ours and theirs compute the same. Nothing is downloaded for ``--model tiny``.
"""

from __future__ import annotations

import runpy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from inkfire.models.policy import base_source, compute_dtype, load_tokenizer, quiet
from inkfire.records import Candidate, Identity, Preference, Query
from inkfire.tasks.task import Task
from inkfire.training.settings import GrpoSettings, RewardModelSettings, SftSettings

TINY = Path(__file__).parents[1] / "tests" / "training" / "tiny.py"
Score = Callable[[Sequence[str], Sequence[str]], list[float | None]]


def base_of(name: str, folder: Path) -> str:
    """A model's name as the package takes it; ``tiny`` is made of random weights in ``folder``."""
    return str(runpy.run_path(str(TINY))["make_tiny_model"](folder / "tiny")) if name == "tiny" else name


def device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"a CPU ({compute_dtype()})"


# ---- rewards -------------------------------------------------------------------------------------------------------


@dataclass
class Rule:
    """A reward by a function of many texts; ``began`` are the times of its calls, ``texts`` how many it scored."""

    function: Score
    name: str = "rule"
    threshold: None = None
    identities: tuple[Identity, ...] = (Identity("check", "rule", "a1"),)
    began: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    texts: int = 0
    characters: int = 0

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        self.began.append(time.perf_counter())
        scores = self.function(queries, responses)
        self.took.append(time.perf_counter() - self.began[-1])
        self.texts += len(responses)
        self.characters += sum(map(len, responses))
        return scores

    def close(self) -> None: ...

    def steps(self) -> list[float]:
        """Seconds from one call to the next: those of a whole step, the first of a training left out."""
        return [after - before for before, after in zip(self.began, self.began[1:], strict=False)]


# ---- the plain scripts ---------------------------------------------------------------------------------------------


def lora(kind: str) -> LoraConfig:
    return LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type=kind)


def _common(out: Path, settings: Any, micro: int, batch: int, checkpointing: bool) -> dict[str, Any]:
    return {
        "output_dir": str(out),
        "use_cpu": not torch.cuda.is_available(),
        "bf16": compute_dtype() is torch.bfloat16,
        "gradient_checkpointing": checkpointing,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // micro,
        "learning_rate": settings.learning_rate,
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
    }


def _loaded(base: str, auto: Any = transformers.AutoModelForCausalLM, **options: Any) -> tuple[Any, Any]:
    source = base_source(base)
    tokenizer = load_tokenizer(source)
    model = auto.from_pretrained(source, dtype=compute_dtype(), **options)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def grpo(
    task: Task,
    queries: Sequence[Query],
    base: str,
    reward: Rule,
    out: Path,
    settings: GrpoSettings,
    *,
    micro: int,
    checkpointing: bool = False,
) -> None:
    """GRPO by TRL's own generation, with ``settings`` that name every number."""

    def score(completions: Sequence[Any], query: Sequence[str], **_: Any) -> list[float | None]:
        return reward.score(query, [turns[0]["content"] for turns in completions])

    rows = [{"prompt": task.messages(query.query), "query": query.query} for query in queries]
    completions = settings.completions()
    with quiet():
        model, tokenizer = _loaded(base)
        arguments = GRPOConfig(
            **_common(out, settings, micro, completions, checkpointing),
            max_steps=settings.max_steps or 1,
            steps_per_generation=completions // micro,
            num_generations=settings.num_generations,
            max_completion_length=settings.max_completion_length,
            beta=settings.first_beta(),
            temperature=settings.temperature,
            loss_type=settings.loss_type,
            lr_scheduler_type="constant",
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=score,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora("CAUSAL_LM"),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()


def sft(
    task: Task, texts: Sequence[Candidate], base: str, out: Path, settings: SftSettings, *, micro: int,
    checkpointing: bool = False,
) -> None:  # fmt: skip
    """SFT on conversations, the loss on the completion alone, as TRL does for prompt and completion."""
    rows = [{"prompt": task.messages(text.query), "completion": _turn(text.response)} for text in texts]
    with quiet():
        common = _common(out, settings, micro, settings.batch_size, checkpointing)
        _over(SFTTrainer, SFTConfig, _loaded(base), rows, common, settings, "CAUSAL_LM")


def reward_model(
    task: Task, pairs: Sequence[Preference], base: str, out: Path, settings: RewardModelSettings, *, micro: int,
    checkpointing: bool = False,
) -> None:  # fmt: skip
    """A reward model on conversational pairs."""
    rows = [
        {"prompt": task.messages(pair.query), "chosen": _turn(pair.chosen), "rejected": _turn(pair.rejected)}
        for pair in pairs
    ]
    with quiet():
        common = _common(out, settings, micro, settings.batch_size, checkpointing)
        loaded = _loaded(base, transformers.AutoModelForSequenceClassification, num_labels=1)
        _over(RewardTrainer, RewardConfig, loaded, rows, common, settings, "SEQ_CLS")


def _turn(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _over(
    trainer_of: Any,
    arguments_of: Any,
    loaded: tuple[Any, Any],
    rows: list[dict[str, Any]],
    common: dict[str, Any],
    settings: SftSettings | RewardModelSettings,
    kind: str,
) -> None:
    """A training over rows of data, a number of epochs."""
    model, tokenizer = loaded
    trainer = trainer_of(
        model=model,
        args=arguments_of(**common, num_train_epochs=settings.epochs, max_length=settings.max_length),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora(kind),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()


# ---- the stopwatch -------------------------------------------------------------------------------------------------

_PHASES = {"_generate": "write", "_calculate_rewards": "score"}


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Within: seconds of ``train`` (of any Trainer, loading left out) and, of GRPO, of its phases write and score."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            began = _now()
            try:
                return function(*args, **options)
            finally:
                seconds[name] += _now() - began

        return call

    watched = [(transformers.Trainer, "train", "train")]
    watched += [(GRPOTrainer, method, name) for method, name in _PHASES.items()]
    before = [(owner, method, getattr(owner, method)) for owner, method, _ in watched]
    for owner, method, name in watched:
        setattr(owner, method, timed(getattr(owner, method), name))
    try:
        yield seconds
    finally:
        for owner, method, function in before:
            setattr(owner, method, function)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
