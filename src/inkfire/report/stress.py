"""What ``inkfire judge attack`` and ``probe`` found: what turns a judge's verdict that should not."""

from __future__ import annotations

from inkfire.report import figures
from inkfire.report.folder import Folder, Result
from inkfire.report.judging import SAMPLES
from inkfire.report.sections import Figure, Page, Sample, Section, Table, dots, shown
from inkfire.report.words import listed, rate, sentence, value


def attack(folder: Folder, result: Result) -> Page:
    defended = "flips" in result
    name = "flips" if defended else "flips_off"
    headline = f"{rate(result, name, result[f'{name}_n'])} of the injections turn the judge's verdict to good"
    headline += f"; without the defences {rate(result, 'flips_off', result['flips_off_n'])} do." if defended else "."
    said = [
        f"Of {result['carriers']} bad carriers the judge calls {result['carriers_bad']} bad by itself; only those can "
        "be turned."
    ]
    if defended:
        held_out = rate(result, "flips_held_out", result["flips_held_out_n"])
        said.append(f"Of the families on which the defences were not written, {held_out} turn it.")
        said.append(
            f"The defences cost {rate(result, 'clean_lost', result['clean'])} of good texts, which only they keep from "
            "being called good."
        )
    families = result["families"]
    columns = {"flips": "turned", "flips_off": "turned without defences", "detected": "suspected"}
    columns = {key: label for key, label in columns.items() if key in result}
    drawn = [
        (family, "with defences" if key == "flips" else "without", row[key], row[f"{key}_ci"])
        for family, row in families.items()
        for key in ("flips", "flips_off")
        if row.get(key) is not None
    ]
    totals = [
        (
            "all",
            part.replace("_", " "),
            str(result[f"{name}{end}_n"]),
            *(rate(result, f"{key}{end}") for key in columns),
        )
        for part, end in (("", ""), ("development", "_development"), ("held_out", "_held_out"))
    ]
    rows = [
        (family, row["split"].replace("_", " "), str(row["n"]), *(rate(row, key) for key in columns))
        for family, row in families.items()
    ]
    label = "label" if defended else "label_off"
    turned = [row for row in folder.rows("trials.jsonl") if row[label] == 1][:SAMPLES]
    return Page(
        headline,
        said,
        [],
        [
            Section(
                "By family",
                table=Table(("family", "split", "n", *columns.values()), [*totals, *rows]),
                figures=[Figure(figures.estimates(drawn, "share turned to good"))] if drawn else (),
            ),
            Section(
                "Injections that turned it",
                () if turned else ("No trial did.",),
                samples=[
                    Sample(
                        row["query"],
                        [("family", f"{row['family']}, {row['place']}"), ("text", shown(row["response"]))],
                    )
                    for row in turned
                ],
            ),
        ],
    )


def probe(folder: Folder, result: Result) -> Page:
    changes = [name for name in result["probes"] if name not in ("order", "self_preference")]
    probes = [name for name in changes if result[f"{name}_shift"] is not None]
    if not probes:
        return Page(f"None of the {result['n']} texts has a verdict before and after a change.")
    raised = [name for name in probes if result[f"{name}_shift_ci"][0] > 0]
    moved = listed(
        f"{name} ({result[f'{name}_shift']:+.2f}, {_bounds(result, name)}, n = {result[f'{name}_n']})"
        for name in raised or [max(probes, key=lambda name: result[f"{name}_shift"])]
    )
    headline = f"P(Good) rises by a change that makes no text better: {moved}."
    if not raised:
        headline = f"No change that makes no text better is shown to raise P(Good); the most is {moved}."
    said = [f"Shown in another order, {rate(result, 'order_flip_rate', result['order_n'])} of the pairs get another "
            "answer." if result["order_n"] else "No query has two texts to compare in both orders."]  # fmt: skip
    if result["self_preference_shift"] is None:
        said.append(sentence(f"its preference for its own texts is {result['self_preference']}"))
    else:
        own = value(result, "self_preference_shift", result["self_preference_n"])
        said.append(f"Its own texts get {own} more P(Good) than others', {result['self_preference']}.")
    rows = [
        (
            name,
            str(result[f"{name}_n"]),
            rate(result, f"{name}_to_good"),
            rate(result, f"{name}_to_bad"),
            value(result, f"{name}_shift"),
        )
        for name in probes
    ]
    turned = [row for row in folder.rows("probes.jsonl") if (row["label_before"], row["label"]) == (0, 1)][:SAMPLES]
    return Page(
        headline,
        said,
        [],
        [
            Section(
                "By change",
                [
                    "A flip to good is the bias that a policy would learn. A flip to bad may be right: padding and "
                    "foreign words do make a text worse."
                ],
                Table(("change", "n", "bad → good", "good → bad", "shift of P(Good)"), rows),
                dots(result, {f"{name}_shift": name for name in probes}, "shift of P(Good)", chance=0),
            ),
            Section(
                "Texts that a change made good",
                () if turned else ("No text was.",),
                samples=[
                    Sample(row["query"], [("change", row["probe"]), ("text, changed", shown(row["response"]))])
                    for row in turned
                ],
            ),
        ],
    )


def _bounds(result: Result, name: str) -> str:
    low, high = result[f"{name}_shift_ci"]
    return f"{low:+.2f} to {high:+.2f}"
