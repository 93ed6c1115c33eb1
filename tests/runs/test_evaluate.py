"""``inkfire evaluate``: which signals are a policy's own, and that nothing stays open."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import RULE, Counted, Model
from stub_endpoint import Stub, served

from inkfire.errors import BudgetExceeded, EndpointDown, InputError, RunFolderError
from inkfire.files.jsonl import read_jsonl, sha256_file, write_json, write_jsonl
from inkfire.files.run import Run
from inkfire.judge.calibration import Calibration
from inkfire.judge.principles import Principles
from inkfire.judge.spec import JudgeSpec
from inkfire.llm.base import Message
from inkfire.models.card import Card
from inkfire.records import Identity
from inkfire.report import findings
from inkfire.report.page import write_report
from inkfire.rewards.load import identities_of
from inkfire.runs.context import Access, Place
from inkfire.runs.evaluate import EvaluateInputs, EvaluateSettings, evaluate
from inkfire.runs.writers import FileWriter, Written
from inkfire.tasks.task import load_task
from inkfire.training.reward_model import train_reward_model

MEASURED = {"scored": 80, "auc": 0.8, "auc_ci": [0.7, 0.9]}


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Counted:
    llm = Counted(Model(RULE))
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    return llm


@pytest.fixture
def judge(tiny_task: Path, tmp_path: Path) -> Callable[..., Path]:
    """A judge's folder by name; what is said of it is a field of the judge."""

    def made(name: str, **fields: Any) -> Path:
        saved = JudgeSpec(str(tiny_task), "m", "logprob", calibration=Calibration(1, 0, 0.4, 80, 40))
        dataclasses.replace(saved, measured=MEASURED, **fields).save(tmp_path / name)
        return tmp_path / name

    return made


@pytest.fixture
def policy(tiny_task: Path, tmp_path: Path) -> Callable[..., str]:
    """A policy's folder by name, trained against some rewards."""

    def made(name: str, reward: str, own: tuple[Identity, ...]) -> str:
        (tmp_path / name).mkdir()
        card = Card.of("base", load_task(tiny_task))
        dataclasses.replace(card, reward=reward, own_rewards=own).write(tmp_path / name)
        return str(tmp_path / name)

    return made


