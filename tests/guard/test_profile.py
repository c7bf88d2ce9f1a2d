"""A guard decides as its rule says, never accepts what is bad, comes back from its folder, and is refused elsewhere."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import RecordError, SettingError, ShapeError, UnknownNameError
from modelwright.guard import GuardProfile, fit, load
from modelwright.guard.calibration import probabilities
from modelwright.guard.decisions import REASONS
from modelwright.guard.detectors.catalogue import detector
from modelwright.guard.detectors.detector import Fitted
from modelwright.guard.fitting import fit_rows, quantile
from modelwright.guard.profile import NUMBERS, RECORD
from modelwright.guard.rows import Head, rows_of
from modelwright.records import GuardPlan

K, D, DIGEST = 6, 8, "a" * 64
MEANS = np.random.default_rng(5).normal(size=(K + 4, D)) * 1.5
HEAD = Head(MEANS[:K], -0.5 * (MEANS[:K] ** 2).sum(1))


def drawn(seed, count, classes=range(K)):
    """Gaussian classes around the means, and the logits that Bayes' rule gives."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.resize(np.array(classes), count))
    features = MEANS[labels] + random.normal(size=(count, D))
    return features, HEAD.logits(features), labels


@pytest.fixture(scope="module")
def profile():
    features, logits, labels = drawn(0, 1200)
    plan = GuardPlan(quantile=0.9, least_probability=0.5)
    return fit(features, logits, labels, detector="mahalanobis", artifact=DIGEST, plan=plan)


def test_decisions_follow_the_rule(profile):
    features, logits, _ = drawn(1, 300, range(K + 4))
    found = profile.decide(features, logits)
    probability = probabilities(logits, profile.record.temperature).max(1)
    fits, sure = found.score <= profile.record.threshold, probability >= 0.5
    assert found.accepted.tolist() == (fits & sure).tolist()
    for one, inside, certain in zip(found, fits, sure, strict=True):
        assert one.accepted == (inside and certain)
        assert one.reason == ("out of distribution" if not inside else "" if certain else "uncertain")
    assert {one.reason for one in found} == {"", "out of distribution", "uncertain"}
    assert found.label.tolist() == logits.argmax(1).tolist()
    assert found.uncertainty == pytest.approx(1 - probability)


@given(st.integers(0, 300), st.sampled_from([np.nan, np.inf, -np.inf]), st.booleans())
def test_a_bad_number_anywhere_defers_its_row_and_no_other(profile, seed, bad, in_features):
    features, logits, _ = drawn(2, 20)
    before = profile.decide(features, logits)
    random = np.random.default_rng(seed)
    row, table = random.integers(20), features if in_features else logits
    table[row, random.integers(table.shape[1])] = bad
    after = profile.decide(features, logits)
    assert after[row].outcome == "defer"
    assert after[row].reason == "score unavailable"
    assert after[row].score is None
    others = np.arange(20) != row
    assert (after.reason[others] == before.reason[others]).all()


def test_a_detector_that_fails_defers_all(profile):
    broken = GuardProfile(
        profile.record, Fitted(profile.fitted.detector, D, K, {**profile.fitted.numbers, "means": np.zeros((K, 1))})
    )
    found = broken.decide(*drawn(3, 5)[:2])
    assert [one.reason for one in found] == ["score unavailable"] * 5


def test_no_rows_are_no_decisions(profile):
    assert len(profile.decide(np.zeros((0, D)), np.zeros((0, K)))) == 0


def test_another_width_or_number_of_classes_is_refused(profile):
    features, logits, _ = drawn(4, 5)
    for bad in ((features[:, 1:], logits), (features, logits[:, 1:]), (features[0], logits[0]), (features[1:], logits)):
        with pytest.raises(ShapeError):
            profile.decide(*bad)


def test_the_quantile_is_accepted_of_new_familiar_rows(profile):
    """Split conformal: on average over calibrations at least 90 %; here of one, give or take its own noise."""
    found = profile.decide(*drawn(6, 4000)[:2])
    assert (found.score <= profile.record.threshold).mean() == pytest.approx(0.9, abs=0.04)


@given(st.integers(1, 60), st.floats(0.01, 1))
def test_a_new_score_is_below_the_quantile_in_enough_of_its_ranks(count, share):
    """Of n + 1 exchangeable scores the last is equally likely of any rank: count the ranks at which it is accepted."""
    scores = np.arange(count, dtype=float)
    threshold = quantile(scores, share)
    accepted = sum(rank - 0.5 <= threshold for rank in range(count + 1))
    assert accepted / (count + 1) >= share - 1e-9 or threshold == scores[-1]


