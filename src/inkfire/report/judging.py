"""What the judge commands found: a judge against labels, against pairs, and by the number of labels it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from inkfire.judge.measure import why_refused
from inkfire.report import figures
from inkfire.report.folder import Folder, Result
from inkfire.report.sections import Figure, Page, Sample, Section, Table, dots, shown
from inkfire.report.words import counted, lines, longer, rate, sentence, share, value

SAMPLES = 4
"""Texts that are shown."""

_RATES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision of good",
    "recall": "recall of good",
    "says_good": "share called good",
}
_NUMBERS = {
    "auc": "AUC",
    "auc_within_query": "AUC within a query",
    "f1": "F1",
    "kappa": "kappa",
    "ece": "expected calibration error",
    "brier": "Brier score",
}
_TWINS = {"auc": "judge", "length_auc": "length", "ngram_auc": "n-grams", "examples_auc": "its examples' labels"}


def judge(folder: Folder, result: Result) -> Page:
    rows = list(folder.rows("verdicts.jsonl"))
    scored = result["scored"]
    warnings = []
    if not result.get("calibrated", True):
        warnings.append("It is not calibrated: its labels carry the model's own bias (--calibration F fits a cut).")
    if result["unscored"]:
        warnings.append(f"{share(result['unscored'], result['n'])} of the texts have no verdict and are left out.")
    if result.get("injections"):
        warnings.append(f"Texts that seem to tell the judge what to answer: {result['injections']}.")
    failed = Section(
        "Why texts have no verdict", table=Table(("reason", "texts"), counted(reasons(row["unscored"] for row in rows)))
    )
    if not scored:
        return Page(f"None of the {result['n']} texts got a verdict.", (), warnings, [failed])
    if "accuracy" not in result:
        good = share(sum(row["label"] == 1 for row in rows), scored)
        samples = Section("The surest verdicts", samples=_surest(rows))
        headline = (
            f"Of {scored} texts the judge calls {good} good. They have no labels, so nothing says how right it is."
        )
        return Page(headline, (), warnings, [samples, failed])
    said = []
    if result["auc"] is None:
        headline = f"On {scored} labelled texts of one class the judge is right on {rate(result, 'accuracy')}."
    else:
        headline = f"On {scored} labelled texts the judge ranks good above bad with an AUC of {value(result, 'auc')}; "
        headline += f"length alone has {value(result, 'length_auc')}."
        said.append(f"Its accuracy is {rate(result, 'accuracy', scored)}." + _before(result))
        said.append(_on_like_lengths(result))
        refused = why_refused(result)
        if refused:
            warnings.append(f"As a reward it is refused: {refused}.")
        else:
            said.append("It ranks better than chance, so it is not refused as a reward.")
    if result.get("doubt"):
        warnings.append(sentence(result["doubt"]))
    wrong = [row for row in rows if row["label"] is not None and row["label"] != row.get("expected", row["label"])]
    return Page(
        headline,
        [line for line in said if line],
        warnings,
        [
            *measured(result),
            Section(
                "Where it was surest and wrong",
                ("It is right on every text that it judged.",) if not wrong else (),
                samples=_surest(wrong),
            ),
            failed,
        ],
    )


def _before(result: Result) -> str:
    plain = result.get("uncalibrated")
    return f" Before its calibration the same answers have {rate(plain, 'accuracy')}." if plain else ""


def _on_like_lengths(result: Result) -> str:
    if result.get("auc_length_matched") is None:
        return ""
    n = result["n_length_matched"]
    return (
        f"On texts of like length its AUC is {value(result, 'auc_length_matched', n)}, and that of length "
        f"{value(result, 'length_auc_length_matched')}."
    )


def measured(result: Mapping[str, Any]) -> list[Section]:
    """The numbers of a judge on labelled texts, its twins, and its reliability curve."""
    scored, matched = result["scored"], result.get("n_length_matched", 0)
    twins = [
        (label, value(result, name), value(result, f"{name}_length_matched"))
        for name, label in _TWINS.items()
        if result.get(name) is not None
    ]
    both = _TWINS | {f"{name}_length_matched": f"{label}, like length" for name, label in _TWINS.items()}
    head = ("AUC of", f"{scored} texts", f"{matched} texts of like length")
    shapes = []
    if result.get("reliability"):
        shapes.append(
            Figure(
                figures.reliability(result["reliability"]),
                "Of the texts for which it said this P(Good), the share that is good; on the line it is calibrated.",
            )
        )
    return [
        Section(
            "How good it is",
            table=Table(("", f"of {scored} texts"), lines(result, _RATES, rate) + lines(result, _NUMBERS)),
            figures=shapes,
        ),
        Section(
            "Beside its twins",
            ["A twin sees only the length of a text, only its n-grams, or only the labels of the examples shown."],
            Table(head, twins),
            dots(result, both, "AUC"),
        ),
    ]


def reasons(unscored: Iterable[str | None], most: int = 8) -> dict[str, int]:
    """The most frequent reasons for having no verdict."""
    return dict(Counter(reason[:160] for reason in unscored if reason).most_common(most))


def _surest(rows: Iterable[Result]) -> list[Sample]:
    """The verdicts that are furthest from one half."""

    def sure(row: Result) -> float:
        probability: float | None = row["probability"]
        return 0.0 if probability is None else -abs(probability - 0.5)

    return [_verdict(row) for row in sorted((row for row in rows if row["label"] is not None), key=sure)[:SAMPLES]]


def _verdict(row: Result) -> Sample:
    said = word(row["label"])
    if row["probability"] is not None:
        said += f", P(Good) {row['probability']:.2f}"
    parts = [("text", shown(row["response"])), ("judge", said)]
    if "expected" in row:
        parts.insert(1, ("label", word(row["expected"])))
    return Sample(row["query"], parts + ([("why", row["reason"])] if row["reason"] else []))


def word(label: int | None) -> str:
    return "no verdict" if label is None else "good" if label == 1 else "bad"


def pairwise(folder: Folder, result: Result) -> Page:
    scored, matched = result["scored"], result["n_length_matched"]
    rows = list(folder.rows("comparisons.jsonl"))
    failed = Section(
        "Why pairs have no answer", table=Table(("reason", "pairs"), counted(reasons(row["unscored"] for row in rows)))
    )
    if not scored:
        return Page(f"None of the {result['n']} pairs got an answer.", sections=[failed])
    said = [
        longer(result, scored, "the chosen text"),
        f"On pairs of like length it is right in {rate(result, 'accuracy_length_matched', matched)}."
        if matched
        else "",
        f"In {rate(result, 'order_flip_rate', scored)} of the pairs its answer changes with their order; "
        "these count as ties, half right.",
    ]
    warnings = []
    if result["unscored"]:
        warnings.append(f"{share(result['unscored'], result['n'])} of the pairs have no answer and are left out.")
    names = {
        "accuracy": "accuracy, ties half right",
        "accuracy_decided": f"accuracy on the {result['decided']} decided pairs",
        "accuracy_length_matched": f"accuracy on the {matched} pairs of like length",
        "order_flip_rate": "answers that change with the order",
        "first_place_rate": "of these, for the text that is shown first",
        "longer_wins": "pairs whose chosen text is longer (the length twin)",
    }
    against_chance = {name: label for name, label in names.items() if name != "order_flip_rate"}
    wrong = [row for row in rows if row["winner"] == "rejected"][:SAMPLES]
    return Page(
        f"The judge prefers the chosen text in {rate(result, 'accuracy', scored)} of the pairs.",
        [line for line in said if line],
        warnings,
        [
            Section(
                "How often it is right",
                table=Table(("", f"of {scored} pairs"), lines(result, names, rate)),
                figures=dots(result, against_chance, "share of pairs"),
            ),
            Section("Where it preferred the rejected text", samples=[_pair(row) for row in wrong]),
            failed,
        ],
    )


def _pair(row: Result) -> Sample:
    parts = [("chosen", shown(row["chosen"])), ("rejected", shown(row["rejected"]))]
    return Sample(row["query"], parts + ([("why", row["reason"])] if row["reason"] else []))


def curve(folder: Folder, result: Result) -> Page:
    sizes = result["labels"]
    most = sizes[-1]
    names = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "auc": "AUC"}
    rows = [
        (str(n), rate(result, f"accuracy_{n}"), rate(result, f"balanced_accuracy_{n}"), value(result, f"auc_{n}"))
        for n in sizes
    ]
    drawn = figures.curve(
        {label: [(n, result[f"{name}_{n}"]) for n in sizes] for name, label in names.items()},
        "labels",
        "on the test texts",
        {label: [(n, *result[f"{name}_{n}_ci"]) for n in sizes] for name, label in names.items()},
    )
    enough = next(n for n in sizes if result[f"accuracy_{n}"] >= result[f"accuracy_{most}"] - 0.01)
    said = f"Its AUC is {value(result, f'auc_{most}')}; without labels {value(result, 'auc_0')}."
    if enough < most:
        said += f" With {enough} labels the accuracy is within one point of that with {most}."
    return Page(
        f"With {most} labels the judge's accuracy is {rate(result, f'accuracy_{most}', result['n'])}; "
        f"without any it is {rate(result, 'accuracy_0')}.",
        [said],
        [f"{result['unscored']} texts have no verdict and are left out."] if result["unscored"] else [],
        [
            Section(
                "The learning curve",
                [
                    f"Each row is the mean over draws from {result['n_fit']} labelled texts, measured on {result['n']} "
                    "texts of other queries. The intervals hold the chance of the draw and that of the test."
                ],
                Table(("labels", "accuracy", "balanced accuracy", "AUC"), rows),
                [Figure(drawn, "The bands are 95 % intervals.")],
            )
        ],
    )