@pytest.fixture
def compared(tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The comparison of policies that write one text whatever they are asked."""
    write_jsonl(tmp_path / "q.jsonl", [{"query": f"a wish {i}"} for i in range(4)])

    one = FileWriter({f"a wish {i}": ["May it open like a window."] for i in range(4)})
    monkeypatch.setattr("inkfire.runs.evaluate.open_writer", lambda *_: one)

    def compared(policies: dict[str, str], signals: dict[str, str | None], **settings: Any) -> dict[str, Any]:
        inputs = EvaluateInputs(
            task=str(tiny_task),
            prompts=(tmp_path / "q.jsonl",),
            model="m",
            policies=tuple(f"{name}={at}" for name, at in policies.items()),
            signals=tuple(kind if at is None else f"{kind}={at}" for kind, at in signals.items()),
        )
        return evaluate(inputs, EvaluateSettings(**settings), Place(tmp_path / "out", yes=True))

    return compared


def test_own_signals_are_told_by_identity_and_descent(
    compared: Callable[..., dict[str, Any]],
    judge: Callable[..., Path],
    policy: Callable[..., str],
    llm: Counted,
    tiny_task: Path,
    tmp_path: Path,
) -> None:
    train_reward_model(load_task(tiny_task).pairs(), tmp_path / "rm")
    rm = identities_of(str(tmp_path / "rm"))
    trained = identities_of(str(judge("trained")))
    (tmp_path / "rm").rename(tmp_path / "moved")
    fitted = judge("fitted", calibration=Calibration(2, 0, 0.5, 90, 40))
    other = judge("other", principles=Principles.of(["It rhymes."]))
    policies = {
        "base": "local/smollm2-135m",
        "judged": policy("judged", "judge:logprob:m", trained),
        "grandchild": policy("grandchild", "share:!", (*rm, *identities_of("share:!"))),
        "mixed": policy("mixed", "0.5*rm:rm + 0.5*judge:logprob:m", (*rm, *trained)),
        "old": policy("old", "judge:logprob:m", (Identity("judge", "judge:logprob:m"),)),
    }

    def own(**signals: Path | None) -> dict[str, list[str]]:
        named = {kind: None if at is None else str(at) for kind, at in signals.items()}
        result = compared(policies=policies, signals=named)
        return {name: policy["own_reward"] for name, policy in result["policies"].items()}

    same = own(rm=tmp_path / "moved", judge=fitted, length=None)
    assert same == {
        "base": [],
        "judged": ["judge"],
        "grandchild": ["rm"],
        "mixed": ["rm", "judge"],
        "old": ["judge"],
    }
    independent = own(judge=other)
    assert independent == {"base": [], "judged": [], "grandchild": [], "mixed": [], "old": ["judge"]}
    assert llm.closes == 2


def test_a_mode_asked_for_by_name_is_the_judge_that_was_the_reward(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path], policy: Callable[..., str], llm: Counted
) -> None:
    rubric = identities_of(str(judge("rubric", mode="rubric")))
    result = compared(policies={"rl": policy("rl", "judge:rubric:m", rubric)}, signals={"rubric": None, "debate": None})
    assert result["policies"]["rl"]["own_reward"] == ["rubric"]
    assert llm.closes == 1  # both ask the model that was opened once


def test_people_are_a_signal_that_others_are_compared_with(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path], llm: Counted, tiny_task: Path, tmp_path: Path
) -> None:
    """Two of the four texts are rated, one of them by two raters who are of two minds."""
    names = [dimension.name for dimension in load_task(tiny_task).rubric]
    given = [("a wish 0", "ann", 3), ("a wish 0", "ben", 1), ("a wish 1", "ann", 1), ("a text of nobody", "ann", 3)]
    write_jsonl(
        tmp_path / "ratings.jsonl",
        (
            {"query": query, "response": "May it open like a window.", "annotator": who} | dict.fromkeys(names, points)
            for query, who, points in given
        ),
    )
    signals = {
        "judge": str(judge("judge", principles=Principles.of([RULE]))),
        "people": str(tmp_path / "ratings.jsonl"),
    }
    result = compared(policies={"base": "local/smollm2-135m"}, signals=signals)
    rates = result["policies"]["base"]
    assert (rates["excellent_rate"]["people"], rates["scored"]["people"], rates["unscored"]["people"]) == (0.5, 2, 2)
    agreement = result["agreement"]["judge"]
    assert (agreement["n"], agreement["agreement"]) == (2, 0.5)
    assert agreement["agreement_ci"][0] < 0.5 < agreement["agreement_ci"][1]
    people = result["people"]["base"]
    assert (people["n"], people["ties"], people["raters"]) == (2, 1, {"1": 1, "2": 1})
    assert people["dimensions"]["language"] == 1.5
    assert "1 (1 texts), 2 (1 texts)" in write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert (
        compared(policies={"base": "local/smollm2-135m"}, signals={"length": None})
        .keys()
        .isdisjoint({"people", "agreement"})
    )


def test_ratings_that_cannot_be_used_stop_before_anything_is_written(
    compared: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "ratings.jsonl", [{"query": "a wish 0", "response": "May it.", "language": 9}])
    with pytest.raises(InputError, match=r"ratings.jsonl:1: .*language must be a whole number from 1 to 3"):
        compared(policies={"base": "local/smollm2-135m"}, signals={"people": str(tmp_path / "ratings.jsonl")})
    with pytest.raises(InputError, match="--signal people needs its ratings: --signal people=FILE"):
        compared(policies={"base": "local/smollm2-135m"}, signals={"people": None})
    assert not (tmp_path / "out").exists()


def test_an_error_closes_what_is_open(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path], policy: Callable[..., str], llm: Counted
) -> None:
    uncalibrated = judge("uncalibrated", calibration=None)
    with pytest.raises(InputError, match="no threshold"):
        compared(policies={"rl": policy("rl", "share:!", ())}, signals={"judge": str(uncalibrated)})
    assert llm.closes == 1


@pytest.mark.usefixtures("llm")
def test_queries_that_a_policy_was_trained_on_are_said(
    policy: Callable[..., str], compared: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any
) -> None:
    rl = policy("rl", "share:!", ())
    known = {"prompts": {"path": "train.jsonl", "sha256": sha256_file(tmp_path / "q.jsonl")}}
    manifest = {"format": 2, "command": "train grpo", "settings": {}, "seed": 0, "inputs": known}
    write_json(Path(rl) / "manifest.json", manifest)
    policies = {"base": policy("base", "", ()), "mine": rl}
    with pytest.raises(InputError, match="every query of --prompts is part of what mine was trained on"):
        compared(policies, {"length": None})
    assert not (tmp_path / "out").exists()
    result = compared(policies, {"length": None}, keep_seen=True)
    assert result["seen"] == [{"file": "q.jsonl", "by": "mine", "run": "rl", "as": "prompts"}]
    assert (result["n"], result["overlap"]["queries"], result["overlap"]["left_out"]) == (4, 4, 0)
    assert "q.jsonl is part of what mine was trained on (prompts of rl)" in capsys.readouterr().err


@pytest.mark.usefixtures("llm")
def test_a_query_of_a_rewards_data_is_left_out(
    policy: Callable[..., str], compared: Callable[..., dict[str, Any]], tiny_task: Path, tmp_path: Path, capsys: Any
) -> None:
    """One of four queries was in the pairs of the policy's reward, written otherwise."""
    pairs = tmp_path / "pairs.jsonl"
    write_jsonl(pairs, [{"query": "A wish  2.", "chosen": "x", "rejected": "y"}])
    Run.open(tmp_path / "rm", command="train rm", settings={}, inputs={"pairs": pairs})
    Run.open(tmp_path / "rl", command="train grpo", settings={}, inputs={"reward 1": tmp_path / "rm"})
    Card.of("base", load_task(tiny_task)).write(tmp_path / "rl")
    rl = str(tmp_path / "rl")
    result = compared({"base": policy("base", "", ()), "mine": rl}, {"length": None})
    assert (result["n"], result["overlap"]["left_out"]) == (3, 1)
    assert result["overlap"]["rows"] == [{"by": "mine", "run": "rm", "as": "pairs", "queries": 1}]
    assert "1 of 4 queries are part of what mine was trained on (pairs of rm): left out" in capsys.readouterr().err
    assert [row["query"] for row in read_jsonl(tmp_path / "out" / "responses-mine.jsonl")] == [
        f"a wish {i}" for i in (0, 1, 3)
    ]
    assert "1 of the 4 queries" in "".join(findings.compared(result).warnings)
    pairs.write_text("changed", encoding="utf-8")
    again = compared({"base": str(tmp_path / "base"), "mine": rl}, {"length": None})
    assert (again["n"], again["overlap"]["unread"]) == (4, ["pairs of rm"])


@pytest.fixture
def endpoint() -> Iterator[Stub]:
    """It has no text for the wish of number 2 until it is ``mended``."""
    with served(None) as stub:
        stub.mended = False  # type: ignore[attr-defined]

        def reply(body: dict[str, Any]) -> str:
            query = body["messages"][-1]["content"]
            return "" if query == "a wish 2" and not stub.mended else f"To you, {query}"  # type: ignore[attr-defined]

        stub.reply = reply
        yield stub


@pytest.fixture
def beside(tiny_task: Path, tmp_path: Path, endpoint: Stub) -> Callable[..., dict[str, Any]]:
    """The comparison of an endpoint's model with texts that were written elsewhere."""
    queries = [{"query": f"a wish {i}"} for i in range(4)]
    write_jsonl(tmp_path / "q.jsonl", queries)
    write_jsonl(tmp_path / "hand.jsonl", [query | {"response": "By hand."} for query in queries[:3]])

    def beside(*policies: str, n: int = 1, against: tuple[str, ...] = (), **access: Any) -> dict[str, Any]:
        inputs = EvaluateInputs(
            task=str(tiny_task),
            prompts=(tmp_path / "q.jsonl",),
            policies=policies or ("base=gpt-4o-mini", f"hand={tmp_path / 'hand.jsonl'}"),
            signals=("length",),
        )
        place = Place(tmp_path / "out", yes=True, access=Access(base_url=endpoint.url, **access))
        return evaluate(inputs, EvaluateSettings(max_tokens=12, n=n, against=against), place)

    return beside


def test_an_endpoints_model_and_texts_from_elsewhere_are_policies(
    beside: Callable[..., dict[str, Any]], endpoint: Stub, tmp_path: Path
) -> None:
    result = beside()
    base, hand = result["policies"]["base"], result["policies"]["hand"]
    assert [(row["n"], row["missing"], row["own_reward"]) for row in (base, hand)] == [(3, 1, []), (3, 1, [])]
    assert (base["written_by"], hand["written_by"]) == ("the endpoint", "written elsewhere")
    assert (result["differences"][0]["n"], result["calls"]) == (2, 4)  # a wish 0 and 1: both have a text
    rows = list(read_jsonl(tmp_path / "out" / "responses-base.jsonl"))
    assert [row["responses"] for row in rows][1:3] == [["To you, a wish 1"], [None]]
    sent = [request.body for request in endpoint.log]
    assert {(body["model"], body["max_tokens"], body["temperature"]) for body in sent} == {("gpt-4o-mini", 12, 0.7)}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["settings"]["policy base"], manifest["settings"]["policy hand"]) == (
        "gpt-4o-mini",
        "<policy hand>",
    )
    assert str(tmp_path) not in json.dumps(manifest)
    again = beside()
    assert (again["policies"], again["calls"], len(endpoint.log)) == (result["policies"], 0, 4)
    endpoint.mended = True  # type: ignore[attr-defined]
    mended = beside(retry_unscored=True)
    assert (mended["policies"]["base"]["missing"], mended["differences"][0]["n"], len(endpoint.log)) == (0, 3, 5)


