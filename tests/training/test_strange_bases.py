"""SFT, GRPO and reward models on bases that lack a template, an end or a pad, refuse system turns, or think."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from strange_models import THOUGHT, WISHES

from inkfire.errors import EndpointDown, InkfireError, InputError
from inkfire.models import chat, policy
from inkfire.models.card import Card
from inkfire.models.policy import Policy, compute_dtype
from inkfire.records import Candidate, Identity
from inkfire.rewards.load import load_reward
from inkfire.rewards.mixture import Mixture
from inkfire.tasks.task import Task, load_task
from inkfire.training import sft
from inkfire.training.grpo import train_grpo
from inkfire.training.reward_model import train_reward_model
from inkfire.training.settings import GrpoSettings, RewardModelSettings, SftSettings
from inkfire.training.sft import train_sft

pytestmark = pytest.mark.slow

Models = Callable[[str], str]
GRPO = GrpoSettings(max_steps=4, max_completion_length=8, num_generations=2, batch_size=2)
BASES = ("nochat", "nopad", "noeos", "gemma", "mistral", "drops", "endless", "think_special", "always")


@pytest.fixture
def task(tiny_task: Path) -> Task:
    return load_task(tiny_task)


class Reward:
    """Scores by a rule, and remembers what it was shown."""

    name = "rule"
    threshold = None
    identities = (Identity("check", "rule", "a1"),)

    def __init__(self, rule: Callable[[str], float | None], why: Sequence[str] = ()):
        self.rule, self.seen, self.why = rule, list[str](), why
        self.unscored = Counter[str]()

    def score(self, queries: Sequence[str], responses: Sequence[str], *, truncated=None) -> list[float | None]:
        self.seen += responses
        self.unscored.update(self.why)
        return [self.rule(text) for text in responses]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("kind", BASES)
def test_sft_teaches_a_text_and_its_end_to_any_base(
    kind: str, strange_model: Models, task: Task, tmp_path: Path
) -> None:
    """Asked as it was taught, the policy writes the text and stops: prompt and end are those of the training."""
    rows = [Candidate("a wish", "Hi!")] * 8
    config = SftSettings(epochs=40, batch_size=8, learning_rate=3e-2, save_steps=100)
    result = train_sft(task, rows, strange_model(kind), tmp_path / "sft", config)
    assert result["loss_last"] < 0.1
    taught = Policy.load(tmp_path / "sft")
    assert taught.generate(["a wish"], temperature=0, max_new_tokens=20) == [["Hi!"]]
    base = Policy.load(strange_model(kind), task=task)
    assert (taught.encode(["q"]), taught.tokenizer.pad_token) == (base.encode(["q"]), base.tokenizer.pad_token)


def test_sft_learns_behind_the_empty_thought(strange_model: Models, task: Task) -> None:
    card = Card.of(strange_model("think"), task)
    tokenizer = policy.load_tokenizer(strange_model("think"))
    (row,) = sft.examples(tokenizer, card, [Candidate("a wish", "Hello!")])
    learnt = [token for token in row["labels"] if token != -100]
    assert tokenizer.decode(row["input_ids"]).endswith("assistant\n<think>\n\n</think>\n\nHello!<|im_end|>\n")
    assert tokenizer.decode(learnt) == "Hello!<|im_end|>\n"


@pytest.mark.parametrize("kind", BASES)
def test_grpo_and_a_reward_model_on_any_base(kind: str, strange_model: Models, task: Task, tmp_path: Path) -> None:
    settings = RewardModelSettings(kind="transformer", base=strange_model(kind), epochs=1, batch_size=4)
    train_reward_model(task.pairs(), tmp_path / "rm", settings, task=task)
    reward = load_reward(tmp_path / "rm")
    queries, texts = ["a wish", "a wish"], ["Hi!", "Hello, you who are reading this!"]
    reward.model.float()  # bfloat16 rounds by what stands beside a text
    alone = [reward.score([q], [t])[0] for q, t in zip(queries, texts, strict=True)]
    assert reward.score(queries, texts) == pytest.approx(alone, abs=1e-4)  # nor pads nor a shared beginning count
    reward.model.to(compute_dtype())
    result = train_grpo(task, task.queries(), strange_model(kind), reward, tmp_path / "rl", GRPO)
    assert result["missing"] == 0
    assert Policy.load(tmp_path / "rl").generate(["a wish"], max_new_tokens=4)


@pytest.mark.parametrize("kind", ["think", "think_special"])
def test_a_reward_sees_no_thinking(
    kind: str, strange_model: Models, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a policy that thinks whatever it is told: with room for the thought, and without."""
    monkeypatch.setattr(chat, "switches", lambda template: {})
    queries = [query for query in task.queries() if query.query in WISHES]
    rows = {}
    for room in (99, 20):
        reward = Reward(lambda text: float(len(text)))
        settings = dataclasses.replace(GRPO, max_steps=1, max_completion_length=room, temperature=0.01)
        train_grpo(task, queries, strange_model(f"thinks:{kind}"), reward, tmp_path / str(room), settings)
        log = (tmp_path / str(room) / "completions.jsonl").read_text()
        assert THOUGHT not in log
        assert sorted(json.loads(line)["response"] for line in log.splitlines()) == sorted(reward.seen)
        (rows[room],) = [json.loads(line) for line in (tmp_path / str(room) / "metrics.jsonl").read_text().splitlines()]
        assert set(reward.seen) == ({WISHES[query.query] for query in queries} if room == 99 else {""})
    assert (rows[99]["truncated"], rows[20]["truncated"]) == (0, 1)
    assert rows[99]["mean_tokens"] == rows[99]["mean_length"] == 20  # a token is a byte
    assert rows[20]["mean_tokens"] == rows[20]["mean_length"] == 0


