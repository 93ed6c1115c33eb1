"""Reward models: what they see, what is said of them, and that others can load them."""

import random
from pathlib import Path

import pytest
import torch

from inkfire.errors import DataError, InputError
from inkfire.models.card import Template
from inkfire.records import Labelled, Preference
from inkfire.rewards.load import identities_of, load_reward
from inkfire.tasks.task import load_task
from inkfire.training import trl
from inkfire.training.reward_model import RewardModelSettings, train_reward_model

pytestmark = pytest.mark.slow

WORDS = ["rain", "moon", "lamp", "song", "bird", "snow", "road", "door", "wind", "fire"]  # as long as "kite"


def pairs(n: int = 60, longer: float = 0.5) -> list[Preference]:
    """Chosen texts are about kites; ``longer`` is the share of them that are the longer text of their pair."""
    draw = random.Random(0)
    made = []
    for i in range(n):
        good = " ".join(["kite", *draw.choices(WORDS, k=5)])
        bad = " ".join(["grey", *draw.choices(WORDS, k=5)])
        good, bad = (good + " too", bad) if i < n * longer else (good, bad + " too")
        made.append(Preference(f"query {i // 2}", good, bad))
    return made


def test_linear_is_measured_on_queries_it_has_not_seen(tmp_path: Path) -> None:
    result = train_reward_model(pairs(), tmp_path / "rm")
    assert result["n"] == 60
    assert (result["n_train"], result["n_test"]) == (48, 12)
    assert result["accuracy"] > 0.9
    assert result["accuracy_ci"][0] < result["accuracy"] < result["accuracy_ci"][1] + 1e-9
    assert result["ngram_accuracy"] == result["accuracy"]
    assert result["warnings"] == []
    held_out = (tmp_path / "rm" / "held_out_pairs.jsonl").read_text().splitlines()
    assert len(held_out) == 12
    reward = load_reward(tmp_path / "rm")
    good, bad = reward.score(["q", "q"], ["kite rain song", "grey rain song"])
    assert good > reward.threshold > bad
    assert train_reward_model(pairs(), tmp_path / "rm") == result  # read back, not trained again


def test_a_length_shortcut_is_said_in_words(tmp_path: Path) -> None:
    result = train_reward_model(pairs(longer=0.95), tmp_path / "rm")
    assert result["longer_wins"] == pytest.approx(0.95)
    assert any("95% of the pairs the chosen text is the longer one" in line for line in result["warnings"])


def test_labelled_texts_fit_the_threshold(tmp_path: Path) -> None:
    words = (("kite", 1), ("grey", 0))
    labelled = [Labelled(f"q{i}", f"{word} in the rain {i}", label) for i in range(8) for word, label in words]
    result = train_reward_model(pairs(), tmp_path / "rm", labelled=labelled)
    assert result["threshold_from"] == "labelled texts"
    assert result["threshold_n"] == 16
    assert result["auc"] == 1.0


def test_one_query_cannot_be_held_out(tmp_path: Path) -> None:
    same = [Preference("q", "a", "b"), Preference("q", "c", "d")]
    with pytest.raises(DataError, match="two queries"):
        train_reward_model(same, tmp_path / "rm")
    assert not (tmp_path / "rm").exists()


def test_transformer_needs_a_task_and_a_base(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--base"):
        train_reward_model(pairs(), tmp_path / "rm", RewardModelSettings(kind="transformer"))
    assert not (tmp_path / "rm").exists()


def test_the_reward_trainer_sees_the_query(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    from inkfire.training.reward_trainer import build_trainer

    task = load_task(tiny_task)
    template = Template.of(task)
    with trl.quiet():
        trainer = build_trainer(task.pairs(), tmp_path, RewardModelSettings(kind="transformer"), template, tiny_base, 0)
    row, pair = trainer.train_dataset[0], task.pairs()[0]
    for ids, text in ((row["chosen_ids"], pair.chosen), (row["rejected_ids"], pair.rejected)):
        seen = trainer.processing_class.decode(ids)
        assert pair.query in seen
        assert seen.endswith(f"<|im_start|>assistant\n{text}<|im_end|>\n")


@pytest.fixture
def trained(tiny_base: str, tiny_task: Path, tmp_path: Path) -> Path:
    config = RewardModelSettings(kind="transformer", base=tiny_base, epochs=2, batch_size=4, save_steps=1)
    task = load_task(tiny_task)
    result = train_reward_model(task.pairs(), tmp_path / "rm", config, task=task)
    assert result["steps"] == 4
    assert result["ngram_accuracy_ci"] is not None
    return tmp_path / "rm"


def test_others_load_the_transformer_and_score_the_same(trained: Path, tiny_task: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    task, reward = load_task(tiny_task), load_reward(trained)
    queries = [pair.query for pair in task.pairs()]
    ours = reward.score(queries, [pair.chosen for pair in task.pairs()])
    model = AutoModelForSequenceClassification.from_pretrained(trained, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(trained)
    assert model.config.num_labels == 1
    for pair, score in zip(task.pairs(), ours, strict=True):
        messages = [*task.messages(pair.query), {"role": "assistant", "content": pair.chosen}]
        ids = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            assert model(**ids).logits[0, 0].item() == pytest.approx(score, abs=0.02)
    assert len(set(ours)) > 1
    assert reward.score([], []) == []


def test_a_damaged_reward_folder(trained: Path) -> None:
    (trained / "model.safetensors").unlink()
    with pytest.raises(DataError, match="damaged"):
        load_reward(trained)
    (trained / "reward.json").write_text('{"kind": "magic"}')
    with pytest.raises(DataError, match="linear or transformer"):
        load_reward(trained)


def test_a_transformer_knows_who_it_is_and_lets_go_of_its_model(trained: Path) -> None:
    (identity,) = identities_of(str(trained))
    trained.rename(trained.with_name("moved"))
    reward = load_reward(trained.with_name("moved"))
    assert reward.identities == (identity,)
    reward.close()
    assert reward.model is None