def test_a_profile_comes_back_as_it_was(profile, tmp_path):
    profile.save(tmp_path / "guard")
    again = load(tmp_path / "guard", DIGEST)
    features, logits, _ = drawn(7, 100, range(K + 4))
    assert again.record == profile.record
    assert list(again.decide(features, logits)) == list(profile.decide(features, logits))
    again.save(tmp_path / "guard")
    assert load(tmp_path / "guard", DIGEST).record == profile.record


@pytest.mark.parametrize(
    "name", ["ash", "energy", "gen", "knn", "nci", "react", "relative-mahalanobis", "scale", "vim"]
)
def test_every_detector_can_be_saved(name, tmp_path):
    features, logits, labels = drawn(8, 240)
    saved = fit(np.abs(features), logits, labels, head=HEAD, detector=name, plan=GuardPlan(quantile=0.9))
    saved.save(tmp_path / "guard")
    found = load(tmp_path / "guard", "").decide(np.abs(features), logits)
    assert list(found) == list(saved.decide(np.abs(features), logits))
    assert found.accepted.mean() > 0.8


@pytest.mark.parametrize("artifact", ["b" * 64, "", "A" * 64])
def test_a_profile_of_another_artifact_is_refused(profile, tmp_path, artifact):
    profile.save(tmp_path / "guard")
    with pytest.raises(RecordError, match="fitted for this artifact"):
        load(tmp_path / "guard", artifact)


def damaged(path, change):
    content = path.read_bytes()
    path.write_bytes(change(content))


@pytest.mark.parametrize("name", [RECORD, NUMBERS])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.99])
def test_one_changed_byte_is_found(profile, tmp_path, name, where):
    profile.save(tmp_path / "guard")
    path = tmp_path / "guard" / name
    place = int(where * path.stat().st_size)
    damaged(path, lambda content: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(RecordError):
        load(tmp_path / "guard", DIGEST)


@pytest.mark.parametrize("name", [RECORD, NUMBERS])
@pytest.mark.parametrize("left", [0, 0.5, None])
def test_a_torn_or_missing_file_is_found(profile, tmp_path, name, left):
    profile.save(tmp_path / "guard")
    path = tmp_path / "guard" / name
    if left is None:
        path.unlink()
    else:
        damaged(path, lambda content: content[: int(left * len(content))])
    with pytest.raises(RecordError):
        load(tmp_path / "guard", DIGEST)


def test_a_threshold_moved_by_hand_is_found(profile, tmp_path):
    profile.save(tmp_path / "guard")
    path = tmp_path / "guard" / RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": 1e9}))
    with pytest.raises(RecordError, match="as it was written"):
        load(tmp_path / "guard", DIGEST)


def test_a_threshold_moved_by_verdicts_loses_the_promise(profile, tmp_path):
    moved = profile.with_threshold(0.0)
    moved.save(tmp_path / "guard")
    assert load(tmp_path / "guard", DIGEST).record.threshold == 0.0
    assert moved.record.promise is None
    assert not moved.decide(*drawn(9, 20)[:2]).accepted.any()
    with pytest.raises(SettingError, match="finite"):
        profile.with_threshold(float("inf"))


def test_a_folder_of_other_things_is_not_replaced(profile, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(SettingError, match="nothing but"):
        profile.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_what_cannot_be_calibrated_is_refused():
    features, logits, labels = drawn(10, 120)
    plain = GuardPlan(quantile=0.9)
    for bad in (features[:0], logits[:0], labels[:0]), (features, logits, np.where(labels == 3, 2, labels)):
        with pytest.raises(SettingError):
            fit(*bad, detector="energy", plan=plain)
    rare = np.r_[np.flatnonzero(labels != 3), np.flatnonzero(labels == 3)[:2]]
    with pytest.raises(SettingError, match="two rows to calibrate"):
        fit(features[rare], logits[rare], labels[rare], detector="energy", plan=plain)
    with pytest.raises(SettingError, match="names of classes"):
        fit(features, logits, labels, detector="energy", plan=GuardPlan(classes=("one",)))
    with pytest.raises(UnknownNameError):
        fit(features, logits, labels, detector="oracle", plan=plain)
    with pytest.raises(ShapeError, match="same width"):
        fit_rows(rows_of(features, logits, labels), rows_of(features[:, 1:], logits, labels), detector="energy")


def test_of_one_seed_there_is_one_guard_whatever_the_order_of_calls():
    features, logits, labels = drawn(11, 240)
    plan = GuardPlan(quantile=0.9, classes=tuple("abcdef"))
    first, second = (fit(features, logits, labels, detector=detector("knn", {"k": 3}), plan=plan) for _ in range(2))
    assert first.record == second.record
    assert first.record.settings["k"] == 3
    assert first.record.classes == tuple("abcdef")
    assert REASONS[0] == ""
