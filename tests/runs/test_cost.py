"""What runs took and what came of it: on runs made against a stub endpoint, and on folders made by hand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from offline import Offline
from stub_endpoint import Stub, default_reply, served

from inkfire.errors import InputError, RunFolderError
from inkfire.files.jsonl import write_json, write_jsonl
from inkfire.files.run import Run
from inkfire.judge.spec import JudgeSettings, JudgeSpec
from inkfire.llm.totals import summarise_runs
from inkfire.refine.settings import RefineSettings
from inkfire.runs.context import Access, Place
from inkfire.runs.cost import CostInputs, CostSettings, cost
from inkfire.runs.curate import CurateInputs, CurateSettings, curate
from inkfire.runs.experiment import run_recipe
from inkfire.runs.judge import JudgeInputs, judge
from inkfire.runs.labels import read_given
from inkfire.runs.recipe import load_recipe
from inkfire.runs.refine import RefineInputs, refine
from inkfire.runs.train import RewardModelInputs, reward_model
from inkfire.training.settings import RewardModelSettings

ONE = CostSettings(draws=2)
STAGES = ["audit", "sft", "candidates", "curate", "reward_model", "refine", "judge", "rm-rl", "judge-rl", "on-top"]


def answer(body: dict[str, Any]) -> str:
    """A judge that knows windows; agents of a debate that know them too; a writer of both kinds."""
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    if "Say Good or Bad" in system:
        return "Well, well" if "unclear" in user else "Good" if "window" in user else "Bad"
    if system in ("Judge.", "Audit."):
        return json.dumps({"reason": "It shows.", "judge": int("window" in user)})
    if system.startswith("You write"):
        return f"May {user} open {'a window' if 'unusual' in system else 'a door'}."
    if "flawed" in system:
        return json.dumps({"flaw": "It hides the occasion.", "text": "A window that hides the occasion."})
    if "Merge" in system:
        return json.dumps({"drop": [], "add": ["It opens a window."]})
    if "Rules" in system and "judge" not in str(body.get("response_format")):
        return json.dumps({"why": "It was not told.", "proposal": "It opens a window.", "reason": "It shows."})
    return default_reply(body)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with served(answer, mark=lambda user: 0.5 if "unclear" in user else 0.9 if "window" in user else 0.1) as stub:
        yield stub


def texts(prefix: str, n: int) -> list[dict[str, Any]]:
    words = ("a window", "a door")
    return [
        {"query": f"{prefix} {i}", "response": f"May {prefix} {i} open {word}.", "label": int(word == "a window")}
        for i in range(n)
        for word in words
    ]


@pytest.fixture
def place(tmp_path: Path, stub: Stub) -> Callable[[str], Place]:
    return lambda name: Place(tmp_path / "runs" / name, access=Access(base_url=stub.url))


@pytest.fixture
def made(tiny_task: Path, tmp_path: Path, place: Callable[[str], Place]) -> dict[str, Path]:
    """Both strategies, command by command, in one folder with one ledger: pairs → rm, refined → judge."""
    write_jsonl(tmp_path / "fit.jsonl", texts("spring", 20))
    shutil.copy(tmp_path / "fit.jsonl", tmp_path / "copy.jsonl")
    write_jsonl(tmp_path / "test.jsonl", texts("autumn", 12))
    (tmp_path / "runs" / ".inkfire").mkdir(parents=True)
    prices = 'currency = "EUR"\n["stub"]\nprompt = 1.0\ncompletion = 4.0\n'
    (tmp_path / "runs" / ".inkfire" / "prices.toml").write_text(prices)
    task, out = str(tiny_task), {name: tmp_path / "runs" / name for name in ("pairs", "rm", "refined", "judge")}
    curate(CurateInputs(task=task, model="stub"), CurateSettings(candidates=2, pairs="all"), place("pairs"))
    inputs = RewardModelInputs(pairs=(out["pairs"] / "pairs.jsonl",), labelled=(tmp_path / "fit.jsonl",), qualify=0)
    reward_model(inputs, RewardModelSettings(), place("rm"))
    given = {
        "task": task,
        "model": "stub",
        "labelled": (tmp_path / "fit.jsonl",),
        "tested_on": (tmp_path / "test.jsonl",),
    }
    refine(RefineInputs(**given), RefineSettings(rounds=1, attacks=2), place("refined"))
    judged = JudgeInputs(
        task=task,
        model="stub",
        data=(tmp_path / "test.jsonl",),
        principles=out["refined"] / "principles.toml",
        calibration=(tmp_path / "copy.jsonl",),
        qualify=0,
    )
    judge(judged, JudgeSettings(), place("judge"))
    return out


def counted(runs: list[Path], place: Place, keep: bool = False, **inputs: Any) -> dict[str, Any]:
    return cost(runs, CostInputs(**inputs), ONE, place, keep=keep)


def test_the_numbers_add_up_to_the_ledger_and_labels_count_once(
    made: dict[str, Path], place: Callable[[str], Place]
) -> None:
    found = counted([made["rm"], made["judge"]], place("cost"), keep=True)
    ledger = {row["run"]: row for row in summarise_runs(made["rm"].parent / ".inkfire" / "ledger.sqlite")}
    a, b = found["rewards"]
    assert (a["strategy"], a["stages"]) == ("A", ["pairs", "rm"])  # what it was made from is found by itself
    assert (b["strategy"], b["stages"]) == ("B", ["refined", "judge"])
    assert (a["calls"], a["tokens"]) == (ledger["pairs"]["calls"], tokens(ledger["pairs"]))
    assert a["cost"] == pytest.approx(ledger["pairs"]["cost"])
    assert a["cost"] > 0
    assert found["currency"] == "EUR"
    assert (a["preparation"]["calls"], a["training"]["calls"]) == (a["calls"], 0)
    for name in ("calls", "tokens", "cost"):
        paid = sum(tokens(row) if name == "tokens" else row[name] for row in ledger.values())
        assert a[name] + b[name] == pytest.approx(paid)
        assert sum(row[name] for row in found["stages"]) == pytest.approx(paid)
    assert b["recalled"] > 0  # the judge is asked what the refinement had asked
    assert (b["training"]["calls"], b["preparation"]["calls"]) == (0, ledger["refined"]["calls"])
    # Fit labels are read by the refinement and, from a copy, by the calibration; test labels by both too.
    assert (b["labels"], b["labels_test"], b["labels_by_use"]) == (
        40,
        24,
        {"calibration": 40, "refinement": 40, "test": 24},
    )
    assert (a["labels"], a["labels_by_use"], a["pairs_given"], a["clicks"]) == (40, {"threshold": 40}, 0, 0)
    assert (b["auc"], b["auc_n"]) == (1.0, 24)
    assert (a["common_n"], b["common_n"], b["common_auc"]) == (24, 24, 1.0)
    assert "<svg" in (place("cost").out / "cost.svg").read_text()
    speed = {row["who"]: row for row in found["speeds"]}
    assert speed["judge"]["calls_text"] == 1
    assert speed["rm"]["seconds_text_p50"] > 0
    assert speed["rm"]["peak_memory"] is None or speed["rm"]["peak_memory"] > 2**20


def tokens(row: dict[str, Any]) -> int:
    return int(row["prompt_tokens"] + row["completion_tokens"])


def test_what_is_asked_again_is_paid_once_and_what_is_gone_is_no_number(
    made: dict[str, Path], place: Callable[[str], Place]
) -> None:
    shutil.rmtree(made["refined"])
    with pytest.raises(RunFolderError, match="holds no run"):
        counted([made["refined"]], place("cost"))
    (row,) = counted([made["judge"]], place("cost"))["rewards"]
    assert (row["stages"], row["missing"], row["calls"], row["cost"]) == (
        ["judge"],
        ["principles of judge"],
        None,
        None,
    )
    assert (row["training"]["calls"], row["training"]["cost"], row["recalled"]) == (0, 0.0, 64)


def test_tries_under_one_name_and_replies_of_others_are_told_apart(
    tiny_task: Path, tmp_path: Path, place: Callable[[str], Place]
) -> None:
    inputs = JudgeInputs(task=str(tiny_task), model="stub", calibration_fraction=0.0, qualify=0)
    judge(inputs, JudgeSettings(), place("first"))
    judge(inputs, JudgeSettings(mode="verdict"), place("second"))
    shutil.rmtree(place("second").out)
    judge(inputs, JudgeSettings(), place("second"))  # under the name of another try, with the first one's replies
    first, second = counted([place("first").out, place("second").out], place("cost"))["stages"]
    assert (first["calls"], first["recalled"], first["earlier_calls"]) == (16, 0, 0)
    assert (second["calls"], second["recalled"], second["earlier_calls"]) == (16, 16, 16)


def test_labels_are_unknown_where_a_file_has_changed_and_clicks_are_apart(
    made: dict[str, Path], tmp_path: Path, tiny_task: Path, place: Callable[[str], Place]
) -> None:
    corpus = [{"query": f"c{i}", "response": f"A window {i}.", "clicks": i % 3} for i in range(9)]
    write_jsonl(tmp_path / "corpus.jsonl", [*corpus, corpus[0]])
    inputs = CurateInputs(task=str(tiny_task), model="stub", corpus=(tmp_path / "corpus.jsonl",))
    curate(inputs, CurateSettings(candidates=1, limit=2), place("clicked"))
    given = read_given([made["judge"], place("clicked").out]).to_json()
    assert (given["clicks"], given["labels_by_use"]["examples"], given["unread"]) == (6, 3, [])
    assert (given["labels"], given["labels_test"]) == (40 + 3, 24)
    write_jsonl(tmp_path / "copy.jsonl", texts("winter", 3))
    given = read_given([made["judge"]]).to_json()
    assert (given["labels"], given["clicks"]) == (None, None)
    assert given["unread"] == ["judge: calibration (copy.jsonl has changed)"]
    row = counted([made["judge"]], place("cost"))["rewards"][0]
    assert (row["labels"], row["unread"]) == (None, given["unread"])


def test_a_cascade_asks_the_judge_where_the_reward_model_is_unsure(
    made: dict[str, Path], tmp_path: Path, place: Callable[[str], Place], stub: Stub
) -> None:
    rows = texts("winter", 30)
    for row in rows[:20]:  # the reward model knows doors and windows, and these are neither
        row["response"] = row["response"].replace("a door", "a box").replace("a window", "a window box")
    rows.append({"query": "winter 0", "response": "This is unclear.", "label": 0})
    rows.append({"query": "spring 0", "response": "The judge was calibrated with this query.", "label": 0})
    write_jsonl(tmp_path / "winter.jsonl", rows)
    before = len(stub.log)
    given: dict[str, Any] = {"cascade": (str(made["rm"]), str(made["judge"])), "data": (tmp_path / "winter.jsonl",)}
    found = counted([], place("cost"), **given)["cascade"]
    assert len(stub.log) - before == found["n"] + found["n_fit"] == 61  # once, and none of a query learnt from
    assert (found["cheap"], found["dear"], found["left_out"]) == ("runs/rm", "runs/judge", 1)
    assert (found["dear_calls"], found["cheap_calls"]) == (found["n"], 0)
    assert found["calls_saved"] == found["n"] - found["asked"] == found["dear_calls"] - found["cascade_calls"]
    assert found["dear_cost"] > found["cascade_cost"]
    assert found["dear_seconds"] > 0
    again = counted([], place("cost"), **given)["cascade"]  # from the ledger: no call, and seconds as they were
    assert len(stub.log) - before == 61
    assert again["dear_seconds"] == found["dear_seconds"]
    with pytest.raises(InputError, match="learnt from the queries of all labelled texts"):
        counted([], place("cost"), cascade=given["cascade"], data=(tmp_path / "copy.jsonl",))


def test_both_strategies_by_the_number_of_labels(
    made: dict[str, Path], tmp_path: Path, place: Callable[[str], Place]
) -> None:
    write_jsonl(tmp_path / "many.jsonl", texts("winter", 60))
    labels = (tmp_path / "many.jsonl",)
    found = counted([made["rm"], made["judge"]], place("cost"), labels=labels, keep=True)["curves"]
    assert (found["n_fit"], found["n_test"], found["left_out"]) == (60, 60, 0)
    assert [row["labels"] for row in found["rm"]] == [0, 50]
    assert [row["labels"] for row in found["judge"]] == [0, 50]
    assert found["rm"][0]["auc"] == 1.0  # of pairs that debates made, whose window is a good one too
    assert found["rm_debated"] == []  # 16 texts were debated
    assert found["judge_unscored"] == 0
    alone = counted([], place("other"), labels=labels)["curves"]
    assert ([row["labels"] for row in alone["rm"]], alone["judge"], alone["rm_debated"]) == ([50], None, None)


# ---- folders made by hand ------------------------------------------------------------------------------------------


def by_hand(folder: Path, command: str, stage: str, *, reads: dict[str, Path] | None = None, **used: Any) -> None:
    """A finished run folder."""
    inputs = {name: {"path": path.name, "sha256": "0"} for name, path in (reads or {}).items()}
    settings = {"batch_size": 2, "num_generations": 4}
    write_json(folder / "manifest.json", {"command": command, "settings": settings, "seed": 0, "inputs": inputs})
    write_json(folder / "places.json", {name: os.path.relpath(path, folder) for name, path in (reads or {}).items()})
    result = {"auc": 0.8, "auc_ci": [0.7, 0.9], "scored": 90}
    Run.read(folder).complete(stage, result, seconds=10.0, used=used or None)


PAID = {"calls": 10, "recalled": 0, "tokens": 500, "cost": 0.5, "cost_known": 0.5, "currency": "USD", "failures": 2}


def test_a_recipe_by_hand_with_a_hybrid_on_a_gpu(tmp_path: Path) -> None:
    out = tmp_path / "mix"
    by_hand(out / "curate", "curate", "curate")
    by_hand(out / "reward_model", "train rm", "train", reads={"pairs": out / "data" / "pairs_and_curated.jsonl"})
    by_hand(out / "refine", "refine", "refine")
    by_hand(out / "judge", "judge", "judge", reads={"principles": out / "refine" / "principles.toml"})
    (out / "data").mkdir()
    write_json(out / "reward_model" / "reward.json", {"kind": "transformer"})
    JudgeSpec("greetings-en", "m", "logprob").save(out / "judge")
    reads = {"reward 1": out / "reward_model", "reward 2": out / "judge"}
    on_gpu = {"device": "H100", "peak_device_memory": 2**31, "peak_memory": 2**30}
    by_hand(out / "both", "train grpo", "train", reads=reads, **on_gpu)
    write_jsonl(out / "both" / "seconds.jsonl", [{"step": i, "write": 8.0 + i, "score": 4.0} for i in range(5)])
    write_json(out / "manifest.json", {"command": "run", "settings": {}, "seed": 0, "inputs": {}})
    for name in ("audit", "curate", "reward_model", "refine", "judge", "both"):
        Run.read(out).complete(name, {}, seconds=100.0, used=PAID)
    found = counted([out], Place(tmp_path / "cost"))
    a, b = found["rewards"]
    assert (a["reward"], a["stages"]) == ("reward_model", ["curate", "reward_model"])
    assert (a["seconds"], a["calls"], a["labels"]) == (200.0, 20, None)
    assert (b["reward"], b["stages"], b["cost"], b["gpu_seconds"]) == ("judge", ["refine", "judge"], 1.0, 0.0)
    (policy,) = found["policies"]
    assert (policy["strategy"], policy["calls"], policy["training"]["gpu_seconds"]) == ("A+B", 50, 100.0)
    assert policy["preparation"]["seconds"] == 400.0
    (run,) = found["runs"]
    assert (run["calls"], run["tokens"], run["cost"], run["ledger"]) == (60, 3000, 3.0, None)
    assert found["stages"][-1]["failures"] == 2
    writer, reward = found["speeds"]
    assert (writer["who"], writer["seconds_group_p50"], writer["seconds_text_p50"]) == ("both", 5.0, 1.25)
    assert (writer["peak_device_memory"], writer["device"], writer["texts_timed"]) == (2**31, "H100", 40)
    assert (reward["what"], reward["seconds_group_p95"], reward["peak_memory"]) == ("reward", 2.0, None)


def test_what_nobody_recorded_is_not_a_number(tmp_path: Path) -> None:
    by_hand(tmp_path / "old", "judge", "judge")  # of a version that kept no calls, and no ledger
    found = counted([tmp_path / "old"], Place(tmp_path / "cost"))
    (row,) = found["rewards"]
    assert (row["calls"], row["tokens"], row["cost"], row["seconds"]) == (None, None, None, 10.0)
    assert found["speeds"] == []
    assert found["stages"][0]["peak_memory"] is None
    for given in ({}, {"data": (Path("x"),)}, {"cascade": ("a", "b")}):
        with pytest.raises(InputError, match=r"name a run|needs labelled texts"):
            counted([], Place(tmp_path / "cost"), **given)


def test_a_recipe_is_read_as_its_stages(offline: Offline, recipe: Callable[..., Path], tmp_path: Path) -> None:
    run_recipe(load_recipe(str(recipe())), Place(tmp_path / "runs" / "small"))
    found = counted([tmp_path / "runs" / "small"], Place(tmp_path / "runs" / "cost"))
    a, b = found["rewards"]
    assert (a["strategy"], a["stages"]) == ("A", ["candidates", "curate", "reward_model"])
    assert (b["strategy"], b["stages"]) == ("B", ["refine", "judge"])
    # The reward model's threshold has all 96 labelled texts; half of them fit the judge, and half test it.
    assert (a["labels"], a["labels_by_use"]) == (96, {"examples": 24, "threshold": 96})
    assert (b["labels"], b["labels_test"]) == (48, 48)
    assert (a["common_n"], b["common_n"], a["common_length_auc"]) == (48, 48, 1.0)
    assert [(row["policy"], row["strategy"]) for row in found["policies"]] == [
        ("rm-rl", "A"), ("judge-rl", "B"), ("on-top", "A"),
    ]  # fmt: skip
    on_top = found["policies"][2]["stages"]
    assert on_top[-1] == "on-top"
    assert {"sft", "curate", "reward_model", "refine", "judge", "judge-rl"} <= set(on_top)
    took = {row["stage"]: row for row in found["stages"]}
    assert list(took) == [*STAGES, "evaluate"]
    assert found["runs"][0]["seconds"] == pytest.approx(sum(row["seconds"] for row in took.values()), abs=0.01)
    assert all(row["calls"] == 0 for row in took.values())  # the scripted model asks no ledger
    assert json.dumps(found, allow_nan=False)