def test_an_endpoint_that_writes_nothing_or_costs_too_much_ends_the_comparison_and_it_resumes(
    beside: Callable[..., dict[str, Any]], endpoint: Stub, tmp_path: Path
) -> None:
    with pytest.raises(BudgetExceeded):
        beside(budget_tokens=60, concurrency=1)
    spent = len(endpoint.log)
    assert 0 < spent < 4
    assert not (tmp_path / "out" / "evaluation.json").exists()
    assert beside()["policies"]["base"]["n"] == 3
    assert len(endpoint.log) == 4  # nothing was asked twice
    endpoint.reply = lambda body: ""
    with pytest.raises(EndpointDown, match="4 of 4 texts of silent failed: the reply is empty"):
        beside("base=gpt-4o-mini", "mute=silent")


def test_a_file_without_the_queries_and_a_name_that_is_no_file_name_begin_no_folder(
    beside: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "other.jsonl", [{"query": "else", "response": "x"}])
    for policy, message in (("a=" + str(tmp_path / "other.jsonl"), "4 of the 4 queries"), ("a/b=gpt", "names a file")):
        with pytest.raises(InputError, match=message):
            beside(policy)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("offline")
def test_another_policy_may_make_the_base_weights_and_redoes_its_texts_alone(
    beside: Callable[..., dict[str, Any]], policy: Callable[..., str], tmp_path: Path
) -> None:
    first = beside("base=base", "gpt=gpt-4o-mini")
    assert first["policies"]["base"]["written_by"] == "the endpoint"
    at = tmp_path / "out" / "responses-gpt.jsonl"
    before = at.stat().st_ino
    result = beside("base=base", "gpt=gpt-4o-mini", "rl=" + policy("rl", "share:!", ()))
    by = {name: row["written_by"] for name, row in result["policies"].items()}
    weights = "weights in this process, float32"
    assert by == {"base": weights, "gpt": "the endpoint", "rl": weights}
    assert at.stat().st_ino == before  # what gpt wrote stays


