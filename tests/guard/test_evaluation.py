"""What is told of a guard adds up: of classes, of mixtures, along curves, and row by row."""

import math

import numpy as np
import pytest

from modelwright.errors import SettingError, ShapeError
from modelwright.guard import GuardProfile, Sample, evaluate, fit
from modelwright.records import GuardEvaluation, GuardPlan, from_json, to_json

CLASSES = ("ant", "bee", "cat", "dog")
WIDTH = 6
MIDDLES = np.random.default_rng(0).normal(size=(len(CLASSES), WIDTH)) * 1.6


def drawn(count: int, seed: int, middles: np.ndarray = MIDDLES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaussian classes, and the logits of their best classifier."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(middles), count)
    features = middles[labels] + random.normal(size=(count, WIDTH))
    return features, features @ MIDDLES.T - (MIDDLES**2).sum(1) / 2, labels


@pytest.fixture(scope="module")
def profile() -> GuardProfile:
    plan = GuardPlan(risk=0.1, ood_share=0.1, classes=CLASSES)
    return fit(*drawn(800, 1), detector="mahalanobis", plan=plan)


@pytest.fixture(scope="module")
def sample() -> Sample:
    features, logits, labels = drawn(500, 2)
    features[:3] = np.nan
    return Sample(features, logits, labels, groups=[("day", "night")[row % 2] for row in range(len(labels))])


@pytest.fixture(scope="module")
def strangers() -> dict[str, Sample]:
    near = np.random.default_rng(7).normal(size=(1, WIDTH)) * 1.6
    far = np.full((1, WIDTH), 9.0)
    return {"near": Sample(*drawn(150, 3, near)[:2]), "far": Sample(*drawn(50, 4, far)[:2])}


@pytest.fixture(scope="module")
def found(profile: GuardProfile, sample: Sample, strangers: dict[str, Sample]) -> GuardEvaluation:
    return evaluate(profile, sample, strangers, data="drawn")


def test_classes_and_subgroups_add_up_to_the_whole(found: GuardEvaluation) -> None:
    for kind in ("class", "subgroup"):
        groups = [one for one in found.groups if one.kind == kind]
        assert sum(one.rows for one in groups) == found.rows
        accepted = sum(one.rows * one.coverage for one in groups)
        assert accepted == pytest.approx(found.rows * found.coverage)
        errors = sum(one.rows * one.coverage * (one.risk or 0) for one in groups)
        assert errors == pytest.approx(accepted * found.risk)
    # every group's own share of errors, and whether it keeps what was promised of all
    assert {one.above for one in found.groups} <= {"no", "perhaps", "beyond chance"}
    for one in found.groups:
        assert (one.above != "no") == ((one.risk or 0) > found.guard.promise.risk)
    assert sum(found.deferred.values()) == round(found.rows * (1 - found.coverage))
    assert found.deferred["score unavailable"] == 3


def test_the_mixture_is_made_of_its_parts(found: GuardEvaluation) -> None:
    share = found.mixed_share
    assert share == found.guard.promise.ood_share
    total = sum(one.rows for one in found.outliers)
    outliers = sum(one.rows * one.accepted for one in found.outliers) / total
    assert found.mixed_coverage == pytest.approx((1 - share) * found.coverage + share * outliers)
    errors = (1 - share) * found.coverage * found.risk + share * outliers
    assert found.mixed_risk == pytest.approx(errors / found.mixed_coverage)


def test_curves_end_where_all_is_accepted(found: GuardEvaluation) -> None:
    by_score, by_probability, mixed = found.curves
    for curve in found.curves:
        assert list(curve.coverage) == sorted(curve.coverage)
        assert curve.coverage[-1] == pytest.approx(1)
    assert by_score.risk[-1] == by_probability.risk[-1] == pytest.approx(1 - found.accuracy)
    share = found.mixed_share
    assert mixed.risk[-1] == pytest.approx((1 - share) * (1 - found.accuracy) + share)


def test_every_known_score_is_in_one_bin(found: GuardEvaluation) -> None:
    assert sum(sum(one.counts) for one in found.histograms if not one.outlier) == found.rows - 3
    assert [sum(one.counts) for one in found.histograms if one.outlier] == [150, 50]


def test_far_outliers_are_all_told_apart(found: GuardEvaluation) -> None:
    far = found.outliers[1]
    assert (far.name, far.accepted, far.auroc > 0.99, far.fpr95) == ("far", 0.0, True, 0.0)


def test_rows_to_look_at_are_what_they_are_called(
    profile: GuardProfile, sample: Sample, found: GuardEvaluation
) -> None:
    decided = profile.decide(sample.features, sample.logits)
    for one in found.surprising:
        assert one.reason == ""
        assert one.predicted != one.truth
    for one in found.regretted:
        assert one.reason == decided[int(one.key)].reason != ""
        assert one.predicted == one.truth == CLASSES[sample.labels[int(one.key)]]
    for rows in (found.surprising, found.regretted):
        sure = [one.probability for one in rows]
        assert sure == sorted(sure, reverse=True)
    assert {one.truth for one in found.surprising} & {"near", *CLASSES}


def test_it_can_be_written_and_read(found: GuardEvaluation) -> None:
    assert from_json(to_json(found), GuardEvaluation) == found


def test_without_outliers_there_is_no_mixture(profile: GuardProfile, sample: Sample) -> None:
    found = evaluate(profile, sample)
    assert (found.mixed_share, found.outliers, len(found.curves)) == (0, (), 2)
    assert (found.mixed_coverage, found.mixed_risk) == pytest.approx((found.coverage, found.risk))


def test_rows_that_all_fail_are_deferred_and_risk_nothing(profile: GuardProfile) -> None:
    features, logits, labels = drawn(20, 5)
    found = evaluate(profile, Sample(features * math.nan, logits, labels))
    assert (found.coverage, found.risk, found.histograms, found.surprising) == (0, None, (), ())
    assert found.deferred == {"score unavailable": 20}


def test_what_does_not_fit_is_refused(profile: GuardProfile) -> None:
    features, logits, labels = drawn(20, 5)
    with pytest.raises(SettingError, match="labels are known"):
        evaluate(profile, Sample(features, logits))
    with pytest.raises(SettingError, match="from 0 to 3"):
        evaluate(profile, Sample(features, logits, labels + 4))
    with pytest.raises(SettingError, match="for each of the 20 rows"):
        Sample(features, logits, labels[:5])
    with pytest.raises(ShapeError, match="features must be"):
        evaluate(profile, Sample(features[:, :3], logits, labels))
    with pytest.raises(SettingError, match="must have rows"):
        evaluate(profile, Sample(features, logits, labels), {"none": Sample(features[:0], logits[:0])})
