"""``inkfire ablate`` against a stub endpoint: who is asked in which arm, what is shared, what comes of a kill."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from offline import Offline
from stub_endpoint import Body, Stub, served

from inkfire.errors import InputError
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.report.findings import of
from inkfire.report.folder import Folder
from inkfire.report.page import write_report
from inkfire.runs import ablate as ablating
from inkfire.runs.ablate import AblateSettings, ablate
from inkfire.runs.arms import ARMS, chosen, without_parts
from inkfire.runs.context import Access, Place
from inkfire.runs.recipe import Recipe, load_recipe

RecipeFile = Callable[..., Path]
AGENTS = {
    "Argue for the text.": "positive",
    "Argue against the text.": "negative",
    "Judge.": "judge",
    "Audit.": "reflect",
}
REFLECT = (
    "[system]\nAudit.\n[user]\n{{ query | quote }} {{ response | quote }}\n"
    "{{ positive }} {{ negative }} {{ verdict }}\n"
)
JUDGED = 24
"""Of 96 labelled texts half fit the judge, and half of the others are judged by every arm."""


def answer(body: Body) -> str:
    """A panel that likes windows. Who hears nobody speak against a text calls it good; Reflect agrees with Judge."""
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    text = user[max(0, user.rfind("Query:")) :]  # behind the examples, which are good ones
    wanted = set(body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {}))
    if system.startswith("You write"):
        rng = random.Random(f"{body.get('seed')} {user}")
        letters = "".join(rng.choice("abcdefghij ") for _ in range(24))
        return f"{letters} {'window' if rng.random() < 0.5 else 'door'}"
    said = int("window" in text or "Against: None" in text)
    if system == "Audit." and "'judge'" in text:
        said = int("'judge': 1" in text)
    replies: dict[str, Any] = {
        "points": {"points": [{"point": "it", "reason": "says so"}]},
        "judge": {"reason": "It shows.", "judge": said},
        "flaw": {"flaw": "It hides the occasion.", "text": f"A hidden wish, {user[:30]}"},
        "drop": {"drop": [], "add": ["A wish has a door in it."]},
        "proposal": {"why": "It was not told.", "proposal": "It says which door opens."},
        "advice": {"reason": "It shows.", "advice": "Hide it deeper in the text."},
    }
    return next((json.dumps(reply) for key, reply in replies.items() if key in wanted), "Good")


def good(text: str) -> float:
    """Everything is rather good, and a window the best but for some doors: mostly right once a threshold is fitted."""
    return 0.95 if "door" in text and "5" in text else 0.9 if "window" in text else 0.8


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with served(answer, mark=good) as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield stub


@pytest.fixture
def mine(recipe: RecipeFile, tiny_task: Path, stub: Stub) -> Recipe:
    """A recipe whose task also reflects without a judge."""
    (tiny_task / "prompts" / "reflect.jinja").write_text(REFLECT)
    refine = "[refine]\nrounds = 1\nattacks = 2\nerrors = 2\nvalidation = 12\nexamples = 2\n"
    return load_recipe(str(recipe(("[refine]\nrounds = 0\n", refine), ("limit = 2\n", 'limit = 2\npairs = "all"\n'))))


def run(recipe: Recipe, out: Path, *what: str, **place: Any) -> dict[str, Any]:
    return ablate(recipe, AblateSettings(what=what, queries=4), Place(out, **place))


def asked(stub: Stub, since: int = 0) -> Counter[str]:
    systems = [request.body["messages"][0]["content"] for request in stub.log[since:]]
    return Counter(AGENTS.get(system, "other") for system in systems)


def arms(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["arm"]: row for row in result["arms"]}


def test_each_arm_asks_the_agents_it_has_and_only_for_what_is_new(mine: Recipe, stub: Stub, tmp_path: Path) -> None:
    new = {
        "without-positive": {"judge": 2, "negative": 1, "positive": 1, "reflect": 2},  # with those of the whole
        "without-negative": {"judge": 1, "reflect": 1},
        "without-judge": {"reflect": 1},
        "without-reflect": {},
        "without-retrieval": {"positive": 1, "negative": 1, "judge": 1},  # this task's Reflect is shown no examples
    }
    for arm, times in new.items():
        since = len(stub.log)
        result = run(mine, tmp_path / "run", arm)
        assert asked(stub, since) == {agent: JUDGED * n for agent, n in times.items()}
        debates = list(read_jsonl(tmp_path / "run" / "A" / arm / "curate" / "transcripts.jsonl"))
        absent = {agent for agent in AGENTS.values() if all(row[agent] is None for row in debates)}
        assert absent == {arm.removeprefix("without-")} & {*AGENTS.values()}
        assert all(bool(row["examples"]) == (arm != "without-retrieval") for row in debates)
        assert list(arms(result)) == ["A", arm]
    since = len(stub.log)
    result = run(mine, tmp_path / "run", "agents")
    assert len(stub.log) == since
    assert (result["calls"], result["cached"]) == (0, 0)  # read back
    rows = arms(result)
    assert {name: row["calls"] for name, row in rows.items()} == {
        "A": 4 * JUDGED, "without-positive": 3 * JUDGED, "without-negative": 3 * JUDGED, "without-judge": 3 * JUDGED,
        "without-reflect": 3 * JUDGED, "without-retrieval": 4 * JUDGED,
    }  # fmt: skip
    elsewhere = arms(run(mine, tmp_path / "other", "agents"))
    assert len(stub.log) == since  # one ledger beside both
    assert elsewhere == rows


def test_what_an_arm_is_worth_stands_beside_the_whole(mine: Recipe, tmp_path: Path) -> None:
    result = run(mine, tmp_path / "run", "agents", "pairs", "labels")
    rows = arms(result)
    whole, lacking, same = rows["A"], rows["without-negative"], rows["without-judge"]
    assert (whole["n"], whole["accuracy"], whole["pairs"], whole["pair_share"]) == (JUDGED, 1.0, 12, 1.0)
    assert whole["rm_accuracy"] == 1.0
    assert whole["rm_n"] == result["held_out_pairs"] == 12
    assert (lacking["accuracy"], lacking["says_good"], lacking["accuracy_difference"]) == (0.5, 1.0, -0.5)
    assert lacking["accuracy_difference_ci"][1] < 0
    assert lacking["accuracy_difference_shown"]
    assert (lacking["accuracy_difference_n"], lacking["accuracy_difference_clusters"]) == (JUDGED, 12)
    assert (lacking["pairs"], lacking["no_pair"], lacking["rm"]) == (0, {"all_good": 12}, "no pair was made")
    assert "rm_accuracy" not in lacking
    assert (same["accuracy_difference_changed"], same["accuracy_difference_could_show"]) == (0, None)
    assert rows["labels"]["calls"] == 0
    assert rows["labels"]["rm_accuracy"] == 1.0
    assert rows["pairs-best-worst"]["calls"] == whole["calls"]  # the same debates
    assert result["left_out"] == {"pairs-all": "in this recipe it would be the same run, or leave nobody who decides"}
    [debate, length, ngrams] = result["frameworks"]
    assert (debate["name"], debate["n"], debate["precision"], debate["recall"], debate["f1"]) == ("A", JUDGED, 1, 1, 1)
    assert (length["name"], ngrams["name"], ngrams["accuracy"]) == ("length", "n-grams", 1.0)
    judged = {row["query"] for row in read_jsonl(tmp_path / "run" / "data" / "judged.jsonl")}
    held_out = {row["query"] for row in read_jsonl(tmp_path / "run" / "data" / "held_out.jsonl")}
    shown = {row["query"] for row in read_jsonl(tmp_path / "run" / "data" / "examples.jsonl")}
    assert (len(judged), len(held_out)) == (12, 12)
    assert not judged & held_out
    assert not shown & (judged | held_out)


def test_more_candidates_are_written_and_the_first_ones_are_the_same(mine: Recipe, stub: Stub, tmp_path: Path) -> None:
    result = run(mine, tmp_path / "run", "candidates")
    rows = arms(result)
    written = [row["calls"] // 5 for row in rows.values()]
    assert written[0] < written[1] < written[2]
    assert len(stub.log) < sum(row["calls"] for row in rows.values())
    assert rows["candidates-8"]["calls"] <= len(stub.log)
    assert {row["queries"] for row in rows.values()} == {4}
    assert rows["candidates-8"]["pair_share_difference_n"] == 4
    assert "accuracy" not in rows["candidates-8"]  # nobody knows the labels of what was written
    assert result["frameworks"] == []


def test_parts_of_strategy_b_and_principles_that_are_equal(mine: Recipe, stub: Stub, tmp_path: Path) -> None:
    result = run(mine, tmp_path / "run", "B")
    rows = arms(result)
    assert list(rows) == [name for name, arm in ARMS.items() if arm.group == "B"]
    assert {name: row["same_principles_as"] for name, row in rows.items()} == {
        "B": None, "without-reflector": "B", "without-adversary": "B", "without-acceptance": None,
        "without-calibration": "B", "without-examples": "B",
    }  # fmt: skip
    assert rows["without-acceptance"]["accepted"] == 1
    assert rows["B"]["accuracy"] > 0.8
    assert rows["without-calibration"]["accuracy"] == 0.5
    assert rows["without-calibration"]["accuracy_difference_shown"]
    assert rows["without-reflector"]["accuracy_difference_changed"] == 0
    assert [row["name"] for row in result["frameworks"]] == ["B", "length", "n-grams"]
    before = len(stub.log)
    again = run(mine, tmp_path / "run", "B")
    assert len(stub.log) == before
    assert again["arms"] == result["arms"]
    said, warnings = of(Folder(tmp_path / "run"), result)
    assert any(
        line.startswith("The principles of B are the same without reflector, without adversary, without cal")
        for line in said
    )
    assert not warnings


class Killed(BaseException):
    pass


def test_a_kill_resumes_and_ends_with_the_same_bytes(
    mine: Recipe, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, fits = ablating.fit_linear, iter(range(100))

    def killed(*given: Any, **how: Any) -> Any:
        if next(fits) == 30:  # an arm fits eleven
            raise Killed
        return fit(*given, **how)

    monkeypatch.setattr(ablating, "fit_linear", killed)
    with pytest.raises(Killed):
        run(mine, tmp_path / "run", "agents")
    monkeypatch.undo()
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    done = {path.stem for path in (tmp_path / "run" / "stages").glob("*.json")}
    assert done == {"A", "without-positive", "without-negative"}  # the last of which made no pairs
    since = len(stub.log)
    assert asked(stub)["reflect"] == 4 * JUDGED
    result = run(mine, tmp_path / "run", "agents")
    assert asked(stub, since) == {"positive": JUDGED, "negative": JUDGED, "judge": JUDGED}  # without retrieval
    assert result["cached"] >= 3 * JUDGED
    run(mine, tmp_path / "other", "agents")
    assert len(stub.log) == since + 3 * JUDGED
    one, other = ((tmp_path / name / "stages" / "ablate.json").read_bytes() for name in ("run", "other"))
    assert one == other


def test_a_changed_strategy_redoes_its_own_arms(mine: Recipe, stub: Stub, tmp_path: Path, recipe: RecipeFile) -> None:
    run(mine, tmp_path / "run", "without-reflect", "without-reflector")
    refine = "[refine]\nrounds = 1\nattacks = 1\nerrors = 2\nvalidation = 12\nexamples = 2\n"
    file = recipe(("[refine]\nrounds = 0\n", refine), ("limit = 2\n", 'limit = 2\npairs = "all"\n'))
    changed = load_recipe(str(file))
    with pytest.raises(InputError, match=r"settings\.refine.*--yes redoes the arms of B, whose replies are kept"):
        run(changed, tmp_path / "run", "without-reflect", "without-reflector")
    kept = (tmp_path / "run" / "A" / "A" / "curate" / "manifest.json").stat().st_mtime_ns
    since = len(stub.log)
    run(changed, tmp_path / "run", "without-reflect", "without-reflector", yes=True)
    assert (tmp_path / "run" / "A" / "A" / "curate" / "manifest.json").stat().st_mtime_ns == kept
    assert asked(stub, since)["reflect"] == 0


REWARDS = """[[rewards]]
name = "taste"
score = "rm"
checks = ["length:3.."]
diversity = 0.3
[[policies]]
name = "judge-rl"
reward = "taste"
"""


def test_a_policy_is_trained_again_without_each_part_of_its_reward(
    offline: Offline, recipe: RecipeFile, tmp_path: Path
) -> None:
    file = recipe(('[[policies]]\nname = "judge-rl"\nreward = "judge"\n', REWARDS))
    mine = load_recipe(str(file))
    made, whole = without_parts(mine, ["without-checks", "without-length", "without-diversity"])
    assert whole == "judge-rl"
    assert [policy.name for policy in made.policies] == [
        "judge-rl", "judge-rl-without-checks", "judge-rl-without-diversity",
    ]  # fmt: skip
    tables = {policy.name: made.reward_of(policy) for policy in made.policies}
    assert (tables["judge-rl-without-checks"].checks, tables["judge-rl-without-checks"].diversity) == ((), 0.3)
    assert tables["judge-rl-without-diversity"].diversity == 0
    result = run(mine, tmp_path / "run", "rewards")
    assert offline.trained == ["sft", *tables]
    assert list(result["rewards"]["policies"]) == [*tables]
    against = {(row["policy"], row["against"]) for row in result["rewards"]["differences"]}
    assert against == {(name, "judge-rl") for name in tables if name != "judge-rl"}
    assert result["left_out"] == {"without-length": "no policy of this recipe has it in its reward"}
    assert (tmp_path / "run" / "rewards" / "manifest.json").is_file()
    run(mine, tmp_path / "run", "rewards")
    assert offline.trained == ["sft", *tables]


def test_names_and_labels_that_do_not_do(mine: Recipe, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="'without-judges' is no arm and no group of arms; did you mean 'without-judge'"
    ):
        run(mine, tmp_path / "run", "without-judges")
    assert [arm.name for arm in chosen(["without-examples", "candidates-8"])[0]] == [
        "candidates-2", "candidates-8", "B", "without-examples",
    ]  # fmt: skip
    write_jsonl(tmp_path / "few.jsonl", ({"query": "q", "response": str(i), "label": i % 2} for i in range(40)))
    with pytest.raises(InputError, match="labelled texts of 1 queries"):
        ablate(mine, AblateSettings(data=(tmp_path / "few.jsonl",)), Place(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_spend_limit_stops_it_and_a_higher_one_goes_on(mine: Recipe, stub: Stub, tmp_path: Path) -> None:
    from inkfire.errors import BudgetExceeded

    with pytest.raises(BudgetExceeded):
        run(mine, tmp_path / "run", "without-judge", access=Access(budget_tokens=4000))
    since = len(stub.log)
    assert 0 < since < 5 * JUDGED
    result = run(mine, tmp_path / "run", "without-judge")
    assert len(stub.log) == 5 * JUDGED
    assert result["cached"] >= since


def test_what_could_not_be_used_is_missing_and_may_be_asked_again(mine: Recipe, stub: Stub, tmp_path: Path) -> None:
    def broken(body: Body) -> str:
        lost = body["messages"][0]["content"] == "Audit." and "window" in str(body)
        return "?" if lost else answer(body)

    stub.reply = broken
    whole, lacking = arms(run(mine, tmp_path / "run", "without-reflect")).values()
    assert (whole["n"], whole["scored"], whole["unscored"], lacking["unscored"]) == (JUDGED, 12, 12, 0)
    assert (lacking["accuracy_difference_n"], lacking["accuracy_difference_changed"]) == (12, 0)
    stub.reply = answer
    assert arms(run(mine, tmp_path / "run", "without-reflect"))["A"]["unscored"] == 12
    again = run(mine, tmp_path / "run", "without-reflect", access=Access(retry_unscored=True))
    assert (arms(again)["A"]["unscored"], again["calls"] - again["cached"]) == (0, 12)


def test_it_is_said_in_words_and_on_a_page(mine: Recipe, tmp_path: Path) -> None:
    result = run(mine, tmp_path / "run", "agents", "labels", "B")
    said, warnings = of(Folder(tmp_path / "run"), result)
    assert said[0] == (
        "The verdicts of strategy A are right on 100 % (76 to 100) of 24 labelled texts; "
        "without negative the change is -50 points (-50 to -50)."
    )
    assert said[1].startswith("No verdict differs without positive, without judge, without reflect and without retr")
    assert warnings == ["Without a reward model: without-negative (no pair was made)."]
    page = write_report(tmp_path / "run").read_text("utf-8")
    for words in ("Both strategies as classifiers", "without-calibration", "could have shown", "n-grams"):
        assert words in page
