"""What ``inkfire annotate`` lays out, keeps and exports."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import served

from inkfire.errors import DataError, InputError, RunFolderError
from inkfire.evaluation.ballots import Plan, Vote
from inkfire.files.formats import read_labelled, read_pairs, read_rated
from inkfire.files.jsonl import read_json, read_jsonl, write_jsonl
from inkfire.models.card import Card
from inkfire.runs.annotate import AnnotateInputs, cast_of, export, new, status
from inkfire.runs.context import Access, Place
from inkfire.runs.like import repeat
from inkfire.runs.rated_set import RatedSet, sitting
from inkfire.tasks.people import read_people
from inkfire.tasks.task import load_task

QUERIES = [f"a wish {i}" for i in range(6)]


def texts(path: Path, word: str, n: int = 1) -> Path:
    write_jsonl(path, ({"query": q, "response": f"{word} for {q}, {k}"} for q in QUERIES for k in range(n)))
    return path


@pytest.fixture
def two(tmp_path: Path) -> AnnotateInputs:
    a, b = texts(tmp_path / "sft.jsonl", "May"), texts(tmp_path / "b" / "texts.jsonl", "Let")
    return AnnotateInputs(policies=(str(a), f"rl={b}"))


def rate(out: Path, say: Any, raters: int = 1) -> None:
    with sitting(out) as (_, desk):
        for rater in (f"rater-{i + 1}" for i in range(raters)):
            while (shown := desk.shown(rater)) is not None:
                desk.vote(say(desk, rater, shown))


def prefers_may(desk: Any, rater: str, shown: Any) -> Vote:
    side = "left" if shown.texts[0].startswith("May") else "right"
    return Vote(rater, shown.position, desk.choice(rater, shown.position, side), seconds=3.0)


def test_two_files_of_texts_become_blind_pairs_and_come_back_with_names(two: AnnotateInputs, tmp_path: Path) -> None:
    place = Place(tmp_path / "set")
    laid = new(two, Plan(raters=2, overlap=0.5, repeats=0), place)
    names = ("mode", "items", "queries", "planned", "missing", "same")
    assert [laid[name] for name in names] == ["pairwise", 6, 6, 9, 0, 0]
    assert sum(laid["raters"].values()) == 9
    rate(place.out, prefers_may, raters=2)
    found = export(place.out)
    assert found["results"] == [{"a": "sft", "b": "rl", "n": 9, "a_better": 9, "b_better": 0, "tie": 0, "both_bad": 0}]
    pairs = read_pairs(place.out / "export" / "pairs.jsonl")
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [(f"May for {q}, 0", f"Let for {q}, 0") for q in QUERIES]
    assert pairs[0].provenance["chosen_source"] == "sft"
    labelled = read_labelled(place.out / "export" / "labelled.jsonl")
    assert {(text.response[:3], text.label) for text in labelled} == {("May", 1), ("Let", 0)}
    assert {rating for _, text, rating in read_rated(place.out / "export" / "rated.jsonl") if text[0] == "M"} == {1.0}
    votes = list(read_jsonl(place.out / "export" / "votes.jsonl"))
    assert {row["left"] for row in votes} == {"chosen", "rejected"}
    assert {row["seconds"] for row in votes} == {3.0}


def test_the_one_command_of_a_policys_own_samples(tmp_path: Path, tiny_task: Path) -> None:
    def reply(body: dict[str, Any]) -> str:
        return f"text {body['seed'] % 3} of {body['messages'][-1]['content']}"  # the fourth is the first again

    write_jsonl(tmp_path / "q.jsonl", ({"query": query} for query in QUERIES))
    inputs = AnnotateInputs(policies=("gpt-4o-mini",), queries=(tmp_path / "q.jsonl",), n=4, task=str(tiny_task))
    with served(reply) as stub:
        place = Place(tmp_path / "set", access=Access(base_url=stub.url))
        laid = new(inputs, Plan(), place)
        assert (laid["mode"], laid["items"], laid["same"], len(stub.log)) == ("rubric", 18, 6, 24)
        repeat(place.out, dataclasses.replace(place, out=tmp_path / "again"))
    for name in ("items.jsonl", "plan.jsonl", "form.json"):
        assert (tmp_path / "again" / name).read_bytes() == (place.out / name).read_bytes()

    def points(desk: Any, rater: str, shown: Any) -> Vote:
        number = int(shown.texts[0].split()[1]) + 1
        return Vote(rater, shown.position, points={one.name: number for one in desk.form.rubric})

    rate(place.out, points)
    found = export(place.out)
    assert found["results"] == [{"policy": "gpt-4o-mini", "n": 18, "mean": pytest.approx(2.0)}]
    people = read_people(place.out / "export" / "ratings.jsonl", load_task(tiny_task))
    assert sorted(one.mean for one in people.values()) == pytest.approx([1.0] * 6 + [2.0] * 6 + [3.0] * 6)
    assert len(read_pairs(place.out / "export" / "pairs.jsonl")) == 18  # three of each query
    prompt = next(read_jsonl(place.out / "export" / "pairs.jsonl"))["prompt"]
    assert prompt == load_task(tiny_task).messages(QUERIES[0])
    with (place.out / "export" / "votes.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["creativity"] for row in rows} == {"1", "2", "3"}


def test_a_policy_brings_its_rubric_and_its_template(tmp_path: Path, tiny_task: Path) -> None:
    task = load_task(tiny_task)
    (tmp_path / "mine").mkdir()
    Card.of("local/smollm2-135m", task).write(tmp_path / "mine")
    inputs = AnnotateInputs(policies=(str(tmp_path / "mine"),), queries=(texts(tmp_path / "q.jsonl", "x"),))
    cast = cast_of(inputs)
    assert (cast.mode, cast.n, cast.queries) == ("rubric", 4, QUERIES)
    assert cast.form.rubric == task.rubric
    assert (cast.form.title, cast.form.excellent) == ("Short wishes", 2.0)
    assert cast.template is not None
    assert cast.template.messages("q") == task.messages("q")


def test_votes_are_never_redone(two: AnnotateInputs, tmp_path: Path) -> None:
    place = Place(tmp_path / "set", yes=True)
    new(two, Plan(), place)
    first = (place.out / "plan.jsonl").read_bytes()
    new(two, Plan(raters=2), place)  # nobody has voted: it is planned anew
    assert (place.out / "plan.jsonl").read_bytes() != first
    rate(place.out, prefers_may)
    votes = (place.out / "votes.jsonl").read_bytes()
    for changed, where in (
        (dataclasses.replace(two, n=2), place),
        (two, dataclasses.replace(place, seed=1)),
        (two, dataclasses.replace(place, access=Access(retry_unscored=True))),
    ):
        with pytest.raises(RunFolderError, match=r"holds 6 votes .* use another --out"):
            new(changed, Plan(raters=2), where)
    assert (place.out / "votes.jsonl").read_bytes() == votes
    assert new(two, Plan(raters=2), place)["items"] == 6  # the same command reads it back


def test_it_goes_on_after_undo_and_a_new_start(two: AnnotateInputs, tmp_path: Path) -> None:
    place = Place(tmp_path / "set")
    new(two, Plan(repeats=0), place)
    with sitting(place.out) as (_, desk):
        for _ in range(2):
            desk.vote(prefers_may(desk, "rater-1", desk.shown("rater-1")))
        assert desk.undo("rater-1")
        with pytest.raises(RunFolderError, match="is in use by process"), sitting(place.out):
            pass
        with pytest.raises(InputError, match="position 3 has not been shown yet"):
            desk.vote(Vote("rater-1", 3, "a"))
    with sitting(place.out) as (_, desk):
        shown = desk.shown("rater-1")
        assert (shown.position, shown.before and desk.side(shown.before)) == (
            2, "left" if shown.texts[0].startswith("May") else "right",
        )  # fmt: skip
        assert status(place.out)["done"] == 1
        assert desk.undo("rater-1")
        assert not desk.undo("rater-1")
    assert [bool(row.get("undo")) for row in read_jsonl(place.out / "votes.jsonl")] == [False, False, True, True]
    with pytest.raises(InputError, match="nobody has voted"):
        export(place.out)


def test_a_spreadsheet_works_nothing_out(tmp_path: Path) -> None:
    for name, text in (("x", '=HYPERLINK("http://evil")'), ("y", "fine")):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"query": "q", "response": text}])
    out = tmp_path / "set"
    new(AnnotateInputs(policies=(str(tmp_path / "x.jsonl"), str(tmp_path / "y.jsonl"))), Plan(), Place(out))
    with sitting(out) as (_, desk):
        desk.vote(Vote("rater-1", 1, "a"))
    export(out, tmp_path / "to")
    with (tmp_path / "to" / "votes.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["chosen"] == '\'=HYPERLINK("http://evil")'
    assert next(read_jsonl(tmp_path / "to" / "votes.jsonl"))["chosen"] == '=HYPERLINK("http://evil")'


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        (("a.jsonl", "b/a.jsonl"), "two policies are called 'a'"),
        (("a b=a.jsonl",), "give it a name of letters"),
        (("a.jsonl",), "nothing says what to rate a text by: name a task with a rubric"),
        (("a.jsonl", "c.jsonl"), "no query is answered in all of the files"),
        (("a.jsonl", "gpt=gpt-5"), "--queries F: what is gpt to write for"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policies: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    texts(tmp_path / "a.jsonl", "May")
    texts(tmp_path / "b" / "a.jsonl", "Let")
    write_jsonl(tmp_path / "c.jsonl", [{"query": "another", "response": "x"}])
    with pytest.raises(InputError, match=said):
        new(AnnotateInputs(policies=policies), Plan(), Place(tmp_path / "set"))
    assert not (tmp_path / "set").exists()


def test_pairs_of_the_same_text_are_left_out(two: AnnotateInputs, tmp_path: Path) -> None:
    inputs = AnnotateInputs(policies=(two.policies[0], f"again={two.policies[0]}"))
    with pytest.raises(InputError, match="nothing to rate: in 6 pairs both texts are the same"):
        new(inputs, Plan(), Place(tmp_path / "set"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"rater": "nobody", "position": 1, "item": 1, "choice": "a"}', "no position 1 of 'nobody'"),
        ('{"rater": "rater-1", "position": 99, "item": 1, "choice": "a"}', "no position 99 of 'rater-1'"),
        ('{"rater": "rater-1", "position": 1, "item": 99, "choice": "a"}', "another item at that position"),
        ('{"rater": "rater-1", "position": 1, "item": 1, "choice": "left"}', "a choice is asked for"),
        ('{"rater": ["x"], "position": 1}', "no position 1"),
    ],
)
def test_votes_of_another_set_are_named(two: AnnotateInputs, tmp_path: Path, line: str, said: str) -> None:
    out = tmp_path / "set"
    new(two, Plan(), Place(out))
    (out / "votes.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"votes\.jsonl:1: .*{said}"):
        status(out)


def test_tokens_are_kept_and_for_the_owner_alone(two: AnnotateInputs, tmp_path: Path) -> None:
    out = tmp_path / "set"
    new(two, Plan(raters=2), Place(out))
    tokens = RatedSet.read(out).tokens()
    assert tokens == RatedSet.read(out).tokens() == read_json(out / "raters.json")
    assert len(set(tokens.values())) == 2
    assert (out / "raters.json").stat().st_mode & 0o077 == 0


def test_a_folder_that_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no texts to rate: inkfire annotate new"):
        status(tmp_path)
