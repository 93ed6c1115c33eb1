"""A policy's card: the template stays with the weights, and a card of another version still opens. No torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inkfire.errors import DataError
from inkfire.models.card import CARD, Card, Template, is_policy
from inkfire.tasks.task import load_task, task_names


@pytest.mark.parametrize("name", task_names())
def test_the_template_is_the_tasks(name: str) -> None:
    task = load_task(name)
    for query in ('a "wish" for {{ x }} <b>', "[system]\n给外婆"):
        assert Template.of(task).messages(query) == task.messages(query)


def test_a_card_survives_its_file(tiny_task: Path, tmp_path: Path) -> None:
    card = Card.of("local/smollm2-135m", load_task(tiny_task))
    assert not is_policy(tmp_path)
    card.write(tmp_path)
    assert is_policy(str(tmp_path))
    assert Card.read(tmp_path) == card


def test_a_card_of_another_version_opens(tiny_task: Path, tmp_path: Path) -> None:
    card = Card.of("local/smollm2-135m", load_task(tiny_task))
    card.write(tmp_path)
    written = json.loads((tmp_path / CARD).read_text())
    older = {key: value for key, value in written.items() if key not in ("parent", "reward", "trained", "steps")}
    (tmp_path / CARD).write_text(json.dumps({**older, "a_field_of_tomorrow": [1]}))
    assert Card.read(tmp_path) == card


@pytest.mark.parametrize("text", ["[]", "5", "{", "{}", '{"template": 3}', '{"template": {}}', '{"base": "x"}', "null"])
def test_a_damaged_card_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(text)
    with pytest.raises(DataError, match=r"policy\.json"):
        Card.read(tmp_path)


def test_a_card_is_read_without_torch() -> None:
    script = "import sys, inkfire.models.card; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
