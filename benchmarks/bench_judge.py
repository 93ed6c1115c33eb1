"""Our judge against the field: the same texts, model and endpoint, the same labels, the same calibration.

    python benchmarks/bench_judge.py --model local/qwen2.5-coder-1.5b --out runs/bench-judge

    plain      a one-paragraph judge prompt
    release    principles refined without an acceptance test, as in the paper's release
    inkfire    principles refined with the acceptance test
    examples   those of inkfire, with ``--examples`` labelled texts of training and validation as turns before each text
    nearest    the same with the ``--nearest`` texts that are most like the one that is judged
    gepa       the plain prompt, optimised by DSPy's GEPA with as many judgements as inkfire's refinement made calls;
               its reflections come on top (``built`` counts all its calls)
    neighbours the share of good ones among the texts that ``nearest`` shows; no model at all
    ngram      the character n-gram twin, trained on the same pairs; no model at all

Each prompt is read in the same way (one token, P(Good) from its log-probabilities) and gets a threshold fitted on the
same ``--fit`` labels, so that what differs is the prompt. Accuracy and AUC are on ``--test`` texts, the length-matched
AUC on ``--matched`` further ones; all parts are disjoint by query; intervals are bootstraps clustered by query. Every
arm has a ledger of its own under --out: what was asked is never asked again, and a run that was stopped goes on.
``seconds`` are those of the requests over the number in flight. GEPA runs in an environment of its own, made in the
user's cache; an attempt of it that was stopped leaves its calls in DSPy's cache, and the table has neither them nor its
seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from release_texts import matched, release_pairs, texts_of

from inkfire.files.jsonl import write_json
from inkfire.judge.base import Judge, at_once, judge_many
from inkfire.judge.calibration import fit_calibration, raw_score
from inkfire.judge.examples import Examples
from inkfire.judge.logprob import LogprobJudge, read_answer
from inkfire.judge.measure import measure
from inkfire.judge.principles import read_principles
from inkfire.llm.base import LLM, Sampling
from inkfire.llm.ledger import Ledger
from inkfire.llm.totals import summarise
from inkfire.models import engine, store
from inkfire.models.open import is_local, open_model
from inkfire.records import Labelled, Preference, Verdict
from inkfire.refine.acceptance import Decision
from inkfire.refine.rounds import Refiner
from inkfire.refine.settings import RefineSettings
from inkfire.stats.intervals import auc_difference, bootstrap_auc
from inkfire.stats.twins import NgramPairModel
from inkfire.tasks.task import Task, load_task

ARMS = ("plain", "release", "inkfire", "examples", "nearest", "gepa", "neighbours", "ngram")
GEPA = ("dspy==3.4.1", "gepa==0.1.4")
PARAGRAPH = {
    "zh": "你是祝福语评审。请看这段祝福语能不能原样发给收信人：是不是切合场合和对象，语言自然，情意真切，有具体内容。",
    "en": "You review greetings. Say whether this text could be sent to its recipient as it stands: does it fit the "
    "occasion and the reader, is the language natural, is it sincere and specific?",
}


@dataclass(frozen=True)
class PromptJudge:
    """Any prompt as a judge of one token, read as ``LogprobJudge`` is."""

    task: Task
    llm: LLM
    prompt: str

    @property
    def name(self) -> str:
        return "prompt"

    async def judge(self, query: str, response: str) -> Verdict:
        text = json.dumps({"query": query, "text": response}, ensure_ascii=False)
        reply = await self.llm.chat(
            [
                {"role": "system", "content": f"{self.prompt}\n{self.task.good} / {self.task.bad}"},
                {"role": "user", "content": f"{text}\n{self.task.good} / {self.task.bad}:"},
            ],
            sampling=Sampling(max_tokens=1, top_logprobs=20, seed=0),
        )
        answer = read_answer(reply.logprobs[0], self.task.good, self.task.bad) if reply.logprobs else None
        if answer is None:
            return Verdict(None, unscored="neither of the two answers")
        return Verdict(1 if answer.log_odds >= 0 else 0, probability=float(1 / (1 + np.exp(-answer.log_odds))))

    async def close(self) -> None:
        await self.llm.close()


class Always:
    """No acceptance test: every candidate is taken."""

    def decide(self, labels: Any, current: Any, candidate: Any, *, clusters: Any) -> Decision:
        return Decision(True, 0.0, (0.0, 0.0), len(labels), "taken without a test")


@dataclass(frozen=True)
class Parts:
    """The labelled texts, no query in two of them; ``pairs`` are those behind fit, training and validation."""

    fit: list[Labelled]
    training: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]
    matched: list[Labelled]
    pairs: list[Preference]
    queries: list[str]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Parts:
        pairs = release_pairs(options.seed)
        equal = [pair for pair in pairs if matched(pair)][: options.matched // 2]
        taken = {pair.query for pair in equal}
        rest = [pair for pair in pairs if pair.query not in taken]
        cuts = np.cumsum([0, *(n // 2 for n in (options.test, options.fit, options.training, options.validation))])
        test, fit, training, validation = (rest[a:b] for a, b in pairwise(cuts))
        return cls(
            texts_of(fit),
            texts_of(training),
            texts_of(validation),
            texts_of(test),
            texts_of(equal),
            [*training, *validation],
            [pair.query for pair in rest[cuts[-1] : cuts[-1] + 200]],
        )


@dataclass(frozen=True)
class Bench:
    options: argparse.Namespace
    task: Task
    parts: Parts

    @property
    def out(self) -> Path:
        path: Path = self.options.out
        return path

    def ledger_path(self, arm: str) -> Path:
        return self.out / arm / "ledger.sqlite"

    async def scores(self, arm: str) -> dict[str, Any]:
        """What the arm needs to be measured: its verdicts on fit, test and matched texts, its calls and seconds."""
        if arm in ("ngram", "neighbours"):
            return _free(self._ngrams() if arm == "ngram" else await self._neighbours())
        with Ledger(self.ledger_path(arm), run=arm) as ledger:
            concurrency = self.options.concurrency
            async with open_model(
                self.options.model, ledger=ledger, base_url=self.options.base_url, concurrency=concurrency
            ) as llm:
                judge, made = await self._judge(arm, llm, ledger)
                built = ledger.stats()["calls"]
                verdicts = await judge_many(judge, self.texts, concurrency=concurrency)
        totals = summarise(self.ledger_path(arm))
        seconds = sum(row["latency_total"] for row in totals) / concurrency + made.pop("seconds", 0.0)
        made = {"build_calls": built} | made
        return made | {"verdicts": verdicts, "calls": made["build_calls"] + len(self.texts), "seconds": seconds}

    async def _judge(self, arm: str, llm: LLM, ledger: Ledger) -> tuple[Judge, dict[str, Any]]:
        paragraph = PARAGRAPH.get(self.task.language, PARAGRAPH["en"])
        if arm == "plain":
            return PromptJudge(self.task, llm, paragraph), {"prompt": paragraph}
        if arm == "gepa":
            found = await asyncio.to_thread(self._gepa, paragraph)
            made = {"prompt": found["instruction"], "build_calls": found["calls"], "seconds": found["seconds"]}
            return PromptJudge(self.task, llm, found["instruction"]), made
        options = self.options
        if arm in ("examples", "nearest"):
            ours = self._of_inkfire(f"{arm} shows texts to the judge of the inkfire arm")
            principles = read_principles(self.out / "inkfire" / "principles.toml")
            made = {"prompt": ours["prompt"], "build_calls": ours["build_calls"]}
            return LogprobJudge(self.task, llm, principles, self._shown(arm), seed=options.seed), made
        refined = await Refiner(
            self.task,
            llm,
            self.parts.queries,
            self.parts.training,
            self.parts.validation,
            RefineSettings(rounds=options.rounds, attacks=options.attacks, errors=options.errors),
            acceptance=Always() if arm == "release" else None,
            concurrency=options.concurrency,
            seed=options.seed,
            note=lambda message: print(f"  {arm}: {message}", file=sys.stderr),
        ).run()
        made = {"prompt": "\n".join(refined.principles.texts), "accepted": refined.accepted}
        refined.principles.write(self.out / arm / "principles.toml", task=self.task.name)
        write_json(self.out / arm / "history.json", list(refined.history))
        return LogprobJudge(self.task, llm, refined.principles, seed=options.seed), made

    def _gepa(self, paragraph: str) -> dict[str, Any]:
        """GEPA's prompt, from a finished run or a new one, with as many calls as the inkfire arm's refinement made."""
        path = self.out / "gepa" / "result.json"
        if (stored := _stored(path)) is not None:
            return stored
        calls = (
            self.options.gepa_calls
            or self._of_inkfire("gepa gets as many calls as the inkfire arm made (or --gepa-calls)")["build_calls"]
        )
        url, key, done = endpoint(self.options)
        try:
            rows = {
                name: [{"query": row.query, "response": row.response, "label": row.label} for row in texts]
                for name, texts in (("training", self.parts.training), ("validation", self.parts.validation))
            }
            asked = rows | {
                "base_url": url,
                "api_key": key,
                "model": self.options.model,
                "instruction": f"{paragraph} {self.task.good} / {self.task.bad}",
                "good": self.task.good,
                "bad": self.task.bad,
                "calls": calls,
                "at_once": self.options.concurrency,
                "seed": self.options.seed,
                "folder": str((self.out / "gepa").absolute()),
            }
            script = Path(__file__).with_name("gepa_judge.py")
            run = subprocess.run(
                [_environment(), str(script)], input=json.dumps(asked), stdout=subprocess.PIPE, text=True
            )
        finally:
            done()
        if run.returncode != 0:
            raise SystemExit(f"GEPA ended with {run.returncode}; the same command goes on from DSPy's cache")
        found: dict[str, Any] = json.loads(run.stdout)
        write_json(path, found)
        return found

    def _of_inkfire(self, why: str) -> dict[str, Any]:
        if (stored := _stored(self.out / "inkfire.json")) is None:
            raise SystemExit(f"{why}: run that arm first")
        return stored

    @property
    def texts(self) -> list[Labelled]:
        """What every arm judges."""
        return [*self.parts.fit, *self.parts.test, *self.parts.matched]

    def _shown(self, arm: str) -> Examples:
        pool = (*self.parts.training, *self.parts.validation)
        if arm == "examples":
            return Examples(pool, self.options.examples, "fixed", self.options.seed)
        return Examples(pool, self.options.nearest, "nearest", self.options.seed)

    def _ngrams(self) -> list[float]:
        model = NgramPairModel().fit(self.parts.pairs)
        scores = model.score([row.query for row in self.texts], [row.response for row in self.texts])
        return [float(1 / (1 + np.exp(-score))) for score in scores]

    async def _neighbours(self) -> list[float]:
        return await self._shown("nearest").good_shares(self.texts) or []

    def measured(self, found: dict[str, Any]) -> dict[str, Any]:
        parts, verdicts = self.parts, found["verdicts"]
        a, b = len(parts.fit), len(parts.fit) + len(parts.test)
        calibration = fit_calibration(verdicts[:a], [row.label for row in parts.fit])
        test = [calibration.apply(verdict) for verdict in verdicts[a:b]]
        whole = measure(parts.test, test, seed=self.options.seed)
        equal = _auc(parts.matched, verdicts[b:], self.options.seed)
        kept = ("n", "scored", "accuracy", "accuracy_ci", "auc", "auc_ci", "length_auc")
        out = {name: whole[name] for name in kept} | {"matched_n": len(parts.matched)} | equal
        out["uncalibrated_accuracy"] = measure(parts.test, verdicts[a:b], seed=self.options.seed)["accuracy"]
        return out | {name: found[name] for name in ("build_calls", "calls", "seconds", "prompt")}


def _free(probabilities: Sequence[float]) -> dict[str, Any]:
    """The arm of a twin, which asks no model."""
    verdicts = [Verdict(1 if p >= 0.5 else 0, probability=p) for p in probabilities]
    return {"verdicts": verdicts, "build_calls": 0, "calls": 0, "seconds": 0.0, "prompt": ""}


def _stored(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def _auc(texts: Sequence[Labelled], verdicts: Sequence[Verdict], seed: int) -> dict[str, Any]:
    rows = [(t, s) for t, v in zip(texts, verdicts, strict=True) if (s := raw_score(v)) is not None]
    found = bootstrap_auc([t.label for t, _ in rows], [s for _, s in rows], [t.query for t, _ in rows], seed=seed)
    return found.named("matched_auc")


def endpoint(options: argparse.Namespace) -> tuple[str, str | None, Any]:
    """URL, key, and what to call when done with it."""
    if is_local(options.model):
        running = engine.acquire(store.pull(options.model))
        return running.base_url, running.api_key, running.release
    url = options.base_url or os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    return url, os.environ.get("OPENAI_API_KEY"), lambda: None


def _environment() -> str:
    """The Python of an environment that has GEPA, made once in the user's cache."""
    folder = store.cache_dir() / "environments" / "-".join(GEPA).replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"making {folder} with {' and '.join(GEPA)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *GEPA], check=True, stdout=sys.stderr)
        (folder / "ready").touch()
    return str(python)


