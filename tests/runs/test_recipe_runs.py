"""A recipe as a list of runs, offline: every stage, kills, changes, names that mean nothing, what is closed when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from offline import Offline

from inkfire.errors import InputError, ModelNameError, RecipeError, RefusedReward, RunFolderError, TaskError
from inkfire.files.jsonl import read_jsonl, sha256_file
from inkfire.models.card import Card
from inkfire.report.page import write_report
from inkfire.rewards.base import Reward
from inkfire.rewards.shaped import Shaped
from inkfire.runs.context import Context, Place
from inkfire.runs.experiment import run_recipe
from inkfire.runs.like import repeat
from inkfire.runs.plan import plan
from inkfire.runs.recipe import load_recipe

RecipeFile = Callable[..., Path]
STAGES = ["audit", "sft", "candidates", "curate", "reward_model", "refine", "judge", "rm-rl", "judge-rl", "on-top"]


def run(file: Path, out: Path, **place: Any) -> dict[str, Any]:
    return run_recipe(load_recipe(str(file)), Place(out, **place))


def stages(out: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted((out / "stages").glob("*.json"))}


def test_every_stage_runs_without_weights(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(recipe(), out)
    assert offline.trained == ["sft", "rm-rl", "judge-rl", "on-top"]
    assert list(result["evaluation"]) == ["base", "sft", "rm-rl", "judge-rl", "on-top"]
    assert {name: row["own_reward"] for name, row in result["evaluation"].items()} == {
        "base": [], "sft": [], "rm-rl": ["rm"], "judge-rl": ["judge"], "on-top": ["judge", "rm"],
    }  # fmt: skip
    assert result["comparison"]["signals"] == ["judge", "rm", "rubric", "debate", "length"]
    assert result["evaluation"]["sft"]["excellent_rate"]["rubric"] == 1
    assert result["evaluation"]["base"]["excellent_rate"]["rubric"] == 0
    assert stages(out).keys() == {*STAGES, "evaluate"}
    assert result["report"] == str(out / "report.html")
    for name in ("sft", "curate", "reward_model", "refine", "judge", "rm-rl", "evaluate"):
        assert (out / name / "manifest.json").is_file()  # each is a run of its own
    assert not (out / ".inkfire").exists()  # one ledger, beside the run
    written = [row["query"] for row in read_jsonl(out / "evaluate" / "responses-sft.jsonl")]
    held_out = [row["query"] for row in read_jsonl(out / "data" / "held_out_queries.jsonl")]
    assert written == held_out


@pytest.mark.slow
def test_the_writer_is_weights_in_every_stage_and_never_an_endpoints_model(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = ('"local/smollm2-135m"', '"org/base"')
    asked: list[str] = []
    model = Context.model
    monkeypatch.setattr(Context, "model", lambda self, name, **how: asked.append(name) or model(self, name, **how))
    run(recipe(hub), tmp_path / "run")
    assert offline.wrote.count("base") == 1
    evaluation = json.loads((tmp_path / "run" / "evaluate" / "evaluation.json").read_text())
    assert {row["written_by"] for row in evaluation["policies"].values()} == {"weights in this process, float32"}
    assert json.loads((tmp_path / "run" / "evaluate" / "manifest.json").read_text())["settings"]["policy base"] == (
        "hf/org/base"
    )
    assert set(asked) == {"m"}
    second = ("candidates = 1", 'candidates = 1\nwriter = ["org/base,prompt=writer_alt"]')
    with pytest.raises(RecipeError, match=r"curate.writer: org/base is the writer, trained here.*leave it out"):
        run(recipe(hub, second), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_is_opened_is_closed_and_no_model_is_open_while_a_policy_without_a_judge_trains(
    offline: Offline, recipe: RecipeFile, tmp_path: Path
) -> None:
    run(recipe(), tmp_path / "run")
    assert offline.opened == offline.llm.closes
    assert dict(zip(offline.trained, offline.open_at_training, strict=True)) == {
        "sft": 0, "rm-rl": 0, "judge-rl": 1, "on-top": 0,
    }  # fmt: skip


def test_typed_again_it_is_read_back(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    first = run(recipe(), tmp_path / "run")
    before, trained, opened = stages(tmp_path / "run"), list(offline.trained), offline.opened
    again = run(recipe(), tmp_path / "run", yes=False)
    assert (stages(tmp_path / "run"), offline.trained, offline.opened) == (before, trained, opened)
    assert again["evaluation"] == first["evaluation"]
    assert again["cached"] == again["calls"]


TASTE = """[[rewards]]
name = "taste"
score = "min(rm, share:!)"
checks = ["length:3..", "forbid:slop.txt"]
diversity = 0.3
[[policies]]
name = "judge-rl"
reward = "taste"
"""


def test_a_reward_of_a_table_is_what_its_policy_is_trained_against(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Reward] = []
    module = sys.modules["inkfire.training.grpo"]
    train = module.__dict__["train_grpo"]
    monkeypatch.setattr(module, "train_grpo", lambda *given, **how: seen.append(given[3]) or train(*given, **how))
    file = recipe(('[[policies]]\nname = "judge-rl"\nreward = "judge"\n', TASTE))
    (file.parent / "slop.txt").write_text("slop\n")
    run(file, tmp_path / "run")
    assert [isinstance(reward, Shaped) for reward in seen] == [False, True, True]  # a sum is standardised
    assert seen[1].checks.names == ("length:3..", f"forbid:{file.parent / 'slop.txt'}")
    assert (seen[1].shaping.diversity, seen[1].reward.how) == (0.3, "min")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["inputs"]["taste: check 2"]["path"] == "slop.txt"
    assert manifest["settings"]["rewards"][0]["checks"] == ["length:3..", "forbid:<check 2>"]

    file.write_text(file.read_text().replace("diversity = 0.3", "diversity = 0.4"))
    rows = plan(load_recipe(str(file)), Place(tmp_path / "run"))
    assert [row["stage"] for row in rows if row["state"] == "redo"] == ["judge-rl", "on-top", "evaluate"]


def test_a_policy_is_trained_by_the_method_that_it_names(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    for method, name in (("bon", "train_bon"), ("dpo", "train_dpo_rounds")):
        module = sys.modules[f"inkfire.training.{method}"]
        train = module.__dict__[name]

        def spy(*given: Any, method: str = method, train: Callable[..., Any] = train, **how: Any) -> Any:
            seen[method] = given[5]
            return train(*given, **how)

        monkeypatch.setattr(module, name, spy)
    named = (
        ('name = "rm-rl"', 'name = "rm-rl"\nmethod = "bon"'),
        ('name = "judge-rl"', 'name = "judge-rl"\nmethod = "dpo"'),
    )
    tables = ("[grpo]", "[bon]\nn = 4\nlimit = 2\n[dpo]\nrounds = 2\nn = 3\nbeta = 0.2\n[grpo]")
    file, out = recipe(*named, tables), tmp_path / "run"
    run(file, out)
    assert [Card.read(out / name).trained for name in ("rm-rl", "judge-rl", "on-top")] == ["bon", "dpo", "grpo"]
    assert (seen["bon"].n, seen["bon"].limit, seen["dpo"].rounds, seen["dpo"].beta) == (4, 2, 2, 0.2)
    manifest = json.loads((out / "manifest.json").read_text())
    assert [row.get("method") for row in manifest["settings"]["policies"]] == ["bon", "dpo", None]
    file.write_text(file.read_text().replace("beta = 0.2", "beta = 0.3"))
    rows = plan(load_recipe(str(file)), Place(out))
    assert [row["stage"] for row in rows if row["state"] == "redo"] == ["judge-rl", "on-top", "evaluate"]
    train = len(list(read_jsonl(out / "data" / "train_queries.jsonl")))
    assert next(row["calls"] for row in rows if row["stage"] == "judge-rl") == 2 * 3 * train
    assert {"bon", "dpo"}.isdisjoint(json.loads((plain(recipe, tmp_path) / "manifest.json").read_text())["settings"])


def test_canaries_and_queries_to_validate_on(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    module = sys.modules["inkfire.training.grpo"]
    train = module.__dict__["train_grpo"]
    monkeypatch.setattr(module, "train_grpo", lambda *given, **how: seen.append(given) or train(*given, **how))
    file = recipe(
        ('reward = "rm"', 'reward = "rm"\ncanary = ["judge", "share:!"]'),
        ("max_steps = 1", "max_steps = 1\nvalidation = 2"),
    )
    out = tmp_path / "run"
    run(file, out)
    watched, queries = seen[0][3], {query.query for query in seen[0][1]}
    assert [canary.name.partition(":")[0] for canary in watched.canaries] == ["judge", "share"]
    looked_at = {row["query"] for row in read_jsonl(out / "data" / "validation_queries.jsonl")}
    assert {query.query for query in watched.validation} == looked_at
    assert len(looked_at) == 2
    assert not looked_at & queries
    file.write_text(file.read_text().replace(', "share:!"]', "]"))
    rows = plan(load_recipe(str(file)), Place(out))
    assert [row["stage"] for row in rows if row["state"] == "redo"] == ["rm-rl", "evaluate"]
    assert next(row["calls"] for row in rows if row["stage"] == "rm-rl") == 4  # the judge reads one step


def test_a_canary_that_is_refused_is_left_out_and_said(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from inkfire.runs import stages as of

    def check(spec: str, **_: Any) -> None:
        if spec.endswith("judge"):
            raise RefusedReward("no better than a coin")

    monkeypatch.setattr(of, "check_reward", check)
    run(recipe(('reward = "rm"', 'reward = "rm"\ncanary = ["judge"]')), tmp_path / "run")
    said = json.loads(stages(tmp_path / "run")["rm-rl"])
    assert "no better than a coin" in json.dumps(said)
    assert "rm-rl is trained without the canary judge: no better than a coin" in capsys.readouterr().err


def plain(recipe: RecipeFile, tmp_path: Path) -> Path:
    """The same recipe without methods, as one from before they had names."""
    run(recipe(), tmp_path / "plain")
    return tmp_path / "plain"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "judge-rl", "on-top"])
def test_killed_in_a_training_it_goes_on_to_the_same_end(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, stage: str
) -> None:
    run(recipe(), tmp_path / "whole")
    offline.stop_at = stage
    with pytest.raises(KeyboardInterrupt):
        run(recipe(), tmp_path / "run")
    assert offline.opened == offline.llm.closes
    offline.stop_at = None
    run(recipe(), tmp_path / "run")
    assert stages(tmp_path / "run") == stages(tmp_path / "whole")
    assert offline.trained.count(stage) == 3  # whole, killed, resumed
    assert offline.trained.count("sft") == (3 if stage == "sft" else 2)


def test_a_failed_first_try_binds_nobody(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    offline.stop_at = "sft"
    with pytest.raises(KeyboardInterrupt):
        run(recipe(), tmp_path / "run")
    (tmp_path / "run" / "stages" / "audit.json").unlink()
    for path in sorted((tmp_path / "run").rglob("*"), reverse=True):
        if path.name != "manifest.json" or path.parent.name == "sft":
            path.unlink() if path.is_file() else path.rmdir()
    offline.stop_at = None
    run(recipe(("limit = 2", "limit = 3")), tmp_path / "run")


CHANGES = [
    (('"rm", "rubric", "debate"]', '"rm"]'), ["evaluate"]),
    (("max_steps = 1", "max_steps = 2"), ["rm-rl", "judge-rl", "on-top", "evaluate"]),
    (('reward = "0.5*rm + 0.5*share:!"', 'reward = "rm"'), ["on-top", "evaluate"]),
    (("limit = 2", "limit = 3"), ["candidates", "curate", "reward_model", "rm-rl", "on-top", "evaluate"]),
    (("rounds = 0", "rounds = 0\npatience = 3"), ["refine", "judge", "judge-rl", "on-top", "evaluate"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "void"), CHANGES)
def test_a_change_redoes_what_depends_on_it_with_consent(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, change: tuple[str, str], void: list[str]
) -> None:
    out = tmp_path / "run"
    run(recipe(), out)
    trained, before = len(offline.trained), stages(out)
    changed = recipe(change)
    with pytest.raises(RunFolderError, match=f"--yes redoes the stages {', '.join(void)}, or use another --out"):
        run(changed, out)
    assert stages(out) == before  # nothing is lost by asking
    assert [row["stage"] for row in plan(load_recipe(str(changed)), Place(out)) if row["state"] == "redo"] == void
    run(changed, out, yes=True)
    again = [name for name in ("rm-rl", "judge-rl", "on-top") if name in void]
    assert offline.trained[trained:] == ([] if "refine" in void else again)  # the same rules: nothing to learn anew
    assert {name for name in before if stages(out)[name] == before[name]} >= set(before) - set(void)
    assert run(changed, out)["report"]  # and is agreed on from then on


def test_more_signals_write_no_text_again(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    fewer = recipe(('signals = ["judge", "rm", "rubric", "debate"]', 'signals = ["rm"]'))
    run(fewer, tmp_path / "run")
    wrote = list(offline.wrote)
    result = run(recipe(), tmp_path / "run", yes=True)
    assert offline.wrote == wrote
    assert result["comparison"]["signals"] == ["judge", "rm", "rubric", "debate", "length"]


def test_another_endpoint_and_other_limits_are_the_same_run(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(recipe(), tmp_path / "run")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:10/v1")
    (tmp_path / "run").rename(tmp_path / "moved")
    trained = len(offline.trained)
    run(recipe(), tmp_path / "moved")
    assert len(offline.trained) == trained


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (('"rubric", "debate"]', '"rubrik", "debate"]'), RecipeError, "unknown signal 'rubrik'; did you mean 'rubric'"),
        (('reward = "judge"', 'reward = "jugde"'), RecipeError, "the reward of 'judge-rl'"),
        (('start = "judge-rl"', 'start = "judge-lr"'), RecipeError, "did you mean 'judge-rl'"),
        (('writer = "local/smollm2-135m"', 'writer = "local/smollm2-153m"'), InputError, "did you mean 'smollm2-135m'"),
        (('writer = "local/smollm2-135m"', 'writer = "smollm2-135m"'), InputError, "local/smollm2-135m"),
        (('agents = "m"', 'agents = "local/qwen2.5-coder-9b"'), InputError, "unknown model"),
        (("candidates = 1", 'candidates = 1\nwriter = ["local/nobody"]'), InputError, "unknown model 'nobody'"),
        (
            ("candidates = 1", 'candidates = 1\nagent = ["judge=hf/org/any"]'),
            InputError,
            "hf/org/any: weights from the",
        ),
        (("candidates = 1", 'candidates = 1\nagent = ["judge=local/nobody"]'), InputError, "unknown model 'nobody'"),
        (("candidates = 1", 'candidates = 1\ndepth = "full"'), TaskError, r"positive_full\.jinja: no such prompt"),
        (("fit_fraction = 0.5", 'fit_fraction = 0.5\ndepth = "full"'), InputError, "--depth is a setting of a debate"),
        (
            ('"rubric", "debate"]', '"rubric"]\npoints = 3'),
            RecipeError,
            "--points is a setting of a debate, and no signal is one",
        ),
    ],
)
def test_every_name_is_checked_before_the_first_stage(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, change: tuple[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(recipe(change), tmp_path / "run")
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert offline.trained == []


def test_a_misspelt_variable_of_a_prompt_is_named_before_the_first_stage(
    offline: Offline, recipe: RecipeFile, tiny_task: Path, tmp_path: Path
) -> None:
    prompt = tiny_task / "prompts" / "rubric.jinja"
    prompt.write_text(prompt.read_text().replace("{{ query | quote }}", "{{ qurey | quote }}"))
    with pytest.raises(TaskError, match=r"rubric\.jinja:\d+: unknown variable 'qurey'; did you mean 'query'"):
        run(recipe(), tmp_path / "run")
    assert offline.trained == []


def test_labels_of_one_class_are_refused_before_the_first_stage(
    offline: Offline, recipe: RecipeFile, tmp_path: Path
) -> None:
    file = recipe()
    rows = [{**row, "label": 1} for row in read_jsonl(tmp_path / "labelled.jsonl")]
    (tmp_path / "labelled.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=r"one class|both"):
        run(file, tmp_path / "run")
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize(("queries", "said"), [(8, "10 are needed"), (1, "both")])
def test_too_few_labels_are_refused_before_the_first_stage(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, queries: int, said: str
) -> None:
    file = recipe()
    rows = list(read_jsonl(tmp_path / "labelled.jsonl"))[: 2 * queries]
    (tmp_path / "labelled.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=said):
        run(file, tmp_path / "run")
    assert offline.trained == []


def test_a_writer_that_cannot_be_asked_is_refused_before_the_folder_is_begun(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def find_model(source: str) -> None:
        asked.append(source)
        if "smollm2" in source:
            raise ModelNameError("no tokenizer")

    monkeypatch.setattr(sys.modules["inkfire.models.policy"], "find_model", find_model)
    plan(load_recipe(str(recipe())), Place(tmp_path / "run"))
    assert asked == []  # a plan looks into no weights
    with pytest.raises(ModelNameError, match="no tokenizer"):
        run(recipe(), tmp_path / "run")
    scorer = ("[reward_model]\n", '[reward_model]\nkind = "transformer"\nbase = "local/smollm2-135m"\n')
    with pytest.raises(ModelNameError, match="no tokenizer"):
        run(recipe(scorer, ('writer = "local/smollm2-135m"', 'writer = "local/qwen2.5-coder-0.5b"')), tmp_path / "run")
    assert asked == ["local/smollm2-135m", "local/qwen2.5-coder-0.5b", "local/smollm2-135m"]
    assert not (tmp_path / "run").exists()


def test_pairs_of_the_data_alone_need_no_curation_and_the_report_says_whose_they_are(
    offline: Offline, recipe: RecipeFile, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    data = ("[reward_model]\n", '[reward_model]\npairs = "data"\n')
    result = run(recipe(data), out)
    assert not {"candidates", "curate"} & stages(out).keys()
    assert not (out / "curate").exists()
    trained = json.loads(stages(out)["reward_model"])
    assert trained["pairs_curated"] == 0 < trained["pairs_data"]
    page = write_report(out).read_text(encoding="utf-8")
    assert f"learnt from 0 pairs curated here and {trained['pairs_data']} of the data" in page
    assert "debate" in result["comparison"]["signals"]  # by the recipe's agents: there is no curation to copy


def test_pairs_curated_here_alone_are_learnt_from(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    run(
        recipe(("limit = 2", "limit = 6"), ("[reward_model]\n", '[reward_model]\npairs = "curated"\n')),
        tmp_path / "run",
    )
    trained = json.loads(stages(tmp_path / "run")["reward_model"])
    assert trained["pairs_data"] == 0 < trained["pairs_curated"]


def test_large_models_are_compared_where_there_is_a_key_and_named_where_there_is_none(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = ("queries = 4", 'queries = 4\nothers = ["large=m", "larger=m"]')
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    without = run(recipe(others), tmp_path / "without")
    assert "large" not in without["evaluation"]
    page = write_report(tmp_path / "without").read_text(encoding="utf-8")
    assert "Not compared with: large, larger (there was no OPENAI_API_KEY" in page
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    compared = run(recipe(others), tmp_path / "with")
    assert {"large", "larger"} <= compared["evaluation"].keys()
    assert compared["comparison"]["not_asked"] == []
    with pytest.raises(RecipeError, match=r"others: 'sft=m': write NAME=MODEL, with a name that no policy has"):
        load_recipe(str(recipe(("queries = 4", 'queries = 4\nothers = ["sft=m"]'))))


def test_a_file_of_a_release_is_found_in_the_cache(
    offline: Offline, recipe: RecipeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    named = ('queries = "queries.jsonl"', 'queries = ["release:greetings-zh/random_query.txt", "queries.jsonl"]')
    with pytest.raises(RecipeError, match="the release is not here: inkfire data pull greetings-zh"):
        load_recipe(str(recipe(named)))
    folder = tmp_path / "cache" / "data" / "greetings-zh"
    folder.mkdir(parents=True)
    (folder / "random_query.txt").write_text("给外婆的生日祝福\n")
    queries = load_recipe(str(recipe(named))).data.queries
    assert isinstance(queries, tuple)
    assert queries[0] == folder / "random_query.txt"
    assert queries[1].name == "queries.jsonl"
    with pytest.raises(InputError, match="no release 'greeting-zh'; did you mean 'greetings-zh'"):
        load_recipe(str(recipe((named[0], 'queries = "release:greeting-zh/a.txt"'))))


def test_the_plan_says_what_would_run_and_writes_nothing(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    rows = plan(load_recipe(str(recipe())), Place(tmp_path / "run"))
    assert [row["stage"] for row in rows] == [*STAGES, "evaluate"]
    assert {row["state"] for row in rows} == {"to do"}
    assert not (tmp_path / "run").exists()
    calls = {row["stage"]: row["calls"] for row in rows}
    assert calls["curate"] > 0
    assert calls["sft"] == calls["reward_model"] == calls["rm-rl"] == 0
    assert all((row["tokens"] > 0) == (row["calls"] > 0) for row in rows)
    memory = {row["stage"]: row["memory_gib"] for row in rows}
    assert memory["sft"] == 0.3  # 135M in bf16, and an adapter
    assert memory["curate"] == 0  # at the endpoint
    assert calls["judge"] > 0
    assert {row["cost"] for row in rows if row["calls"]} == {None}
    assert {row["cost"] for row in rows if not row["calls"]} == {0.0}
    prices = tmp_path / ".inkfire" / "prices.toml"
    prices.parent.mkdir(exist_ok=True)
    prices.write_text('currency = "EUR"\n[m]\nprompt = 1.0\ncompletion = 6.0\n')
    [judge] = [row for row in plan(load_recipe(str(recipe())), Place(tmp_path / "run")) if row["stage"] == "judge"]
    assert judge["cost"] == pytest.approx(judge["tokens"] * (0.8 + 0.2 * 6) / 1e6, rel=0.1)
    assert judge["currency"] == "EUR"
    run(recipe(), tmp_path / "run")
    assert {row["state"] for row in plan(load_recipe(str(recipe())), Place(tmp_path / "run"))} == {"done"}


def test_a_run_is_repeated_from_its_manifest(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    first = run(recipe(), tmp_path / "runs" / "a", seed=3)
    again = repeat(tmp_path / "runs" / "a", Place(tmp_path / "elsewhere" / "b"))
    assert again["evaluation"] == first["evaluation"]
    before, after = (json.loads((path / "manifest.json").read_text()) for path in (
        tmp_path / "runs" / "a", tmp_path / "elsewhere" / "b"))  # fmt: skip
    assert after == before
    (tmp_path / "labelled.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=r"input labelled of .* has changed"):
        repeat(tmp_path / "runs" / "a", Place(tmp_path / "c"))


def test_each_stage_is_repeated_from_its_own_manifest(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    run(recipe(), tmp_path / "run")
    for name in ("sft", "curate", "reward_model", "refine", "judge", "judge-rl", "evaluate"):
        repeat(tmp_path / "run" / name, Place(tmp_path / "again" / name))
        one, two = (
            json.loads((at / name / "manifest.json").read_text()) for at in (tmp_path / "run", tmp_path / "again")
        )
        assert one == two
    assert sha256_file(tmp_path / "again" / "curate" / "pairs.jsonl") == sha256_file(
        tmp_path / "run/curate/pairs.jsonl"
    )


def test_a_folder_in_use_names_who_uses_it(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from inkfire.files.run import locked\n"
    code += "with locked(Path(sys.argv[1])):\n print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match=f"in use by process {other.pid}"):
            run(recipe(), tmp_path / "run")
        other.kill()
    run(recipe(), tmp_path / "run")


def test_nothing_that_is_saved_has_an_absolute_path(offline: Offline, recipe: RecipeFile, tmp_path: Path) -> None:
    run(recipe(), tmp_path / "run")
    for path in (tmp_path / "run").rglob("manifest.json"):
        assert str(tmp_path / "run") not in path.read_text(), path
    assert Card.read(tmp_path / "run" / "rm-rl").own_rewards[0].kind == "reward model"
