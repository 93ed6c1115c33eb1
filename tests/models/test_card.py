"""A policy's card: the template stays with the weights, and a card of another version still opens. No torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inkfire.errors import DataError
from inkfire.models.card import CARD, Card, Template, hub_id, is_policy
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


def test_a_base_on_this_machine_is_named_from_the_policy_and_moves_with_it(
    tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "work" / "models" / "base"
    base.mkdir(parents=True)
    (tmp_path / "work" / "runs" / "sft").mkdir(parents=True)
    for given in (str(base), "work/models/base"):
        Card.of(given, load_task(tiny_task)).write(Path("work/runs/sft"))
        assert json.loads(Path("work/runs/sft", CARD).read_text())["base"] == "../../models/base"
        assert Card.read(Path("work/runs/sft")).base == "work/models/base"
    Path("work").rename("moved")
    assert Card.read(Path("moved/runs/sft")).base == "moved/models/base"
    Path("moved/models").rename("elsewhere")
    assert Card.read(Path("moved/runs/sft")).base == "../../models/base"


def test_an_old_card_names_its_base_from_where_the_command_ran(
    tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base").mkdir()
    Path("sft").mkdir()
    for said in ("base", "./base", str(tmp_path / "base")):
        Card.of("x", load_task(tiny_task)).write(Path("sft"))
        (Path("sft") / CARD).write_text(json.dumps(json.loads(Path("sft", CARD).read_text()) | {"base": said}))
        assert Path(Card.read(Path("sft")).base).samefile("base")


@pytest.mark.parametrize(
    ("model", "hub"),
    [
        ("local/smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("local/qwen2.5-coder-0.5b", "Qwen/Qwen2.5-Coder-0.5B-Instruct"),
        ("local/org/repo-GGUF/model.Q4.gguf", "org/repo-GGUF"),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("hf/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
    ],
)
def test_what_others_find_a_base_under(model: str, hub: str) -> None:
    assert hub_id(model) == hub


def test_a_base_of_ones_own_is_named_without_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    snapshot = tmp_path / "models--Qwen--Qwen3-0.6B" / "snapshots" / "c1899de289a0"
    snapshot.mkdir(parents=True)
    (tmp_path / "own.gguf").touch()
    monkeypatch.chdir(tmp_path / "here")
    assert hub_id(str(snapshot)) == "../models--Qwen--Qwen3-0.6B/snapshots/c1899de289a0"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert hub_id(str(snapshot)) == "Qwen/Qwen3-0.6B"
    assert hub_id(str(tmp_path / "own.gguf")) == hub_id(f"local/{tmp_path}/own.gguf") == "../own.gguf"


@pytest.mark.parametrize("text", ["[]", "5", "{", "{}", '{"template": 3}', '{"template": {}}', '{"base": "x"}', "null"])
def test_a_damaged_card_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(text)
    with pytest.raises(DataError, match=r"policy\.json"):
        Card.read(tmp_path)


def test_a_card_is_read_without_torch() -> None:
    script = "import sys, inkfire.models.card; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
