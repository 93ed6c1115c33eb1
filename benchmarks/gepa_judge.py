"""DSPy's GEPA optimising a judge prompt: run by bench_judge.py in an environment of its own, never imported.

Reads one JSON object on stdin (endpoint, texts, budget), writes one on stdout: the instruction that GEPA chose and the
calls it made. DSPy's cache and GEPA's state live in ``folder``: the same command goes on where it was.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Literal


def main() -> None:
    asked = json.load(sys.stdin)
    os.environ["DSPY_CACHEDIR"] = asked["folder"] + "/dspy-cache"
    answer, sys.stdout = sys.stdout, sys.stderr  # DSPy prints; only the result belongs on stdout
    json.dump(optimise(asked), answer, ensure_ascii=False)


def optimise(asked: dict[str, Any]) -> dict[str, Any]:
    import dspy

    def model(**sampling: Any) -> Any:
        return dspy.LM(
            f"openai/{asked['model']}", api_base=asked["base_url"], api_key=asked["api_key"] or "none", **sampling
        )

    judge, reflector = model(temperature=0.0, max_tokens=80), model(temperature=1.0, max_tokens=800)
    dspy.configure(lm=judge)
    good, bad = asked["good"], asked["bad"]
    signature = dspy.make_signature(
        {
            "query": (str, dspy.InputField()),
            "text": (str, dspy.InputField()),
            "verdict": (Literal[good, bad], dspy.OutputField()),
        },
        asked["instruction"],
    )

    def score(gold: Any, predicted: Any, *_: Any) -> Any:
        right = predicted.verdict == gold.verdict
        told = f"Readers call this text {gold.verdict}." + ("" if right else f" You said {predicted.verdict}.")
        return dspy.Prediction(score=float(right), feedback=told)

    def examples(rows: list[dict[str, Any]]) -> list[Any]:
        return [
            dspy.Example(query=row["query"], text=row["response"], verdict=good if row["label"] else bad).with_inputs(
                "query", "text"
            )
            for row in rows
        ]

    optimizer = dspy.GEPA(
        metric=score,
        max_metric_calls=asked["calls"],
        reflection_lm=reflector,
        num_threads=asked["at_once"],
        log_dir=asked["folder"] + "/state",
        seed=asked["seed"],
    )
    started = time.monotonic()
    program = optimizer.compile(
        dspy.Predict(signature), trainset=examples(asked["training"]), valset=examples(asked["validation"])
    )
    return {
        "instruction": program.signature.instructions,
        "calls": len(judge.history) + len(reflector.history),
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    main()
