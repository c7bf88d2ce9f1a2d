"""Chosen without outliers, a detector is as good as one chosen with them; what is promised of new classes is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import sem

from modelwright.errors import SettingError
from modelwright.guard import fit
from modelwright.guard.choosing import choose, picked, standard_error, surety
from modelwright.guard.detectors.catalogue import detector, names
from modelwright.guard.metrics import auroc
from modelwright.guard.rotation import judged, odds_of, own_rotations, stand_ins, translated, turned, turns
from modelwright.guard.rows import Head, halves, rows_of
from modelwright.records import DetectorTrial, GuardPlan, OutlierTrial

K, D = 10, 12


def world(seed, count=60, spread=1.4):
    """Classes whose means are drawn like those of the classes that nobody knew of."""
    random = np.random.default_rng(seed)
    means = random.normal(size=(K + 30, D)) * spread
    head = Head(means[:K], -0.5 * (means[:K] ** 2).sum(1))

    def rows(labels):
        features = means[labels] + random.normal(size=(len(labels), D))
        return features, head.logits(features), labels

    known, new = rows(np.repeat(np.arange(K), count)), rows(np.repeat(np.arange(K, K + 30), 60))
    return rows, head, known, new


@given(st.integers(3, 40), st.integers(2, 12), st.integers(0, 99))
def test_each_class_is_held_out_once_and_two_are_kept(classes, count, seed):
    found = turns(classes, count, seed)
    assert sorted(np.concatenate([turn.held for turn in found]).tolist()) == list(range(classes))
    for turn in found:
        assert len(turn.kept) >= 2
        assert sorted([*turn.kept.tolist(), *turn.held.tolist()]) == list(range(classes))


def test_of_two_classes_none_can_be_held_out():
    with pytest.raises(SettingError, match="three or more"):
        turns(2, 5, 0)


def test_a_held_out_class_is_as_unknown_as_one_that_was_never_there():
    """Scores of the rotation are those of a detector that never saw the class, on logits that never had it."""
    _, head, (features, logits, labels), _ = world(0)
    rows, turn = rows_of(features, logits, labels), turns(K, 5, 0)[0]
    (rotation,) = own_rotations([turn], rows, rows, head)
    seen, outlier = judged(turned(detector("vim"), rotation), rows, 1.0, turn)
    inside = np.isin(labels, turn.kept)
    without = detector("vim").fit(
        features[inside],
        logits[inside][:, turn.kept],
        np.searchsorted(turn.kept, labels[inside]),
        Head(head.weight[turn.kept], head.bias[turn.kept]),
    )
    assert seen.score == pytest.approx(without.score(features, logits[:, turn.kept]))
    assert (outlier == ~inside).all()
    assert seen.wrong[outlier].all()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.booleans())
def test_on_one_scale_a_translation_changes_little_and_keeps_the_order(values, low):
    scale = np.array(values)
    found = translated(scale, scale, scale, low=low)
    ordered = found[np.argsort(scale, kind="stable")]
    assert (ordered[1:] >= ordered[:-1]).all()
    if low:
        assert found == pytest.approx(scale)


def test_what_is_beyond_all_familiar_rows_stays_beyond_them():
    here, there = np.arange(10.0), np.arange(0.0, 100.0, 10.0)
    found = translated(np.array([-1.0, 4.5, 99.0, np.nan]), here, there, low=True)
    assert found[:2].tolist() == [0.0, 50.0]
    assert found[2] == np.inf
    assert np.isnan(found[3])


def test_a_choice_is_surest_where_one_is_best_in_every_rotation():
    def sure(*coverages):
        return surety(np.array(coverages)[:, :, None], 0)

    assert sure([0.9, 0.8, 0.7], [0.1, 0.2, 0.3]).tolist() == [1.0, 0.0]
    assert sure([0.5, 0.5], [0.5, 0.5]).tolist() == [0.5, 0.5]
    mixed = sure([0.9, 0.1, 0.5], [0.1, 0.9, 0.5])
    assert mixed.sum() == pytest.approx(1.0)
    assert mixed == pytest.approx([0.5, 0.5], abs=0.1)


def test_a_standard_error_is_that_of_rotations_and_kinds_together():
    """Of one factor alone it is scipy's; two that add up have both variances."""
    random = np.random.default_rng(0)
    rotations, kinds = random.normal(size=5), random.normal(size=3)
    assert standard_error(rotations[:, None]) == pytest.approx(sem(rotations))
    assert standard_error(np.tile(kinds, (5, 1))) == pytest.approx(sem(kinds))
    both = np.hypot(sem(rotations), sem(kinds))
    assert standard_error(rotations[:, None] + kinds[None]) == pytest.approx(both)


