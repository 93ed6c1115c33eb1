"""Policies: templates that stay with the weights, and generation. The model is tiny and random."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("trl")
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from inkfire.errors import DataError, InputError, ModelNameError
from inkfire.models.card import Card
from inkfire.models.policy import Policy
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
