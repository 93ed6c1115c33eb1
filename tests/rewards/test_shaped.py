"""A reward that looks at the group: who is asked, what the parts are worth, what is missing stays so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import InputError
from inkfire.records import Identity
from inkfire.rewards.checks import Checks
from inkfire.rewards.load import identities_of, load_reward, placeholders
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.reading import Band, Start
from inkfire.rewards.shaped import Shaped, Shaping
from inkfire.rewards.share import Share


class Table:
    """A reward by a table of texts; it keeps what it was asked."""

    threshold = None

    def __init__(self, scores: dict[str, float | None], name: str = "table"):
        self.scores, self.name = scores, name
        self.asked: list[str] = []
        self.identities = (Identity("check", name, name),)

    def score(self, queries: Sequence[str], responses: Sequence[str], *, truncated: Any = None) -> list[float | None]:
        self.asked += responses
        return [self.scores[text] for text in responses]

    def close(self) -> None: ...


class Reads:
    """A frozen model by two tables."""

    def __init__(self, likely: dict[str, float | None], fits: dict[str, float] | None = None):
        self.likely, self.fits = likely, fits or {}
        self.others: list[Sequence[str]] = []

    def per_token(self, queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        return [self.likely[text] for text in responses]

    def relevance(self, queries: Any, responses: Sequence[str], others: Any, own: Any) -> list[float | None]:
        self.others += others
        assert list(own) == self.per_token(queries, responses)
        return [self.fits[text] for text in responses]

    def close(self) -> None: ...


def shaped(reward: Any, **asked: Any) -> Shaped:
    shaping = Shaping(**asked)
    return Shaped(reward, shaping, Checks.parse(shaping.checks))


def test_a_text_that_fails_asks_nobody_and_lies_below() -> None:
    table = Table({"aaa": 0.1, "aaaa": 0.9, "aaaaa": None})
    reward = shaped(table, checks=("length:3..", "regex:^a"))
    texts = ["aaa", "b", "aaaa", "aaaaa", "bbb"]
    values = reward.score(["q"] * 5, texts)
    assert table.asked == ["aaa", "aaaa", "aaaaa"]
    assert (values[0], values[2], values[3]) == (0.25, 0.75, None)
    assert values[1] < values[4] < values[0]
    assert [row["failed"] for row in reward.details] == [[], ["length:3..", "regex:^a"], [], [], ["regex:^a"]]
    step = reward.step()
    assert (step["failed"], step["failed_by"]) == (0.4, {"length:3..": 0.2, "regex:^a": 0.4})
    assert step["score"] == pytest.approx(0.5)
    assert reward.step() == {}


def test_where_nothing_passes_nobody_is_asked() -> None:
    table = Table({})
    assert shaped(table, checks=("length:9..",)).score(["q"] * 2, ["a", "b"]) == [-0.2, -0.2]
    assert table.asked == []


def test_truncated_texts_are_not_finished() -> None:
    reward = shaped(Table({"Yes.": 1.0}), checks=("finished",))
    whole, cut = reward.score(["q"] * 2, ["Yes."] * 2, truncated=[False, True])
    assert whole > cut


def test_groups_are_the_texts_of_a_query() -> None:
    scores = {"a": 100.0, "b": 99.0, "c": 2.0, "d": 1.0}
    reward = shaped(Table(scores), length="rescale")
    assert reward.score(["q", "q", "r", "r"], list("abcd")) == [0.75, 0.25, 0.75, 0.25]


def test_parts_are_standardised_and_raw_keeps_their_scales() -> None:
    """The second part has a hundred times the scale: raw, it alone decides."""
    small, large = Table({"a": 0.0, "b": 1.0, "c": 2.0}, "small"), Table({"a": 0.0, "b": -300.0, "c": 10.0}, "large")
    mixture = Mixture(((0.7, small), (0.3, large)))
    even = shaped(mixture).score(["q"] * 3, list("abc"))
    raw = shaped(mixture, mix="raw", length="rescale").score(["q"] * 3, list("abc"))
    assert even.index(min(even)) == 0
    assert raw.index(min(raw)) == 1


def test_the_least_of_two_is_what_the_other_does_not_agree_with() -> None:
    one, other = Table({"a": 9.0, "b": 5.0, "c": 0.0}, "one"), Table({"a": 0.0, "b": 5.0, "c": 9.0}, "other")
    values = shaped(Mixture(((1.0, one), (1.0, other)), "min")).score(["q"] * 3, list("abc"))
    assert values == [pytest.approx(1 / 3), pytest.approx(5 / 6), pytest.approx(1 / 3)]


def test_a_missing_part_makes_the_text_missing() -> None:
    mixture = Mixture(((1.0, Table({"a": 1.0, "b": None, "c": 0.0})), (1.0, Table({"a": 1.0, "b": 5.0, "c": 0.0}))))
    assert shaped(mixture).score(["q"] * 3, list("abc")) == [0.75, None, 0.25]
    reward = shaped(Table({"a": 1.0, "b": 0.5, "c": 0.0}), fluency=1)
    reward.begin(Start(fluency=0.0), Reads({"a": -2.0, "b": None, "c": -3.0}))
    assert reward.score(["q"] * 3, list("abc")) == [0.75, None, 0.25]


def test_a_part_that_does_not_vary_adds_nothing_and_is_counted() -> None:
    mixture = Mixture(((1.0, Table({"a": 1.0, "b": 2.0}, "one")), (9.0, Table({"a": 3.0, "b": 3.0}, "flat"))))
    reward = shaped(mixture)
    assert reward.score(["q"] * 2, list("ab")) == [0.25, 0.75]
    assert reward.step()["flat"] == {"one": 0.0, "flat": 1.0}


def test_fluency_is_flat_above_its_level() -> None:
    reads = Reads({"a": -4.0, "b": -2.0, "c": -0.1})
    reward = shaped(Table({"a": 0.0, "b": 0.0, "c": 0.0}), fluency=1)
    reward.begin(Start(fluency=-2.0), reads)
    a, b, c = reward.score(["q"] * 3, list("abc"))
    assert a < b == c
    assert reward.step()["fluency"] == pytest.approx(-6.1 / 3)


def test_relevance_is_asked_with_queries_of_the_training() -> None:
    reads = Reads(dict.fromkeys("ab", -2.0), {"a": 0.4, "b": 0.0})
    reward = shaped(Table({"a": 0.0, "b": 0.0}), relevance=1)
    reward.begin(Start(queries=("q", "r", "s", "t", "u"), relevance=0.5), reads)
    assert reward.score(["q"] * 2, list("ab")) == [0.75, 0.25]
    assert all(len(other) == 3 and "q" not in other for other in reads.others)


def test_fluent_is_a_band_that_is_asked_last() -> None:
    table = Table({"aa": 1.0, "bb": 0.0})
    reward = shaped(table, checks=("fluent", "length:2.."))
    reward.begin(Start(band=Band(-4.0, -1.0)), Reads({"aa": -2.0, "bb": -3.0, "cc": -9.0, "dd": -0.5, "ee": None}))
    values = reward.score(["q"] * 6, ["aa", "bb", "cc", "dd", "ee", "x"])
    assert table.asked == ["aa", "bb"]
    assert values[:2] == [0.75, 0.25]
    assert max(values[2:]) < 0.25
    assert [row["failed"] for row in reward.details[2:]] == [["fluent"]] * 3 + [["length:2.."]]


def test_diversity_and_novelty_lower_what_is_said_again() -> None:
    texts = ["the same old wish", "the same old wish", "a kite for you"]
    alike = Table(dict.fromkeys(texts, 1.0))
    same, _, other = shaped(alike, diversity=1).score(["q"] * 3, texts)
    assert same < other
    reward = shaped(Table({"like a breeze": 1.0, "like a brook": 1.0, "tea": 1.0}), novelty=1)
    reward.begin(Start(responses=("one", "two", "three", "four") * 4), None)
    reward.score([f"q{i}" for i in range(16)], ["like a breeze"] * 16)
    worn, fresh = reward.score(["q"] * 2, ["like a breeze", "tea"])
    assert worn < fresh - 0.5
    assert reward.step()["phrases"][0][0] == "like a breeze"


def test_what_was_scored_before_is_remembered_from_its_log() -> None:
    scores = {"a" * n: float(n % 5) for n in range(1, 30)}
    whole, again = (shaped(Table(scores), length="rescale", novelty=0.5) for _ in range(2))
    for reward in (whole, again):
        reward.begin(Start(responses=("b", "c")), None)
    first, second = [list(scores)[i : i + 8] for i in (0, 8)]
    whole.score(["q"] * 4 + ["r"] * 4, first)
    queries = ["q"] * 4 + ["r"] * 4
    log = zip(queries, first, whole.details, strict=True)
    again.recall({"query": query, "response": text} | detail for query, text, detail in log)
    assert again.score(queries, second) == whole.score(queries, second)
    assert (again.slope.xy, again.slope.xx) == (whole.slope.xy, whole.slope.xx)


def test_what_needs_the_group_is_shaped_and_nothing_else() -> None:
    one = Table({})
    both = Mixture(((1.0, one), (1.0, one)))
    assert not Shaping().needed(one)
    assert Shaping().needed(both)
    assert not Shaping(mix="raw").needed(both)
    assert all(Shaping(**asked).needed(one) for asked in ({"fluency": 1.0}, {"length": "rescale"}, {"checks": ("x",)}))
    assert (Shaping(novelty=1).reads, Shaping(novelty=1).starts, Shaping(checks=("fluent",)).reads) == (
        False,
        True,
        True,
    )


def test_who_reads_is_an_own_reward() -> None:
    reward = shaped(Table({}), fluency=1)
    reward.begin(Start(read_by=(Identity("likelihood", "fluency", "f"),)), None)
    assert [one.name for one in reward.identities] == ["table", "fluency"]


def test_a_function_of_ones_own_is_a_reward(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import math\n"
        "def half(query, response):\n    return 0.5\n"
        "def nothing(query, response):\n    return None\n"
        "def nan(query, response):\n    return math.nan\n"
        "def yes(query, response):\n    return True\n"
        "def words(query, response):\n    return 'good'\n"
    )
    scored = {
        name: load_reward(f"python:{path}:{name}").score(["q"], ["a"]) for name in ("half", "nothing", "nan", "yes")
    }
    assert scored == {"half": [0.5], "nothing": [None], "nan": [None], "yes": [1.0]}
    with pytest.raises(InputError, match="answered 'good': a number"):
        load_reward(f"python:{path}:words").score(["q"], ["a"])
    with pytest.raises(InputError, match="has no function 'none'"):
        load_reward(f"python:{path}:none")
    assert load_reward(f"python:{path}:half").name == "python:mine.py:half"  # no path in what is saved
    before = identities_of(f"python:{path}:half")
    assert placeholders(f"0.5*python:{path}:half + 0.5*share:!")[0] == "0.5*python:<reward 1>:half + 0.5*share:!"
    path.write_text(path.read_text() + "\n# changed\n")
    assert not before[0].same(identities_of(f"python:{path}:half")[0])


def test_the_least_of_rewards_by_name() -> None:
    reward = load_reward("min(share:a, share:b)")
    assert reward.name == "min(share:a, share:b)"
    assert reward.score(["q"] * 2, ["aab", "b"]) == [pytest.approx(1 / 3), 0.0]
    assert placeholders("min(share:a, share:b)")[0] == "min(share:a, share:b)"
    parts = Mixture(((1.0, Share("a")), (1.0, Table({"x": None}))), "min")
    assert parts.score(["q"], ["x"]) == [None]