@given(st.floats(0.001, 0.5))
def test_a_lead_that_one_kind_of_three_shows_is_within_its_error_and_one_of_all_is_not(lead):
    alone, everywhere = np.tile([lead, 0.0, 0.0], (5, 1)), np.full((5, 3), lead)
    assert alone.mean() == pytest.approx(standard_error(alone))
    assert standard_error(everywhere) == pytest.approx(0, abs=1e-12)


def trial(name, behind, error, *aurocs):
    kinds = tuple(OutlierTrial(kind, 0.8 - behind, auroc, 0.5) for kind, auroc in zip("abc", aurocs, strict=False))
    coverage = 0.8 - behind
    return DetectorTrial(name, {}, coverage, (coverage,) * 2, 0.9, 0.5, 0.3, False, behind, error, kinds)


def test_of_those_as_good_as_any_the_one_without_a_blind_side_is_picked():
    most, near, blind, far = (
        trial("msp", 0.0, 0.0, 0.9, 0.7),
        trial("knn", 0.01, 0.01, 0.8, 0.8),
        trial("vim", 0.005, 0.02, 0.99, 0.3),
        trial("gen", 0.1, 0.05, 0.99, 0.99),
    )
    found = picked([far, blind, near, most])
    assert [one.detector for one in found] == ["knn", "msp", "vim", "gen"]
    assert [one.chosen for one in found] == [True, False, False, False]
    assert "of 3 that accept most rightly" in found[0].why
    assert "80.0% (a)" in found[0].why
    assert "70.0% (b)" in found[1].why
    assert "30.0% (b)" in found[2].why
    assert "10.00 points less rightly" in found[3].why
    alone = picked([most, far])
    assert alone[0].detector == "msp"
    assert "no other" in alone[0].why


def test_where_coverage_does_not_tell_the_combination_is_picked():
    near, both, far = trial("knn", 0.0, 0.0, 0.9, 0.9), trial("fisher", 0.01, 0.02, 0.7), trial("gen", 0.1, 0.05, 0.9)
    found = picked([near, both, far])
    assert [one.detector for one in found] == ["fisher", "knn", "gen"]
    assert "it combines what others read" in found[0].why
    assert "reads less than the combination" in found[1].why
    assert picked([near, far, trial("fisher", 0.1, 0.01, 0.99)])[0].detector == "knn"


def test_the_combination_may_cost_a_point_of_coverage_and_no_more():
    best, dear = trial("gen", 0.0, 0.0, 0.9), trial("fisher", 0.0101, 0.001, 0.99)
    assert picked([best, dear])[0].detector == "gen"
    cheap = trial("fisher", 0.0099, 0.001, 0.7)
    found = picked([best, cheap])
    assert [one.detector for one in found] == ["fisher", "gen"]
    assert "0.99 points less rightly" in found[0].why
    assert found[1].why == "accepts most rightly, within a standard error, but reads less than the combination"


