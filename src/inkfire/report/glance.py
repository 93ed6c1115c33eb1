"""What a stranger asks of a comparison, answered on the first screen: which writer, how sure, at what cost, what might
be wrong, what next. No answer says more than ``evaluation/claims.py`` does."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inkfire.evaluation.claims import independent, listed, points
from inkfire.evaluation.headline import recommendation
from inkfire.report.folder import Folder
from inkfire.report.words import percent, sentence, several
from inkfire.rewards.reading import spaced

Result = Mapping[str, Any]
_SAMPLES, _REASONS = 3, 2
_CARD = 130  # characters of a reason on the first screen
_WRONG = "What might be wrong"


class Answer(NamedTuple):
    """To ``asked``, in a few words and then more; ``command`` is what to type, ``link`` the section with all of it."""

    asked: str
    said: str
    more: Sequence[str] = ()
    command: str = ""
    link: str = ""


def answers(run: Folder, evaluation: Result, warnings: Sequence[str]) -> list[Answer]:
    """The five, in the order in which they are asked."""
    chosen, why = recommendation(evaluation)
    words, command = following(run, evaluation, _named(run.path))
    wrong = [*warnings, *_alarms(run)]
    said = f"{several(len(wrong), 'thing')} to know" if wrong else "Nothing that is looked for"
    none = "Leaks, copies, collapse, favourite phrases, signals that only count: none was found."
    return [
        Answer("Which writer do I use?", f"Use {chosen}" if chosen else f"Keep {baseline(evaluation)}", [why]),
        Answer("How sure is that?", *_sure(evaluation, chosen)),
        Answer("What did it cost?", *_cost(run)),
        Answer(
            "What might be wrong?",
            said,
            [_short(line) for line in wrong[:_REASONS]] or [none],
            link=_WRONG if wrong else "",
        ),
        Answer("What next?", words[0], words[1:], command),
    ]


def baseline(evaluation: Result) -> str:
    """The policy that the others are held against first."""
    names = list(evaluation["policies"])
    return next((str(row["against"]) for row in evaluation["differences"]), names[0])


def trained(run: Folder, evaluation: Result) -> str | None:
    """The policy to show beside the baseline: the recommended one, else the last that was trained here or that is a
    folder of this machine, else the last; None where there is no other."""
    chosen, _ = recommendation(evaluation)
    others = [name for name in evaluation["policies"] if name != baseline(evaluation)]
    made = [name for name in others if name in run.stages() or str(run.settings.get(f"policy {name}")).startswith("<")]
    return chosen or next(reversed(made or others), None)


def side_by_side(run: Folder, evaluation: Result) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """(query, [(policy, its text)]) of three queries at equal distances, which nobody picked: the baseline's text and
    that of the policy that was trained most."""
    names = [name for name in (baseline(evaluation), trained(run, evaluation)) if name]
    samples = evaluation["samples"]
    return [
        (sample["query"], [(name, sample["responses"][name]["response"]) for name in names])
        for sample in spaced(samples, min(_SAMPLES, len(samples)))
    ]


def _short(line: str) -> str:
    return textwrap.shorten(line, _CARD, placeholder=" …")


def _sure(evaluation: Result, chosen: str | None) -> tuple[str, list[str]]:
    on = several(evaluation["n"], "held-out query", "held-out queries")
    rows = [row for row in evaluation["differences"] if independent(row)]
    if not rows:
        return "Nothing could be shown", [f"On {on} there is no signal that a claim may rest on."]
    if chosen is None:
        return f"Not decided by {on}", [_power(rows)]
    rows = [row for row in rows if row["policy"] == chosen and _apart(row)]
    return f"Shown on {on}", [_measured(row) for row in rows[:_REASONS]]


def _apart(row: Result) -> bool:
    low, high = row["difference_ci"]
    return bool(low > 0 or high < 0)


def _measured(row: Result) -> str:
    low, high = row["difference_ci"]
    p = row.get("difference_p_holm", row.get("difference_p"))
    chance = "" if p is None else f", p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    told = f"{points(row['difference'])} points by {row['signal']} against {row['against']}"
    return f"{told} (95 % interval {points(low)} to {points(high)}{chance})."


def _power(rows: Sequence[Result]) -> str:
    """How far the nearest decision is."""
    known = [row for row in rows if row.get("more_queries") is not None]
    if not known:
        return "Even ten times as many queries may not settle it: whatever differs is small."
    row = min(known, key=lambda row: int(row["more_queries"]))
    more = several(row["more_queries"], "more query", "more queries")
    return f"About {more} would settle {row['policy']} against {row['against']} by {row['signal']}, four times in five."


def _cost(run: Folder) -> tuple[str, list[str]]:
    total, calls, tokens, cost = run.costs()[-1][1:]
    asked = [f"{calls:,} model calls", f"{tokens:,} tokens"] if calls != "" else []
    money = [] if cost == "" else ["cost unknown"] if cost.startswith("unknown") else [cost]
    seconds = run.run.seconds()
    longest = max(seconds, key=seconds.__getitem__, default=None)
    share = seconds[longest] / (sum(seconds.values()) or 1) if longest else 0
    most = [f"{percent(share)} of the time went into {longest}."] if longest and len(seconds) > 1 else []
    said = sentence(", ".join([*asked, *([cost] if cost.startswith("unknown") else [])])) if asked else ""
    return ", ".join([total, *money]), [*([said] if said else []), *most]


def _alarms(run: Folder) -> list[str]:
    found = {name: sum(1 for _ in run.rows(f"{name}/alarms.jsonl")) for name in run.stages()}
    rang = [f"{name} {n}" for name, n in found.items() if n]
    return [f"Alarms rang while it was trained: {listed(rang)}."] if rang else []


# ---- what next -----------------------------------------------------------------------------------------------------


def following(run: Folder, evaluation: Result, here: Path) -> tuple[list[str], str]:
    """What to do next, in words and as a command (empty where it is the same one with other files); ``here`` is the
    folder as the command names it."""
    chosen, _ = recommendation(evaluation)
    if chosen is not None:
        said = ["Write with it", "What people say of its texts counts more than any signal: inkfire annotate new."]
        return said, _typed("write", "QUERY", "--policy", _policy(run, evaluation, chosen, here))
    other = trained(run, evaluation)
    if other is None:
        return ["Name a second writer: there is nothing to compare with"], ""
    rows = [row for row in evaluation["differences"] if independent(row)]
    known = [row["more_queries"] for row in rows if row.get("more_queries") is not None]
    if known:
        more = several(min(known), "more held-out query", "more held-out queries")
        if run.command != "run":
            return [f"Ask {more}", "The same command, with them in --prompts and another --out."], ""
        return [f"Ask {more}", "Nothing is trained again."], _more(run, evaluation, here)
    why = "No number of queries in sight would settle it" if rows else "No signal sees enough to settle it"
    said = ["Let people compare them", f"{why}. Raters see two texts side by side and are not told whose they are."]
    folder = here / ("evaluate" if run.command == "run" else "")
    texts = [f"{name}={folder / f'responses-{name}.jsonl'}" for name in (baseline(evaluation), other)]
    return said, _typed("annotate", "new", *_each("--policy", texts), "--out", f"{here}-rate")


def _more(run: Folder, evaluation: Result, here: Path) -> str:
    """The comparison of a recipe's policies, on more queries."""
    own = {"judge": "judge", "rm": "reward_model"}
    prompts = [here / "data" / "held_out_queries.jsonl", "MORE.txt"]
    policies = [f"{name}={_policy(run, evaluation, name, here)}" for name in evaluation["policies"]]
    signals = [f"{name}={here / own[name]}" if name in own else name for name in evaluation["signals"]]
    asked = [*_each("--prompts", prompts), *_each("--policy", policies), *_each("--signal", signals)]
    return _typed("evaluate", "--task", run.settings.get("task"), *asked, "--out", f"{here}-more")


def _policy(run: Folder, evaluation: Result, name: str, here: Path) -> str:
    """A policy, as a command names it."""
    if (run.path / name).is_dir():
        return str(here / name)
    base = run.settings.get("models", {}).get("writer") if run.command == "run" and name == "base" else None
    return str(base or evaluation["policies"][name].get("at") or name)


def _each(option: str, values: Sequence[object]) -> list[object]:
    return [word for value in values for word in (option, value)]


def _named(path: Path) -> Path:
    """A folder as it was named; where that was its whole path, its name alone."""
    return Path(path.name) if path.is_absolute() else path


def _typed(*words: object) -> str:
    return shlex.join(["inkfire", *map(str, words)])
