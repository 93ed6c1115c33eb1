"""A reward model's card, and whose texts a reward knows."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from inkfire.files.jsonl import write_jsonl
from inkfire.runs.context import Place
from inkfire.runs.lineage import off_policy
from inkfire.runs.train import GrpoInputs, RewardModelInputs, grpo, reward_model
from inkfire.training.settings import GrpoSettings, RewardModelSettings

WORDS = ["rain", "moon", "lamp", "song", "bird", "snow"]


def pairs_file(path: Path, **provenance: str) -> Path:
    draw, rows = random.Random(0), []
    for i in range(40):
        good, bad = (" ".join([word, *draw.choices(WORDS, k=draw.randint(2, 9))]) for word in ("kite", "grey"))
        rows.append({"query": f"q{i}", "chosen": good, "rejected": bad, "provenance": provenance})
    write_jsonl(path, rows)
    return path


def test_the_card_of_a_reward_model(tmp_path: Path) -> None:
    data = pairs_file(tmp_path / "pairs.jsonl", chosen_source="runs/sft,prompt=writer,temperature=1")
    settings = RewardModelSettings(length_debias=True, negatives="damaged")
    result = reward_model(RewardModelInputs(pairs=(data,)), settings, Place(tmp_path / "rm"))
    card = (tmp_path / "rm" / "README.md").read_text()
    assert "| runs/sft,prompt=writer,temperature=1 | 40 |" in card
    assert "| unknown | 40 |" in card
    assert f"Added to these: {result['damaged_negatives']} whose loser is a chosen text damaged by code." in card
    assert f"score = raw score - {result['length']['slope']} · (ln(characters)" in card
    assert "| pairs | it | before length is taken out | plain n-grams |" in card
    low, high = result["accuracy_ci"]
    assert f"| all | {result['accuracy']:.3f} [{low:.3f}, {high:.3f}] |" in card
    assert str(tmp_path) not in card
    reward_model(RewardModelInputs(pairs=(data,)), RewardModelSettings(), Place(tmp_path / "plain"))
    assert "ln(characters)" not in (tmp_path / "plain" / "README.md").read_text()


def test_a_reward_that_knows_no_text_of_the_policy(tmp_path: Path) -> None:
    for name, source in (("own", "runs/sft,prompt=writer,temperature=1"), ("other", "gpt"), ("release", "")):
        data = pairs_file(tmp_path / f"{name}.jsonl", chosen_source=source)
        reward_model(RewardModelInputs(pairs=(data,)), RewardModelSettings(), Place(tmp_path / name))
    own, other, release = (str(tmp_path / name) for name in ("own", "other", "release"))
    assert off_policy(own, "runs/sft") == off_policy(own, "elsewhere/sft") == off_policy("share:!", "runs/sft") == []
    (said,) = off_policy(f"0.5*{other} + 0.5*{own}", "runs/sft")
    assert said.startswith("None of the texts that other learnt from is known to be runs/sft's (writers: gpt, unknown)")
    assert str(tmp_path) not in said  # it stays in what the run found
    assert len(off_policy(f"min({other}, {release})", "runs/sft")) == 2


def test_what_cannot_be_learnt_from_begins_no_folder(tmp_path: Path) -> None:
    from inkfire.errors import DataError, InputError

    data = pairs_file(tmp_path / "pairs.jsonl")
    reward_model(RewardModelInputs(pairs=(data,)), RewardModelSettings(), Place(tmp_path / "rm"))
    transformer = RewardModelSettings(kind="transformer")
    tries = [
        (RewardModelInputs(pairs=(data,), honest=(data,)), RewardModelSettings(), InputError, "--hard-negatives"),
        (RewardModelInputs(pairs=(data,), start_from=tmp_path / "rm"), RewardModelSettings(), InputError, "--pairs A"),
        (
            RewardModelInputs(pairs=(data,), task="greetings-en", start_from=tmp_path / "rm"),
            transformer,
            InputError,
            "a linear reward model",
        ),
        (
            RewardModelInputs(pairs=(data,), task="greetings-en", start_from=tmp_path / "none"),
            transformer,
            DataError,
            "cannot be read",
        ),
    ]
    for inputs, settings, error, message in tries:
        with pytest.raises(error, match=message):
            reward_model(inputs, settings, Place(tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_grpo_says_so_before_and_after(
    tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl")
    data = pairs_file(tmp_path / "pairs.jsonl", chosen_source="gpt")
    reward_model(RewardModelInputs(pairs=(data,)), RewardModelSettings(), Place(tmp_path / "rm"))
    monkeypatch.setattr("inkfire.models.policy.find_model", lambda _: None)
    monkeypatch.setattr("inkfire.training.grpo.train_grpo", lambda *_, **__: {"warnings": ["It repeats itself."]})
    inputs = GrpoInputs(task=str(tiny_task), policy="m", reward=str(tmp_path / "rm"), force=True)
    result = grpo(inputs, GrpoSettings(), Place(tmp_path / "rl"))
    assert result["warnings"][0] == "It repeats itself."
    assert "is known to be m's (writers: gpt, unknown)" in result["warnings"][1]
    assert result["warnings"][1] in capsys.readouterr().err
