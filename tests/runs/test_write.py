"""``inkfire write``: one query or a file of them, by whoever a name means, of the task's own length."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from offline import Offline
from stub_endpoint import Stub, served

from inkfire.errors import EndpointDown, InputError, ModelNameError, RunFolderError
from inkfire.files.formats import read_texts
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.models.card import Card
from inkfire.records import Candidate
from inkfire.runs.context import Access, Place
from inkfire.runs.like import repeat
from inkfire.runs.write import WriteInputs, write, write_all
from inkfire.tasks.task import load_task

QUERIES = [f"a wish {i}" for i in range(3)]


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "q.jsonl", ({"query": query} for query in QUERIES))
    return tmp_path / "q.jsonl"


def marks(body: dict[str, Any]) -> str:
    """The n-th text of query i has as many exclamation marks as (i + n) modulo 3; there is no first one of query 1."""
    query, n = body["messages"][-1]["content"], body["seed"]
    return "" if (query, n) == (QUERIES[1], 0) else f"{query}, {n}{'!' * ((QUERIES.index(query) + n) % 3)}"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with served(marks) as stub:
        yield stub


@pytest.fixture
def at(stub: Stub, tmp_path: Path) -> Place:
    return Place(tmp_path / "out", access=Access(base_url=stub.url))


def test_a_file_of_queries(prompts: Path, tiny_task: Path, stub: Stub, at: Place) -> None:
    inputs = WriteInputs(policy="gpt-4o-mini", task=str(tiny_task), prompts=(prompts,), n=2)
    result = write_all(inputs, at)
    texts = [("a wish 0", "a wish 0, 0"), ("a wish 0", "a wish 0, 1!"), ("a wish 1", "a wish 1, 1!!")]
    texts += [("a wish 2", "a wish 2, 0!!"), ("a wish 2", "a wish 2, 1")]
    assert read_texts(at.out / "texts.jsonl") == [Candidate(query, text) for query, text in texts]
    assert {key: result[key] for key in ("queries", "texts", "missing", "written_by", "calls")} == {
        "queries": 3, "texts": 5, "missing": 1, "written_by": "the endpoint", "calls": 6,
    }  # fmt: skip
    assert result["out"] == str(at.out / "texts.jsonl")
    assert {request.body["max_tokens"] for request in stub.log} == {40}  # the task's own
    assert (write_all(inputs, at)["texts"], len(stub.log)) == (5, 6)
    with pytest.raises(RunFolderError, match="temperature"):
        write_all(dataclasses.replace(inputs, temperature=0.1), at)
    repeat(at.out, dataclasses.replace(at, out=at.out.with_name("again")))
    assert (at.out.with_name("again") / "texts.jsonl").read_bytes() == (at.out / "texts.jsonl").read_bytes()


def test_the_best_of_each_and_another_reward_chooses_among_the_same_texts(
    prompts: Path, tiny_task: Path, stub: Stub, at: Place
) -> None:
    inputs = WriteInputs(policy="gpt-4o-mini", task=str(tiny_task), prompts=(prompts,), best_of="share:!")
    write_all(inputs, at)
    best = [row["response"] for row in read_jsonl(at.out / "texts.jsonl")]
    assert best == ["a wish 0, 2!!", "a wish 1, 1!!", "a wish 2, 0!!"]
    rows = list(read_jsonl(at.out / "candidates.jsonl"))
    assert [row["query"] for row in rows] == ["a wish 0"] * 4 + ["a wish 1"] * 3 + [
        "a wish 2"
    ] * 4  # 4 where none is said
    scores = [row["score"] for row in rows[:4]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(2 / 13)
    with pytest.raises(RunFolderError, match=r"--yes redoes the choice \(the texts stay\)"):
        write_all(dataclasses.replace(inputs, best_of="share:0"), at)
    write_all(dataclasses.replace(inputs, best_of="share:0"), dataclasses.replace(at, yes=True))
    assert next(read_jsonl(at.out / "texts.jsonl"))["response"] == "a wish 0, 0"
    assert len(stub.log) == 12


def test_one_query(prompts: Path, tiny_task: Path, stub: Stub) -> None:
    access = Access(base_url=stub.url)
    inputs = WriteInputs(policy="gpt-4o-mini", task=str(tiny_task), n=3)
    result = write("a wish 1", inputs, access=access)
    assert result == {
        "query": "a wish 1", "policy": "gpt-4o-mini", "written_by": "the endpoint",
        "responses": ["a wish 1, 1!!", "a wish 1, 2"], "missing": 1,
    }  # fmt: skip
    ranked = write("a wish 1", dataclasses.replace(inputs, best_of="share:2"), access=access)
    assert ranked["responses"] == ["a wish 1, 2", "a wish 1, 1!!"]
    assert len(stub.log) == 3  # from the ledger
    with pytest.raises(EndpointDown, match="1 of 1 texts of gpt-4o-mini failed: the reply is empty"):
        write("a wish 1", dataclasses.replace(inputs, n=1), access=access)


def test_a_policy_writes_with_its_own_template_and_length(
    offline: Offline, prompts: Path, tiny_task: Path, at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkfire.models.policy import Policy  # the offline one

    lengths: list[int] = []
    generate = Policy.generate
    monkeypatch.setattr(
        Policy, "generate", lambda self, *a, **how: lengths.append(how["max_new_tokens"]) or generate(self, *a, **how)
    )
    folder = prompts.parent / "sft"
    folder.mkdir()
    Card.of("org/base", load_task(tiny_task)).write(folder)
    inputs = WriteInputs(policy=str(folder))
    assert write("a wish", inputs)["policy"] == "sft"
    assert not Path("runs").exists()  # no model was called
    write("a wish", dataclasses.replace(inputs, max_tokens=9))
    write_all(dataclasses.replace(inputs, prompts=(prompts,)), at)
    card = json.loads((folder / "policy.json").read_text())
    del card["max_tokens"]  # of an earlier version
    (folder / "policy.json").write_text(json.dumps(card))
    write("a wish", inputs)
    assert lengths == [40, 9, 40, 200]


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        ("hand.jsonl", InputError, "hand.jsonl: texts are written there already"),
        ("missing/sft", ModelNameError, "no such file or folder"),
        ("hf/org", ModelNameError, "no hub id"),
    ],
)
def test_who_cannot_write_is_told_in_one_line(
    prompts: Path, tiny_task: Path, at: Place, policy: str, error: type[Exception], message: str
) -> None:
    write_jsonl(prompts.with_name("hand.jsonl"), [{"query": "q", "response": "r"}])
    prompts.with_name("missing").mkdir()
    inputs = WriteInputs(policy=policy, task=str(tiny_task), prompts=(prompts,))
    with pytest.raises(error, match=message):
        write_all(inputs, at)
    with pytest.raises(error, match=message):
        write("q", inputs)
    assert not at.out.exists()
