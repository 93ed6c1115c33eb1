"""Where changes of S_D and S_G come from, and what becomes of them.

The Reflector looks at a labelled text that the judge got wrong, says why and proposes a rule. The Optimizer merges the
proposals of a round into the current set: integrate, merge, drop, keep at most ten. Both are language models, small
ones here, so every text they write is checked before it is used: length, script, one line, not a copy of a rule, of
the text that it is about or of the question. Where the Optimizer's answer does not hold up, the proposals are appended
to the set instead.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inkfire.judge.answers import NoAnswer, ask, object_schema, text_schema
from inkfire.judge.calibration import raw_score
from inkfire.judge.principles import LIMIT, Origin, Principle, Principles
from inkfire.llm.base import LLM
from inkfire.records import Labelled, Verdict, text_id, to_json
from inkfire.search import near_duplicate
from inkfire.tasks.prompts import quote
from inkfire.tasks.task import Task

Kind = Literal["principles", "flaws"]
ErrorChoice = Literal["worst", "random"]

_ALIKE = 0.3

LONGEST = 240
"""Characters of a rule."""

SHORTEST_RULE, SHORTEST_FORGERY = 8, 4
"""Characters; the name of a flaw is no rule."""

_COPIED_HAN, _COPIED = 10, 30
"""So many letters in a row are no coincidence, in Chinese and in other scripts."""

_NUMBER = re.compile(r"^\s*\d+\s*[.、)）:：]\s*")

_REFLECTOR = object_schema(why=text_schema(LONGEST), proposal=text_schema(LONGEST))
_OPTIMIZER = object_schema(
    drop={"type": "array", "maxItems": LIMIT, "items": {"type": "integer"}},
    add={"type": "array", "maxItems": LIMIT, "items": text_schema(LONGEST)},
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule that somebody proposes. ``because`` are the ids of the texts behind it, ``why`` what was said of them;
    ``material`` is what its author had before it: a rule that copies that is none."""

    text: str
    kind: Kind
    origin: Origin
    because: tuple[str, ...] = ()
    why: str = ""
    material: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the history shows it, so without the material."""
        return {name: value for name, value in to_json(self).items() if name != "material"}


def errors_of(
    texts: Sequence[Labelled], verdicts: Sequence[Verdict], count: int, *, choice: ErrorChoice = "worst", seed: int = 0
) -> list[tuple[Labelled, Verdict]]:
    """``count`` errors of the judge: those that it was surest of, bad texts called good and good ones called bad in
    turn; or any, drawn by the seed."""
    wrong = [
        (abs(score - text.label), text, verdict)
        for text, verdict in zip(texts, verdicts, strict=True)
        if (score := raw_score(verdict)) is not None and verdict.label != text.label
    ]
    wrong.sort(key=lambda error: (-error[0], error[1].query, error[1].response))
    kinds = [[error for error in wrong if error[1].label == label] for label in (0, 1)]
    taken = [error for rank in range(len(wrong)) for kind in kinds for error in kind[rank : rank + 1]]
    if choice == "random":
        random.Random(seed).shuffle(taken)
    return [(text, verdict) for _, text, verdict in taken[:count]]


async def reflect(
    task: Task, llm: LLM, row: Labelled, verdict: Verdict, *, principles: Principles, seed: int
) -> Proposal | str:
    """The Reflector on one error of the judge: a proposal for S_D, or why there is none."""
    messages = task.render(
        "reflector",
        query=row.query,
        response=row.response,
        label=row.label,
        verdict={"judge": verdict.label, "reason": verdict.reason},
        principles=principles.texts,
    )
    try:
        said = await ask(llm, messages, _REFLECTOR, seed=seed)
    except NoAnswer as failure:
        return f"reflector: {failure}"
    why = said["why"].strip()
    text, because = said["proposal"].strip(), (text_id(row.response),)
    # What the judge said of the text is there to be learnt from; a rule may have its words.
    material = messages[-1]["content"].replace(quote(verdict.reason), "")
    return Proposal(text, "principles", "reflection", because, why, material)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge made. ``how`` is ``optimizer``, or ``appended`` with ``why`` the Optimizer's answer was not used."""

    texts: tuple[str, ...]
    how: Literal["optimizer", "appended"]
    why: str = ""


