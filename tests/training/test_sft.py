"""SFT on a tiny model: what it is trained on, and that a kill costs nothing."""

import dataclasses
import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from inkfire.errors import DataError, InputError, ModelNameError, RunFolderError
from inkfire.files.formats import split_by_query
from inkfire.models.card import Card
from inkfire.models.policy import load_model
from inkfire.records import Candidate
from inkfire.tasks.task import Task, load_task
from inkfire.training import samples, sft, trl
from inkfire.training.sft import SftSettings, train_sft

pytestmark = pytest.mark.slow

CONFIG = SftSettings(epochs=2, batch_size=4, learning_rate=1e-2, save_steps=1)


@pytest.fixture
def task(tiny_task: Path) -> Task:
    return load_task(tiny_task)


def good(task: Task) -> list[Candidate]:
    return [Candidate(row.query, row.response) for row in task.labelled() if row.label == 1]


def seen_by(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the trainer is given, a row a micro batch."""
    batches: list[dict[str, Any]] = []
    training_step = sft.SFTTrainer.training_step

    def spy(self, model, inputs, *args, **kwargs):
        batches.append(
            {"step": self.state.global_step, **{name: inputs[name].clone() for name in ("input_ids", "labels")}}
        )
        return training_step(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(sft.SFTTrainer, "training_step", spy)
    return batches


def test_learns_the_response_only(tiny_base: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the trainer sees: the task's messages in the prompt, the loss on the response and its end."""
    _, tokenizer = load_model(None, Card.of(tiny_base, task), trainable=True)
    batches = seen_by(monkeypatch)
    train_sft(task, good(task), tiny_base, tmp_path / "out", dataclasses.replace(CONFIG, epochs=1))
    responses = {row.query: row.response for row in good(task)}
    learnt = {}
    for batch in batches:
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            whole = tokenizer.decode(ids)
            (query,) = [query for query in responses if f"{query}<|im_end|>" in whole]
            assert "You write wishes." in whole
            learnt[query] = tokenizer.decode([token for token in labels.tolist() if token != -100])
    assert learnt == {query: f"{response}<|im_end|>\n" for query, response in responses.items()}


@pytest.mark.parametrize(("batch", "micro", "parts"), [(10, 4, [2] * 5), (8, 8, [8]), (7, 4, [1] * 7), (3, 8, [3])])
def test_an_update_has_as_many_texts_as_it_is_told(
    batch: int,
    micro: int,
    parts: list[int],
    tiny_base: str,
    task: Task,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches = seen_by(monkeypatch)
    settings = SftSettings(epochs=1, batch_size=batch, micro_batch_size=micro, samples=0)
    train_sft(task, (good(task) * 3)[:20], tiny_base, tmp_path / "out", settings)
    sizes = [[len(one["labels"]) for one in batches if one["step"] == step] for step in range(20 // batch)]
    assert sizes == [parts] * (20 // batch)
    assert sum(len(one["labels"]) for one in batches) == 20


def test_texts_of_like_length_go_together(
    tiny_base: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = seen_by(monkeypatch)
    rows = [Candidate(f"a wish {i % 12}", "May it open. " * (1 + i % 12)) for i in range(48)]
    settings = SftSettings(epochs=1, batch_size=4, micro_batch_size=2, samples=0, learning_rate=1e-3)
    train_sft(task, rows, tiny_base, tmp_path / "out", settings)
    longest = [one["input_ids"].shape[1] for one in batches]
    assert longest[:-1] != sorted(longest[:-1], reverse=True)  # the batches come in any order
    padded = sum(int((one["input_ids"] == 2).sum()) for one in batches)
    assert padded < sum(one["input_ids"].numel() for one in batches) / 20  # at random more than a fifth


def many(task: Task) -> list[Candidate]:
    """Sixty texts of thirty queries."""
    return [Candidate(f"{row.query} {i}", row.response) for row in good(task)[:6] for i in range(5) for _ in range(2)]


def test_texts_are_held_out_by_query_and_the_best_step_is_kept(tiny_base: str, task: Task, tmp_path: Path) -> None:
    rows = [Candidate(row.query, hashlib.sha256(row.query.encode()).hexdigest()) for row in many(task)]
    settings = SftSettings(epochs=40, learning_rate=5e-2, samples=0, patience=2)
    result = train_sft(task, rows, tiny_base, tmp_path / "out", settings)
    assert (result["n"], result["n_train"], result["n_held_out"]) == (60, 54, 6)  # 3 of 30 queries
    looks = {
        row["step"]: row["eval_loss"] for row in trl.rows(tmp_path / "out" / "metrics.jsonl") if "eval_loss" in row
    }
    assert result["eval_loss"] == min(looks.values()) == looks[result["best_step"]]
    assert result["steps"] < 100  # of 280: there is nothing in these texts that others have
    assert list(looks)[-1] == result["steps"]
    assert list(looks).index(result["best_step"]) == len(looks) - 3  # two looks that were no better

    card = Card.read(tmp_path / "out")
    model, tokenizer = load_model(tmp_path / "out", card, trainable=False)
    held_out = split_by_query(rows, fraction=0.1, seed=0)[1]
    losses = []
    for row in sft.examples(tokenizer, card, held_out):
        ids, labels = (torch.tensor([row[name]]) for name in ("input_ids", "labels"))
        losses.append(float(model(input_ids=ids, labels=labels).loss))
    assert sum(losses) / 6 == pytest.approx(result["eval_loss"], rel=0.02)  # what is saved is what was best


def test_nothing_is_held_out_of_few_texts(tiny_base: str, task: Task, tmp_path: Path) -> None:
    result = train_sft(task, good(task), tiny_base, tmp_path / "out", CONFIG)
    assert (result["n_train"], result["n_held_out"]) == (8, 0)
    assert "eval_loss" not in result
    for settings in (SftSettings(patience=1), SftSettings(test_fraction=0.9)):
        with pytest.raises(InputError, match="--test-fraction"):
            train_sft(
                task, good(task)[:1] if settings.patience is None else good(task), tiny_base, tmp_path / "no", settings
            )
    assert not (tmp_path / "no").exists()


def test_the_learning_rate_follows_the_number_of_texts() -> None:
    rates = {n: SftSettings().rate(n) for n in (1, 16, 50, 200, 800, 4000)}
    assert rates == {1: 2e-5, 16: 2e-5, 50: 2.5e-5, 200: 5e-5, 800: 1e-4, 4000: 1e-4}
    assert SftSettings(learning_rate=3e-4).rate(16) == 3e-4


def test_a_policy_is_gone_on_with(tiny_base: str, task: Task, tmp_path: Path) -> None:
    train_sft(task, good(task), tiny_base, tmp_path / "first", CONFIG)
    before = load_file(tmp_path / "first" / "adapter_model.safetensors")
    train_sft(
        task, good(task), tmp_path / "first", tmp_path / "second", dataclasses.replace(CONFIG, learning_rate=1e-9)
    )
    after = load_file(tmp_path / "second" / "adapter_model.safetensors")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    card = Card.read(tmp_path / "second")
    assert (card.parent, card.base) == ("first", tiny_base)


def test_a_writer_that_fell_apart_is_told_from_its_base(
    strange_model: Callable[[str], str], task: Task, tmp_path: Path
) -> None:
    """Trained on one clause over and over it repeats itself; its base, which writes noise, does not."""
    rows = [Candidate(row.query, "O is it so. " * 2) for row in good(task)]
    settings = SftSettings(epochs=100, learning_rate=3e-2, save_steps=100, samples=4)
    result = train_sft(task, rows, strange_model("plain"), tmp_path / "out", settings)
    texts = trl.rows(tmp_path / "out" / "samples.jsonl")
    assert [row["by"] for row in texts] == ["trained"] * 4 + ["base"] * 4
    shares = {by: result["samples"][by]["loops"] for by in ("trained", "base", "good")}
    assert shares == {"trained": 0.75, "base": 0.0, "good": 1.0}
    assert not any("repeats" in line for line in result["warnings"])  # as the texts it learnt from
    numbers = result["samples"] | {"good": result["samples"]["good"] | {"loops": 0.0}}
    assert any("repeats itself in 75% of 4 texts, its base in 0%" in line for line in samples.remarks(numbers))
    assert train_sft(task, rows, strange_model("plain"), tmp_path / "out", settings) == result


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        ({}, 0),
        ({"loops": 0.2}, 0),
        ({"loops": 0.3}, 1),
        ({"unfinished": 0.5}, 0),  # as unfinished as the base
        ({"unfinished": 0.75}, 1),
        ({"log_prob": -3.55}, 0),
        ({"log_prob": -3.65}, 1),
        ({"log_prob": None}, 0),
    ],
)
def test_what_is_said_of_samples(trained: dict[str, Any], said: int) -> None:
    fluent = {"n": 16, "loops": 0.0, "unfinished": 0.0, "log_prob": -2.2}
    numbers = {
        "trained": fluent | trained,
        "base": fluent | {"unfinished": 0.5},
        "good": fluent | {"log_prob_low": -3.5},
    }
    assert len(samples.remarks(numbers)) == said


@pytest.mark.parametrize(("trained", "said"), [(-4.35, True), (-3.9, False), (-1.0, False)])
def test_a_writer_that_learnt_to_surprise_is_told_from_its_base(trained: float, said: bool) -> None:
    """The good texts are out of a small model's reach: it was as unlikely as they are, and made no sense (measured)."""
    numbers = {
        "trained": {"n": 4, "loops": 0.0, "unfinished": 0.0, "log_prob": trained},
        "base": {"n": 4, "loops": 0.0, "unfinished": 0.0, "log_prob": -1.93},
        "good": {"n": 16, "loops": 0.0, "unfinished": 0.0, "log_prob": -5.69, "log_prob_low": -6.13},
    }
    assert [("it surprises" in line) for line in samples.remarks(numbers)] == [True] * said


def test_what_is_too_long_is_counted(tiny_base: str, task: Task, tmp_path: Path) -> None:
    rows = [*good(task), Candidate("a wish", "x" * 600)]
    result = train_sft(task, rows, tiny_base, tmp_path / "out", dataclasses.replace(CONFIG, samples=0))
    assert result["too_long"] == 1
    assert "1 of 9 texts are longer than max_length = 512" in result["warnings"][0]


@pytest.mark.parametrize("stop", [2, 9, 14])
def test_held_out_and_killed_anywhere_ends_the_same(
    stop: int, tiny_base: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven steps an epoch, looks at three and six of them: killed in the first epoch, at a look, in the second one."""
    settings = SftSettings(epochs=2, learning_rate=1e-2, save_steps=2, samples=2, patience=5)
    whole = train_sft(task, many(task), tiny_base, tmp_path / "whole", settings)
    append, calls = trl.append, []

    def killed(path: Path, row: dict) -> None:
        calls.append(row)
        if len(calls) == stop:
            raise KeyboardInterrupt
        append(path, row)

    monkeypatch.setattr(trl, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        train_sft(task, many(task), tiny_base, tmp_path / "parts", settings)
    assert train_sft(task, many(task), tiny_base, tmp_path / "parts", settings) == whole
    for name in ("adapter_model.safetensors", "metrics.jsonl", "samples.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


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
