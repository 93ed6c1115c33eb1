"""What every training shares: LoRA, TRL's arguments, checkpoints and resume, metrics.jsonl, progress.

A training's folder holds, while it goes on, ``checkpoints/`` (weights, optimizer, random states) and ``metrics.jsonl``
(one row a step, without times). Entered again, it drops the rows after its last whole checkpoint and goes on from
there. When its card (policy.json, reward.json) is written it is done, and the checkpoints go.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inkfire.errors import InputError, MissingExtraError, RunFolderError
from inkfire.files.jsonl import dump, write_jsonl
from inkfire.llm.progress import Bar, Bars, no_bars
from inkfire.models import policy
from inkfire.models.card import Card, hub_id, is_adapter, is_policy
from inkfire.tasks.task import Task
from inkfire.training import fit, ranks
from inkfire.training.fit import Example, Fit, Shape
from inkfire.training.resume import stoppable
from inkfire.training.settings import DpoSettings, GrpoSettings, Lora, RewardModelSettings, SftSettings, check_reports

try:
    import datasets
    import torch
    from peft import LoraConfig
    from peft.helpers import disable_input_dtype_casting
    from safetensors import SafetensorError
    from transformers import PrinterCallback, TrainerCallback
    from transformers.integrations import TensorBoardCallback, get_reporting_integration_callbacks
except ImportError as error:
    raise MissingExtraError(error.name or "torch", "train") from error

METRICS = "metrics.jsonl"
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG)
_OF_A_WRITER = re.compile(r"inline_container|PytorchStreamWriter|os error")  # torch's and safetensors' own words


def lora(task_type: str, settings: Lora) -> LoraConfig:
    """A new adapter, of rank 16 (PAPER) on every linear layer if nothing else is asked for."""
    layers = list(settings.lora_targets) or "all-linear"
    rank, alpha = settings.lora_rank, settings.lora_alpha
    return LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=layers, task_type=task_type)


def adapter(model: Any, settings: Lora) -> LoraConfig | None:
    """The adapter to lay on a policy; None where it has one, which is trained on.

    Raises:
        InputError: another one is asked for than it has.
    """
    if not hasattr(model, "peft_config"):
        return lora("CAUSAL_LM", settings)
    has = model.peft_config["default"]
    there = {"lora_rank": has.r, "lora_alpha": has.lora_alpha, "lora_targets": tuple(sorted(has.target_modules))}
    for name, value in there.items():
        asked, usual = getattr(settings, name), getattr(Lora(), name)
        if asked != usual and (tuple(sorted(asked)) if name == "lora_targets" else asked) != value:
            raise InputError(
                f"the policy to start from has an adapter with {name} = {value}, which is trained on: leave {name} "
                "out, or start from its base"
            )
    return None


def common_arguments(
    out: Path, settings: SftSettings | DpoSettings | RewardModelSettings | GrpoSettings, seed: int, batch: int, how: Fit
) -> dict[str, Any]:
    """The arguments that all of TRL's configurations share.

    Args:
        batch: examples of an optimizer step, which go through the model as ``how`` says.

    Raises:
        InputError: the library that numbers are to be sent by is not installed.
    """
    check_reports(settings.report_to)
    if settings.report_to == "wandb":
        os.environ.setdefault("WANDB_PROJECT", "inkfire")
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out / "checkpoints"),
        "use_cpu": not gpu,
        "bf16": policy.compute_dtype() is torch.bfloat16,
        "per_device_train_batch_size": how.micro,
        "gradient_accumulation_steps": batch // ranks.count() // how.micro,
        "gradient_checkpointing": how.checkpointing,
        "dataloader_pin_memory": gpu,
        "ddp_find_unused_parameters": False if ranks.count() > 1 else None,
        "learning_rate": settings.learning_rate,
        "seed": seed,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": settings.report_to or "none",
        "project": "inkfire",  # trackio's
        "run_name": out.name,
        "disable_tqdm": True,
    }


def epoch_arguments(
    out: Path,
    settings: SftSettings | DpoSettings | RewardModelSettings,
    seed: int,
    model: Any,
    example: Example,
    *,
    on_cpu: int,
) -> dict[str, Any]:
    """The arguments of a training that passes over its data a number of times.

    Args:
        example: the longest one.
        on_cpu: examples at once, at most, where the settings do not say and there is no GPU.
    """
    free = fit.free_memory(model)
    most = settings.micro_batch_size or (on_cpu if free is None else None)
    part = ranks.part(settings.batch_size, "batch_size")
    how = ranks.share(fit.fit(part, most, example, Shape.of(model), free))
    return common_arguments(out, settings, seed, settings.batch_size, how) | {
        "num_train_epochs": settings.epochs,
        "max_length": settings.max_length,
        "lr_scheduler_type": "linear",
    }


def begun_from(source: str | Path, task: Task) -> tuple[Path | None, Card]:
    """(the folder of a policy to go on from, its card), or (None, the card of an untrained model)."""
    if not is_policy(source):
        return None, Card.of(str(source), task)
    folder = Path(source)
    card = Card.read(folder)
    return folder, card if is_adapter(folder) else dataclasses.replace(card, base=str(folder))  # a whole model


def untrained(folder: Path | None, card: Card) -> str:
    """The model under what a training begins from, before anybody trained it."""
    return card.base if folder is None else Card.read(folder).base


def run_trainer(
    trainer: Any,
    out: Path,
    *,
    label: str,
    rename: Mapping[str, str],
    extra: Callable[[], Mapping[str, Any]] = dict,
    over: Callable[[Mapping[str, Any]], bool] = lambda row: False,
    updates: int = 1,
    bars: Bars = no_bars,
) -> None:
    """Train to the end, from the last whole checkpoint where there is one.

    Ctrl-C and SIGTERM stop it behind a whole step, with a checkpoint. Of several processes only the first comes back.

    Args:
        label: what the progress bar says.
        rename: the trainer's name of a number → ours; only these are kept.
        extra: called once a logged step; its numbers join the step's row.
        over: sees each row; True ends the training after its step.
        updates: optimizer steps of a whole step.
        bars: opens the bar that the steps advance.

    Raises:
        KeyboardInterrupt: a signal stopped it.
    """
    bars = bars if ranks.first() else no_bars
    checkpoint = last_checkpoint(out)
    done = 0 if checkpoint is None else step_of(checkpoint)
    rewind(out / METRICS, done)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_MetricsLog(out / METRICS, rename, extra, over))
    for kind in get_reporting_integration_callbacks(trainer.args.report_to):
        reporter = trainer.pop_callback(kind)
        if kind is TensorBoardCallback:  # its default is within the checkpoints, which go
            reporter.logging_dir = str(out / "tensorboard")
        trainer.add_callback(reporter)  # behind those that add numbers
    with stoppable(updates) as stop, bars(label, planned_steps(trainer) - done) as bar:
        trainer.add_callback(stop)
        trainer.add_callback(_Advance(bar))
        with disable_input_dtype_casting(trainer.model):  # autocast casts the small LoRA weights, not every input
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if len({*ranks.gathered([_sum(trainer.model)])}) > 1:
        raise AssertionError("the processes' weights went apart: their gradients were not added up")
    ranks.leave()


def _sum(model: Any) -> float:
    return sum(float(weight.detach().double().abs().sum()) for weight in model.parameters() if weight.requires_grad)


def planned_steps(trainer: Any) -> int:
    """Optimizer steps of the whole training."""
    if trainer.args.max_steps > 0:
        return int(trainer.args.max_steps)
    steps_an_epoch = math.ceil(len(trainer.get_train_dataloader()) / int(trainer.args.gradient_accumulation_steps))
    return math.ceil(float(trainer.args.num_train_epochs) * steps_an_epoch)


def last_checkpoint(out: Path) -> Path | None:
    """The newest whole checkpoint."""
    return max(checkpoints(out), key=step_of, default=None)


def checkpoints(out: Path) -> list[Path]:
    """The whole ones, by step. The trainer's state is the last file a checkpoint gets."""
    whole = [path.parent for path in (out / "checkpoints").glob("checkpoint-*/trainer_state.json") if _parses(path)]
    return sorted(whole, key=step_of)


