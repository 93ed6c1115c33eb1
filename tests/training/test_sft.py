"""SFT on a tiny model: what it is trained on, and that a kill costs nothing."""

import dataclasses
import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from inkfire.errors import DataError, ModelNameError, RunFolderError
from inkfire.models.card import Card
from inkfire.models.policy import load_model
from inkfire.records import Candidate
from inkfire.tasks.task import Task, load_task
from inkfire.training import sft, trl
from inkfire.training.sft import SftSettings, train_sft

pytestmark = pytest.mark.slow

CONFIG = SftSettings(epochs=2, batch_size=4, learning_rate=1e-2, save_steps=1)


@pytest.fixture
def task(tiny_task: Path) -> Task:
    return load_task(tiny_task)


def good(task: Task) -> list[Candidate]:
    return [Candidate(row.query, row.response) for row in task.labelled() if row.label == 1]


def test_learns_the_response_only(tiny_base: str, task: Task, tmp_path: Path) -> None:
    """What the trainer sees: the task's messages in the prompt, the loss on the response and its end."""
    card = Card.of(tiny_base, task)
    _, tokenizer = load_model(None, card, trainable=True)
    trainer = {}

    class Spy(sft.SFTTrainer):
        def train(self, *args, **kwargs):
            trainer["batch"] = next(iter(self.get_train_dataloader()))
            return super().train(*args, **kwargs)

    original, sft.SFTTrainer = sft.SFTTrainer, Spy
    try:
        train_sft(task, good(task)[:1], tiny_base, tmp_path / "out", dataclasses.replace(CONFIG, epochs=1))
    finally:
        sft.SFTTrainer = original
    batch = trainer["batch"]
    row = good(task)[0]
    whole = tokenizer.decode(batch["input_ids"][0])
    learnt = tokenizer.decode([token for token in batch["labels"][0].tolist() if token != -100])
    assert "You write wishes." in whole
    assert row.query in whole
    assert learnt == f"{row.response}<|im_end|>\n"


def test_stopped_and_resumed_ends_with_the_same_weights(
    tiny_base: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_sft(task, good(task), tiny_base, tmp_path / "whole", CONFIG)
    assert whole["steps"] == 4
    assert whole["loss_last"] < whole["loss_first"]

    append, calls = trl.append, []

    def killed(path: Path, row: dict) -> None:
        calls.append(row)
        if len(calls) == 3:
            raise KeyboardInterrupt
        append(path, row)

    monkeypatch.setattr(trl, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        train_sft(task, good(task), tiny_base, tmp_path / "parts", CONFIG)
    # A checkpoint that a kill left half written is passed over.
    half = tmp_path / "parts" / "checkpoints" / "checkpoint-3"
    shutil.copytree(tmp_path / "parts" / "checkpoints" / "checkpoint-2", half)
    (half / "trainer_state.json").write_text("{")
    assert train_sft(task, good(task), tiny_base, tmp_path / "parts", CONFIG) == whole
    adapter = json.loads((tmp_path / "parts" / "adapter_config.json").read_text())
    assert adapter["target_modules"] == sorted(adapter["target_modules"])  # a set has another order in each process
    assert not (tmp_path / "parts" / "checkpoints").exists()
    ours, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("parts", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (tmp_path / "parts" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize(
    "refusal",  # as they were read on a small tmpfs
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    ],
)
def test_a_full_disk_is_said_without_a_traceback(refusal: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(RunFolderError, match=r"cannot write .*: .*(No space left|is its disk full)"),
        trl.written(tmp_path),
    ):
        raise refusal


def test_another_failure_of_a_training_stays_a_bug(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), trl.written(tmp_path):
        raise RuntimeError("shapes differ")


def test_bad_input_leaves_nothing(task: Task, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no texts"):
        train_sft(task, [], "base", tmp_path / "out")
    with pytest.raises(ModelNameError):
        train_sft(task, good(task), str(tmp_path / "nothing"), tmp_path / "out")
    with pytest.raises(ModelNameError, match="unknown"):
        train_sft(task, good(task), "local/no-such-model", tmp_path / "out")
    assert not (tmp_path / "out").exists()
