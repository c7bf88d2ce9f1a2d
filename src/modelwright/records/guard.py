"""A guard on paper: what it decided, what it promises, how its detector was chosen, and what it is saved as."""

import hashlib
from typing import Annotated, Literal

import msgspec

from modelwright.records.manifest import File
from modelwright.records.platform import Count, Name, Positive
from modelwright.records.recipe import Share, Whole
from modelwright.records.space import Value, Word

Outcome = Literal["accept", "defer"]
DeferReason = Literal["", "out of distribution", "uncertain", "score unavailable"]
"""Why a prediction was deferred; "" where it was accepted."""
Confidence = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Basis = Literal["none", "familiar rows", "outliers", "foreign features", "networks without classes"]
"""What a promise rests on: familiar rows alone, where no outliers are promised for; outliers that were given; classes
held out of foreign features, of an extractor that never learned them; networks that were trained without classes."""


class Decision(msgspec.Struct, frozen=True):
    """What a guard says of one prediction.

    Attributes:
        outcome: whether the prediction may be used, or a person decides.
        reason: why it was deferred; "" where it was accepted.
        label: number of the predicted class; None where there is no prediction, as of logits that are not finite.
        probability: calibrated, of that class; None where there is none.
        score: of the detector, higher for less familiar; None where it is unavailable.
    """

    outcome: Outcome
    reason: DeferReason
    label: int | None
    probability: float | None
    score: float | None

    @property
    def accepted(self) -> bool:
        """Whether the prediction may be used."""
        return self.outcome == "accept"


class Promise(msgspec.Struct, frozen=True):
    """A bound on the error rate among accepted predictions: what was asked for, and whether it is given.

    An error is a wrong label that was accepted, or an outlier that was, whatever its label.

    Attributes:
        risk: the bound.
        ood_share: of outliers in the traffic for which it holds.
        confidence: the probability, over the draw of the calibration data, that it is kept.
        holds: whether it is given.
        why: what it rests on, or why it cannot be given; one sentence.
        accepted: rows held back for the proof that are accepted: of the mixture with outliers where some were given,
            of familiar ones otherwise.
        errors: of these.
        basis: what it rests on; "none" where it is not given.
    """

    risk: Confidence
    ood_share: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    confidence: Confidence
    holds: bool
    why: str
    accepted: Whole = 0
    errors: Whole = 0
    basis: Basis = "none"


class OutlierTrial(msgspec.Struct, frozen=True):
    """What was found of one detector with one kind of outliers made of one's own rows; means over rotations.

    Attributes:
        kind: of these outliers.
        coverage: share of the traffic accepted and right, at the risk and the share of outliers asked for.
        auroc: of its score alone, these against familiar rows.
        fpr95: share of these accepted where 95 % of the familiar are.
    """

    kind: Name
    coverage: Share
    auroc: Share
    fpr95: Share


class DetectorTrial(msgspec.Struct, frozen=True):
    """What was found of one detector while whole classes were held out in rotation, and outliers made of the others.

    Attributes:
        detector: its name.
        settings: its own.
        coverage: share of the traffic accepted and right, at the risk and the share of outliers asked for; mean over
            rotations and kinds of outliers.
        coverages: each rotation's, mean over kinds.
        auroc: of its score alone, held-out classes against the kept, mean over rotations.
        fpr95: share of held-out rows accepted where 95 % of the kept are, mean over rotations.
        confidence: share of bootstrap draws of the rotations and kinds in which its coverage is the largest.
        chosen: whether it was picked.
        behind: how much less that is than the most that one of them has.
        error: standard error of that; a detector that is behind by no more is as good, as far as can be told.
        kinds: each kind of outliers by itself, held-out classes first.
        why: it was picked, or was not; one clause.
    """

    detector: Name
    settings: dict[str, Value]
    coverage: Share
    coverages: tuple[Share, ...]
    auroc: Share
    fpr95: Share
    confidence: Share
    chosen: bool
    behind: Share = 0.0
    error: Share = 0.0
    kinds: tuple[OutlierTrial, ...] = ()
    why: str = ""

    @property
    def near(self) -> bool:
        """Whether it has as much coverage as any, within a standard error."""
        return self.behind <= self.error + 1e-9

    @property
    def weakest(self) -> OutlierTrial | None:
        """The kind of outliers that its score tells worst."""
        return min(self.kinds, key=lambda one: one.auroc, default=None)


class GuardPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a guard is to keep, and how it is fitted.

    Attributes:
        risk: the error rate among accepted predictions that is asked for.
        ood_share: of outliers in the traffic for which it is.
        confidence: with which it is.
        quantile: in place of a risk, the share of familiar inputs whose score is accepted; no promise is made then.
        least_probability: with a quantile, calibrated probabilities below it are deferred.
        calibration: share of the rows that the detector is not fitted on, but judged with; of a trained head, all are.
        rotations: groups of classes that are held out as pseudo-outliers, one group at a time.
        classes: their names, label 0 first; none for their numbers.
        seed: of all draws.
        foreign: whether the features come from an extractor that was trained on none of these classes, such as an
            embedding made for something else. Only then does a class that is held out play a new one as it should.
    """

    risk: Confidence = 0.05
    ood_share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.1
    confidence: Confidence = 0.95
    quantile: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    least_probability: Share = 0.0
    calibration: Confidence = 0.5
    rotations: Annotated[int, msgspec.Meta(ge=2)] = 5
    classes: tuple[Word, ...] = ()
    seed: Whole = 0
    foreign: bool = False


class ReliabilityBin(msgspec.Struct, frozen=True):
    """Predictions of about the same probability.

    Attributes:
        low, high: ends of the bin, the high one within it.
        count: of predictions in it.
        confidence: their mean probability; 0 where there are none.
        accuracy: the share of them that is right; 0 where there are none.
    """

    low: Share
    high: Share
    count: Whole
    confidence: Share
    accuracy: Share


class EpochTrial(msgspec.Struct, frozen=True):
    """How one epoch of a head's training did on validation.

    Attributes:
        epoch: from 1.
        accuracy: among the familiar classes.
        auroc: of each score, by name.
    """

    epoch: Count
    accuracy: Share
    auroc: dict[str, Share]

    @property
    def best(self) -> str:
        """Name of the score that tells outliers best."""
        return max(self.auroc, key=lambda name: self.auroc[name])

    @property
    def told(self) -> float:
        """Its AUROC."""
        return self.auroc[self.best]


class HeadRecord(msgspec.Struct, frozen=True):
    """A head on features that a method of training made, as it is saved.

    Attributes:
        score: name of the one that the guard goes by.
        epoch: at which its networks were taken, from 1.
        groups: outlier classes that it learned from.
        seen: outlier classes that it learned from or was chosen on.
        hidden: width of its layers.
        depth: of its residual layers.
        dropout: behind each of these.
        epochs: how each did.
    """

    score: Name
    epoch: Count
    groups: Whole
    seen: tuple[int, ...]
    hidden: Count
    depth: Whole
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    epochs: tuple[EpochTrial, ...]


class GuardRecord(msgspec.Struct, frozen=True):
    """A guard as it is saved; the arrays of its detector, or of its head, are in a file beside it.

    Attributes:
        artifact: SHA-256 digest of the artifact that it is for; "" for a model that lives elsewhere.
        detector: name of the detector, or of the method that trained the head.
        settings: its own.
        threshold: scores up to it are accepted.
        temperature: logits are divided by it before the softmax.
        least_probability: calibrated probabilities from it on are accepted.
        classes: their names, label 0 first.
        width: of the features.
        numbers: the file of the arrays.
        fitted: rows that the detector was fitted on, or the head trained on.
        calibrated: rows that temperature and threshold were found on.
        promise: on the error rate among the accepted; None where none was asked for, or the threshold moved since.
        trials: of the detectors among which it was chosen; none where it was named.
        head: which gives logits and score in place of classifier and detector; None where there is none.
        version: of this record.
        seal: SHA-256 digest of all else in it, so that a changed number is found.
    """

    artifact: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
    detector: Name
    settings: dict[str, Value]
    threshold: float
    temperature: Positive
    least_probability: Share
    classes: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)]
    width: Count
    numbers: File
    fitted: Whole
    calibrated: Whole
    promise: Promise | None = None
    trials: tuple[DetectorTrial, ...] = ()
    head: HeadRecord | None = None
    version: Count = 4
    seal: str = ""

    def sealed(self) -> "GuardRecord":
        """The same under its seal."""
        plain = msgspec.structs.replace(self, seal="")
        return msgspec.structs.replace(plain, seal=hashlib.sha256(msgspec.json.encode(plain)).hexdigest())

    @property
    def intact(self) -> bool:
        """Whether the seal fits."""
        return self.seal == self.sealed().seal