def _difference(bench: Bench, ours: Sequence[Verdict], other: Sequence[Verdict]) -> dict[str, Any]:
    """AUC of ours minus the other's on the test texts that both scored, paired, clustered by query."""
    a, b = len(bench.parts.fit), len(bench.parts.fit) + len(bench.parts.test)
    rows = [
        (text.label, theirs, mine, text.query)
        for text, new, old in zip(bench.parts.test, ours[a:b], other[a:b], strict=True)
        if (mine := raw_score(new)) is not None and (theirs := raw_score(old)) is not None
    ]
    found = auc_difference(*(list(column) for column in zip(*rows, strict=True)), seed=bench.options.seed)
    return found.named("auc_difference") | {"n": len(rows)}


async def compare(bench: Bench) -> dict[str, Any]:
    results: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    for arm in bench.options.arms:
        print(f"{arm} …", file=sys.stderr)
        found[arm] = await bench.scores(arm)
        results[arm] = bench.measured(found[arm])
        write_json(bench.out / f"{arm}.json", results[arm])
    if "inkfire" in found:
        for arm in results:
            if arm != "inkfire":
                results[arm]["inkfire_minus"] = _difference(bench, found["inkfire"]["verdicts"], found[arm]["verdicts"])
    return results


def show(results: dict[str, Any]) -> None:
    print(f"{'':10} {'accuracy':>21} {'AUC':>21} {'length-matched AUC':>21} {'calls':>6} {'built':>6} {'s':>6}")
    for arm, row in results.items():
        cells = " ".join(f"{_cell(row, name):>21}" for name in ("accuracy", "auc", "matched_auc"))
        print(f"{arm:10} {cells} {row['calls']:6} {row['build_calls']:6} {row['seconds']:6.0f}")
    row = next(iter(results.values()))
    print(f"length alone: AUC {row['length_auc']:.3f}; {row['n']} test texts, {row['matched_n']} length-matched ones")
    for arm, row in results.items():
        if "inkfire_minus" in row:
            minus = row["inkfire_minus"]
            low, high = minus["auc_difference_ci"]
            print(f"inkfire minus {arm}: AUC {minus['auc_difference']:+.3f} [{low:+.3f}, {high:+.3f}]")


def _cell(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_ci"]
    return f"{row[name]:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="local/qwen2.5-coder-1.5b")
    parser.add_argument("--base-url")
    parser.add_argument("--task", default="greetings-zh")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-judge"))
    parser.add_argument("--arms", type=lambda text: text.split(","), default=list(ARMS), help=",".join(ARMS))
    sizes = {"fit": 100, "training": 60, "validation": 120, "test": 400, "matched": 200}
    sizes |= {"rounds": 2, "attacks": 4, "errors": 6, "examples": 32, "nearest": 4, "seed": 0}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--concurrency", type=int, help="calls in flight, of every arm")
    parser.add_argument("--gepa-calls", type=int, help="model calls of GEPA; by default those of the inkfire arm")
    options = parser.parse_args()
    options.concurrency = options.concurrency or at_once(options.model, "logprob")
    results = asyncio.run(compare(Bench(options, load_task(options.task), Parts.of(options))))
    write_json(options.out / "results.json", results)
    show(results)


if __name__ == "__main__":
    main()
