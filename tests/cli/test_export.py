"""``inkfire export``: a trained policy, its model card, and what it says when the input is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_gguf import edit

from inkfire.runs.model_card import _base

pytest.importorskip("trl")

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def trained(cli: Cli, tiny_policy: Callable[..., Path], tiny_folder: Path, tiny_task: Path, tmp_path: Path) -> Path:
    """sft, then rl against a reward, then an evaluation beside them."""
    tiny_policy("qwen2")  # makes the base
    base, runs = tiny_folder / "tiny-qwen2.gguf", tmp_path / "runs"
    sft, rl = runs / "sft", runs / "rl"
    assert cli("train", "sft", "--task", tiny_task, "--base", base, "--epochs", 1, "--out", sft)[0] == 0
    grpo = ("--reward", "share:e", "--max-steps", 1, "--num-generations", 2, "--max-completion-length", 4)
    assert cli("train", "grpo", "--task", tiny_task, "--policy", sft, *grpo, "--out", rl)[0] == 0
    compared = ("--policy", f"sft={sft}", "--policy", f"mine={rl}", "--signal", "length", "--max-tokens", 4)
    asked = ("--prompts", tiny_task / "queries.jsonl", "--limit", 2, "--keep-seen")
    code, _, err = cli("evaluate", "--task", tiny_task, *asked, *compared, "--out", runs / "eval")
    assert code == 0, err
    return rl


@pytest.mark.slow
def test_the_card_says_how_it_was_made_and_what_was_measured(cli: Cli, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    code, result, err = cli("export", trained, "--to", "gguf-lora", "--out", out, "--json")
    assert (code, err) == (0, "")
    assert result["files"] == ["README.md", "adapter.gguf"]
    assert result["bytes"] > 1000
    card = (out / "README.md").read_text(encoding="utf-8")
    front = card.split("---\n")[1]
    assert "library_name: gguf\n" in front
    assert "- sft\n- grpo\n- lora\n" in front
    assert "base_model" not in front  # the user's own file has no name on the hub
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert re.fullmatch(r"\| sft \| sft \| 1 \| 8 good texts \(the task's own\) \| loss [\d.]+ → [\d.]+ \|", rows[2])
    assert re.match(r"\| grpo \| rl \| 1 \| queries \(the task's own\) and 4 own texts, scored by share:e \|", rows[3])
    assert "- check share:e\n" in card
    assert "On 2 held-out queries" in card
    assert "| signal | sft | mine |" in rows
    assert any(row.startswith("| length | ") for row in rows)
    assert "llama-server -m tiny-qwen2.gguf --lora adapter.gguf" in card
    assert '"content": "You write wishes."' in card
    assert str(tmp_path) not in card
    assert not re.search(r"\bNone\b|\n\n\n", card)


def test_every_form_is_written_whole(cli: Cli, tiny_policy: Callable[..., Path], tmp_path: Path) -> None:
    policy = tiny_policy("qwen2")
    for form, names, following in (
        ("merged", {"model.safetensors", "config.json", "tokenizer.json"}, "vllm serve"),
        ("ollama", {"Modelfile", "adapter.gguf", "tiny-qwen2.gguf"}, "ollama create"),
        ("gguf-lora", {"adapter.gguf"}, "llama-server"),
    ):
        out = tmp_path / "new" / form
        out.mkdir(parents=True)  # an empty folder is as good as none
        code, result, _ = cli("export", policy, "--to", form, "--out", out)
        assert code == 0
        lines = result["text"].splitlines()
        assert lines[0].startswith("Exported as ")
        assert "  README.md" in lines
        assert following in lines[-1]
        assert {"README.md", *names} <= {path.name for path in out.iterdir()}
        for path in out.iterdir():
            if path.suffix in ("", ".json", ".md", ".jinja"):
                assert str(tmp_path) not in path.read_text(encoding="utf-8")
        assert not re.search(r"\bNone\b|\n\n\n", (out / "README.md").read_text(encoding="utf-8"))
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"merged", "ollama", "gguf-lora"}


def test_what_cannot_be_exported_leaves_nothing(cli: Cli, tiny_policy: Callable[..., Path], tmp_path: Path) -> None:
    policy, out = tiny_policy("qwen2"), tmp_path / "out"
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").touch()
    for source, form, where, said in (
        ("local/smollm2-135m", "merged", out, "no policy folder (it has no policy.json); `inkfire train` makes one"),
        (policy, "merged", full, "is there and not empty; name a new folder"),
        (policy, "merged", full / "mine.txt", "is there and not empty; name a new folder"),
        (policy, "merged", full / "mine.txt" / "out", "cannot write"),
        (policy, "onnx", out, "onnx"),
    ):
        code, _, err = cli("export", source, "--to", form, "--out", where)
        assert code == 2
        assert said in err
        assert err.count("\n") == 1
    edit(policy / "adapter_config.json", use_dora=True)
    code, _, err = cli("export", policy, "--to", "ollama", "--out", out)
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot hold DoRA" in err
    assert {path.name for path in tmp_path.iterdir()} == {"policy", "full"}
    assert [path.name for path in full.iterdir()] == ["mine.txt"]


def test_a_policy_without_its_run_has_a_card(cli: Cli, tiny_policy: Callable[..., Path], tmp_path: Path) -> None:
    code, _, _ = cli("export", tiny_policy("llama"), "--to", "gguf-lora", "--out", tmp_path / "out")
    assert code == 0
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Nothing: no `inkfire evaluate` of it lies beside the policy." in card
    assert "No reward was used." in card


def test_a_base_is_named_as_others_find_it(tmp_path: Path) -> None:
    known = _base("local/qwen2.5-coder-0.5b")
    assert (known["repo"], known["licence"]) == ("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "apache-2.0")
    assert known["file"] == "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    assert (_base("local/org/repo/some/file.gguf")["repo"], _base("org/repo/f.gguf")["file"]) == ("org/repo", "f.gguf")
    assert _base("Qwen/Qwen3-0.6B") | {"gguf": 0} == {
        "name": "Qwen/Qwen3-0.6B", "repo": "Qwen/Qwen3-0.6B", "file": None, "licence": None, "gguf": 0
    }  # fmt: skip
    (tmp_path / "own").mkdir()
    assert (_base(str(tmp_path / "own"))["name"], _base(str(tmp_path / "own"))["repo"]) == ("own", None)
    assert (_base("/data/own.gguf")["name"], _base("/data/own.gguf")["repo"]) == ("own.gguf", None)
