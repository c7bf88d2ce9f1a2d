"""The page of a guard: what it promises and keeps, how sure its probabilities are, and the rows to look at."""

from collections.abc import Sequence

from modelwright.records import GuardEvaluation, GuardRecord
from modelwright.records.evaluation import GroupResult, ShownRow
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
    "Whole classes were held out in rotation and stood in for outliers. Coverage is the share of the traffic accepted "
    "at the risk and share of outliers asked for; surety is how often a bootstrap over the rotations ranks it first."
)


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
    return f"{'Promised' if promise.holds else 'NOT promised'}: {asked}. Why: {promise.why}."


def trials_table(guard: GuardRecord) -> Data:
    """A row a detector among which it was chosen, the best first."""
    headings = ("detector", ">coverage", ">AUROC", ">FPR95", ">surety", "")
    return Data(
        headings,
        tuple(
            (
                one.detector,
                *(percent(value) for value in (one.coverage, one.auroc, one.fpr95, one.confidence)),
                "chosen" if one.chosen else "",
            )
            for one in guard.trials
        ),
    )


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
    return Data((kind, ">rows", ">accuracy of all", ">accepted", ">errors among them"), tuple(map(_group, groups)))


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


def _group(one: GroupResult) -> tuple[str, ...]:
    risk = "-" if one.risk is None else percent(one.risk)
    return one.name, str(one.rows), percent(one.accuracy), percent(one.coverage), risk


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
    shown = ""
    for title, data in parts:
        if data.rows:
            many_rows = len(data.rows) > MOST_ROWS
            shown += section(title, details(f"All {len(data.rows)}", table(data)) if many_rows else table(data))
    return shown


def _choice(guard: GuardRecord) -> str:
    if not guard.trials:
        return ""
    return section("How the detector was chosen", table(trials_table(guard)), intro=_TRIALS)


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
