"""The page of a guard: what it promises and keeps, how sure its probabilities are, and the rows to look at."""

from collections.abc import Sequence

from modelwright.records import GuardEvaluation, GuardRecord
from modelwright.records.evaluation import GroupResult, ShownRow, Within
from modelwright.report.guard_charts import classes_chart, outliers_chart, reliability_chart, risk_chart
from modelwright.report.markup import Data, bullets, details, figure, grid, paragraph, section, table
from modelwright.report.page import page
from modelwright.report.quantity import many, percent, significant

MOST_ROWS = 40
"""Longer tables are folded away."""
_METHOD = (
    "Rows were decided on as they would be in use. An error is an accepted prediction that is wrong, or an accepted "
    "outlier, whatever its label. Probabilities are softmax of the logits over a temperature; AUROC and FPR95 are of "
    "the score alone, FPR95 being the share of outliers accepted at the threshold that accepts 95 % of familiar rows."
)
_TRIALS = (
    "Outliers were made of one's own rows: whole classes, held out in rotation; rows between two classes; rows of "
    "shuffled features. Rightly accepted is the share of the traffic, at the risk and share of outliers asked for; "
    "behind is how much less that is than the most, with its standard error; surety is how often a bootstrap over "
    "rotations and kinds ranks it first. Among those behind by no more than the error, the best worst AUROC decides."
)
_GROUPS = (
    "Shares have their 95 % intervals (Clopper and Pearson). The mean probability should be the accuracy. A promise is "
    "of all rows together, outliers among them; what is told here is of familiar rows."
)
_ABOVE = "A promise is of all rows together, not of each group. In these, more of what was accepted is wrong."
PERHAPS = ("perhaps", "subgroup")
"""Above the promise, though chance may explain it: of whom a reader hears even so."""


def guard_page(found: GuardEvaluation, *, made_by: str = "") -> str:
    """One HTML file that shows how a guard did on rows whose truth is known.

    Args:
        found: of `guard.evaluate`.
        made_by: the program and the command line, for the foot of the page.
    """
    risk = "no risk" if found.risk is None else f"{percent(found.risk)} errors among them"
    lead = f"{percent(found.coverage)} of {many(found.rows, 'row')} accepted, {risk}; {found.guard.detector}."
    return page(
        f"A guard on {found.data or 'data without a name'}",
        lead,
        [_promise(found), _curves(found), _scores(found), _looks(found), _groups(found), _choice(found.guard)],
        _origin(found),
        made_by=made_by,
    )


def risk_words(guard: GuardRecord) -> str:
    """What a guard promises, or why it does not, in one sentence."""
    promise = guard.promise
    if promise is None:
        return f"{guard.detector} up to {significant(guard.threshold)}: no risk is promised."
    asked = (
        f"at most {percent(promise.risk)} errors among accepted predictions while up to {percent(promise.ood_share)} "
        f"of the traffic are outliers, with a confidence of {percent(promise.confidence)}"
    )
    word = f"Promised, from {promise.basis}" if promise.holds else "NOT promised"
    return f"{word}: {asked}. Why: {promise.why}."


def trials_table(guard: GuardRecord) -> Data:
    """A row a detector among which it was chosen, that one first."""
    kinds = [one.kind for one in guard.trials[0].kinds] if guard.trials else []
    headings = ("detector", ">rightly accepted", ">behind", ">surety", *(f">AUROC, {kind}" for kind in kinds), "")
    return Data(
        headings,
        tuple(
            (
                one.detector,
                percent(one.coverage),
                f"{percent(one.behind)} ± {percent(one.error)}",
                percent(one.confidence),
                *(percent(kind.auroc) for kind in one.kinds),
                "chosen" if one.chosen else "as good" if one.near else "",
            )
            for one in guard.trials
        ),
    )


def choice_words(guard: GuardRecord) -> str:
    """Why this detector, in one sentence; "" where it was named."""
    return "".join(f"Why {one.detector}: {one.why}." for one in guard.trials if one.chosen)


def outliers_table(found: GuardEvaluation) -> Data:
    """A row a set of outliers."""
    return Data(
        ("outliers", ">rows", ">accepted", ">AUROC", ">FPR95"),
        tuple(
            (one.name, str(one.rows), percent(one.accepted), percent(one.auroc), percent(one.fpr95))
            for one in found.outliers
        ),
    )


def groups_table(found: GuardEvaluation, kind: str = "class") -> Data:
    """A row a class, or a subgroup; the least accepted first."""
    groups = sorted((one for one in found.groups if one.kind == kind), key=lambda one: one.coverage)
    headings = (
        *(kind, ">rows", ">accuracy of all", ">mean probability", ">ECE"),
        *(">deferred", ">accepted", ">errors among them"),
    )
    marked = any(one.above != "no" for one in groups)
    return Data((*headings, "than promised") if marked else headings, tuple(_group(one, marked) for one in groups))


