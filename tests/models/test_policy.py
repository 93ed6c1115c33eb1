"""Policies: templates that stay with the weights, and generation. The model is tiny and random."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from strange_models import TEMPLATES, THOUGHT, WISHES

pytest.importorskip("trl")
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from inkfire.errors import DataError, InputError, ModelNameError
from inkfire.models import chat
from inkfire.models.card import Card, trained_against
from inkfire.models.policy import Policy, find_model, sample
from inkfire.records import Identity
from inkfire.tasks.task import load_task


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import torch
    from tiny import make_tiny_model

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))
    torch.set_num_threads(before)


@pytest.fixture
def policy(base: str, tiny_task: Path) -> Policy:
    return Policy.load(base, task=load_task(tiny_task))


def test_a_seed_gives_the_same_texts(policy: Policy) -> None:
    queries = ["one", "a second, longer query"]
    first = policy.generate(queries, n=3, max_new_tokens=8, seed=1)
    assert [len(texts) for texts in first] == [3, 3]
    assert policy.generate(queries, n=3, max_new_tokens=8, seed=1) == first
    assert policy.generate(queries, n=3, max_new_tokens=8, seed=2) != first


def test_padding_changes_nothing(policy: Policy) -> None:
    """Greedy texts are the same alone and beside a longer prompt."""
    alone = policy.generate(["one"], temperature=0, max_new_tokens=8)
    beside = policy.generate(["one", "another query that is much longer"], temperature=0, max_new_tokens=8)
    assert beside[0] == alone[0]
    written: list[int] = []
    policy.generate(["a", "b", "c"], max_new_tokens=2, batch_size=2, advance=written.append)
    assert written == [2, 1]
    assert policy.generate([]) == []


@pytest.mark.parametrize("kind", ["think", "think_special"])
def test_a_policy_that_thinks_by_default_does_not(
    kind: str, strange_model: Callable[[str], str], tiny_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinker = Policy.load(strange_model(f"thinks:{kind}"), task=load_task(tiny_task))
    wishes = [[wish] for wish in WISHES.values()]
    short = max(len(wish) for wish in WISHES.values()) + 1  # a token is a byte
    assert thinker.generate(list(WISHES), temperature=0, max_new_tokens=short) == wishes

    monkeypatch.setattr(chat, "switches", lambda template: {})  # and where nothing switches it off
    prompts = thinker.encode(["a wish"])
    (ids,) = sample(thinker.model, thinker.tokenizer, prompts, temperature=0, max_new_tokens=99)
    assert THOUGHT in thinker.tokenizer.decode(ids)
    assert thinker.generate(list(WISHES), temperature=0, max_new_tokens=99) == wishes
    assert thinker.generate(["a wish"], temperature=0, max_new_tokens=short) == [[""]]  # cut within the thought


@pytest.mark.parametrize("kind", [kind for kind in TEMPLATES if kind != "hopeless"])
def test_any_base_writes(kind: str, strange_model: Callable[[str], str], tiny_task: Path) -> None:
    policy = Policy.load(strange_model(kind), task=load_task(tiny_task))
    find_model(strange_model(kind))
    assert [len(texts) for texts in policy.generate(["one", "a longer one"], n=2, max_new_tokens=6)] == [2, 2]
    ends = policy.model.generation_config.eos_token_id
    assert policy.tokenizer.pad_token_id not in ends
    assert chat.turn_end(policy.tokenizer) in ends


def test_a_whole_model_with_a_card_is_a_policy(base: str, tiny_task: Path) -> None:
    Card.of(base, load_task(tiny_task)).write(Path(base))
    try:
        assert Policy.load(base).messages("q") == load_task(tiny_task).messages("q")
    finally:
        (Path(base) / "policy.json").unlink()


def test_what_cannot_be_loaded(base: str, tiny_task: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="task"):
        Policy.load(base)
    with pytest.raises(ModelNameError, match="unknown"):
        Policy.load("local/nothing", task=load_task(tiny_task))
    with pytest.raises(ModelNameError):
        Policy.load(str(tmp_path), task=load_task(tiny_task))
    (tmp_path / "policy.json").write_text(json.dumps({"template": {}}))
    with pytest.raises(DataError, match=r"policy\.json"):
        Policy.load(tmp_path)


def test_a_card_keeps_what_it_was_trained_against(tiny_task: Path, tmp_path: Path) -> None:
    own = (Identity("reward model", "rm", "a1"), Identity("judge", "taste", "b2", "m", "logprob"))
    card = dataclasses.replace(Card.of("base", load_task(tiny_task)), own_rewards=own)
    card.write(tmp_path)
    assert Card.read(tmp_path) == card
    assert [row.name for row in Card.read(tmp_path).own_rewards] == ["rm", "taste"]
    assert json.loads((tmp_path / "policy.json").read_text())["own_rewards"][0]["sha256"] == "a1"


def test_a_training_that_starts_from_a_policy_inherits_them(tiny_task: Path, tmp_path: Path) -> None:
    own = (Identity("reward model", "rm", "a1"),)
    dataclasses.replace(Card.of("base", load_task(tiny_task)), own_rewards=own).write(tmp_path)
    assert Card.of(str(tmp_path), load_task(tiny_task)).own_rewards == own
    assert trained_against(tmp_path) == own
    assert trained_against("local/smollm2-135m") == ()


@pytest.mark.parametrize(
    ("reward", "kinds"),
    [
        (None, []),
        ("rm:reward_model", ["reward model"]),
        ("judge:verdict:m", ["judge"]),
        ("0.7*judge:logprob:m + 0.3*rm:rm", ["judge", "reward model"]),
        ("share:!", []),
    ],
)
def test_an_old_card_tells_the_kinds_of_its_reward(
    tiny_task: Path, tmp_path: Path, reward: str | None, kinds: list[str]
) -> None:
    card = dataclasses.asdict(dataclasses.replace(Card.of("base", load_task(tiny_task)), reward=reward))
    del card["own_rewards"]
    (tmp_path / "policy.json").write_text(json.dumps(card))
    own = Card.read(tmp_path).own_rewards
    assert [reward.kind for reward in own] == kinds
    assert all(reward.same(Identity(reward.kind, "any", "a1")) for reward in own)