def test_the_choice_avoids_what_new_classes_show_to_be_bad():
    """Among all detectors the pick, made without outliers, is within 3 points of the best AUROC on real new classes."""
    regrets, sure = [], []
    for seed in range(3):
        _, head, known, (features, logits, _) = world(seed, count=100)
        rows = rows_of(*known)
        second, first = halves(rows.labels, 0.5, np.random.default_rng(seed))
        plan = GuardPlan(risk=0.05, ood_share=0.2, seed=seed)
        trials = choose([detector(name) for name in names()], rows.take(first), rows.take(second), head=head, plan=plan)
        assert [trial.chosen for trial in trials] == [True] + [False] * (len(trials) - 1)
        assert trials[0].near
        assert [one.kind for one in trials[0].kinds] == ["held-out", "between", "shuffled"]
        for one in trials:
            assert one.coverage == pytest.approx(np.mean([kind.coverage for kind in one.kinds]))
            assert one.coverage + one.behind == pytest.approx(max(trial.coverage for trial in trials))
            assert one.auroc == pytest.approx(one.kinds[0].auroc)
        found = {}
        for trial in trials:
            fitted = detector(trial.detector).fit_rows(rows.take(first), head)
            old = rows.take(second)
            scores = np.r_[fitted.score(old.features, old.logits), fitted.score(features, logits)]
            found[trial.detector] = auroc(np.arange(len(scores)) >= len(old), scores)
        regrets.append(max(found.values()) - found[trials[0].detector])
        sure.append(sum(trial.confidence for trial in trials))
    assert np.mean(regrets) < 0.03
    assert sure == pytest.approx([1.0] * 3)


def test_stand_ins_count_as_many_times_as_they_meet_too_few_classes():
    _, head, (features, logits, labels), _ = world(0, count=4)
    rows = rows_of(features, logits, labels)
    assert odds_of(own_rotations(turns(K, 5, 0), rows, rows, head), K) == pytest.approx(np.full(K, 10 / 8))


def test_stand_ins_are_accepted_about_as_often_as_new_classes():
    """At the threshold that accepts 95 % of familiar rows, a rotation foretells what new classes do.

    Held out one by one, classes meet 9 others, new ones 10.
    """
    foretold, real = [], []
    for seed in range(4):
        _, head, known, (features, logits, _) = world(seed, count=80)
        rows = rows_of(*known)
        second, first = halves(rows.labels, 0.5, np.random.default_rng(seed))
        reference, design = rows.take(first), rows.take(second)
        one, rotations = detector("mahalanobis"), turns(K, 10, seed)
        whole = one.fit_rows(reference, head)
        seen, _ = judged(whole, design, 1.0)
        held = own_rotations(rotations, reference, design, head)
        strangers = stand_ins([turned(one, rotation) for rotation in held], held, held, seen, 1.0)
        threshold = np.quantile(seen.score, 0.95)
        foretold.append((strangers.score <= threshold).mean())
        real.append((whole.score(features, logits) <= threshold).mean())
    assert np.mean(foretold) * K / (K - 1) == pytest.approx(np.mean(real), abs=0.03)


def test_auto_says_what_it_tried_and_needs_three_classes():
    _, _, (features, logits, labels), _ = world(1, count=40)
    guard = fit(features, logits, labels, plan=GuardPlan(risk=0.1, ood_share=0.1))
    assert {trial.detector for trial in guard.record.trials} == set(names())
    assert guard.record.detector == guard.record.trials[0].detector
    two = labels < 2
    with pytest.raises(SettingError, match="three or more"):
        fit(features[two], logits[two][:, :2], labels[two])
    named = fit(features[two], logits[two][:, :2], labels[two], detector="energy")
    assert not named.record.promise.holds
    assert "two classes" in named.record.promise.why


def test_without_a_linear_layer_those_that_need_it_are_not_tried():
    _, _, (features, logits, labels), _ = world(2, count=40)
    guard = fit(features, np.tanh(logits / 10), labels, plan=GuardPlan(risk=0.1, ood_share=0.1))
    tried = {trial.detector for trial in guard.record.trials}
    assert tried.isdisjoint({"react", "ash", "scale", "nci"})
    assert {"knn", "msp"} <= tried
    assert [one.kind for one in guard.record.trials[0].kinds] == ["held-out"]  # of made rows nobody knows the logits