def test_several_texts_and_several_trainings(
    beside: Callable[..., dict[str, Any]], endpoint: Stub, tmp_path: Path
) -> None:
    endpoint.mended = True  # type: ignore[attr-defined]
    rows = [{"query": f"a wish {i}", "response": f"{i} by hand, {k}."} for i in range(4) for k in range(3)]
    write_jsonl(tmp_path / "one.jsonl", rows)
    write_jsonl(tmp_path / "two.jsonl", rows[::3])
    hands = [f"hand={tmp_path / name}.jsonl" for name in ("one", "two")]
    result = beside("base=gpt-4o-mini", *hands, n=2)
    base, hand = result["policies"]["base"], result["policies"]["hand"]
    assert (base["n"], hand["n"], hand["seeds"], hand["missing"]) == (8, 12, 2, 0)
    assert sorted(path.name for path in (tmp_path / "out").glob("responses-*")) == [
        "responses-base.jsonl",
        "responses-hand.jsonl",
        "responses-hand@2.jsonl",
    ]
    (row,) = result["differences"]
    assert (row["policy"], row["n"], len(row["seeds"])) == ("hand", 4, 2)
    assert len({request.body["seed"] for request in endpoint.log}) == 2
    with pytest.raises(InputError, match="twice"):
        beside(hands[0], hands[0])


