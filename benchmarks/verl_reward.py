"""verl's own reward loader and manager on what ``inkfire export RECIPE --to verl`` wrote, with a failing judge.

Run it in verl's environment (verl 0.9; no GPU needed), with inkfire's source on the path:

    inkfire export paper-en --to verl --policy rm-rl --out for-verl
    VERL/bin/python -m pip install httpx2 json-repair
    PYTHONPATH=src VERL/bin/python benchmarks/verl_reward.py for-verl

It composes verl's configuration from launch.sh, reads train.parquet by verl's data set, loads the function by verl's
loader, and has verl's default (naive) manager score eight samples of two prompts against a server on this machine that
has no score for one, is busy once for another, and never answers a third in time. It prints what came of each: a
number, or the error by which verl's trainer leaves the sample out. verl's trainer itself is not run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from hydra import compose, initialize_config_module

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "training"))
TOKEN = "bench"
SAMPLES = ("May it open.", "FAIL", "BUSY", "A window.", "SLOW", "Two words.", "Light.", "A door, a road.")


class Server(BaseHTTPRequestHandler):
    """Scores a text by its length; fails as its words say."""

    asked: ClassVar[dict[str, int]] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.path == "/score", self.path
        assert self.headers["authorization"] == f"Bearer {TOKEN}"
        [text] = body["responses"]
        self.asked[text] = self.asked.get(text, 0) + 1
        if text == "SLOW":
            time.sleep(3)
        status = 503 if text == "BUSY" and self.asked[text] == 1 else 200
        answer = json.dumps({"scores": [None if text == "FAIL" else len(text) / 100]}).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except BrokenPipeError:  # who asked has given up
            pass

    def log_message(self, *_: object) -> None:
        pass


def overrides(script: str, **variables: str) -> list[str]:
    """The keys of launch.sh, its variables replaced."""
    words = shlex.split(script.partition("verl.trainer.main_ppo")[2].replace("\\\n", " "))
    return [re.sub(r"\$(\w+)", lambda found: variables[found[1]], word) for word in words if word != "$@"]


async def outcome(manager: Any, sample: Any) -> dict[str, Any]:
    try:
        return dict(await manager.run_single(sample))
    except Exception as error:  # what verl's trainer sees
        return {"error": f"{type(error).__name__}: {error}"}


async def main(folder: Path) -> dict[str, Any]:
    from tiny import make_tiny_model
    from transformers import AutoTokenizer
    from verl import DataProto
    from verl.trainer.ppo.reward import get_custom_reward_fn, load_reward_manager
    from verl.utils.dataset.rl_dataset import RLHFDataset

    os.environ["INKFIRE_TOKEN"] = TOKEN
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model = make_tiny_model(Path(tempfile.mkdtemp()) / "tiny")
    url = f"http://127.0.0.1:{server.server_port}"
    keys = overrides((folder / "launch.sh").read_text(), HERE=str(folder), MODEL=str(model), REWARD=url, GPUS="1")
    given = "reward.custom_reward_function.reward_kwargs"
    with initialize_config_module(config_module="verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=[*keys, f"++{given}.seconds=1", f"++{given}.retries=1"])
    tokenizer = AutoTokenizer.from_pretrained(model)
    config.data.max_prompt_length = 4096  # a tokenizer over bytes
    data = RLHFDataset(str(folder / "train.parquet"), tokenizer, config.data)
    function = get_custom_reward_fn(config)
    manager = load_reward_manager(config, tokenizer)
    rows, samples = [data[0], data[1]], []
    for number, text in enumerate(SAMPLES):
        row = rows[number // 4]
        prompt = tokenizer.apply_chat_template(row["raw_prompt"], add_generation_prompt=True)["input_ids"]
        ids = tokenizer(text)["input_ids"]
        about = {name: row[name] for name in ("data_source", "reward_model")} | {"extra_info": dict(row["extra_info"])}
        samples.append(
            DataProto.from_dict(
                tensors={
                    "responses": torch.tensor([ids]),
                    "attention_mask": torch.ones(1, len(prompt) + len(ids), dtype=torch.long),
                },
                non_tensors={name: np.array([value], dtype=object) for name, value in about.items()},
            )
        )
    found = await asyncio.gather(*(outcome(manager, sample) for sample in samples))
    import verl

    return {
        "verl": verl.__version__,
        "function": str(function),
        "manager": type(manager).__name__,
        "data_set": len(data),
        "samples": dict(zip(SAMPLES, found, strict=True)),
        "requests": Server.asked,
        "missing": sum("error" in one for one in found),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]).absolute())), indent=2, ensure_ascii=False))
