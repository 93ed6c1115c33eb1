"""Each kind of run folder has a page that says what it found, in words and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import default_reply, served

from inkfire.errors import RunFolderError
from inkfire.files.jsonl import read_jsonl, write_json, write_jsonl
from inkfire.files.run import Run
from inkfire.judge.spec import JudgeSpec
from inkfire.llm.bill import Bill
from inkfire.report import figures
from inkfire.report.drift import over_optimisation
from inkfire.report.folder import Folder
from inkfire.report.page import write_report
from inkfire.training.monitors import summary

Inkfire = Callable[..., Path]
Pages = Callable[[Path], str]
Data = dict[str, Path]


@pytest.fixture
def model(tiny_task: Path, endpoint: str) -> list[object]:
    return ["--task", tiny_task, "--model", "stub", "--base-url", endpoint]


def test_curate(inkfire: Inkfire, page: Pages, model: list[object], tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a wish for Easter\na wish for a wedding\na wish for an exam\n")
    out = inkfire("curate", *model, "--prompts", tmp_path / "prompts.txt", "--pairs", "all")
    result = Run.read(out).done("curate")
    assert result is not None
    text = page(out)
    assert f"{result['pairs']} preference pairs came of 3 queries; {100 * result['pair_share']:.0f} % (" in text
    assert re.search(rf"text wins in \d+ % \(\d+ to \d+\) of {result['pairs']} pairs[.:]", text)
    assert f"{100 * result['good'] / result['labelled']:.0f} % (n = {result['labelled']}) of the labelled" in text
    assert "<h2>Pairs</h2>" in text
    assert "<dt>chosen</dt><dd>Reply" in text
    assert "<dt>reflect</dt>" in text
    assert f'<td class="n">{result["calls"]}</td>' in text
    assert "input prompts" in text


def test_judge(inkfire: Inkfire, page: Pages, model: list[object], data: Data) -> None:
    text = page(inkfire("judge", *model, "--data", data["labelled"], "--calibration", data["many"]))
    assert "The judge tells good texts from bad ones no better than their length does: AUC 0.94 (" in text
    assert " on 17 texts, length alone 0." in text
    assert "Its accuracy is 94 % (" in text
    assert "Before its calibration the same answers have 94 % (" in text
    assert "Without a verdict, and left out: 6 % (n = 18)." in text
    assert "n-grams" in text
    assert "Share of good texts against the probability that the judge said" in text  # the reliability curve
    assert "a wish for <script>snow" in text  # the one that it had wrong; escaped, see page()
    assert "<dt>label</dt><dd>bad</dd>" in text
    assert "Good and Bad together have probability 0.00" in text  # why one has no verdict


def test_a_judge_of_texts_without_labels(inkfire: Inkfire, page: Pages, model: list[object], data: Data) -> None:
    text = page(inkfire("judge", *model, "--data", data["plain"]))
    assert "The judge calls 9 of 17 texts good (53 %); they have no labels" in text
    assert "It is not calibrated" in text
    assert "refused" not in text


def test_a_judge_that_ranks_no_better_than_a_coin(
    inkfire: Inkfire, page: Pages, model: list[object], tmp_path: Path
) -> None:
    rows = [{"query": f"q{i // 2}", "response": "A window.", "label": i % 2} for i in range(20)]
    write_jsonl(tmp_path / "coin.jsonl", rows)
    text = page(inkfire("judge", *model, "--data", tmp_path / "coin.jsonl"))
    assert "The judge is not shown to tell good texts from bad ones: AUC 0.50 (0.44 to 0.56) on 20 texts" in text
    assert "As a reward it is refused: " in text


MEASURED: dict[str, Any] = {
    "n": 40, "scored": 40, "unscored": 0, "calibrated": True, "injections": 0, "doubt": None,
    "accuracy": 0.75, "accuracy_ci": [0.6, 0.86], "auc": 0.8, "auc_ci": [0.66, 0.91],
    "length_auc": 0.55, "length_auc_ci": [0.4, 0.7], "auc_length_matched": None, "auc_length_matched_ci": None,
    "n_length_matched": 0,
}  # fmt: skip


def judged(tmp_path: Path, **changes: Any) -> Run:
    run = Run.open(tmp_path / "run", command="judge", settings={"task": "tiny"})
    run.complete("judge", MEASURED | changes, seconds=1)
    return run


def test_a_judge_is_doubted_and_refused_in_words(page: Pages, tmp_path: Path) -> None:
    text = page(judged(tmp_path, doubt="this judge may measure little but length").out)
    assert "from bad ones: AUC 0.80 (0.66 to 0.91) on 40 texts, length alone 0.55 (0.40 to 0.70)." in text
    assert "It is not refused as a reward." in text
    assert '<p class="warn">This judge may measure little but length.</p>' in text
    assert "The dashed line, 0.5, is chance." in text


def test_a_judge_on_texts_of_one_class(page: Pages, tmp_path: Path) -> None:
    text = page(judged(tmp_path, auc=None, auc_ci=None, length_auc=None, length_auc_ci=None).out)
    assert "The judge is right on 75 % (60 to 86) of 40 texts, all with one label" in text


def test_a_judge_that_never_answered(page: Pages, tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", command="judge", settings={"task": "tiny"})
    refused = {"query": "q", "response": "r", "label": None, "probability": None, "unscored": "<b>refused</b>"}
    write_jsonl(run.path("verdicts.jsonl"), [refused] * 3)
    run.complete("judge", {"n": 3, "scored": 0, "unscored": 3, "calibrated": False}, seconds=1)
    text = write_report(run.out).read_text("utf-8")
    assert "None of the 3 texts got a verdict: &lt;b&gt;refused&lt;/b&gt;. " in text
    assert '<th scope="row">&lt;b&gt;refused&lt;/b&gt;</th><td class="n">3</td>' in text


def test_pairwise(inkfire: Inkfire, page: Pages, model: list[object], tmp_path: Path) -> None:
    rows = [
        {"query": "a", "chosen": "A window.", "rejected": "A door is here."},
        {"query": "b", "chosen": "A door.", "rejected": "A window is here."},
        {"query": "c", "chosen": "One door.", "rejected": "Two doors."},
    ]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    text = page(inkfire("judge", *model, "--mode", "pairwise", "--data", tmp_path / "pairs.jsonl"))
    assert "The judge prefers the chosen text in 50 % (13 to 87) of 3 pairs, not shown to be more than a coin; " in text
    assert "the longer text is the chosen one in 0 % (0 to 56)." in text
    assert "Its answer changes with their order in 33 % (6 to 79)" in text
    assert "<dd>A window is here.</dd>" in text  # the rejected text that it preferred


def test_curve(inkfire: Inkfire, page: Pages, model: list[object], data: Data) -> None:
    text = page(inkfire("judge", "curve", *model, "--data", data["many"], "--sizes", "10,20"))
    assert "With 20 labels the judge is right on 100 % (100 to 100) of 40 texts, without any on 100 %" in text
    assert '<th scope="row">10</th>' in text
    assert 'aria-label="on the test texts against labels, accuracy from 1 to 1' in text


def test_attack(inkfire: Inkfire, page: Pages, model: list[object]) -> None:
    out = inkfire("judge", "attack", *model, "--limit", 56)
    result = Run.read(out).done("attack")
    assert result is not None
    text = page(out)
    low, high = result["flips_off_ci"]
    off = f"{100 * result['flips_off']:.0f} % ({100 * low:.0f} to {100 * high:.0f}, n = 56)"
    assert f"of the injections turn the judge's verdict to good; without the defences {off} do." in text
    assert "Of 4 bad carriers the judge calls 4 bad by itself" in text
    assert "The defences cost 0 % (0 to 32) of 8 good texts" in text
    assert all(f'<th scope="row">{family}</th>' in text for family in result["families"])


def test_attack_without_defences(inkfire: Inkfire, page: Pages, model: list[object]) -> None:
    text = page(inkfire("judge", "attack", *model, "--limit", 28, "--no-defences"))
    assert "turn the judge's verdict to good; its defences were off." in text
    assert "without the defences" not in text
    assert "<h2>Injections that turned it</h2>" in text


def test_probe(inkfire: Inkfire, page: Pages, model: list[object], tiny_task: Path) -> None:
    text = page(inkfire("judge", "probe", *model, "--data", tiny_task / "labelled.jsonl"))
    assert "No change that makes no text better is shown to raise P(Good)" in text
    assert "Shown in another order, 0 % (0 to 32, n = 8) of the pairs get another answer." in text
    assert "Its preference for its own texts is not measured" in text
    assert '<th scope="row">decoration</th>' in text


def test_a_judge_that_a_change_moves(page: Pages, tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", command="judge probe", settings={"task": "tiny"})
    result: dict[str, Any] = {"n": 40, "probes": ["length", "authority", "order", "self_preference"], "order_n": 0}
    for name, shift in (("length", 0.12), ("authority", -0.03)):
        result |= {f"{name}_n": 40, f"{name}_shift": shift, f"{name}_shift_ci": [shift - 0.05, shift + 0.05]}
    result |= {"self_preference": "adjusted for labels", "self_preference_n": 9, "self_preference_shift": 0.2}
    run.complete("probe", result | {"self_preference_shift_ci": [0.1, 0.3]}, seconds=1)
    turned = {"probe": "length", "query": "q", "response": "padded", "label_before": 0, "label": 1}
    write_jsonl(run.path("probes.jsonl"), [turned, turned | {"response": "as before", "label": 0}])
    text = page(run.out)
    assert "P(Good) rises by a change that makes no text better: length (+0.12, +0.07 to +0.17, n = 40)." in text
    assert "Its own texts get 0.20 (0.10 to 0.30, n = 9) more P(Good) than others', adjusted for labels." in text
    assert "<dd>padded</dd>" in text
    assert "as before" not in text


def test_refine(inkfire: Inkfire, page: Pages, model: list[object], data: Data, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a wish for Easter\na wish for a wedding\n")
    labelled = ["--prompts", tmp_path / "prompts.txt", "--labelled", data["many"]]
    text = page(inkfire("refine", *model, *labelled, "--rounds", 1, "--attacks", 2))
    assert "No proposal made the judge better on the validation texts" in text
    assert "Its AUC is 1.00 (0.84 to 1.00) on 40 test texts, where length alone has " in text
    assert "Rounds that changed the principles: 0 of 1" in text
    assert "A window that hides the occasion." in text  # an attack that fooled it
    assert "It fits the occasion." in text  # a principle


def test_refine_as_the_paper_runs_it_on_an_endpoint_without_log_probabilities(
    inkfire: Inkfire, page: Pages, tiny_task: Path, data: Data, tmp_path: Path
) -> None:
    def reply(body: dict[str, Any]) -> str | tuple[int, dict[str, Any]]:
        if body.get("logprobs"):
            return 400, {"error": {"message": "logprobs are not supported"}}
        return default_reply(body)

    (tmp_path / "prompts.txt").write_text("a wish for Easter\na wish for a wedding\n")
    paper = ["--detector", "verdict", "--rounds", 3, "--patience", 3, "--accept", "all", "--merge", "proposal"]
    with served(reply) as stub:
        out = inkfire(
            *("refine", "--task", tiny_task, "--model", "stub", "--base-url", stub.url, *paper, "--errors", 4),
            *("--errors-choice", "random", "--prompts", tmp_path / "prompts.txt", "--labelled", data["many"]),
        )
        assert not any("logprobs" in request.body for request in stub.log)
    history = list(read_jsonl(out / "history.jsonl"))
    assert [row["round"] for row in history] == [1, 2, 3]
    assert all(row["validation"]["n"] == 20 and row["frozen"]["n"] == 2 for row in history)
    assert JudgeSpec.read(out).mode == "verdict"
    text = page(out)
    assert "Every candidate was taken, untested; the test texts decide nothing." in text
    assert "the balanced accuracy" in text
    assert f"{history[0]['frozen']['caught']} of 2 caught" in text


def test_refine_that_made_the_judge_better(page: Pages, tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", command="refine", settings={"task": "tiny"})
    better = MEASURED | {"auc": 0.9, "auc_ci": [0.81, 0.97]}
    rounds = {"accepted": 1, "rejected": 1, "rounds": 2, "attacks": 0, "stopped": "no gain in 1 rounds"}
    run.complete("refine", rounds | {"before": MEASURED, "after": better}, seconds=1)
    text = page(run.out)
    assert "took the judge's AUC from 0.80 (0.66 to 0.91) to 0.90 (0.81 to 0.97) on 40 test texts, where" in text
    assert "Rounds that changed the principles: 1 of 2." in text
    assert "It stopped early: no gain in 1 rounds." in text


def test_reward_model_and_score(inkfire: Inkfire, page: Pages, tiny_task: Path, tmp_path: Path) -> None:
    rm = inkfire("train", "rm", "--pairs", tiny_task / "pairs.jsonl")
    text = page(rm)
    assert "pooled, the linear reward model is right on 100 % (68 to 100) of 8 pairs, length alone on 100 % (" in text
    assert "It is not shown to be better than length alone." in text
    assert "n-gram twin" not in text  # a linear reward model is that twin
    assert "n-grams on" not in text
    assert "<h2>Pairs that were held out</h2>" in text
    assert "Model calls" not in text
    rm = rm.rename(tmp_path / "rm")
    pairs = page(inkfire("score", "--reward", rm, "--pairs", tiny_task / "pairs.jsonl"))
    assert "is right on 100 % (68 to 100) of 8 pairs, length alone on " in pairs
    (tmp_path / "run").rename(tmp_path / "pairs")
    texts = page(inkfire("score", "--reward", rm, "--data", tiny_task / "labelled.jsonl"))
    assert "better than their length does: AUC 1.00 (0.68 to 1.00) on 16 texts, length alone 0.97 (" in texts
    assert "<h2>The highest and the lowest scores</h2>" in texts


def test_score_of_texts_without_labels(inkfire: Inkfire, page: Pages, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "texts.jsonl", [{"query": "q", "response": "a!"}, {"query": "q", "response": "b"}])
    text = page(inkfire("score", "--reward", "share:!", "--data", tmp_path / "texts.jsonl"))
    assert "share:! gave 2 texts a score, 0.25 on average." in text
    assert "<dt>score 0.5</dt><dd>a!</dd>" in text


def test_sft(page: Pages, tmp_path: Path) -> None:
    run = Run.open(tmp_path / "sft", command="train sft", settings={"base": "local/tiny", "epochs": 1.0})
    write_jsonl(run.path("metrics.jsonl"), [{"step": i, "loss": 4.0 - i, "grad_norm": 1.0} for i in range(1, 4)])
    run.complete("train", {"steps": 3, "n": 24, "loss_first": 3.0, "loss_last": 1.0}, seconds=61)
    text = page(run.out)
    assert "In 3 steps on 24 texts the loss went from 3 to 1." in text
    assert 'aria-label="loss against step, from 3 to 1"' in text
    assert "1 min 1 s" in text


GRPO = [
    {"step": i, "loss": 0.1, "kl": 0.01 * i, "kl_text": 0.2 * i, "reward": 0.2 * i, "reward_std": 0.1, "missing": 0,
     "zero_variance": 0.5, "mean_length": 20.0 + i, "distinct": 0.9, "length_correlation": 0.8}
    for i in range(1, 5)
]  # fmt: skip


def grpo_run(out: Path) -> Run:
    run = Run.open(out, command="train grpo", settings={"policy": "runs/sft", "reward": "rm", "max_steps": 4})
    write_jsonl(run.path("metrics.jsonl"), GRPO)
    texts = [
        {"step": i, "query": f"q{i}", "response": f"text {k} of step {i}", "reward": None if k == 2 else float(k)}
        for i in range(1, 5)
        for k in range(8)
    ]
    write_jsonl(run.path("completions.jsonl"), texts)
    return run


def test_grpo(page: Pages, tmp_path: Path) -> None:
    run = grpo_run(tmp_path / "rl")
    run.complete("train", summary(GRPO) | {"calls": 32, "cached": 0, "tokens": 900, "cost": None}, seconds=5)
    text = page(run.out)
    assert "In 4 steps the mean reward went from 0.3 to 0.7; the mean length, in characters, went from 22 to 24" in text
    assert "correlation with length is 0.8; in 50 % of the groups all rewards were equal" in text
    assert "Within groups the reward follows length" in text  # the training's own warning
    assert "text 7 of step 4" in text
    assert "text 0 of step 4" in text
    assert "of step 3" not in text
    assert "KL from the start, nats a text against step" in text
    assert '<td class="n">unknown</td>' in text  # a cost without a price is not 0


def test_the_over_optimisation_curve(page: Pages, tmp_path: Path) -> None:
    """Reward and canaries over √KL, in SD of the first texts, with the policies that were kept."""
    run = grpo_run(tmp_path / "rl")
    assert over_optimisation(Folder(run.out)) == []  # no canary
    write_jsonl(run.path("metrics.jsonl"), [row | {"kl_text": float(row["step"] - 1) ** 2} for row in GRPO])
    values = {1: (0.0, 2.0), 3: (None, 1.0), 4: (-1.0, -1.0)}
    rows = [
        {"step": step, "query": "q", "response": "r", "canary": {"rm:held": value}}
        for step, pair in values.items()
        for value in pair
    ]
    write_jsonl(run.path("canaries.jsonl"), rows)
    write_json(run.path("policy.json"), {"steps": 2})
    (run.out / "kept" / "kl-1").mkdir(parents=True)
    write_json(run.path("kept/kl-1/policy.json"), {"steps": 1})
    drawn = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            figures, "curve", lambda series, *_, marks, **__: drawn.update(series=series, marks=marks) or "drawn"
        )
        assert over_optimisation(Folder(run.out)) == ["drawn"]
    assert drawn["series"]["rm:held"] == [(0.0, 0.0), (2.0, 0.0), (3.0, -2.0)]
    assert [x for x, _ in drawn["series"]["reward"]] == [0.0, 1.0, 2.0, 3.0]
    assert drawn["marks"] == {"kl-1": 1.0, "kept": 2.0}
    result = summary(GRPO) | {"canaries": {"rm:held": [1.0, -1.0]}, "calls": 0, "cached": 0}
    run.complete("train", result, seconds=5)
    text = page(run.out)
    assert "rm:held, no part of the reward, went from 1 to -1." in text.replace("−", "-")
    assert "SDs from the first texts against √KL" in text


def test_a_cost_takes_a_price_that_is_given_later(page: Pages, tmp_path: Path) -> None:
    run = grpo_run(tmp_path / "rl")
    bill = Bill()
    bill.add("gpt", {"calls": 32, "prompt_tokens": 800, "cached_tokens": 0, "completion_tokens": 100}, None)
    used = {"calls": 32, "cached": 0, "tokens": 900, **bill.fields(), "currency": "USD"}
    run.complete("train", summary(GRPO) | used, seconds=5)
    assert '<td class="n">unknown</td>' in page(run.out)
    run.ledger_path.parent.mkdir()
    prices = 'currency = "EUR"\n[gpt]\nprompt = 1e3\ncompletion = 2e3\n'
    run.ledger_path.with_name("prices.toml").write_text(prices, encoding="utf-8")
    assert "1 EUR</td>" in page(run.out)


def test_a_training_that_was_cut_off(page: Pages, tmp_path: Path) -> None:
    run = grpo_run(tmp_path / "rl")
    with run.path("metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    text = page(run.out)
    assert "This run of inkfire train grpo is not finished." in text
    assert "stages/train.json" in text
    assert "mean reward against step" in text
    assert '<th scope="row">metrics.jsonl</th><td class="n">4</td>' in text


def test_a_curation_that_was_cut_off(page: Pages, tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", command="curate", settings={"task": "tiny"})
    run.path("pairs.jsonl.partial").write_text('{"query": "q"}\n{"query": "r"}\n{"que')
    text = page(run.out)
    assert "This run of inkfire curate is not finished." in text
    assert '<th scope="row">pairs.jsonl.partial</th><td class="n">2</td>' in text


def test_evaluate_without_a_trained_policy(page: Pages, tmp_path: Path) -> None:
    from inkfire.evaluation.compare import compare
    from inkfire.evaluation.sight import PEOPLE
    from inkfire.evaluation.signals import Opinion
    from inkfire.evaluation.texts import Texts
    from inkfire.records import Query
    from inkfire.tasks.task import load_task

    run = Run.open(tmp_path / "run", command="evaluate", settings={"task": "greetings-en"})

    class Likes:
        name = "judge"

        def label(self, queries: list[str], responses: list[str]) -> list[Opinion]:
            del queries
            return [Opinion(int("y" in text)) for text in responses]

    queries = [Query.of(f"q{i}") for i in range(12)]
    texts = Texts.single(queries, {"a$1$": ["x" * 20] * 12, "b": ["y" * 20] * 12})
    task, sees = load_task("greetings-en"), {"judge": PEOPLE}
    result: dict[str, Any] = compare(task, texts, [Likes()], sights=sees, baselines=["a$1$"])
    assert "is not finished" in page(run.out)
    write_json(run.path("evaluation.json"), result)
    text = page(run.out)
    assert "On 12 held-out queries b is shown to write better than a$1$." in text
    assert "<h2>Samples side by side</h2>" in text


def test_a_command_of_which_nothing_is_known(page: Pages, tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", command="monitor", settings={"every": 5})
    assert "This run of inkfire monitor is not finished." in page(run.out)
    run.complete("monitor", {"auc": 0.75, "auc_ci": [0.5, 1.0], "n": 12, "rows": [1, 2]}, seconds=1)
    text = page(run.out)
    assert "inkfire monitor is done" in text
    assert "<summary>auc</summary><span>How often a good text" in text  # a term says what it means
    assert '</th><td class="n">0.75 (0.5 to 1)</td>' in text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"manifest.json": '{"name": "an app"}'}, "not a manifest of inkfire's"),
        ({"manifest.json": "{"}, r"cannot read .*manifest\.json"),
        ({"manifest.json": '{"command": "judge", "settings": {}, "seed": 0}', "stages/judge.json": "[]"}, "damaged"),
    ],
)
def test_a_damaged_folder_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(RunFolderError, match=message):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