def test_policies_are_compared_with_those_that_are_named(
    beside: Callable[..., dict[str, Any]], endpoint: Stub, tmp_path: Path
) -> None:
    endpoint.mended = True  # type: ignore[attr-defined]
    for name in ("one", "two"):
        rows = [{"query": f"a wish {i}", "response": f"{i} by hand, {name}."} for i in range(4)]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    given = ["base=gpt-4o-mini", f"one={tmp_path / 'one.jsonl'}", f"two={tmp_path / 'two.jsonl'}"]
    result = beside(*given, against=("two", "one"))
    pairs = [(row["policy"], row["against"]) for row in result["differences"]]
    assert pairs == [("base", "two"), ("one", "two"), ("base", "one")]
    with pytest.raises(InputError, match="--against 'tow' is no policy of this comparison; did you mean 'two'"):
        beside(*given, against=("tow",))


def test_a_judge_of_pairs_is_asked_in_both_orders_and_prefers_a_place(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = Counted(lambda messages: '{"reason": "It opens.", "winner": "A"}')
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    policies = {"base": "local/smollm2-135m", "mine": "local/smollm2-135m"}
    result = compared(policies, {"pairwise": None})
    (row,) = result["differences"]
    assert (row["policy"], row["signal"], row["compared"], row["ties"]) == ("mine", "pairwise", 4, 4)
    assert (row["win_rate"], row["order_flip_rate"], row["qualified"]) == (0.5, 1.0, False)
    assert result["qualified"]["pairwise"]["why"].startswith("nobody has looked")
    folder = str(judge("taste", principles=Principles.of([RULE])))
    shown = compared(policies, {"pairwise": folder}, qualify=3)["qualified"]["pairwise"]
    assert (shown["sees"], shown["qualified"]) == ([], False)


@pytest.mark.usefixtures("llm")
def test_what_a_signal_sees_decides_whether_a_claim_may_rest_on_it(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path]
) -> None:
    seen = {"shuffled": {"auc": 0.9, "sees": True, "n": 40}, "cut": {"auc": 0.6, "sees": False, "n": 40}}
    blind = seen | {"strung": {"auc": 0.5, "sees": False, "n": 40}}
    policies = {"base": "local/smollm2-135m"}
    for card, qualified, words in (
        (seen, True, "cut texts are counted by code"),
        (blind, False, "does not see strung texts"),
        (None, False, "nobody has looked"),
    ):
        folder = judge("judge", qualified=card, principles=Principles.of([RULE]))
        found = compared(policies, {"judge": str(folder), "length": None})["qualified"]
        assert (found["judge"]["qualified"], found["length"]["qualified"]) == (qualified, False)
        assert words in found["judge"]["why"]


