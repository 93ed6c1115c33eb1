"""``inkfire import``: weights of another engine as a policy, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_gguf import edit

pytest.importorskip("peft")

from inkfire.models.card import Card
from inkfire.models.policy import Policy

Cli = Callable[..., tuple[int, dict[str, Any], str]]
WEIGHTS = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def trained(tiny_policy: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """(an adapter as another engine leaves it: no card; the policy that it was)."""
    policy, bare = tiny_policy("qwen2"), tmp_path / "bare"
    bare.mkdir()
    for path in policy.iterdir():
        if path.name in WEIGHTS or path.suffix == ".jinja":
            shutil.copyfile(path, bare / path.name)
    return bare, policy


def test_an_adapter_writes_what_it_wrote(cli: Cli, trained: Any, tiny_task: Path, tmp_path: Path) -> None:
    bare, policy = trained
    base, out = Card.read(policy).base, tmp_path / "new" / "policy"
    asked = ("import", bare, "--task", tiny_task, "--base", base, "--reward", "share:e", "--out", out)
    code, result, err = cli(*asked, "--json")
    assert code == 0, err
    assert (result["adapter"], result["own_rewards"], result["warnings"]) == (True, 1, [])
    card = Card.read(out)
    assert (card.trained, card.reward, card.task) == ("import", "share:e", "tiny")
    assert card.template.messages("q")[0]["content"] == "You write wishes."
    ours, theirs = Policy.load(out), Policy.load(policy)
    layers = {name: module for name, module in theirs.model.named_modules() if hasattr(module, "lora_A")}
    for name, layer in layers.items():
        found = ours.model.get_submodule(name).get_delta_weight("default")
        assert found.equal(layer.get_delta_weight("default"))
    assert layers


def test_whole_weights_are_a_policy_that_exports_and_says_what_is_unknown(
    cli: Cli, trained: Any, tiny_task: Path, tmp_path: Path
) -> None:
    _, policy = trained
    assert cli("export", policy, "--to", "merged", "--out", tmp_path / "merged")[0] == 0
    asked = ("import", tmp_path / "merged", "--task", tiny_task, "--out", tmp_path / "mine")
    code, _, err = cli(*asked)
    assert code == 2
    assert "name that model with --base" in err
    code, result, err = cli(*asked, "--base", Card.read(policy).base)
    assert code == 0, err
    assert "! What it was trained against is not known" in result["text"]
    assert not (tmp_path / "mine" / "README.md").exists()
    code, _, err = cli("export", tmp_path / "mine", "--to", "merged", "--out", tmp_path / "again")
    assert code == 0, err
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("merged", "again")]
    assert weights[0] == weights[1]


def test_what_is_no_policy_is_refused_with_the_fix(cli: Cli, trained: Any, tiny_task: Path, tmp_path: Path) -> None:
    bare, policy = trained
    base, out = Card.read(policy).base, tmp_path / "out"

    def refused(source: Path, said: str, *more: str) -> None:
        code, _, err = cli("import", source, "--task", tiny_task, "--out", out, *(more or ("--base", base)))
        assert code == 2
        assert said in err
        assert err.count("\n") == 1
        assert not out.exists()

    refused(tmp_path / "nowhere", "no such folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "neither whole weights")
    merged = tmp_path / "merger"  # of verl: the base's weights, and what was trained in a folder of its own
    (merged / "lora_adapter").mkdir(parents=True)
    shutil.copytree(bare, merged / "lora_adapter", dirs_exist_ok=True)
    (merged / "config.json").write_text("{}")
    refused(merged, "what was trained is the adapter in it")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").touch()
    refused(pickled, "pickled weights are not loaded")
    refused(bare, "no reward", "--base", base, "--reward", str(tmp_path / "nothing"))
    config = json.loads((bare / "adapter_config.json").read_text())
    edit(bare / "adapter_config.json", base_model_name_or_path=None)
    refused(bare, "name that model with --base", "--reward", "share:e")
    edit(bare / "adapter_config.json", **config | {"lora_alpha": 0})
    refused(bare, "the adapter would change nothing")
