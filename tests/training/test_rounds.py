"""Best-of-n and DPO on a tiny model: who wins, what is learnt, what a missing score does; a kill costs nothing."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inkfire.errors import BudgetExceeded, EndpointDown, InputError
from inkfire.files.formats import read_pairs
from inkfire.models.card import Card
from inkfire.models.policy import Policy
from inkfire.records import Candidate, Identity, Preference, Query
from inkfire.rewards.checks import Checks
from inkfire.rewards.shaped import Shaped, Shaping
from inkfire.tasks.task import Task, load_task
from inkfire.training import dpo, rounds, trl
from inkfire.training.bon import train_bon
from inkfire.training.dpo import train_dpo, train_dpo_rounds
from inkfire.training.settings import BonSettings, DpoSettings, SftSettings
from inkfire.training.sft import train_sft

pytestmark = pytest.mark.slow

BON = BonSettings(n=4, epochs=2, learning_rate=1e-2, save_steps=1, samples=0, max_completion_length=24)
DPO = DpoSettings(n=4, epochs=2, learning_rate=1e-3, save_steps=1, samples=0, max_completion_length=24)


class Scores:
    """A reward by rule; ``stop_at`` raises in that call, as a spend limit does."""

    name = "rule"
    threshold = None
    identities = (Identity("check", "rule", "a1"),)

    def __init__(self, rule: Callable[[str, str], float | None], stop_at: int | None = None):
        self.rule, self.stop_at, self.calls, self.seen, self.unscored = rule, stop_at, 0, [], []

    def score(self, queries: Sequence[str], responses: Sequence[str], *, truncated=None) -> list[float | None]:
        self.calls += 1
        if self.calls == self.stop_at:
            raise BudgetExceeded("the spend limit was reached")
        self.seen += zip(queries, responses, strict=True)
        return [self.rule(query, text) for query, text in zip(queries, responses, strict=True)]

    def close(self) -> None:
        pass


def vowels(_: str, text: str) -> float:
    return sum(text.count(vowel) for vowel in "aeiou") / 8


@pytest.fixture
def task(tiny_task: Path) -> Task:
    return load_task(tiny_task)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Task], Path]:
    """A policy that mostly ends its texts, made once."""
    made: list[Path] = []

    def make(base: str, task: Task) -> Path:
        if not made:
            out = tmp_path_factory.mktemp("start") / "sft"
            rows = [Candidate(row.query, word) for row in task.labelled() for word in ("May it.", "O sea!", "Go on.")]
            settings = SftSettings(epochs=12, learning_rate=3e-2, save_steps=100, samples=0, test_fraction=0)
            train_sft(task, rows, base, out, settings)
            made.append(out)
        return made[0]

    return make


@pytest.fixture
def sft(start, strange_model: Callable[[str], str], task: Task) -> Path:
    return start(strange_model("plain"), task)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def test_the_bound_of_the_best_of_n() -> None:
    """ln n − (n − 1)/n, with the numbers of the papers, and above the divergence of a case that can be counted."""
    assert rounds.kl_bound(2) == pytest.approx(math.log(2) - 1 / 2)
    assert rounds.kl_bound(16) == pytest.approx(1.835, abs=1e-3)
    chances = [0.5, 0.3, 0.2]  # of three texts, the worst first: the best of n has the differences of cumulative powers
    for n in (2, 4, 8):
        below = [sum(chances[:i]) ** n for i in range(4)]
        won = [after - before for before, after in itertools.pairwise(below)]
        divergence = sum(q * math.log(q / p) for p, q in zip(chances, won, strict=True))
        assert divergence <= rounds.kl_bound(n)


def test_sft_learns_the_best_of_each_query(sft: Path, task: Task, tmp_path: Path) -> None:
    reward = Scores(vowels)
    result = train_bon(task, task.queries(), sft, reward, tmp_path / "bon", BON)
    completions = rows(tmp_path / "bon" / "round-1" / "completions.jsonl")
    winners = rows(tmp_path / "bon" / "round-1" / "winners.jsonl")
    assert [row["query"] for row in completions] == [query.query for query in task.queries() for _ in range(4)]
    assert len({(row["query"], row["response"]) for row in completions}) > 16  # drawn apart
    ended = [row for row in completions if not row["truncated"]]
    assert 0 < len(ended) < 32
    assert reward.seen == [(row["query"], row["response"]) for row in ended]  # of others the reward is not asked
    for winner in winners:
        group = [row["reward"] for row in ended if row["query"] == winner["query"]]
        assert winner["reward"] == max(group)
    (learnt,) = result["rounds"]
    assert (result["completions"], result["reward_calls"], result["truncated"]) == (32, len(ended), 32 - len(ended))
    assert (learnt["winners"], learnt["n"]) == (len(winners), len(winners))
    assert learnt["winners"] + learnt["left_out"] == 8
    assert learnt["reward_winners"] > learnt["reward"]
    assert result["kl_bound"] == pytest.approx(math.log(4) - 3 / 4)
    card = Card.read(tmp_path / "bon")
    assert (card.trained, card.reward, card.parent, card.own_rewards) == ("bon", "rule", "sft", reward.identities)
    (texts,) = Policy.load(tmp_path / "bon").generate([winners[0]["query"]], n=3, max_new_tokens=8)
    assert len(texts) == 3
    assert train_bon(task, task.queries(), sft, Scores(vowels), tmp_path / "bon", BON) == result


def test_a_round_begins_where_the_last_one_ended(sft: Path, task: Task, tmp_path: Path) -> None:
    out, reward = tmp_path / "bon", Scores(vowels)
    settings = dataclasses.replace(BON, rounds=3, limit=3)
    result = train_bon(task, task.queries(), sft, reward, out, settings)
    asked = [{row["query"] for row in rows(out / f"round-{i}" / "texts.jsonl")} for i in (1, 2, 3)]
    assert [len(queries) for queries in asked] == [3, 3, 3]
    assert asked[0].isdisjoint(asked[1])
    assert set().union(*asked) == {query.query for query in task.queries()}
    assert [Card.read(out / f"round-{i}").parent for i in (1, 2, 3)] == ["sft", "round-1", "round-2"]
    assert Card.read(out).parent == "sft"
    assert all(torch.equal(weights(out)[name], weights(out / "round-3")[name]) for name in weights(out))
    assert any(not torch.equal(weights(out / "round-1")[name], weights(out)[name]) for name in weights(out))
    assert [row["step"] for row in rows(out / "metrics.jsonl")] == list(range(1, result["steps"] + 1))
    again = train_bon(task, task.queries(), out, Scores(vowels), tmp_path / "more", dataclasses.replace(BON, limit=2))
    assert again["rounds"][0]["queries"] == 2
    assert Card.read(tmp_path / "more").own_rewards == reward.identities


def test_a_missing_score_never_wins(sft: Path, task: Task, tmp_path: Path) -> None:
    """Texts with an a have none: they are not among the winners; a query all of whose texts have none is left out."""
    silent = task.queries()[0].query
    reward = Scores(
        lambda query, text: None if query == silent or "a" in text else float("nan") if "e" in text else -9.0
    )
    (found,) = train_bon(task, task.queries(), sft, reward, tmp_path / "bon", BON)["rounds"]
    winners = rows(tmp_path / "bon" / "round-1" / "winners.jsonl")
    assert winners
    assert not any(row["query"] == silent or "a" in row["response"] or "e" in row["response"] for row in winners)
    assert {row["reward"] for row in winners} == {-9.0}
    assert found["missing"] == sum(
        row["reward"] is None and not row["truncated"]
        for row in rows(tmp_path / "bon" / "round-1" / "completions.jsonl")
    )
    assert found["left_out"] == 8 - len(winners)


def test_without_any_score_nothing_is_trained(sft: Path, task: Task, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the reward rule is missing: none of .* has one; None and NaN"):
        train_bon(task, task.queries(), sft, Scores(lambda *_: None), tmp_path / "none", BON)
    down = Scores(lambda *_: None)
    down.score = lambda queries, responses, **_: (
        down.unscored.extend(["refused"] * len(queries)) or [None] * len(queries)
    )
    with pytest.raises(EndpointDown, match="refused"):
        train_bon(task, task.queries(), sft, down, tmp_path / "down", BON)
    result = train_bon(
        task, task.queries(), sft, Scores(vowels), tmp_path / "down", BON
    )  # nothing of it was kept as None
    assert result["missing"] == 0
    short = dataclasses.replace(BON, max_completion_length=1)
    with pytest.raises(InputError, match="none of 32 texts came to an end; raise --max-completion-length"):
        train_bon(task, task.queries(), sft, Scores(vowels), tmp_path / "short", short)


def test_checks_come_first(sft: Path, task: Task, tmp_path: Path) -> None:
    """A text that fails is neither put to the reward nor a winner, whatever else there is."""
    reward = Scores(vowels)
    shaped = Shaped(reward, Shaping(checks=("length:1..20",)), Checks.parse(("length:1..20",)))
    (found,) = train_bon(task, task.queries(), sft, shaped, tmp_path / "bon", BON)["rounds"]
    assert 0 < len(reward.seen) < 32
    assert max(len(text) for _, text in reward.seen) <= 20
    assert found["reward_calls"] == len(reward.seen)
    assert max(len(row["response"]) for row in rows(tmp_path / "bon" / "round-1" / "winners.jsonl")) <= 20
    none = Shaped(Scores(vowels), Shaping(checks=("length:99..",)), Checks.parse(("length:99..",)))
    with pytest.raises(InputError, match=r"no query has a text that passes the checks \(length:99.. fails"):
        train_bon(task, task.queries(), sft, none, tmp_path / "none", BON)


@pytest.mark.parametrize("method", ["bon", "dpo"])
@pytest.mark.parametrize("kill", ["writing", "scoring", "training", "second round"])
def test_killed_and_gone_on_with_ends_the_same(
    method: str, kill: str, sft: Path, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "_AT_ONCE", 8)  # four batches of texts a round
    queries = task.queries()

    def trained(out: Path, stop_at: int | None = None):
        reward = Shaped(
            Scores(vowels, stop_at),
            Shaping(checks=("length:1..23",), length="rescale", novelty=0.5, start_samples=8),
            Checks.parse(("length:1..23",)),
        )
        if method == "bon":
            return train_bon(task, queries, sft, reward, out, dataclasses.replace(BON, rounds=2)), reward.reward.calls
        return train_dpo_rounds(
            task, queries, sft, reward, out, dataclasses.replace(DPO, rounds=2)
        ), reward.reward.calls

    whole, calls = trained(tmp_path / "whole")
    assert calls == 8
    parts = tmp_path / "parts"
    if kill in ("scoring", "second round"):
        with pytest.raises(BudgetExceeded):
            trained(parts, stop_at=3 if kill == "scoring" else 7)
        asked = 2 if kill == "scoring" else 6
    else:
        module, name, at = (trl, "append", 2) if kill == "training" else (rounds, "_seed", 3)
        original, count = getattr(module, name), []

        def killed(*args):
            count.append(args)
            if len(count) == at:
                raise KeyboardInterrupt
            return original(*args)

        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            with pytest.raises(KeyboardInterrupt):
                trained(parts)
        asked = 0 if kill == "writing" else 4
    result, calls = trained(parts)
    assert result == whole
    assert calls == 8 - asked  # what was scored is not scored again
    for path in sorted((tmp_path / "whole").rglob("*")):
        if path.is_file() and path.suffix in (".jsonl", ".safetensors"):
            assert (parts / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes(), path


def test_dpo_makes_the_chosen_text_likelier(sft: Path, task: Task, tmp_path: Path) -> None:
    pairs = [Preference(row.query, "Go on.", "O sea!") for row in task.labelled() if row.label == 1]
    result = train_dpo(task, pairs, sft, tmp_path / "dpo", dataclasses.replace(DPO, epochs=20))
    assert result["loss_first"] == pytest.approx(math.log(2), rel=0.05)  # at the reference neither has gained
    assert result["loss_last"] < 0.4
    assert result["accuracy_last"] == 1.0
    card = Card.read(tmp_path / "dpo")
    assert (card.trained, card.reward, card.parent, card.own_rewards) == ("dpo", None, "sft", ())
    before, after = (Policy.load(at) for at in (sft, tmp_path / "dpo"))
    assert margin(after, pairs) > margin(before, pairs) + 1


def margin(policy: Policy, pairs: Sequence[Preference]) -> float:
    """Nats by which the chosen texts are likelier than the rejected ones."""
    total = 0.0
    for row in dpo.examples(policy.tokenizer, policy.card, pairs):
        for side, sign in (("chosen_ids", 1), ("rejected_ids", -1)):
            ids = torch.tensor([row["prompt_ids"] + row[side]])
            labels = torch.tensor([[-100] * len(row["prompt_ids"]) + row[side]])
            with torch.no_grad():
                total -= sign * float(policy.model(input_ids=ids, labels=labels).loss) * len(row[side])
    return total / len(pairs)


def test_dpo_sees_the_tokens_that_the_policy_writes(sft: Path, task: Task, tmp_path: Path, monkeypatch) -> None:
    seen = []
    compute_loss = dpo.DPOTrainer._compute_loss

    def spy(self, model, inputs, return_outputs):
        seen.append({name: inputs[name].clone() for name in ("input_ids", "completion_mask")})
        return compute_loss(self, model, inputs, return_outputs)

    monkeypatch.setattr(dpo.DPOTrainer, "_compute_loss", spy)
    train_dpo(
        task, [Preference("a wish", "Go on.", "O sea!")], sft, tmp_path / "dpo", dataclasses.replace(DPO, epochs=1)
    )
    tokenizer = Policy.load(sft).tokenizer
    (batch,) = seen
    texts = [tokenizer.decode(ids[mask == 1]) for ids, mask in zip(*batch.values(), strict=True)]
    assert texts == ["Go on.<|im_end|>\n", "O sea!<|im_end|>\n"]
    assert all("You write wishes." in tokenizer.decode(ids) for ids in batch["input_ids"])


def test_dpo_pairs_the_best_with_the_worst(sft: Path, task: Task, tmp_path: Path) -> None:
    flat = task.queries()[0].query
    reward = Scores(lambda query, text: 0.0 if query == flat else vowels(query, text))
    result = train_dpo_rounds(task, task.queries(), sft, reward, tmp_path / "dpo", DPO)
    scored = rows(tmp_path / "dpo" / "round-1" / "completions.jsonl")
    pairs = read_pairs(tmp_path / "dpo" / "round-1" / "pairs.jsonl")
    assert flat not in {pair.query for pair in pairs}  # equal scores say nothing
    for pair in pairs:
        of = {row["response"]: row["reward"] for row in scored if row["query"] == pair.query and not row["truncated"]}
        assert (of[pair.chosen], of[pair.rejected]) == (max(of.values()), min(of.values()))
    (found,) = result["rounds"]
    assert found["pairs"] + found["left_out"] == 8
    card = Card.read(tmp_path / "dpo")
    assert (card.trained, card.reward, card.own_rewards) == ("dpo", "rule", reward.identities)
    with pytest.raises(InputError, match="tells no two texts of a query apart"):
        train_dpo_rounds(task, task.queries(), sft, Scores(lambda *_: 1.0), tmp_path / "flat", DPO)


def test_a_plain_model_starts_too(strange_model: Callable[[str], str], task: Task, tmp_path: Path) -> None:
    """Its own adapter is new, and the queries may be few."""
    base = strange_model("plain")
    result = train_dpo(
        task, [Preference("q", "Go on.", "O sea!")], base, tmp_path / "dpo", dataclasses.replace(DPO, samples=2)
    )
    assert result["samples"]["trained"]["n"] == 2
    settings = dataclasses.replace(BON, n=16, max_completion_length=200, epochs=1)
    found = train_bon(task, [Query.of("q")], base, Scores(vowels), tmp_path / "bon", settings)
    assert Card.read(tmp_path / "bon").base == base
    assert found["rounds"][0]["winners"] == 1
