"""The peer of bench_distilabel.py: a debate's four steps as a distilabel 1.5 pipeline. Runs in its own environment.

    python distilabel_pipeline.py URL ROWS.json POOL         prints {"rows": …, "seconds": …}

Positive and Negative have the same input and their outputs are joined, Judge and Reflect follow, as in the paper. Every
step may have POOL calls in flight. Replies are passed on as they are: parsing them costs this pipeline nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import CombineOutputs, LoadDataFromDicts
from distilabel.steps.tasks import Task


class Agent(Task):  # type: ignore[misc]
    """One agent: its instructions, then what was said before it."""

    agent: str
    instructions: str
    reads: list[str]

    @property
    def inputs(self) -> list[str]:
        return self.reads

    @property
    def outputs(self) -> list[str]:
        return [self.agent]

    def format_input(self, input: dict[str, Any]) -> list[dict[str, str]]:
        said = "\n".join(f"{name}: {input[name]}" for name in self.reads)
        return [{"role": "system", "content": self.instructions}, {"role": "user", "content": said}]

    def format_output(self, output: str | None, input: dict[str, Any] | None = None) -> dict[str, Any]:
        return {self.agent: output}


def build(url: str, rows: list[dict[str, str]], pool: int, cache: Path) -> Pipeline:
    def agent(name: str, *reads: str) -> Agent:
        return Agent(
            name=name,
            agent=name,
            instructions=f"You are {name} in a debate on a text. " * 12,
            reads=["query", "response", *reads],
            llm=OpenAILLM(
                model="stub",
                base_url=url,
                api_key="none",
                generation_kwargs={"max_new_tokens": 200, "temperature": 0.0},
            ),
            input_batch_size=pool,
            add_raw_output=False,
            add_raw_input=False,
        )

    with Pipeline(name="debate", cache_dir=cache) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=pool)
        positive, negative = agent("positive"), agent("negative")
        judge = agent("judge", "positive", "negative")
        reflect = agent("reflect", "positive", "negative", "judge")
        load >> [positive, negative] >> CombineOutputs() >> judge >> reflect
    return pipeline


def main() -> None:
    url, rows, pool = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as cache:
        pipeline = build(url, rows, pool, Path(cache))
        started = time.perf_counter()
        made = pipeline.run(use_cache=False)["default"]["train"]
        seconds = time.perf_counter() - started
    if len(made) != len(rows) or None in made["reflect"]:
        raise SystemExit(f"{len(made)} of {len(rows)} rows came out, {made['reflect'].count(None)} without a verdict")
    print(json.dumps({"rows": len(made), "seconds": seconds}))


if __name__ == "__main__":
    main()
