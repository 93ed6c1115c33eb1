"""What a stranger asks of a comparison is answered by what the intervals show, and nothing more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.evaluation.compare import compare
from inkfire.evaluation.sight import PEOPLE
from inkfire.evaluation.signals import Opinion
from inkfire.evaluation.texts import Texts
from inkfire.files.jsonl import write_json, write_jsonl
from inkfire.files.run import Run
from inkfire.records import Query
from inkfire.report import numbers
from inkfire.report.folder import Folder
from inkfire.report.glance import Answer, answers, side_by_side
from inkfire.report.glossary import meaning
from inkfire.tasks.task import load_task

Result = dict[str, Any]


class Likes:
    """Labels by the number in a text."""

    def __init__(self, name: str, good: Callable[[int], bool]):
        self.name, self._good = name, good

    def label(self, queries: list[str], responses: list[str]) -> list[Opinion]:
        del queries
        return [Opinion(int(self._good(int(text.split()[-1])))) for text in responses]


def evaluated(n: int, qualified: bool = True, **texts: list[int]) -> Result:
    """``n`` queries; a policy's texts are numbers, odd ones of which the judge likes, and the other signal those above
    2."""
    queries = [Query.of(f"q{i}") for i in range(n)]
    written = {name: [f"a text of number {one}" for one in given] for name, given in texts.items()}
    signals = [Likes("judge", lambda one: one % 2 == 1), Likes("other", lambda one: one > 2)]
    sights = {"judge": PEOPLE} if qualified else {}
    return compare(load_task("greetings-en"), Texts.single(queries, written), signals, sights=sights)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Answer]]:
    """The answers on a recipe's run with that evaluation, by question."""
    monkeypatch.chdir(tmp_path)

    def ask(evaluation: Result, warnings: tuple[str, ...] = ()) -> dict[str, Answer]:
        settings = {"name": "mine", "task": "cards", "models": {"writer": "local/small"}}
        run = Run.open(Path("runs/mine"), command="run", settings=settings)
        used = {"calls": 1200, "tokens": 90_000, "cost": 0.25, "currency": "EUR"}
        run.complete("rl", {"steps": 3}, seconds=300)
        run.complete("evaluate", evaluation, seconds=100, used=used)
        run.path("rl", "policy.json").write_text("{}")
        return {one.asked: one for one in answers(Folder(Path("runs/mine")), evaluation, warnings)}

    return ask


def test_a_writer_that_is_shown_to_be_better(asked: Callable[..., dict[str, Answer]]) -> None:
    found = asked(evaluated(20, base=[*range(0, 40, 2)], rl=[*range(1, 40, 2)]))
    assert found["Which writer do I use?"].said == "Use rl"
    assert found["How sure is that?"] == Answer(
        "How sure is that?",
        "Shown on 20 held-out queries",
        ["+100 points by judge against base (95 % interval +100 to +100, p < 0.001)."],
    )
    assert found["What did it cost?"].said == "6 min 40 s, 0.25 EUR"
    assert found["What did it cost?"].more == [
        "1,200 model calls, 90,000 tokens.",
        "75 % of the time went into rl.",
    ]
    assert found["What might be wrong?"].said == "Nothing that is looked for"
    assert found["What next?"].command == "inkfire write QUERY --policy runs/mine/rl"


def test_what_is_open_says_how_many_more_queries(asked: Callable[..., dict[str, Answer]]) -> None:
    found = asked(evaluated(20, base=[0] * 20, rl=[1, 1, 1, 0] + [0] * 16), warnings=("A leak.",))
    assert found["Which writer do I use?"] == Answer(
        "Which writer do I use?", "Keep base", ["No policy is shown to be better than base."]
    )
    sure, after = found["How sure is that?"], found["What next?"]
    assert sure.said == "Not decided by 20 held-out queries"
    assert sure.more[0].startswith("About ")
    assert sure.more[0].endswith(" more queries would settle rl against base by judge, four times in five.")
    assert after.said.split() == ["Ask", *sure.more[0].split()[1:2], "more", "held-out", "queries"]
    assert "--prompts MORE.txt --policy base=local/small --policy rl=runs/mine/rl" in after.command
    assert "--signal judge=runs/mine/judge --signal other --out runs/mine-more" in after.command
    assert found["What might be wrong?"].more == ["A leak."]


