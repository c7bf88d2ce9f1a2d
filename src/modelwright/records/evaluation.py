"""What a guard did with rows whose truth is known: how much it accepted, how often that was wrong, and which rows."""

from typing import Annotated, Literal

import msgspec

from modelwright.records.guard import GuardRecord, ReliabilityBin
from modelwright.records.platform import Count
from modelwright.records.recipe import Share, Whole
from modelwright.records.space import Word

Above = Literal["no", "perhaps", "beyond chance"]
"""Whether a risk is above what was promised: seen to be so, or more than chance explains."""


class RiskCurve(msgspec.Struct, frozen=True):
    """What is accepted as a threshold rises, and how much of that is wrong.

    Attributes:
        name: by what rows are ordered, and of which traffic.
        coverage: share accepted, in rising order.
        risk: share of errors among these, one for each.
    """

    name: Word
    coverage: tuple[Share, ...]
    risk: tuple[Share, ...]


class ScoreHistogram(msgspec.Struct, frozen=True):
    """Scores of some rows in bins of equal width; those beyond an end are in the bin at that end.

    Attributes:
        name: a class, or a set of outliers.
        outlier: whether it is such a set.
        low, high: ends of the first and the last bin.
        counts: of rows, one a bin.
    """

    name: Word
    outlier: bool
    low: float
    high: float
    counts: tuple[Whole, ...]


class OutlierResult(msgspec.Struct, frozen=True):
    """What the guard did with one set of outliers.

    Attributes:
        name: of the set.
        rows: in it.
        accepted: share that was, each of them an error.
        auroc: of the score, outliers against the familiar rows.
        fpr95: share of outliers accepted where 95 % of the familiar rows are.
    """

    name: Word
    rows: Whole
    accepted: Share
    auroc: Share
    fpr95: Share


class Within(msgspec.Struct, frozen=True):
    """An interval that holds a share 95 % of the time or more, as far as so many rows can tell.

    Attributes:
        low, high: its ends.
    """

    low: Share
    high: Share


class GroupResult(msgspec.Struct, frozen=True):
    """What the guard did with the rows of one class, or of one subgroup.

    Attributes:
        name: of it.
        kind: which of the two.
        rows: in it.
        accuracy: share of all of them that the classifier is right about.
        coverage: share accepted; the others were deferred.
        risk: share of errors among the accepted; None where none was.
        accuracy_within, coverage_within, risk_within: where these may lie.
        probability: mean calibrated probability of its predictions, which should be the accuracy; None for none.
        ece: expected calibration error of these.
        above: whether the risk is above what was promised of all, and whether chance explains it.
    """

    name: Word
    kind: Literal["class", "subgroup"]
    rows: Whole
    accuracy: Share
    coverage: Share
    risk: Share | None
    accuracy_within: Within
    coverage_within: Within
    risk_within: Within | None
    probability: Share | None
    ece: Share
    above: Above


class ShownRow(msgspec.Struct, frozen=True):
    """One row that is worth a look.

    Attributes:
        key: its name.
        truth: its class, or the set of outliers that it is of.
        predicted: the class that it was taken for; "" for none.
        probability: calibrated, of that; None where there is none.
        score: None where it is unavailable.
        reason: why it was deferred; "" for accepted.
    """

    key: str
    truth: str
    predicted: str
    probability: float | None
    score: float | None
    reason: str


class GuardEvaluation(msgspec.Struct, frozen=True):
    """A guard, judged by rows whose truth is known.

    Attributes:
        guard: as it was fitted.
        data: what the rows are called.
        rows: familiar ones.
        accuracy: share of all of them that the classifier is right about.
        coverage: share accepted.
        risk: share of errors among the accepted; None where none was.
        mixed_share: of outliers in a mixture of both; 0 where there are no outliers.
        mixed_coverage: share of that mixture accepted.
        mixed_risk: share of errors among what is accepted of it, each outlier being one; None where none was.
        deferred: reason -> familiar rows deferred for it.
        ece: expected calibration error of the probabilities.
        brier: their Brier score.
        reliability: how often predictions of about a probability are right.
        curves: risk against coverage.
        histograms: scores of each class, then of each set of outliers.
        outliers: what became of each set.
        groups: classes, then subgroups.
        surprising: accepted rows that are errors, some of each set, the surest first.
        regretted: deferred rows whose prediction is right, the surest first.
        version: of this record.
    """

    guard: GuardRecord
    data: str
    rows: Annotated[int, msgspec.Meta(ge=1)]
    accuracy: Share
    coverage: Share
    risk: Share | None
    mixed_share: Share
    mixed_coverage: Share
    mixed_risk: Share | None
    deferred: dict[str, Whole]
    ece: Share
    brier: Annotated[float, msgspec.Meta(ge=0, le=2)]
    reliability: tuple[ReliabilityBin, ...]
    curves: tuple[RiskCurve, ...]
    histograms: tuple[ScoreHistogram, ...]
    outliers: tuple[OutlierResult, ...]
    groups: tuple[GroupResult, ...]
    surprising: tuple[ShownRow, ...]
    regretted: tuple[ShownRow, ...]
    version: Count = 1
