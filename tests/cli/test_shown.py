"""What people are shown of a command: finding, numbers, files, what to type next; and how it is laid out."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from stub_endpoint import default_reply, served

from inkfire.cli import shown, tables
from inkfire.cli.app import command_line
from inkfire.cli.common import Shown, Table, display, emit
from inkfire.debate.sampler import Tally
from inkfire.evaluation.compare import compare
from inkfire.evaluation.signals import LengthSignal, Opinion
from inkfire.evaluation.texts import Texts
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.judge.ranking import measure_pairs
from inkfire.records import Comparison, Preference, Query
from inkfire.report import findings
from inkfire.runs import like
from inkfire.runs.context import Place
from inkfire.runs.train import RewardModelInputs, reward_model
from inkfire.stats.twins import pair_slices
from inkfire.tasks.task import load_task
from inkfire.training.monitors import summary
from inkfire.training.settings import RewardModelSettings

Cli = Callable[..., tuple[int, dict[str, Any], str]]

NOTHING = float("nan")
TOOK = {"calls": 3, "cached": 1, "seconds": 61.0}
JUDGED = {"n": 3, "scored": 3, "unscored": 0, "calibrated": True, "auc": None, "auc_ci": None, "accuracy": 1.0,
          "accuracy_ci": [0.4, 1.0], "kappa": NOTHING, "n_length_matched": 0, "reliability": []}  # fmt: skip
PROBED = {"n": 2, "probes": ["length", "order", "self_preference"], "order_n": 0, "self_preference": "not measured",
          "self_preference_shift": None, "length_shift": None, "length_flip_rate": None}  # fmt: skip
ATTACKED = {"carriers": 9, "carriers_bad": 4, "flips_off": None, "flips_off_n": 0, "families": {
    "fake_json": {"split": "held_out", "flips_off": 0.5, "flips_off_ci": [0.1, 0.9], "flips_off_n": 2}
}, **{f"flips_off{end}_n": 0 for end in ("_development", "_held_out")}}  # fmt: skip
SET = {"n": 4, "scored": None, "auc": None, "length_auc": None, "accuracy": None, "doubt": None}
PAIR = Preference("q", "long text", "short")


class Silent:
    """A signal that never says anything."""

    name = "judge"

    def label(self, queries: list[str], responses: list[str]) -> list[Opinion]:
        del queries
        return [Opinion(None, None) for _ in responses]


def evaluation(names: list[str]) -> dict[str, Any]:
    texts = {name: ["x" * 30] * 4 for name in names}
    signals: list[Any] = [LengthSignal(20, longer_is_better=True, name="rm"), Silent()]
    queries = [Query.of(f"q{i}") for i in range(4)]
    return compare(load_task("greetings-en"), Texts.single(queries, texts), signals, rewards={names[-1]: ["rm"]})


ODD: list[tuple[str, dict[str, Any]]] = [
    ("curate", Tally().result() | TOOK | {"tokens": 9, "cost": None, "cost_known": 0.5, "unpriced_models": {}}),
    ("judge", JUDGED | TOOK | {"lacking": {"m": ["temperature"]}, "uncalibrated": {"accuracy": None}}),
    ("judge", {"n": 3, "scored": 0, "unscored": 3}),
    ("judge", JUDGED | {"length_accuracy": 0.5, "ngram_accuracy": None, "depth": "full", "n_overlap": 3,
                        "n_no_overlap": 0, "accuracy_no_overlap": None}),
    ("judge pairwise", measure_pairs([PAIR], [Comparison(None, unscored="no")])),
    ("judge pairwise", measure_pairs([PAIR], [Comparison("tie", place=1)])),
    ("judge curve", {"n": 3, "labels": [0], "unscored": 0, "accuracy_0": 0.5, "auc_0": NOTHING}),
    ("judge attack", ATTACKED),
    ("judge probe", PROBED),
    ("refine", {"before": SET, "after": SET, "accepted": 0, "rejected": 1, "attacks": 0, "stopped": None}),
    ("train sft", {"steps": 0, "n": 1, "loss_first": None, "loss_last": None}),
    ("train grpo", summary([])),
    ("score", {"reward": "rm", "threshold": None, **pair_slices([PAIR], [(None, 1.0)])}),
    ("score", {"reward": "rm", "threshold": None, **pair_slices([PAIR], [(2.0, 1.0)])}),
    ("score", {"reward": "rm", "threshold": 0.5, "n": 1, "scored": 1, "missing": 0, "mean": 1.0,
               "excellent_rate": 1.0, "excellent_rate_ci": [0.2, 1.0], "auc": None}),
    ("write", {"queries": 1, "texts": 0, "missing": 1, "written_by": "gpt", "out": "texts.jsonl"}),
    ("evaluate", evaluation(["base", "rl"])),
    ("evaluate", evaluation(["a policy of an uncommonly long name", "愿你新一岁如星辰闪耀"])),
    ("run", {"comparison": evaluation(["base", "sft", "rl"]), "stages": {"sft": 61.0}, "calls": 0, "report": "r.html"}),
]  # fmt: skip


def sound(text: str) -> list[str]:
    """The lines of what was printed, after what holds of all that is."""
    lines = text.splitlines()
    assert not re.search(r"\bNone\b(?! of)|\bnan\b|\bnull\b|\(\)", text), text
    assert all(cell_len(line) <= 80 for line in lines if line.startswith("  ")), text
    assert not [line for line in lines if line != line.rstrip()]
    assert len(lines) < 2 or lines[-1] != lines[-2]
    assert lines[-1].strip()
    return lines


def typed(command: str) -> None:
    """Raises where it is no command."""
    command_line().parse_args(command.removeprefix("inkfire "), exit_on_error=False, print_error=False)


@pytest.mark.parametrize(("command", "result"), ODD)
def test_odd_results_are_shown_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, result: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = tmp_path / "an odd name"
    Run.open(out, command=command, settings={"task": "greetings-en"})
    emit(result, as_json=False, show=lambda row: shown.run(out, row))
    lines = sound(capsys.readouterr().out)
    assert lines[0].endswith(".")
    following = next(line for line in lines if line.startswith("Next: "))
    assert lines[-1] == ("r.html" if command == "run" else following)
    assert "'" in following
    typed(following.removeprefix("Next: "))


def test_what_can_be_repeated_can_be_shown() -> None:
    assert like._COMMANDS.keys() <= shown._KINDS.keys() == findings._KINDS.keys()


def test_the_order_is_finding_numbers_files_next(cli: Cli, tiny_task: Path, tmp_path: Path) -> None:
    out = tmp_path / "rm"
    code, result, _ = cli("train", "rm", "--pairs", tiny_task / "pairs.jsonl", "--out", out)
    assert code == 0
    lines = sound(result["text"])
    assert lines[0].startswith("Measured on five folds by query, pooled, the linear reward model is right on ")
    assert any(line.startswith("! In 100% of the pairs") for line in lines[1:5])
    numbers = lines.index("8 pairs               all                8 of like length   0 chosen shorter")
    assert lines[numbers + 1].startswith("the reward is right   100 % (68 to 100)  100 % (68 to 100)")
    assert lines[-4:] == [
        "",
        f"Written to {out}:",
        "  reward.json  the reward, by this folder's name",
        f"Next: inkfire train grpo --task TASK --policy POLICY --reward {out} --check fluent --check finished "
        f"--relevance 1 --out {out}-rl",
    ]
    code, again, _ = cli("run", "--like", out, "--out", tmp_path / "again")
    assert (code, again["text"].splitlines()[0]) == (0, lines[0])


def test_an_estimate_has_ranges_where_there_are_any() -> None:
    names = ("calls", "prompt_tokens", "completion_tokens", "cost", "seconds")
    tried: dict[str, Any] = {"queries": 40, "unpriced": ["stub"], "currency": "EUR", "calls": 5, "tokens": 9}
    tried |= {"cost": None, "estimate_pair_share": 0.5, "estimate_pair_share_ci": [0.2, 0.8]}
    one = tried | {f"estimate_{name}{end}": None for name in names for end in ("", "_ci")} | {"estimate_calls": 200}
    numbers, took = tables.estimate(one | {"estimate_seconds": 4000.0, "estimate_prompt_tokens": 1} | {
        "estimate_completion_tokens": 2})  # fmt: skip
    assert numbers.head == ("40 queries", "about", "range, 19 times in 20")
    assert numbers.rows[0] == ("model calls", "200", "needs two queries")
    assert numbers.rows[3:5] == [
        ("cost, EUR", "unknown: no price of stub", ""), ("time", "1 h 6 min", "needs two queries")
    ]  # fmt: skip
    assert numbers.rows[5] == ("queries with a pair", "50 %", "20 % to 80 %")
    assert took.rows == [("the sample", "5 model calls, 9 new tokens, cost unknown")]
    more = one | {f"estimate_{name}": 16.274 for name in names} | {f"estimate_{name}_ci": [9, 1200.5] for name in names}
    assert tables.estimate(more)[0].rows[3] == ("cost, EUR", "16.27", "9.00 to 1,200.50")


def test_json_is_the_result_and_nothing_else(tiny_task: Path, tmp_path: Path, capsys: Any) -> None:
    result = reward_model(
        RewardModelInputs(pairs=(tiny_task / "pairs.jsonl",)), RewardModelSettings(), Place(tmp_path / "rm")
    )
    emit(result, as_json=True, show=lambda row: pytest.fail("shown"))
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(result))


# ---- every command that needs no training -------------------------------------------------------------------------


def answer(body: dict[str, Any]) -> str:
    """A judge that knows windows; whoever else is asked gets what its schema wants."""
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    if "Say Good or Bad" in system:
        return "Good" if "window" in user else "Bad"
    if "Merge" in system:
        return json.dumps({"drop": [], "add": ["It opens a window."]})
    return default_reply(body)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served(answer) as stub:
        yield stub.url


@pytest.mark.slow
def test_no_command_prints_what_only_a_machine_reads(
    cli: Cli, tiny_task: Path, tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    many = [
        {"query": f"q{i // 2}", "response": "A window." if i % 2 else "All the best.", "label": i % 2, "tags": ["x"]}
        for i in range(80)
    ]
    write_jsonl(tmp_path / "many.jsonl", many)
    Path("queries.txt").write_text("a wish for Easter\na wish for a wedding\na wish for an exam\n")
    pairs, labelled = tiny_task / "pairs.jsonl", tiny_task / "labelled.jsonl"
    model = ["--task", tiny_task, "--model", "stub", "--base-url", endpoint]
    commands: list[list[object]] = [
        ["audit", "--pairs", pairs],
        ["audit", "--labelled", "many.jsonl", "--against", labelled],
        ["judge", *model, "--data", "many.jsonl", "--out", "judge"],
        ["judge", *model, "--data", "many.jsonl", "--out", "judge"],
        ["judge", *model, "--mode", "pairwise", "--data", pairs, "--out", "pairwise"],
        ["judge", "curve", *model, "--data", "many.jsonl", "--sizes", "10,20", "--out", "curve"],
        ["judge", "attack", *model, "--limit", 28, "--out", "attack"],
        ["judge", "probe", *model, "--data", labelled, "--out", "probe"],
        ["refine", *model, "--prompts", "queries.txt", "--labelled", "many.jsonl", "--rounds", 1, "--attacks", 1,
         "--out", "refine"],
        ["refine", "diff", "refine", "refine"],
        ["curate", *model, "--prompts", "queries.txt", "--out", "pairs", "--estimate"],
        ["curate", *model, "--prompts", "queries.txt", "--out", "pairs"],
        ["curate", *model, "--prompts", "queries.txt", "--out", "half", "--shard", "1/1"],
        ["curate", "merge", "half", "--out", "merged"],
        ["train", "rm", "--pairs", pairs, "--out", "rm"],
        ["score", "--reward", "rm", "--pairs", pairs],
        ["score", "--reward", "rm", "--data", "many.jsonl", "--out", "scores"],
        ["score", "--reward", "share:!", "--data", "many.jsonl"],
        ["report", "scores"],
        ["models", "check", "stub", "--base-url", endpoint],
        ["models", "list"],
        ["recipes", "list"],
        ["recipes", "new", "mine.toml"],
        ["run", "demo-en", "--out", "demo", "--dry-run"],
        ["tasks", "list"],
        ["tasks", "show", tiny_task],
        ["tasks", "new", "mine", "--blank"],
        ["tasks", "check", "mine"],
        ["ledger", "--out", "pairs"],
        ["ledger", "--out", "pairs", "--run"],
        ["ledger", "prices", "--out", "pairs"],
    ]  # fmt: skip
    for command in commands:
        code, result, _ = cli(*command)
        assert code == 0, command
        lines = sound(result["text"])
        for line in lines:
            if line.startswith("Next: "):
                typed(line.removeprefix("Next: "))
                assert "--estimate" not in line
                assert "--dry-run" not in line or command[0] == "recipes"


# ---- the layout ----------------------------------------------------------------------------------------------------


def test_columns_are_in_line_and_nothing_is_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [("愿你", "1"), ("a_name_without_a_blank_in_it_that_is_long", "22"), ("\x1b[2J[bold]", "3")]
    display(Shown(["A sentence that stays on one line however long it is, where no terminal shows it."],
                  tables=[Table(rows, ("name", "n"))]))  # fmt: skip
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("shows it.")
    assert "".join(line.split()[0] for line in printed[4:6]) == "a_name_without_a_blank_in_it_that_is_long"
    assert "\\x1b[2J[bold]" in printed[-1]
    assert (
        len({cell_len(line[: line.rindex(end)]) for line, end in zip(printed[2:5], ("n", "1", "22"), strict=True)}) == 1
    )


def test_sentences_are_wrapped_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    command = f"inkfire report {'x' * 60}"
    display(Shown(["A sentence of more than forty characters is told in two lines."], next=command))
    printed = capsys.readouterr().out.splitlines()
    assert max(map(len, printed[:2])) <= 40
    assert " ".join(line.strip() for line in printed[:2]).startswith("A sentence of more than forty characters is")
    assert printed[-1] == f"Next: {command}"  # to be copied as it is