async def merge(
    task: Task, llm: LLM, current: Principles, proposals: Sequence[str], *, kind: Kind, seed: int, limit: int = LIMIT
) -> Merged:
    """The current rules with the proposals worked in, at most ``limit``.

    The Optimizer says which rules go, by number, and what is added: a rule that stays is not written again, so a small
    model cannot garble it.
    """
    messages = task.render("optimizer", current=current.texts, proposals=list(proposals), kind=kind, limit=limit)
    try:
        said = await ask(llm, messages, _OPTIMIZER, max_tokens=600, seed=seed)
    except NoAnswer as failure:
        return _appended(current, proposals, limit, f"optimizer: {failure}")
    restated = {_bare(text) for text in said["add"]}
    kept = [
        text for number, text in enumerate(current.texts, 1) if number not in said["drop"] or _bare(text) in restated
    ]
    added: list[str] = []
    for text in (_NUMBER.sub("", text).strip() for text in said["add"]):
        if refused_rule(text, task, [*kept, *added]) is None:
            added.append(text)
    if not added and len(kept) == len(current.items):
        return _appended(current, proposals, limit, f"optimizer: none of its {len(said['add'])} new rules was usable")
    if len(kept) < len(current.items) / 2:
        return _appended(current, proposals, limit, f"optimizer: it dropped {len(current.items) - len(kept)} rules")
    added = added[:limit]
    return Merged((*kept[: limit - len(added)], *added), "optimizer")


def _appended(current: Principles, proposals: Sequence[str], limit: int, why: str) -> Merged:
    """The set with the proposals at its end; where there is no room, its last rules go, and then the last proposals,
    for at least half of a full set stays."""
    room = max(limit - len(proposals), limit // 2)
    return Merged((*current.texts[:room], *proposals)[:limit], "appended", why)


def revise(current: Principles, texts: Sequence[str], proposals: Sequence[Proposal], round_number: int) -> Principles:
    """The set that these texts make: rules that stay keep their history, a new one gets that of its proposals.

    Which proposals the Optimizer made a rule from is not said; those that are worded much like it are taken for them
    (character 3-grams, Jaccard of at least ``_ALIKE``), and all of them where none is.
    """
    known = {item.text: item for item in current.items}

    def made(text: str) -> Principle:
        sources = [one for one in proposals if one.text == text]
        sources = sources or [one for one in proposals if near_duplicate(one.text, text, _ALIKE)] or list(proposals)
        because = dict.fromkeys(counter for one in sources for counter in one.because)
        reflected = any(one.origin == "reflection" for one in sources)
        why = "; ".join(dict.fromkeys(one.why for one in sources if one.why))
        return Principle(text, "reflection" if reflected else "adversarial", round_number, tuple(because), why)

    return Principles(tuple(known.get(text) or made(text) for text in texts), parent=current.version)


def refusals(proposals: Sequence[Proposal], task: Task, known: Sequence[str], tried: Sequence[str]) -> Iterator[str]:
    """Why each proposal is not used, empty where it is: it is no rule, a copy, or was in vain before (``tried``)."""
    seen = list(known)
    for one in proposals:
        refused = refused_rule(one.text, task, seen)
        if refused is None and copies(one.text, one.material):
            refused = "it copies the text that it is about, or the question"
        if refused is None and any(near_duplicate(one.text, other) for other in tried):
            refused = "it was part of a rejected candidate"
        if refused is None:
            seen.append(one.text)
        yield refused or ""


def refused_rule(text: str, task: Task, known: Sequence[str]) -> str | None:
    """Why a rule that a model wrote is not taken, None when it is."""
    if "\n" in text:
        return "it has more than one line"
    return unusable(text, task, known, shortest=SHORTEST_RULE, longest=LONGEST)


def copies(rule: str, source: str) -> bool:
    """Whether a rule repeats what it was made from: a long run of letters in it, or all of a short rule."""
    bare, within = _bare(rule), _bare(source)
    run = min(_COPIED_HAN if han_share(rule) >= 0.5 else _COPIED, len(bare))
    return any(bare[at : at + run] in within for at in range(len(bare) - run + 1))


def unusable(text: str, task: Task, known: Sequence[str], *, shortest: int, longest: int) -> str | None:
    """Why a text that a model wrote cannot be used, None when it can."""
    if not shortest <= len(text) <= longest:
        return f"it has {len(text)} characters, not {shortest} to {longest}"
    if task.language != "ja" and (task.language == "zh") != (han_share(text) >= 0.5):
        return f"it is not in the task's language, {task.language}"
    if _bare(text) in {_bare(other) for other in known}:
        return "it is a copy"
    return None


def han_share(text: str) -> float:
    """Share of the letters that are Chinese characters; 0 for a text without letters."""
    letters = [char for char in text if unicodedata.category(char).startswith("L")]
    return sum("CJK" in unicodedata.name(char, "") for char in letters) / len(letters) if letters else 0.0


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
