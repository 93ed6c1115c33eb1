"""``inkfire train``, ``score`` and ``write`` on a tiny model, and what they say when the input is wrong."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import served

from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.judge.spec import JudgeSpec
from inkfire.models.card import trained_against
from inkfire.rewards.load import identities_of, read_card

Cli = Callable[..., tuple[int, dict[str, Any], str]]


def test_from_good_texts_to_a_writer(cli: Cli, base: str, tiny_task: Path, tmp_path: Path) -> None:
    """sft → rm → grpo → write, as a user types them; typed again, a command reads its result back."""
    sft = ["train", "sft", "--task", tiny_task, "--base", base, "--out", tmp_path / "sft", "--epochs", 1, "--json"]
    code, result, _ = cli(*sft)
    assert (code, result["steps"], result["n"]) == (0, 1, 8)  # the 8 texts labelled 0 are left out
    assert cli(*sft)[1] == result

    code, result, _ = cli("train", "rm", "--pairs", tiny_task / "pairs.jsonl", "--out", tmp_path / "rm", "--json")
    assert code == 0
    assert {"seconds", "n_train", "n_test", "accuracy", "accuracy_ci", "accuracy_length_matched"} <= result.keys()
    assert read_card(tmp_path / "rm")["qualified"] == result["qualified"]

    grpo = ["train", "grpo", "--task", tiny_task, "--policy", tmp_path / "sft", "--reward", tmp_path / "rm"]
    grpo += ["--max-steps", 2, "--max-completion-length", 8, "--out", tmp_path / "rl", "--json"]
    code, result, _ = cli(*grpo)
    assert (code, (tmp_path / "rl").exists()) == (2, False)
    assert "is not shown to tell good texts from the same texts damaged, by its AUC: " in result["error"]
    assert "a policy finds that out. Cover it: " in result["error"]
    grpo = [*grpo[:-1], "--force", "--json"]
    code, result, err = cli(*grpo)
    assert "and nothing covers it" in err
    assert "nobody has looked for edits that it rewards" in err
    assert (code, result["steps"], result["completions"], result["calls"]) == (0, 2, 16, 0)
    assert [row["step"] for row in read_jsonl(tmp_path / "rl" / "metrics.jsonl")] == [1, 2]

    again = ["train", "grpo", "--task", tiny_task, "--policy", tmp_path / "rl", "--reward", "share:!", "--max-steps", 1]
    assert cli(*again, "--max-completion-length", 8, "--out", tmp_path / "rl2", "--json")[0] == 0
    (tmp_path / "rm").rename(tmp_path / "moved")
    rm, check = identities_of(str(tmp_path / "moved")), identities_of("share:!")
    policies = ("sft", "rl", "rl2")
    assert [trained_against(tmp_path / name) for name in policies] == [(), rm, (*rm, *check)]
    (tmp_path / "moved").rename(tmp_path / "rm")

    code, result, _ = cli(
        "write",
        "a wish",
        "--policy",
        tmp_path / "rl",
        "-n",
        3,
        "--best-of",
        tmp_path / "rm",
        "--max-tokens",
        8,
        "--json",
    )
    assert code == 0
    assert len(result["responses"]) == 3
    assert result["scores"] == sorted(result["scores"], reverse=True)

    code, result, err = cli(*grpo[:-1], "--learning-rate", 0.5)
    assert code == 2
    assert "learning_rate was null and is 0.5 now" in err


def test_the_near_rivals(cli: Cli, strange_model: Callable[[str], str], tiny_task: Path, tmp_path: Path) -> None:
    """Best-of-n and DPO as a user types them; a run is repeated from its folder, checks and all."""
    start = ["--task", tiny_task, "--policy", strange_model("plain"), "--samples", 0, "--json"]
    own = [*start, "--reward", "share:a", "--check", "length:2..", "-n", 8, "--max-completion-length", 100]
    code, bon, err = cli("train", "bon", *own, "--rounds", 2, "--limit", 4, "--out", tmp_path / "bon")
    assert code == 0, err
    assert [row["queries"] for row in bon["rounds"]] == [4, 4]
    assert (bon["completions"], bon["calls"]) == (64, 0)
    assert bon["kl_bound"] == pytest.approx(1.204, abs=1e-3)
    assert trained_against(tmp_path / "bon") == identities_of("share:a")
    assert cli("train", "bon", *own, "--rounds", 2, "--limit", 4, "--out", tmp_path / "bon")[1] == bon
    code, again, err = cli("run", "--like", tmp_path / "bon", "--out", tmp_path / "again", "--json")
    assert code == 0, err
    assert again["rounds"] == bon["rounds"]

    code, result, err = cli("train", "dpo", *own, "--out", tmp_path / "own-dpo")
    assert code == 0, err
    assert result["rounds"][0]["pairs"] == len(list(read_jsonl(tmp_path / "own-dpo" / "round-1" / "pairs.jsonl")))
    assert trained_against(tmp_path / "own-dpo") == identities_of("share:a")

    pairs = ["--pairs", tiny_task / "pairs.jsonl"]
    code, result, err = cli("train", "dpo", *start, *pairs, "--out", tmp_path / "dpo")
    assert (code, result["n"], result["writers"]) == (0, 8, {"unknown": 16}), err
    assert trained_against(tmp_path / "dpo") == ()
    more = ["--task", tiny_task, "--policy", tmp_path / "bon", *pairs]
    assert cli("train", "dpo", *more, "--out", tmp_path / "more")[0] == 0
    assert trained_against(tmp_path / "more") == identities_of("share:a")  # what came before counts
    for wrong, words in (
        ([], "(--pairs F)"),
        ([*pairs, "--reward", "share:a"], "name one of the two"),
        ([*pairs, "-n", 4], "n is for pairs that a reward makes"),
        ([*pairs, "--check", "finished"], "checks is for pairs that a reward makes"),
    ):
        code, _, err = cli("train", "dpo", *start[:-1], *wrong, "--out", tmp_path / "wrong")
        assert code == 2
        assert words in err
    assert not (tmp_path / "wrong").exists()


def longest(body: dict[str, Any]) -> str:
    """An endpoint that likes long texts: it orders groups, and says which of two is better."""
    rows = [line.partition(": ") for line in body["messages"][-1]["content"].splitlines() if line[1:3] == ": "]
    order = [letter for letter, _, _ in sorted(rows, key=lambda row: -len(row[2]))]
    asked = body["response_format"]["json_schema"]["schema"]["properties"]
    return json.dumps({"order": order} if "order" in asked else {"reason": "", "winner": order[0]})


def test_a_policy_is_trained_on_what_its_groups_say(
    cli: Cli, strange_model: Callable[[str], str], tiny_task: Path, tmp_path: Path
) -> None:
    with served(longest) as stub:
        start = ["--task", tiny_task, "--policy", strange_model("plain"), "--base-url", stub.url, "--json"]
        own = [*start, "--samples", 0, "-n", 8, "--rounds", 1, "--limit", 4, "--max-completion-length", 60, "--force"]
        code, bon, err = cli("train", "bon", *own, "--reward", "rank:m", "--out", tmp_path / "rank")
        assert code == 0, err
        assert 0 < bon["calls"] <= 4  # texts of a random model may look like an injection, and are not asked about
        rows = list(read_jsonl(tmp_path / "rank" / "round-1" / "completions.jsonl"))
        for query in {row["query"] for row in rows}:
            assert sum(row["reward"] or 0.0 for row in rows if row["query"] == query) == pytest.approx(0)
        (identity,) = trained_against(tmp_path / "rank")
        assert (identity.model, identity.mode) == ("m", "rank")

        one = [*own, "--reward", "tournament:m", "--pairs-per-text", 1, "--out", tmp_path / "tournament"]
        code, bon, err = cli("train", "bon", *one)
        assert (code, bon["calls"] <= 4 * 4 * 2) == (0, True), err
        code, bon, err = cli("train", "bon", *own, "--reward", "reference:m", "--out", tmp_path / "reference")
        assert (code, 4 <= bon["calls"] <= 4 * 8 * 2) == (0, True), err
        texts = list(read_jsonl(tmp_path / "reference" / "reference" / "texts.jsonl"))
        assert len({row["query"] for row in texts}) == 8
        given = tmp_path / "given.jsonl"
        write_jsonl(given, [{"query": row["query"], "response": "!"} for row in texts])
        grpo = [*start, "--reward", "reference:m", "--reference", given, "--max-steps", 1, "--force"]
        grpo += ["--max-completion-length", 8, "--out", tmp_path / "grpo"]
        code, result, err = cli("train", "grpo", *grpo)
        assert (code, result["steps"]) == (0, 1), err
        assert str(given) not in (tmp_path / "grpo" / "manifest.json").read_text()
        code, result, err = cli("train", "grpo", *grpo[:-1], tmp_path / "canary", "--canary", "rank:n")
        assert (code, "their mean never falls" in result["error"]) == (2, True)

        data = [{"query": q, "response": r * k} for q in ("a", "b") for k, r in enumerate(("x", "y", "z"), 1)]
        write_jsonl(tmp_path / "texts.jsonl", [data[i] for i in (0, 3, 1, 4, 2, 5)])  # queries by turns
        asked = ["score", "--reward", "rank:m", "--force", "--task", tiny_task, "--base-url", stub.url, "--qualify", 0]
        code, result, err = cli(*asked, "--data", tmp_path / "texts.jsonl", "--out", tmp_path / "scores", "--json")
        assert (code, result["missing"], result["mean"]) == (0, 0, pytest.approx(0)), err
        scores = [row["score"] for row in read_jsonl(tmp_path / "scores" / "scores.jsonl")]
        assert scores == pytest.approx([-2 / 3, 0, 2 / 3] * 2)
        code, result, _ = cli(*asked, "--pairs", tiny_task / "pairs.jsonl", "--json")
        assert (code, result["n"], result["accuracy"]) == (0, 8, result["longer_wins"])


def test_score_of_pairs_and_texts(cli: Cli, tiny_task: Path, tmp_path: Path) -> None:
    cli("train", "rm", "--pairs", tiny_task / "pairs.jsonl", "--out", tmp_path / "rm", "--json")
    before = sorted(tmp_path.rglob("*"))
    code, result, _ = cli("score", "--reward", tmp_path / "rm", "--pairs", tiny_task / "pairs.jsonl", "--json")
    assert code == 0
    assert result["n"] == 8
    names = {"accuracy", "accuracy_length_matched", "accuracy_chosen_shorter", "longer_wins"}
    assert names | {"n_length_matched", "n_chosen_shorter"} <= result.keys()
    code, result, _ = cli("score", "--reward", tmp_path / "rm", "--data", tiny_task / "labelled.jsonl", "--json")
    assert code == 0
    assert (result["n"], result["auc"], result["accuracy"]) == (16, 1.0, 1.0)
    assert sorted(tmp_path.rglob("*")) == before
    write_jsonl(tmp_path / "texts.jsonl", [{"query": "q", "response": "a!"}, {"query": "q", "response": "b"}])
    scored = ["score", "--reward", "share:!", "--data", tmp_path / "texts.jsonl", "--out", tmp_path / "scores"]
    code, result, _ = cli(*scored, "--json")
    assert (code, result["mean"]) == (0, 0.25)
    assert "auc" not in result
    assert [row["score"] for row in read_jsonl(tmp_path / "scores" / "scores.jsonl")] == [0.5, 0.0]


def test_any_run_is_repeated_from_its_folder(cli: Cli, tiny_task: Path, tmp_path: Path) -> None:
    rm = ["train", "rm", "--pairs", tiny_task / "pairs.jsonl", "--out", tmp_path / "rm", "--seed", 7, "--json"]
    assert cli(*rm)[0] == 0
    code, again, err = cli("run", "--like", tmp_path / "rm", "--out", tmp_path / "again", "--json")
    assert code == 0, err
    assert again["out"] == str(tmp_path / "again")
    for name in ("manifest.json", "reward.json"):
        assert (tmp_path / "rm" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_bad_input_is_told_before_anything_is_written(cli: Cli, base: str, tiny_task: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text('{"query": "q", "chosen": "a", "rejected": "b"}\n{"query": \n')
    (tmp_path / "labels.jsonl").write_text('{"query": "q", "response": "a", "label": 2}\n')
    (tmp_path / "empty.jsonl").write_text("")
    out, judge = tmp_path / "out", tmp_path / "judge"
    JudgeSpec("tiny", "scripted", "logprob").save(judge)
    grpo = ["train", "grpo", "--task", tiny_task, "--reward", "share:!", "--out", out, "--policy", base]
    sft = ["train", "sft", "--task", tiny_task, "--base", base, "--out", out]
    for args, words in (
        (["train", "rm", "--pairs", tmp_path / "broken.jsonl", "--out", out], "broken.jsonl:2: not valid JSON"),
        (["train", "rm", "--pairs", tmp_path / "none.jsonl", "--out", out], "no such file"),
        (["train", "rm", "--pairs", tiny_task / "pairs.jsonl", "--out", out, "--kind", "transformer"], "--base"),
        ([*sft, "--data", tmp_path / "labels.jsonl"], "labels.jsonl:1: label must be 0 or 1"),
        ([*sft, "--data", tmp_path / "empty.jsonl"], "empty"),
        ([*sft, "--task", "greetings"], "did you mean"),
        ([*sft, "--base", "local/qwen"], "unknown model"),
        ([*grpo, "--policy", tmp_path], "no model (the folder has no config.json)"),
        ([*grpo, "--reward", tmp_path / "rm"], "no reward"),
        ([*grpo, "--reward", judge], "refused as a reward"),
        ([*grpo, "--prompts", tmp_path / "none.txt"], "no such file"),
        (["score", "--reward", "share:!"], "either --pairs F or --data F"),
        (["write", "q", "--policy", base], "name a task"),
    ):
        code, _, err = cli(*args)
        assert code == 2, err
        assert words in err
        assert "Traceback" not in err
    assert not out.exists()


def test_a_missing_extra_names_the_command_that_installs_it(
    cli: Cli, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith(("inkfire.training", "inkfire.models.policy")) and name != "inkfire.training.settings":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "peft", None)
    code, _, err = cli("train", "sft", "--task", tiny_task, "--base", "local/x", "--out", tmp_path / "out")
    assert code == 2
    assert "pip install 'inkfire[train]'" in err
    assert not (tmp_path / "out").exists()
