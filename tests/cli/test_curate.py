"""``inkfire curate`` against a stub endpoint, and what it says when the input is wrong."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stub_endpoint import Stub, default_reply

from inkfire.cli.curate import conversation
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.llm.bill import Bill
from inkfire.models.card import Card
from inkfire.tasks.task import load_task

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    stub = Path(__file__).parents[1] / "stub_endpoint.py"
    with subprocess.Popen(
        [sys.executable, str(stub)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("a wish for Easter\na wish for a wedding\na wish for an exam\na wish for Easter\n")
    return path


@pytest.fixture
def command(tiny_task: Path, prompts: Path, tmp_path: Path, endpoint: str) -> list[object]:
    return [
        "curate", "--task", tiny_task, "--prompts", prompts, "--model", "stub", "--base-url", endpoint,
        "--pairs", "all", "--out", tmp_path / "run", "--json",
    ]  # fmt: skip


def test_it_makes_pairs_and_resumes_without_a_request(cli: Cli, command: list[object], tmp_path: Path) -> None:
    code, result, _ = cli(*command)
    assert code == 0
    assert {"queries", "candidates", "labelled", "unscored", "pairs", "reflect_flips"} <= result.keys()
    assert (result["queries"], result["repeated_queries"], result["cached"]) == (3, 1, 0)
    assert result["candidates"] == result["labelled"] >= 12
    assert result["calls"] == 5 * result["candidates"]
    rows = list(read_jsonl(tmp_path / "run" / "pairs.jsonl"))
    assert len(rows) == result["pairs"]

    code, again, _ = cli(*command)
    assert code == 0
    assert (result["cost"], list(result["unpriced_models"])) == (None, ["stub"])
    assert (result["total_cost"], result["total_unpriced_calls"]) == (None, result["calls"])
    assert again == {**result, "cached": result["calls"], "tokens": 0, **Bill().fields()}
    prices = tmp_path / ".inkfire" / "prices.toml"
    prices.write_text("[stub]\nprompt = 1e6\ncompletion = 1e6\n", encoding="utf-8")  # given later
    priced = cli(*command)[1]
    assert (priced["total_cost"], priced["total_unpriced_calls"]) == (result["total_tokens"], 0)
    prices.unlink()

    code, other, _ = cli(*[tmp_path / "other" if arg == tmp_path / "run" else arg for arg in command])
    assert code == 0
    assert other["calls"] == other["cached"] == result["calls"]
    for name in ("pairs.jsonl", "transcripts.jsonl", "outcomes.jsonl", "README.md", "stages/curate.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_debate_is_shown_as_a_conversation(cli: Cli, command: list[object], tmp_path: Path) -> None:
    assert cli(*command)[0] == 0
    first = next(read_jsonl(tmp_path / "run" / "transcripts.jsonl"))
    code, row, _ = cli("curate", "show", first["id"][:8], "--out", tmp_path / "run", "--json")
    assert (code, row) == (0, first)
    code, shown, _ = cli("curate", "show", first["id"], "--out", tmp_path / "run")
    assert code == 0
    assert shown["text"].splitlines()[0].startswith(first["id"])
    code, _, err = cli("curate", "show", "nonesuch", "--out", tmp_path / "run")
    assert code == 2
    assert "holds no debate 'nonesuch'" in err


def test_given_candidates_are_debated(cli: Cli, command: list[object], tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    write_jsonl(texts, ({"query": "Easter", "response": f"{i} {'xyz'[i]} wish", "source": "sft"} for i in range(3)))
    given = [*command[:3], "--candidates-from", texts, *command[5:]]
    code, result, _ = cli(*given, "--agent", "negative=off")
    assert code == 0
    assert (result["queries"], result["candidates"], result["calls"]) == (1, 3, 9)
    assert {row["source"] for row in read_jsonl(tmp_path / "run" / "transcripts.jsonl")} == {"sft"}


def test_the_spend_limit_exits_3_and_a_higher_one_resumes(cli: Cli, command: list[object], tmp_path: Path) -> None:
    code, result, _ = cli(*command, "--budget-tokens", 3000)
    assert code == 3
    assert not (tmp_path / "run" / "pairs.jsonl").exists()
    code, result, _ = cli(*command, "--budget-tokens", 10_000_000)
    assert code == 0
    assert result["cached"] > 0


def test_an_estimate_writes_no_pairs_and_is_not_paid_twice(cli: Cli, command: list[object], tmp_path: Path) -> None:
    code, result, _ = cli(*command, "--estimate")
    assert code == 0
    assert not (tmp_path / "run").exists()
    assert (result["n"], result["queries"], result["estimate_cost"], result["unpriced"]) == (3, 3, None, ["stub"])
    assert result["estimate_calls"] == result["calls"] == result["estimate_calls_ci"][1] > 0
    code, run, _ = cli(*command)
    assert code == 0
    assert run["calls"] == run["cached"] == result["calls"]
    assert run["pair_share"] == result["estimate_pair_share"]
    parts = [cli(*command, "--estimate", "--shard", f"{i}/3") for i in (1, 2, 3)]
    assert sum(part["queries"] for code, part, _ in parts if code == 0) == 3
    assert all("nothing can be estimated" in err for code, _, err in parts if code != 0)

    code, shown, _ = cli(*[arg for arg in command if arg != "--json"], "--estimate")
    assert code == 0
    assert "3 of 3 queries were tried" in shown["text"]
    assert "unknown: no price of stub" in shown["text"]


@pytest.mark.parametrize("kind", ["dense", "hybrid"])
def test_agents_are_shown_what_embeddings_find(
    cli: Cli, command: list[object], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    corpus = tmp_path / "corpus.jsonl"
    texts = [("a wish for Easter", "Bells."), ("a wish for a wedding", "Rings."), ("a bill", "Pay up.")]
    write_jsonl(corpus, ({"query": query, "response": text, "clicks": 1} for query, text in texts))
    dense = [*command, "--corpus", corpus, "--retrieval", kind, "--embedder", "e"]
    code, result, _ = cli(*dense)
    assert code == 0
    # 1 request for the corpus and 1 for each of 3 queries, which is asked for by every candidate
    assert result["calls"] - result["cached"] == 5 * result["candidates"] + 4
    for row in read_jsonl(tmp_path / "run" / "transcripts.jsonl"):
        assert row["query"] in {example["query"] for example in row["examples"]} or "exam" in row["query"]
    assert len(list((tmp_path / "cache" / "vectors").glob("*.npy"))) == 1
    code, _, err = cli(*command, "--retrieval", kind, "--embedder", "e")
    assert code == 2
    assert f"--retrieval {kind} has nothing to search: name good texts, --corpus FILE" in err


def test_curated_by_batch_is_curated_live(cli: Cli, command: list[object], tmp_path: Path) -> None:
    assert cli(*command, "--rounds", 3)[0] == 0
    folder = tmp_path / "batch"
    offline = [tmp_path / "apart" / "run" if arg == tmp_path / "run" else arg for arg in command]
    offline += ["--rounds", 3, "--batch-dir", folder]
    paid = waves = 0
    served: set[Path] = set()
    while True:
        code, result, _ = cli(*offline)
        assert code == 0
        paid += result["calls"] - result["cached"]
        if not result["waiting"]:
            break
        waves += 1
        assert {"queries_waiting", "files", "next"} <= result.keys()
        assert not (tmp_path / "apart" / "run" / "pairs.jsonl").exists()
        sent = set(folder.glob("wave-*.jsonl")) - served
        assert {str(path) for path in sent} == result["files"].keys()
        for wave in sent:
            rows = [
                {"custom_id": row["custom_id"], "response": {"status_code": 200, "body": answered(row["body"])}}
                for row in read_jsonl(wave)
            ]
            write_jsonl(folder / f"output-of-{wave.name}", reversed(rows))  # a batch keeps no order
        served |= sent
    assert waves >= 4  # write, both critiques, judge, reflect
    for name in ("pairs.jsonl", "transcripts.jsonl", "stages/curate.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "apart" / "run" / name).read_bytes()
    assert result["waiting"] == 0

    live = [tmp_path / "apart" / "live" if arg == tmp_path / "run" else arg for arg in command]
    code, again, _ = cli(*live, "--rounds", 3)
    assert code == 0
    assert again["calls"] == again["cached"] == paid
    code, done, _ = cli(*offline)
    assert (code, done["waiting"], done["pairs"]) == (0, 0, result["pairs"])


def answered(body: dict[str, Any]) -> dict[str, Any]:
    completion: dict[str, Any] = json.loads(Stub()._completion(body, default_reply(body)))
    return completion


def test_what_to_do_with_a_batch_is_said_in_words(cli: Cli, command: list[object], tmp_path: Path) -> None:
    words = [arg for arg in command if arg != "--json"]
    code, shown, _ = cli(*words, "--batch-dir", tmp_path / "batch")
    assert code == 0
    assert "12 calls wait for their replies, for 3 queries." in shown["text"]
    assert "wave-001-stub.jsonl: 12 requests to send" in shown["text"]
    assert "Then run the same command again." in shown["text"]
    code, _, err = cli(*command, "--batch-dir", tmp_path / "batch", "--estimate")
    assert code == 2
    assert "leave --batch-dir out" in err


def test_a_model_on_this_machine_needs_no_price(
    cli: Cli, command: list[object], endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = SimpleNamespace(base_url=endpoint, api_key="key", model_key="sha:1", release=lambda: None)
    monkeypatch.setattr("inkfire.models.store.pull", Path)
    monkeypatch.setattr("inkfire.models.engine.acquire", lambda weights, adapter, embedding: served)
    code, _, err = cli(*command, "--budget", "5.00")
    assert code == 2
    assert "needs the price of 'stub'" in err
    local = ["local/own.gguf" if arg == "stub" else f"{arg}-local" if "run" in str(arg) else arg for arg in command]
    code, result, _ = cli(*local, "--budget", "5.00", "--rpm", "1", "--tpm", "1")  # and is not held up by limits
    assert code == 0
    assert (result["cost"], result["calls"]) == (0.0, 5 * result["candidates"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--task": "greetings-xx"}, "no task 'greetings-xx'"),
        ({"--prompts": "missing.txt"}, "missing.txt: no such file"),
        ({"--pairs": "random"}, 'for --pairs. Choose from: "length-matched", "best-worst", "all"'),
        ({"--agent": "jury=m"}, "--agent 'jury=m'"),
        ({"--writer": "m,temprature=1"}, "--writer 'm,temprature=1'"),
        ({"--writer": "m,temperature=hot"}, "temperature must be a number"),
        ({"--candidates-from": "x.jsonl"}, "either --prompts or --candidates-from"),
        ({"--candidates": "0"}, "greater than or equal to 1"),
    ],
)
def test_wrong_input_exits_2_and_writes_nothing(
    cli: Cli, command: list[object], tmp_path: Path, change: dict[str, str], message: str
) -> None:
    args = list(command)
    for option, value in change.items():
        if option in args:
            args[args.index(option) + 1] = value
        else:
            args += [option, value]
    code, result, err = cli(*args)
    assert code == 2
    assert message in err
    assert message in result["error"]
    assert not (tmp_path / "run").exists()


def test_bad_prompts_are_named_by_line(cli: Cli, command: list[object], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"query": "fine"}\n{"query": \n')
    code, _, err = cli(*[bad if str(arg).endswith("prompts.txt") else arg for arg in command])
    assert code == 2
    assert "bad.jsonl:2" in err
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    code, _, err = cli(*[empty if str(arg).endswith("prompts.txt") else arg for arg in command])
    assert code == 2
    assert "empty.txt" in err


def test_writers_and_agents_are_parsed(cli: Cli, command: list[object], tmp_path: Path) -> None:
    writers = ["--writer", "m,prompt=writer_alt,temperature=0.8", "--writer", "org/m:1"]
    assert cli(*command, *writers, "--agent", "judge=big", "--agent", "reflect=off", "--limit", 1)[0] == 0
    about = json.loads((tmp_path / "run" / "manifest.json").read_text())["settings"]
    assert about["writers"] == [
        {"model": "m", "prompt": "writer_alt", "temperature": 0.8},
        {"model": "org/m:1", "prompt": "writer", "temperature": 1.0},
    ]
    assert about["agents"] == {"positive": "stub", "negative": "stub", "judge": "big"}


def test_a_conversation_reads_from_top_to_bottom() -> None:
    row = {
        "id": "abc", "query": "Easter", "response": "Bells.", "source": "sft", "label": 1, "unscored": None,
        "flipped": True, "examples": [{"query": "q", "response": "r"}], "positive": {"warm": "bells"}, "negative": None,
        "judge": {"judge": 0, "reason": "short"}, "reflect": {"judge": 1, "reason": "apt"},
        "models": {"positive": "a", "judge": "b", "reflect": "c"},
    }  # fmt: skip
    text = conversation(row)
    parts = ["abc  good", "Easter", "Bells.", "sft", "q: r", "(a)", "+ warm: bells", "bad: short", "good, overturning"]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)
    assert "Negative" not in text
    assert "Unscored  judge: empty" in conversation({**row, "judge": None, "reflect": None, "unscored": "judge: empty"})


def test_shards_are_merged_into_the_run_that_was_not_divided(cli: Cli, command: list[object], tmp_path: Path) -> None:
    whole = cli(*command)[1]
    parts = [tmp_path / f"{i}-of-2" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        code, _, _ = cli(*[part if arg == tmp_path / "run" else arg for arg in command], "--shard", f"{i}/2")
        assert code == 0
    code, _, err = cli("curate", "merge", parts[0], "--out", tmp_path / "merged")
    assert code == 2
    assert "shards are missing: 2/2" in err
    code, merged, _ = cli("curate", "merge", *parts, "--out", tmp_path / "merged", "--json")
    assert code == 0
    assert merged["shards"] == 2
    assert {name: merged[name] for name in ("queries", "pairs", "calls")} == {
        name: whole[name] for name in ("queries", "pairs", "calls")
    }
    for name in ("pairs.jsonl", "transcripts.jsonl", "outcomes.jsonl", "README.md", "stages/curate.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    again = [tmp_path / "merged" if arg == tmp_path / "run" else arg for arg in command]
    assert cli(*again)[1]["calls"] == whole["calls"]  # the merged folder is the undivided run's


def test_ray_is_named_when_it_is_missing(
    cli: Cli, command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = cli(*command, "--engine", "ray")
    assert code == 2
    assert "pip install 'inkfire[ray]'" in err
    assert not (tmp_path / "run").exists()
    code, _, err = cli(*command, "--shards", 2)
    assert code == 2
    assert "--engine is local" in err


# ---- depth and examples --------------------------------------------------------------------------------------------


@pytest.fixture
def full(command: list[object]) -> list[object]:
    """The same for a task that has the prompts of a full debate."""
    return ["greetings-en" if arg == command[2] else arg for arg in command]


def manifest(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["settings"]
    return settings


def test_an_endpoints_models_debate_in_full_with_examples_of_the_task(
    cli: Cli, full: list[object], tmp_path: Path
) -> None:
    code, result, _ = cli(*full)
    assert (code, result["depth"]) == (0, "full")
    about = manifest(tmp_path / "run")
    good = [text.response for text in load_task("greetings-en").good_texts()]
    assert (about["depth"], about["examples_of_task"], about["k_search"], about["k_final"]) == (
        "full", len(good), 20, 2,
    )  # fmt: skip
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| depth of the debates | full |" in card
    assert (
        f"| examples shown | the 2 most clicked of the 20 nearest (bm25) of the task's {len(good)} good texts |" in card
    )
    rows = list(read_jsonl(tmp_path / "run" / "transcripts.jsonl"))
    assert {example["response"] for row in rows for example in row["examples"]} <= set(good)
    assert any(row["examples"] for row in rows)
    code, page, _ = cli("report", tmp_path / "run", "--json")
    assert "They were debated in full." in Path(page["report"]).read_text(encoding="utf-8")


def test_depth_points_and_examples_are_settings(cli: Cli, full: list[object], tmp_path: Path) -> None:
    few = [*full, "--points", 2, "--sentence", 9, "--agent-tokens", 200, "--k-final", 0, "--limit", 1]
    assert cli(*few)[0] == 0
    rows = list(read_jsonl(tmp_path / "run" / "transcripts.jsonl"))
    assert all(row["examples"] == [] for row in rows)
    assert all(len(row[side]) <= 2 for row in rows for side in ("positive", "negative"))
    assert "at most 2 points a side" in (tmp_path / "run" / "README.md").read_text()
    assert "examples_of_task" not in manifest(tmp_path / "run")
    code, _, err = cli(*few, "--depth", "short")
    assert (code, "--points is a setting of a full debate" in err) == (2, True)
    code, _, err = cli(*few, "--corpus", tmp_path / "prompts.txt")
    assert (code, "--k-final 0 shows no examples" in err) == (2, True)
    short = [tmp_path / "short" if arg == tmp_path / "run" else arg for arg in full]
    assert cli(*short, "--depth", "short", "--limit", 1)[1]["depth"] == "short"
    assert not any(row["examples"] for row in read_jsonl(tmp_path / "short" / "transcripts.jsonl"))


def test_a_text_that_is_debated_is_no_example(cli: Cli, full: list[object], tmp_path: Path) -> None:
    queries = ["a wish for Easter", "a wish for a wedding"]
    texts = [{"query": query, "response": f"{query}: bells and bread."} for query in queries]
    write_jsonl(tmp_path / "texts.jsonl", texts)
    write_jsonl(
        tmp_path / "corpus.jsonl", [*texts, {"query": queries[0], "response": "Eggs in the grass.", "clicks": 3}]
    )
    given = [*full[:3], "--candidates-from", tmp_path / "texts.jsonl", *full[5:], "--corpus", tmp_path / "corpus.jsonl"]
    assert cli(*given)[0] == 0
    shown = [example for row in read_jsonl(tmp_path / "run" / "transcripts.jsonl") for example in row["examples"]]
    assert {example["response"] for example in shown} == {"Eggs in the grass."}


def test_a_run_of_before_depths_goes_on_and_is_repeated_in_short(
    cli: Cli, full: list[object], tmp_path: Path, endpoint: str
) -> None:
    short = [*full, "--depth", "short", "--limit", 1]
    assert cli(*short)[0] == 0
    path = tmp_path / "run" / "manifest.json"
    about = json.loads(path.read_text())
    for name in ("depth", "points", "sentence", "agent_tokens", "k_search", "k_final"):
        del about["settings"][name]
    path.write_text(json.dumps(about))
    code, again, _ = cli(*short)
    assert (code, again["cached"]) == (0, again["calls"])
    code, _, err = cli(*full, "--limit", 1)
    assert code == 2
    assert 'settings.depth was "short" and is "full" now' in err
    code, like, _ = cli("run", "--like", tmp_path / "run", "--out", tmp_path / "like", "--base-url", endpoint, "--json")
    assert (code, like["depth"], like["cached"]) == (0, "short", like["calls"])


def test_a_policy_of_weights_is_a_writer(
    cli: Cli, command: list[object], base: str, tiny_task: Path, tmp_path: Path
) -> None:
    sft, run = tmp_path / "sft", tmp_path / "run"
    shutil.copytree(base, sft)
    Card.of(base, load_task(tiny_task)).write(sft)
    code, _, err = cli(*command, "--writer", f"{sft},prompt=writer_alt")
    assert (code, "a policy writes with its own prompt" in err) == (2, True)
    code, _, err = cli(*command, "--writer", sft, "--estimate")
    assert (code, "--estimate times no policy" in err) == (2, True)
    assert not run.exists()

    both = ["--writer", f"{sft},temperature=0.7", "--writer", "stub", "--candidates", 5, "--rounds", 1]
    code, result, _ = cli(*command, *both)
    assert code == 0
    texts = list(read_jsonl(run / "responses-sft-1.jsonl"))
    assert [len(row["responses"]) for row in texts] == [3, 3, 3]  # of five a query, and none for the one that repeats
    sources = Counter(row["source"] for row in read_jsonl(run / "transcripts.jsonl"))
    assert set(sources) == {"sft,prompt=writer,temperature=0.7", "stub,prompt=writer,temperature=1"}
    assert sources["stub,prompt=writer,temperature=1"] <= 6
    assert result["candidates"] == sources.total()
    assert str(tmp_path) not in (run / "pairs.jsonl").read_text()
    pairs = (run / "pairs.jsonl").read_bytes()

    for name in ("pairs.jsonl", "transcripts.jsonl", "outcomes.jsonl"):
        (run / name).unlink()
    code, again, _ = cli(*command, *both, "--retry-unscored")
    assert (code, again["calls"]) == (0, result["calls"])
    assert (run / "pairs.jsonl").read_bytes() == pairs

    alone = [tmp_path / "alone" if arg == run else arg for arg in command]
    code, result, _ = cli(*alone, "--writer", sft, "--candidates", 2)
    assert (code, result["candidates"] <= 6) == (0, True)
    (sft / "policy.json").write_text((sft / "policy.json").read_text() + "\n")
    code, _, err = cli(*alone, "--writer", sft, "--candidates", 2)
    assert (code, "input writer 1" in err) == (2, True)