def warnings(found: GuardEvaluation) -> tuple[str, ...]:
    """A sentence for each subgroup, and class, in which more was wrong than was promised of all.

    Of classes, which can be many, only for those in which chance does not explain it.
    """
    promise = found.guard.promise
    said = []
    for one in found.groups:
        if promise and one.risk is not None and (one.above == "beyond chance" or (one.above, one.kind) == PERHAPS):
            word = "promised" if promise.holds else "asked for"
            chance = "which chance may explain" if one.above == "perhaps" else "beyond what chance explains"
            accepted = round(one.rows * one.coverage)
            said.append(
                f"{one.kind.capitalize()} {one.name}: {round(one.risk * accepted)} of {accepted} accepted are errors, "
                f"{percent(one.risk)}, where at most {percent(promise.risk)} were {word} of all; {chance}."
            )
    return tuple(said)


def rows_table(rows: Sequence[ShownRow]) -> Data:
    """A row each of those that are worth a look; the reason where they were deferred."""
    headings = ("input", "is", "taken for", ">probability", ">score", "reason")
    cells = [
        (
            one.key,
            one.truth,
            one.predicted or "-",
            "-" if one.probability is None else percent(one.probability),
            "-" if one.score is None else significant(one.score),
            one.reason,
        )
        for one in rows
    ]
    width = len(headings) if any(one.reason for one in rows) else len(headings) - 1
    return Data(headings[:width], tuple(row[:width] for row in cells))


def _group(one: GroupResult, marked: bool) -> tuple[str, ...]:
    shares = (one.accuracy, one.probability, one.ece, 1 - one.coverage)
    mark = {"no": "", "perhaps": "more", "beyond chance": "more, beyond chance"}[one.above]
    return (
        one.name,
        str(one.rows),
        *("-" if share is None else percent(share) for share in shares),
        _within(one.coverage, one.coverage_within),
        _within(one.risk, one.risk_within),
        *([mark] if marked else []),
    )


def _within(share: float | None, ends: Within | None) -> str:
    return "-" if share is None or ends is None else f"{percent(share)} ({percent(ends.low)} to {percent(ends.high)})"


def _promise(found: GuardEvaluation) -> str:
    risk = "-" if found.risk is None else percent(found.risk)
    rows = [("familiar rows", percent(found.coverage), risk)]
    if found.mixed_share:
        mixed = "-" if found.mixed_risk is None else percent(found.mixed_risk)
        rows.append((f"with {percent(found.mixed_share)} outliers", percent(found.mixed_coverage), mixed))
    deferred = [f"{count} of {found.rows} familiar rows deferred: {reason}" for reason, count in found.deferred.items()]
    return section(
        "The promise",
        paragraph(risk_words(found.guard)),
        table(Data(("traffic", ">accepted", ">errors among them"), tuple(rows))),
        bullets(deferred),
        table(outliers_table(found))
        if found.outliers
        else paragraph("No outliers were given to hold it against.", "note"),
    )


def _curves(found: GuardEvaluation) -> str:
    return section("Risk and reliability", grid([figure(risk_chart(found)), figure(reliability_chart(found))]))


def _scores(found: GuardEvaluation) -> str:
    charts = [figure(chart) for chart in (outliers_chart(found), classes_chart(found)) if chart]
    return section("Scores", grid(charts)) if charts else ""


def _looks(found: GuardEvaluation) -> str:
    surprising = table(rows_table(found.surprising)) if found.surprising else paragraph("No accepted row is an error.")
    regretted = (
        table(rows_table(found.regretted)) if found.regretted else paragraph("No right prediction was deferred.")
    )
    return section(
        "Most surprising, accepted", surprising, intro="Errors that were accepted, the surest first."
    ) + section("Most regretted, deferred", regretted, intro="Right predictions that were deferred, the surest first.")


def _groups(found: GuardEvaluation) -> str:
    parts = [("By class", groups_table(found)), ("By subgroup", groups_table(found, "subgroup"))]
    said = warnings(found)
    shown = section("Above the promise", bullets(said), intro=_ABOVE) if said else ""
    for title, data in parts:
        if data.rows:
            many_rows = len(data.rows) > MOST_ROWS
            body = details(f"All {len(data.rows)}", table(data)) if many_rows else table(data)
            shown += section(title, body, intro=_GROUPS)
    return shown


def _choice(guard: GuardRecord) -> str:
    if not guard.trials:
        return ""
    others = [f"{one.detector}: {one.why}" for one in guard.trials if not one.chosen]
    shown = (paragraph(choice_words(guard)), table(trials_table(guard)), details("Why not the others", bullets(others)))
    return section("How the detector was chosen", *shown, intro=_TRIALS)


def _origin(found: GuardEvaluation) -> str:
    guard = found.guard
    rows = many(guard.fitted, "row")
    facts = [
        f"Head: {guard.detector}, trained on {rows}, which goes by {guard.head.score}."
        if guard.head
        else f"Detector: {guard.detector}, fitted on {rows}.",
        f"Calibrated on {many(guard.calibrated, 'row')}.",
        f"Rule: score up to {significant(guard.threshold)}, probability from {percent(guard.least_probability)} on.",
        f"Artifact: SHA-256 {guard.artifact}." if guard.artifact else "The model lives elsewhere.",
        f"Judged on {many(found.rows, 'row')} of {found.data or 'data without a name'}.",
    ]
    return paragraph(_METHOD) + bullets(facts)