@pytest.mark.parametrize(
    ("why", "error", "said"),
    [
        (["no log-probabilities came"], InputError, r"no log-probabilities came\. Use --mode verdict"),
        (["the reply is no JSON: '{1'", "it said 7", "the reply is no JSON: '{2'"], EndpointDown, r"no JSON: '\{1'"),
        ([], InputError, r"look at what it gives for the texts of completions\.jsonl"),
    ],
)
def test_three_steps_without_a_reward_stop_the_training(
    why: list[str], error: type[InkfireError], said: str, strange_model: Models, task: Task, tmp_path: Path
) -> None:
    calls = []

    def rule(text: str) -> float | None:
        calls.append(text)
        return 1.0 if len(calls) <= 4 else None  # the first step has rewards

    reward = Mixture(((1.0, Reward(rule, why)),))
    settings = dataclasses.replace(GRPO, max_steps=9, min_coverage=0)
    with pytest.raises(error, match=rf"1\*rule is missing, not equal: no text of the last 3 steps has one.*{said}"):
        train_grpo(task, task.queries(), strange_model("plain"), reward, tmp_path / "rl", settings)
    assert len(calls) == 16
    assert not (tmp_path / "rl" / "policy.json").exists()


def test_two_steps_without_a_reward_do_not(strange_model: Models, task: Task, tmp_path: Path) -> None:
    calls = []

    def rule(text: str) -> float | None:
        calls.append(text)
        return 1.0 if 8 < len(calls) <= 12 else None

    settings = dataclasses.replace(GRPO, max_steps=5, min_coverage=0)
    result = train_grpo(task, task.queries(), strange_model("plain"), Reward(rule), tmp_path / "rl", settings)
    assert result["missing"] == 16
    assert (result["missing_groups"], result["zero_variance"]) == (0.8, 1.0)
    assert any(line.endswith("missing, not equal.") for line in result["warnings"])


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")  # from a call of peft's
def test_an_adapter_names_its_base_as_others_find_it(
    strange_model: Models, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import AutoPeftModelForCausalLM

    monkeypatch.chdir(tmp_path)
    rows, settings = [Candidate("a wish", "Hi!")], SftSettings(epochs=1)
    tiny = strange_model("plain")
    train_sft(task, rows, tiny, Path("runs/sft"), settings)
    train_grpo(
        task, task.queries(), Path("runs/sft"), Reward(len), Path("runs/rl"), dataclasses.replace(GRPO, max_steps=1)
    )
    for name in ("sft", "rl"):
        config = json.loads(Path("runs", name, "adapter_config.json").read_text())
        assert not Path(config["base_model_name_or_path"]).is_absolute()
        assert AutoPeftModelForCausalLM.from_pretrained(f"runs/{name}") is not None
        assert not Path(json.loads(Path("runs", name, "policy.json").read_text())["base"]).is_absolute()
        assert Path(Card.read(Path("runs", name)).base).samefile(tiny)

    monkeypatch.setattr(policy, "base_source", lambda name: tiny)
    train_sft(task, rows, "local/smollm2-135m", Path("runs/known"), settings)
    config = json.loads(Path("runs/known/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert Card.read(Path("runs/known")).base == "local/smollm2-135m"
    for file in Path("runs").rglob("*"):
        assert not file.is_file() or str(tmp_path.parent).encode() not in file.read_bytes(), file