@pytest.mark.usefixtures("llm")
def test_a_signal_without_a_card_is_shown_damage_where_that_is_asked_for(
    compared: Callable[..., dict[str, Any]], judge: Callable[..., Path]
) -> None:
    folder = str(judge("judge", principles=Principles.of([RULE])))
    found = compared({"base": "local/smollm2-135m"}, {"judge": folder}, qualify=4)["qualified"]["judge"]
    assert {*found["sees"], *found["blind"]} <= {"shuffled", "looped", "strung", "cut", "foreign", "swapped"}
    assert found["blind"]


# ---- the debate as a signal ----------------------------------------------------------------------------------------

POINTS = '{"points": [{"point": "Fit", "reason": "It fits."}]}'
TEXT = "May it open like a window."


class Agents:
    """Models by name; each answers as whatever agent it is asked as, and says good."""

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = {}

    def open(self, name: str, **_: Any) -> Counted:
        texts = self.asked.setdefault(name, [])

        def answer(messages: list[Message]) -> str:
            texts.append(messages[-1]["content"])
            return POINTS if "You speak" in messages[-1]["content"] else '{"reason": "Good.", "judge": 1}'

        return Counted(answer)


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Agents:
    agents = Agents()
    monkeypatch.setattr("inkfire.models.open.open_model", agents.open)

    def written(context: Any, name: str, writer: Any, queries: list[str], how: Any) -> Written:
        return Written([[TEXT] for _ in queries], "a test")

    monkeypatch.setattr("inkfire.runs.evaluate.written", written)
    return agents


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Good texts; the policies wrote the most clicked one of them too."""
    texts = [("a wish for rain", "Rain, and tea after it."), ("a wish for snow", TEXT + "!")]
    write_jsonl(tmp_path / "good.jsonl", [{"query": q, "response": r, "clicks": n} for n, (q, r) in enumerate(texts)])
    return tmp_path / "good.jsonl"


def debated(tmp_path: Path, signal: str = "debate", corpus: tuple[Path, ...] = (), **settings: Any) -> Any:
    write_jsonl(tmp_path / "q.jsonl", [{"query": "a wish for rain and snow"}])
    inputs = EvaluateInputs(
        task="greetings-en",
        prompts=(tmp_path / "q.jsonl",),
        policies=("base=local/smollm2-135m",),
        signals=(signal,),
        model="m",
        corpus=corpus,
    )
    return evaluate(inputs, EvaluateSettings(**settings), Place(tmp_path / "out", yes=True))


def test_a_debate_has_depth_corpus_and_a_model_an_agent(agents: Agents, corpus: Path, tmp_path: Path) -> None:
    own = {"agent": ("judge=big", "reflect=off"), "points": 2}
    result = debated(tmp_path, corpus=(corpus,), **own)
    assert result["depth"] == "full"
    assert result["policies"]["base"]["excellent_rate"]["debate"] == 1
    assert {name: len(texts) for name, texts in agents.asked.items()} == {"m": 2, "big": 1}
    for text in (*agents.asked["m"], *agents.asked["big"]):
        assert "Rain, and tea" in text
        assert "good text" in text
        assert TEXT + "!" not in text  # a policy wrote it: it is in no corpus
    about = Run.read(tmp_path / "out").manifest["settings"]
    assert (about["depth"], about["points"], about["agent"]) == ("full", 2, ["judge=big", "reflect=off"])
    assert debated(tmp_path, depth="short")["depth"] == "short"  # another debate redoes the comparison alone


def curated(folder: Path, corpus: Path | None, **settings: Any) -> Path:
    about = {"task": "greetings-en", "task_version": load_task("greetings-en").version, "retrieval": "bm25"}
    Run.open(folder, command="curate", settings=about | settings, inputs={"corpus": corpus} if corpus else {})
    return folder


def test_a_debate_is_copied_from_a_curation_and_what_is_said_besides_counts(
    agents: Agents, corpus: Path, tmp_path: Path
) -> None:
    four = {"positive": "a", "negative": "b", "judge": "c"}
    run = curated(tmp_path / "curated", corpus, depth="full", points=3, k_final=1, k_search=5, agents=four)
    write_jsonl(tmp_path / "q.jsonl", [{"query": "a wish for rain and snow"}])
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["inputs"]["prompts"] = {"path": "q.jsonl", "sha256": sha256_file(tmp_path / "q.jsonl")}
    write_json(run / "manifest.json", manifest)
    result = debated(tmp_path, f"debate={run}")
    assert (result["depth"], result["seen"]) == ("full", [])  # a debate has learnt nothing of the queries
    assert {name: len(texts) for name, texts in agents.asked.items()} == {"a": 1, "b": 1, "c": 1}
    assert Run.read(tmp_path / "out").manifest["settings"]["depth"] == "full"
    assert "At most 3 points" in agents.asked["a"][0]
    assert "Rain, and tea" in agents.asked["a"][0]
    agents.asked.clear()
    debated(tmp_path, f"debate={run}", agent=("judge=d",), points=5)
    assert {name: len(texts) for name, texts in agents.asked.items()} == {"a": 1, "b": 1, "d": 1}
    assert "At most 5 points" in agents.asked["a"][0]
    old = curated(tmp_path / "old", None, agents=four)  # its manifest says nothing of depth
    assert debated(tmp_path, f"debate={old}")["depth"] == "short"
    assert debated(tmp_path, f"debate={old}", depth="full")["depth"] == "full"


def test_a_debate_that_cannot_be_copied_is_refused(agents: Agents, corpus: Path, tmp_path: Path) -> None:
    four = {"judge": "c"}
    other = curated(tmp_path / "other", None, task="greetings-zh", agents=four)
    with pytest.raises(InputError, match="texts of the task greetings-zh, and these are of greetings-en"):
        debated(tmp_path, f"debate={other}")
    Run.open(tmp_path / "score", command="score", settings={})
    with pytest.raises(InputError, match="made by inkfire score; a debate is copied from a curation"):
        debated(tmp_path, f"debate={tmp_path / 'score'}")
    with pytest.raises(RunFolderError, match="holds no run"):
        debated(tmp_path, f"debate={tmp_path / 'nothing'}")
    changed = curated(tmp_path / "changed", corpus, agents=four)
    corpus.write_text('{"query": "q", "response": "r"}\n')
    with pytest.raises(InputError, match=r"input corpus of .* has changed since"):
        debated(tmp_path, f"debate={changed}")
    with pytest.raises(InputError, match="--depth is a setting of a debate: add --signal debate"):
        debated(tmp_path, "length", depth="full")
    with pytest.raises(InputError, match="--corpus is a setting of a debate"):
        debated(tmp_path, "length", corpus=(corpus,))
    assert not (tmp_path / "out").exists()
    assert agents.asked == {}