def test_without_a_qualified_signal_people_are_asked(asked: Callable[..., dict[str, Answer]]) -> None:
    found = asked(evaluated(20, qualified=False, base=[0] * 20, rl=[1] * 20))
    assert found["How sure is that?"].said == "Nothing could be shown"
    texts = [f"--policy {name}=runs/mine/evaluate/responses-{name}.jsonl" for name in ("base", "rl")]
    assert found["What next?"].command == f"inkfire annotate new {' '.join(texts)} --out runs/mine-rate"


def test_a_price_that_is_not_known_and_alarms_are_said(asked: Callable[..., dict[str, Answer]]) -> None:
    evaluation = evaluated(4, base=[0] * 4, rl=[1] * 4)
    asked(evaluation)
    run = Run.read(Path("runs/mine"))
    write_json(run.path("used.json"), {"evaluate": {"calls": 3, "tokens": 9, "cost": None, "currency": "EUR"}})
    write_jsonl(run.path("rl", "alarms.jsonl"), [{"step": 1}, {"step": 2}])
    found = {one.asked: one for one in answers(Folder(run.out), evaluation, ())}
    assert found["What did it cost?"].said == "6 min 40 s, cost unknown"
    assert found["What might be wrong?"].more == ["Alarms rang while it was trained: rl 2."]


def test_one_policy_alone_has_nothing_to_choose(asked: Callable[..., dict[str, Answer]]) -> None:
    found = asked(evaluated(2, base=[0, 1]))
    assert found["Which writer do I use?"].more == ["There is nothing to choose between."]
    assert found["What next?"].command == ""


def test_three_queries_at_equal_distances_of_the_base_and_of_who_was_trained(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", command="run", settings={})
    evaluation = evaluated(9, base=[0] * 9, rl=[*range(9)], gpt=[2] * 9)
    run.complete("rl", {"steps": 1}, seconds=1)
    run.complete("evaluate", evaluation, seconds=1)
    shown = side_by_side(Folder(run.out), evaluation)
    assert [query for query, _ in shown] == ["q0", "q3", "q6"]
    assert [dict(texts)["rl"] for _, texts in shown] == [f"a text of number {i}" for i in (0, 3, 6)]
    assert [name for name, _ in shown[0][1]] == ["base", "rl"]


# ---- tables --------------------------------------------------------------------------------------------------------


def test_two_signals_agree_as_often_as_their_labels_are_equal() -> None:
    evaluation = evaluated(8, base=[1, 3, 5, 7, 0, 2, 4, 6], rl=[3] * 8)
    ((one, other, share, kappa, n),) = numbers.agreement(evaluation)
    assert (one, other, n) == ("judge", "other", 16)
    assert share.startswith("81 % (")  # all but 1, 4 and 6
    matrix = numbers.believed(evaluation)[1]
    assert matrix.rows[0][2] == matrix.rows[1][1] == (share, f"kappa {kappa}")


def test_power_says_settled_how_many_or_not_in_sight() -> None:
    (row, _) = evaluated(20, base=[0] * 20, rl=[1] * 20)["differences"]
    assert numbers.power(row) == "settled"
    row = copy.deepcopy(row) | {"difference_ci": [-0.1, 0.2], "more_queries": 1200}
    assert numbers.power(row) == "about 1,200"
    assert numbers.power(row | {"more_queries": None}) == "over ten times as many"
    assert numbers.power(row | {"own_reward": True}) == ""


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    table = numbers.differences(evaluated(6, base=[0] * 6, rl=[1] * 6))[0]
    assert "by seed" not in table.head
    assert {"p", "p by Holm", "more queries", "n"} <= set(table.head)


def test_a_term_means_the_same_whatever_its_case_and_of_whatever_signal() -> None:
    assert meaning("Excellent by judge") == meaning("excellent") != ""
    assert meaning("p by Holm") != meaning("p") != ""
    assert meaning("stage") == ""