def _parses(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def save(trainer: Any, tokenizer: Any, out: Path, base: str) -> None:
    """The trained adapter, which names its ``base`` as others find it, or all weights; and the tokenizer.

    The model stays as it is, for a training that goes on.
    """
    tokenizer.save_pretrained(out)
    if not hasattr(trainer.model, "peft_config"):
        if ranks.count() == 1:
            with policy.half_precision(trainer.model):
                trainer.model.save_pretrained(out)
        else:  # DDP would lose sight of weights that were exchanged
            half = {name: weight.to(policy.compute_dtype()) for name, weight in trainer.model.state_dict().items()}
            trainer.model.save_pretrained(out, state_dict=half)
        return
    under = trainer.model.get_base_model()
    under.name_or_path = under.config.name_or_path = hub_id(base)
    for config in trainer.model.peft_config.values():
        config.target_modules = sorted(config.target_modules)  # a set: every process would write another order
        config.base_model_name_or_path = hub_id(base)
    # No embedding was touched, and to find that out by itself the library would ask the hub.
    trainer.model.save_pretrained(out, selected_adapters=["default"], save_embedding_layers=False)


def drop_checkpoints(out: Path) -> None:
    """A finished training needs none."""
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


def rewind(path: Path, step: int) -> None:
    """Keep the rows of a JSON Lines file up to ``step``: what was logged after the checkpoint happens again."""
    if ranks.first():
        write_jsonl(path, (row for row in rows(path) if row["step"] <= step))


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log, without a last line that a kill cut off."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def course(out: Path, name: str) -> dict[str, float | None]:
    """``NAME_first`` and ``NAME_last``: means of the first and the last tenth of the steps."""
    found = [row[name] for row in rows(out / METRICS) if row.get(name) is not None]
    edge = max(1, len(found) // 10)
    return {
        f"{name}_first": sum(found[:edge]) / edge if found else None,
        f"{name}_last": sum(found[-edge:]) / edge if found else None,
    }


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a log; what is not a finite number is null."""
    if ranks.first():
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(dump(row) + "\n")


class _MetricsLog(TrainerCallback):  # type: ignore[misc]
    def __init__(
        self,
        path: Path,
        rename: Mapping[str, str],
        extra: Callable[[], Mapping[str, Any]],
        over: Callable[[Mapping[str, Any]], bool],
    ):
        self._path, self._rename, self._extra, self._over = path, rename, extra, over

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "train_runtime" in logs:  # the summary at the end
            return
        over = ranks.first() and self._seen(state.global_step, logs)
        control.should_training_stop = ranks.share(over) or control.should_training_stop

    def _seen(self, step: int, logs: dict[str, Any]) -> bool:
        """Whether the training ends with this step."""
        numbers = {ours: logs[theirs] for theirs, ours in self._rename.items() if theirs in logs}
        extra = self._extra()
        row = {"step": step, **numbers, **extra}
        append(self._path, row)
        logs |= {name: value for name, value in extra.items() if isinstance(value, int | float)}
        return self._over(row)


class _Advance(TrainerCallback):  # type: ignore[misc]
    def __init__(self, bar: Bar):
        self._bar = bar

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.advance()


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Within: what the disk refuses to the libraries that write weights and checkpoints is said as we say it.

    Raises:
        RunFolderError: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise RunFolderError(f"cannot write {error.filename or out}: {error.strerror}") from error
    except (RuntimeError, SafetensorError) as error:
        if not _OF_A_WRITER.search(str(error)):
            raise
        raise RunFolderError(f"cannot write {out}: a file broke off; is its disk full? ({error})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what third parties say about themselves off the terminal while a trainer is built and runs."""
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with policy.quiet():
            yield
    finally:
        if not bars:
            datasets.enable_progress_bars()
