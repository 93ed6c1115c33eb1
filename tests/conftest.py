"""What tests share: the paper's release where it is at hand, a small task, and the embedded models."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from inkfire.files.jsonl import write_jsonl

pytest_plugins = ["scripted_judge", "offline", "strange_models", "tiny_gguf", "chromium"]

# Machines that run tests are shared: a slow example is no failure.
settings.register_profile("inkfire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("inkfire")


@pytest.fixture(scope="session")
def release_data() -> Path:
    """The folder with the paper's data release (``inkfire data pull greetings-zh``)."""
    folder = os.environ.get("INKFIRE_RELEASE_DATA")
    if not folder:
        pytest.skip("INKFIRE_RELEASE_DATA does not name the folder of the paper's data release")
    return Path(folder)


TASK_TOML = """\
name = "tiny"
language = "en"
title = "Short wishes"
description = "A wish of one or two sentences for the occasion that is asked for."
good = "Good"
bad = "Bad"
max_tokens = 40
principles = ["It fits the occasion.", "It says one thing that only this recipient could be told."]
flaws = ["Name the wrong occasion.", "Use a phrase that fits everybody."]

[slices]
festival = "Festivals of the year"
general = "Everything else"

[[rubric]]
name = "language"
weight = 0.30
description = "Fluent and correct."

[[rubric]]
name = "creativity"
weight = 0.30
description = "Something new."

[[rubric]]
name = "emotion"
weight = 0.15
description = "Warm and sincere."

[[rubric]]
name = "culture"
weight = 0.15
description = "Proper for the occasion."

[[rubric]]
name = "richness"
weight = 0.10
description = "Says something concrete."
"""

_ITEM = "Query: {{ query | quote }}\nText: {{ response | quote }}\n"
_EXAMPLES = "{% for e in examples %}\nExample: {{ e.response | quote }}\n{% endfor %}\n"
_RULES = "Rules:\n{% for p in principles %}\n- {{ p }}\n{% endfor %}\n"
PROMPTS = {
    "writer": "[system]\nYou write wishes.\n[user]\n{{ query }}\n",
    "writer_alt": "[system]\nYou write unusual wishes.\n[user]\n{{ query }}\n",
    "positive": "[system]\nArgue for the text.\n[user]\n" + _EXAMPLES + _ITEM,
    "negative": "[system]\nArgue against the text.\n[user]\n" + _EXAMPLES + _ITEM,
    "judge": "[system]\nJudge.\n[user]\n" + _EXAMPLES + _ITEM + "For: {{ positive }}\nAgainst: {{ negative }}\n",
    "reflect": "[system]\nAudit.\n[user]\n" + _ITEM + "{{ verdict.judge }} {{ positive }} {{ negative }}\n",
    "verdict": "[system]\n" + _RULES + "[user]\n" + _EXAMPLES + _ITEM,
    "verdict_advice": "[system]\nJudge, and advise who hid a flaw.\n" + _RULES + "[user]\n" + _EXAMPLES + _ITEM,
    "logprob": "[system]\n"
    + _RULES
    + "Say {{ task.good }} or {{ task.bad }}.\n"
    + "[user example]\nExample: {{ example.response | quote }}\n[assistant example]\n{{ example.label }}\n"
    + "[user]\n"
    + _ITEM,
    "rubric": "[system]\n{% for d in task.rubric %}\n{{ d.name }}: {{ d.description }}\n{% endfor %}\n[user]\n" + _ITEM,
    "pairwise": "[system]\n" + _RULES + "[user]\n{{ query | quote }}\nA: {{ a | quote }}\nB: {{ b | quote }}\n",
    "rank": "[system]\n"
    + _RULES
    + "[user]\n{{ query | quote }}\n{% for letter, text in texts.items() %}\n{{ letter }}: {{ text | quote }}\n"
    + "{% endfor %}\n",
    "checklist": "[system]\nCheck each point.\n[user]\n"
    + _ITEM
    + "{% for number, criterion in criteria.items() %}\n{{ number }}. {{ criterion | quote }}\n{% endfor %}\n",
    "criteria": "[system]\nWrite a checklist.\n" + _RULES + _EXAMPLES + "[user]\n{{ query | quote }}\n",
    "generator": "[system]\nWrite a flawed text.\n[user]\n{{ query | quote }} {{ flaws }}\n",
    "detector": "[system]\n" + _RULES + "[user]\n" + _ITEM,
    "reflector": "[system]\n"
    + _RULES
    + "[user]\n"
    + _ITEM
    + "Is {{ label }}, was {{ verdict.judge }} {{ verdict.reason }}\n",
    "optimizer": "[system]\nMerge into {{ limit }} {{ kind }}.\n[user]\n{{ current }} {{ proposals }}\n",
}

_OCCASIONS = ("New Year", "Easter", "a birthday", "a new job", "a wedding", "Diwali", "a new home", "an exam")


@pytest.fixture
def tiny_task(tmp_path: Path) -> Path:
    """The folder of a small whole task: 8 queries, 16 labelled texts, 8 pairs, all prompts."""
    folder = tmp_path / "tiny"
    good = [f"May {o} open like a window you had forgotten was there." for o in _OCCASIONS]
    bad = [f"Wishing you all the best and every success for {o}." for o in _OCCASIONS]
    queries = [f"a wish for {o}" for o in _OCCASIONS]
    texts = list(zip(queries, good, bad, strict=True))
    festivals = ("New Year", "Easter", "Diwali")
    tags = [["festival"] if o in festivals else ["general"] for o in _OCCASIONS]
    write_jsonl(folder / "queries.jsonl", ({"query": q, "tags": t} for q, t in zip(queries, tags, strict=True)))
    write_jsonl(
        folder / "labelled.jsonl",
        ({"query": q, "response": r, "label": label} for q, g, b in texts for r, label in ((g, 1), (b, 0))),
    )
    write_jsonl(folder / "pairs.jsonl", ({"query": q, "chosen": g, "rejected": b} for q, g, b in texts))
    (folder / "task.toml").write_text(TASK_TOML)
    (folder / "prompts").mkdir()
    for name, text in PROMPTS.items():
        (folder / "prompts" / f"{name}.jinja").write_text(text)
    return folder


# --- embedded models ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The weights of smollm2-135m, the smallest model (downloaded the first time)."""
    return _weights("smollm2-135m")


@pytest.fixture(scope="session")
def qwen_coder() -> Path:
    """The weights of qwen2.5-coder-0.5b, the Chinese writer (downloaded the first time)."""
    return _weights("qwen2.5-coder-0.5b")


def _weights(name: str) -> Path:
    from inkfire.models import store

    return store.pull(name)
