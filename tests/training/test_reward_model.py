"""Reward models: what they see, what is said of them, and that others can load them."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from inkfire.errors import DataError, InputError
from inkfire.models.card import Template
from inkfire.records import Candidate, Labelled, Preference, text_id
from inkfire.rewards.load import identities_of, load_reward
from inkfire.tasks.task import load_task
from inkfire.training import trl
from inkfire.training.reward_model import SEEN, Material, RewardModelSettings, remarks, train_reward_model

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


def test_debiased_scores_do_not_follow_length(tmp_path: Path) -> None:
    draw = random.Random(0)
    longer = []
    for i in range(200):
        good, bad = (draw.choices(WORDS, k=draw.randint(least, least + 8)) for least in (5, 2))
        longer.append(Preference(f"query {i}", " ".join(["kite", *good]), " ".join(["grey", *bad])))
    plain = train_reward_model(longer, tmp_path / "plain")
    result = train_reward_model(longer, tmp_path / "rm", RewardModelSettings(length_debias=True))
    assert plain["length_correlation"] > 0.2
    assert abs(result["length_correlation"]) < plain["length_correlation"] / 2
    assert result["raw_length_correlation"] > result["length_correlation"]
    for name in ("accuracy", "accuracy_length_matched", "accuracy_chosen_shorter", "length_correlation"):
        assert result[f"ngram_{name}"] == plain[name]  # the plain model on the same folds
        assert f"raw_{name}" in result
        assert f"raw_{name}" not in plain
    assert result["gain_over_ngram_ci"][0] <= result["gain_over_ngram"] <= result["gain_over_ngram_ci"][1]
    short, long = "kite rain", "kite rain kite rain kite rain"
    gap = [load_reward(tmp_path / name).score(["q", "q"], [short, long]) for name in ("plain", "rm")]
    assert gap[1][1] - gap[1][0] < gap[0][1] - gap[0][0]


def test_what_length_explains_is_part_of_who_a_reward_is(tmp_path: Path) -> None:
    train_reward_model(pairs(longer=0.9), tmp_path / "rm", RewardModelSettings(length_debias=True))
    (before,) = identities_of(str(tmp_path / "rm"))
    card = json.loads((tmp_path / "rm" / "reward.json").read_text())
    (tmp_path / "rm" / "reward.json").write_text(json.dumps(card | {"length": {"slope": 0.0, "centre": 0.0}}))
    assert not identities_of(str(tmp_path / "rm"))[0].same(before)
    (tmp_path / "rm" / "reward.json").write_text(json.dumps(card | {"length": {"slop": 0.0}}))
    with pytest.raises(DataError, match="length part"):
        load_reward(tmp_path / "rm")


def test_negatives_are_never_measured_on(tmp_path: Path) -> None:
    gamed = [Candidate(f"query {i}", "kite kite kite kite") for i in range(40)]
    settings = RewardModelSettings(negatives="damaged", negatives_share=1.0)
    result = train_reward_model(pairs(), tmp_path / "rm", settings, material=Material(gamed))
    assert (result["n"], result["n_train"], result["n_test"]) == (60, 48, 12)
    assert result["damaged_negatives"] > 20
    assert (result["hard_negatives"], result["hard_negatives_held_out"]) == (24, 6)
    assert result["hard_negatives_without_honest"] == 10
    assert any("10 hard negatives have no honest text" in line for line in result["warnings"])
    reward = load_reward(tmp_path / "rm")
    honest, hacked = reward.score(["q", "q"], ["kite rain song", "kite kite kite kite"])
    assert honest > hacked
    train_reward_model(pairs(), tmp_path / "plain")
    honest, hacked = load_reward(tmp_path / "plain").score(["q", "q"], ["kite rain song", "kite kite kite kite"])
    assert honest < hacked


def test_the_card_says_who_wrote_the_pairs(tmp_path: Path) -> None:
    made = pairs()
    made[0] = dataclasses.replace(made[0], provenance={"chosen_source": "sft", "rejected_source": "base"})
    assert train_reward_model(made, tmp_path / "rm")["writers"] == {"unknown": 118, "base": 1, "sft": 1}


@pytest.mark.parametrize(
    ("kind", "gain", "said"),
    [
        ("transformer", [-0.01, 0.03], "not shown to be better than the n-gram twin"),
        ("transformer", [0.01, 0.05], None),
        ("linear", [-0.06, -0.01], "right on fewer pairs than the plain n-gram twin"),
        ("linear", [-0.03, 0.01], None),
    ],
)
def test_the_paired_difference_decides_what_is_said(kind: str, gain: list[float], said: str | None) -> None:
    card = {"kind": kind, "longer_wins": 0.5, "accuracy_length_matched_ci": [0.6, 0.9], "auc_ci": [0.6, 0.9]}
    card |= {"accuracy": 0.8, "ngram_accuracy": 0.79, "gain_over_ngram": 0.01, "gain_over_ngram_ci": gain}
    assert [said in line for line in remarks(card)] == ([True] if said else [])


def test_a_linear_model_is_not_continued(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--pairs A --pairs B"):
        train_reward_model(pairs(), tmp_path / "rm", material=Material(start_from=tmp_path))


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


def test_a_transformer_goes_on_from_another(trained: Path, tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    task, seen = load_task(tiny_task), set(json.loads((trained / SEEN).read_text())["queries"])
    more = [Preference(f"new {i}", "A kite.", "Grey rain.") for i in range(6)]
    settings = RewardModelSettings(kind="transformer", epochs=1, batch_size=4, learning_rate=1e-9, length_debias=True)
    both = [*task.pairs(), *more]
    result = train_reward_model(both, tmp_path / "on", settings, task=task, material=Material(start_from=trained))
    held_out = [
        json.loads(line)["query"] for line in (tmp_path / "on" / "held_out_pairs.jsonl").read_text().splitlines()
    ]
    assert not {text_id(query) for query in held_out} & seen
    assert set(json.loads((tmp_path / "on" / SEEN).read_text())["queries"]) > seen
    first, second = load_reward(trained), load_reward(tmp_path / "on")
    texts = [pair.chosen for pair in task.pairs()]
    queries = [pair.query for pair in task.pairs()]
    assert second.reward.score(queries, texts) == pytest.approx(first.score(queries, texts), abs=0.02)  # head and all
    assert second.length.slope == result["length"]["slope"]
    assert result["writers"] == {"unknown": 2 * len(both)}
    old = [pair for pair in task.pairs() if text_id(pair.query) in seen]
    with pytest.raises(DataError, match="has not learnt from"):
        train_reward_model(old, tmp_path / "same", settings, task=task, material=Material(start_from=trained))
    with pytest.raises(InputError, match="either --base or"):
        train_reward_model(both, tmp_path / "x", dataclasses.replace(settings, base=tiny_base), task=task,
                           material=Material(start_from=trained))  # fmt: skip


def test_early_stopping_keeps_the_best_look(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    task = load_task(tiny_task)
    settings = RewardModelSettings(kind="transformer", base=tiny_base, epochs=20, batch_size=2, learning_rate=5e-2)
    settings = dataclasses.replace(settings, patience=2, lora_rank=4, lora_targets=("q_proj", "v_proj"), margin=0.5)
    result = train_reward_model(task.pairs(), tmp_path / "rm", settings, task=task)
    rows = [json.loads(line) for line in (tmp_path / "rm" / "metrics.jsonl").read_text().splitlines()]
    looks = {row["step"]: row["validation_loss"] for row in rows if "validation_loss" in row}
    assert result["validation_loss"] == pytest.approx(min(looks.values()))
    assert looks[result["best_step"]] == min(looks.values())
    assert result["steps"] < 20 * result["n_train"] // 2  # it stopped
    assert result["threshold_from"] == "held-back pairs"
    assert not (tmp_path / "rm" / "checkpoints").exists()


def test_early_stopping_goes_on_where_a_kill_left_it(
    tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task(tiny_task)
    settings = RewardModelSettings(kind="transformer", base=tiny_base, epochs=6, batch_size=2, learning_rate=5e-2)
    settings = dataclasses.replace(settings, patience=2)
    whole = train_reward_model(task.pairs(), tmp_path / "whole", settings, task=task)
    log = trl.append

    def killed(path: Path, row: dict[str, Any]) -> None:
        log(path, row)
        if row["step"] == whole["best_step"] + 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(trl, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        train_reward_model(task.pairs(), tmp_path / "killed", settings, task=task)
    monkeypatch.undo()
    assert trl.last_checkpoint(tmp_path / "killed") is not None
    assert train_reward_model(task.pairs(), tmp_path / "killed", settings, task=task) == whole


def test_the_margin_is_in_the_loss(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    task, losses = load_task(tiny_task), []
    for margin in (0.0, 3.0):
        settings = RewardModelSettings(kind="transformer", base=tiny_base, epochs=1, batch_size=4, margin=margin)
        losses.append(train_reward_model(task.pairs(), tmp_path / f"{margin}", settings, task=task)["loss_first"])
    assert losses[0] == pytest.approx(0.69, abs=0.1)
    assert losses[1] == pytest.approx(3.05, abs=0.2)  # log(1 + e^3) where both score the same


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
