"""What is promised of classes that nobody knew is kept, with classes as what is counted; without grounds nothing is."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, multinomial

from modelwright.errors import SettingError, ShapeError
from modelwright.guard import Fold, Head, Outliers, fit
from modelwright.guard.acceptance import Judged, rules_of
from modelwright.guard.new_classes import Played, divergence, evidence, figures, prove_for_classes, upper
from modelwright.records import GuardPlan

K, NEW, D = 30, 200, 12


def means(seed):
    """Of familiar classes, then of as many new ones as stand for all."""
    return np.random.default_rng(seed).normal(size=(K + NEW, D)) * 1.4


def rows(middle, labels, random):
    return middle[labels] + random.normal(size=(len(labels), D)), labels


def head_of(middle):
    return Head(middle, -0.5 * (middle**2).sum(1))


def world(seed):
    """A classifier that knows K means, rows to fit on, and fresh ones of familiar classes and of new ones."""
    random, middle = np.random.default_rng(seed + 1000), means(seed)
    known = rows(middle, np.repeat(np.arange(K), 60), random)
    fresh = rows(middle, np.repeat(np.arange(K), 100), random)
    new = rows(middle, np.repeat(np.arange(K, K + NEW), 20), random)[0]
    return head_of(middle[:K]), known, fresh, new


def achieved(guard, see, fresh, new, share):
    """The true error rate among the accepted, of traffic with a share of new classes."""
    inside, outside = guard.decide(*see(fresh[0])), guard.decide(*see(new))
    errors = (1 - share) * (inside.accepted & (inside.label != fresh[1])).mean() + share * outside.accepted.mean()
    return errors / ((1 - share) * inside.accepted.mean() + share * outside.accepted.mean())


def learned(middle, features, kept):
    """Features of a network that was trained on some classes: where a row lies between their means, sharpened.

    A row of a class that was learned ends at its mean, whatever its noise; a row of any other ends at one of these.
    """
    near = 4.0 * (features @ middle[kept].T - 0.5 * (middle[kept] ** 2).sum(1))
    chance = np.exp(near - near.max(1, keepdims=True))
    return (chance / chance.sum(1, keepdims=True)) @ middle[kept] + 0.2 * features


def test_foreign_features_keep_the_promise_and_others_are_given_none():
    plan = GuardPlan(risk=0.12, ood_share=0.1, confidence=0.9, foreign=True)
    held = broken = 0
    for seed in range(6):
        head, (features, labels), fresh, new = world(seed)

        def see(some, head=head):
            return some, head.logits(some)

        guard = fit(*see(features), labels, detector="mahalanobis", plan=plan)
        assert guard.record.promise.basis == ("foreign features" if guard.record.promise.holds else "none")
        held += guard.record.promise.holds
        broken += guard.record.promise.holds and achieved(guard, see, fresh, new, 0.1) > 0.12
        if seed < 2:
            plain = GuardPlan(risk=0.12, ood_share=0.1, confidence=0.9)
            bare = fit(*see(features), labels, detector="mahalanobis", plan=plain).record.promise
            assert (bare.holds, bare.basis) == (False, "none")
            assert "trained on a class" in bare.why
            assert fit(*see(features), labels, detector="mahalanobis", plan=plain).record.threshold == (
                guard.record.threshold
            )
    assert held >= 4
    assert broken == 0


def test_a_network_tells_classes_it_learned_better_than_new_ones_and_networks_without_them_show_that():
    """Whoever says of such features that they are foreign has a promise that is broken each time; networks that were
    trained without classes keep theirs.
    """
    plan = GuardPlan(risk=0.12, ood_share=0.1, confidence=0.9, rotations=10)
    told = {}
    for seed in range(4):
        _, (inputs, labels), fresh, new = world(seed)
        middle, every = means(seed), np.arange(K)

        def see(some, kept=every, middle=middle):
            wide = learned(middle, some, kept)
            return wide, head_of(middle[kept]).logits(wide)

        parts = np.array_split(np.random.default_rng(seed).permutation(K), 10)
        folds = [Fold(tuple(out.tolist()), *see(inputs, np.setdiff1d(every, out))) for out in parts]
        falsely = msgspec.structs.replace(plan, foreign=True)
        for asked, strange in ((plan, folds), (falsely, ())):
            guard = fit(*see(inputs), labels, detector="mahalanobis", plan=asked, strange=strange)
            promise = guard.record.promise
            over = promise.holds and achieved(guard, see, fresh, new, 0.1) > 0.12
            told.setdefault(bool(strange), []).append((promise.holds, promise.basis, over))
    held, basis, broken = zip(*told[True], strict=True)
    assert sum(held) >= 2
    assert set(basis) <= {"networks without classes", "none"}
    assert not any(broken)
    assert all(broken for _, _, broken in told[False])


def test_outliers_that_are_given_bear_a_promise_whatever_the_features():
    """Five calibrations at a confidence of 90 %: two may break it."""
    plan, broken = GuardPlan(risk=0.1, ood_share=0.1, confidence=0.9), 0
    for seed in range(5):
        head, (features, labels), fresh, new = world(seed)
        order = np.random.default_rng(seed).permutation(len(new))
        some, rest = new[order[:1000]], new[order[1000:]]
        guard = fit(features, head.logits(features), labels, detector="mahalanobis", plan=plan,
                    strange=Outliers(some, head.logits(some)))  # fmt: skip
        assert (guard.record.promise.holds, guard.record.promise.basis) == (True, "outliers")
        assert "outliers like those given" in guard.record.promise.why
        broken += achieved(guard, lambda rows, head=head: (rows, head.logits(rows)), fresh, rest, 0.1) > 0.1
    assert broken <= 2


def test_no_share_of_outliers_needs_no_ground():
    head, (features, labels), *_ = world(1)
    plan = GuardPlan(risk=0.2, ood_share=0, confidence=0.9)
    promise = fit(features, head.logits(features), labels, detector="msp", plan=plan).record.promise
    assert (promise.holds, promise.basis) == (True, "familiar rows")


def test_the_choice_looks_at_networks_without_classes():
    """Where the network knows all classes, a choice from held-out ones rates every detector higher than new ones do."""
    _, (inputs, labels), *_ = world(0)
    middle, every = means(0), np.arange(K)

    def see(kept):
        wide = learned(middle, inputs, kept)
        return wide, head_of(middle[kept]).logits(wide)

    folds = [Fold(tuple(out.tolist()), *see(np.setdiff1d(every, out))) for out in np.array_split(np.arange(K), 5)]
    plan = GuardPlan(risk=0.2, ood_share=0.1)
    own, others = (fit(*see(every), labels, plan=plan, strange=strange).record.trials for strange in ([], folds))
    assert np.mean([one.auroc for one in own]) > np.mean([one.auroc for one in others]) + 0.02


@given(st.floats(0, 1), st.integers(1, 300), st.floats(0.001, 0.5))
def test_the_bound_is_the_point_where_the_divergence_is_used_up(mean, count, level):
    found = float(upper(np.array(mean), count, level))
    assert mean <= found <= 1
    if found < 1 - 1e-9:
        assert count * float(divergence(np.array(mean), np.array(found))) == pytest.approx(-np.log(level), rel=1e-5)
    if mean == 0:
        assert found == pytest.approx(1 - level ** (1 / count))


@given(st.integers(1, 60), st.floats(0.05, 0.95), st.floats(0.01, 0.3))
def test_the_bound_fails_no_more_often_than_its_level_for_coins(count, truth, level):
    """Of all outcomes of `count` coins, those whose bound is below the truth have at most that probability."""
    means_ = np.arange(count + 1) / count
    missed = upper(means_, count, level) < truth
    assert binom.pmf(np.arange(count + 1), count, truth)[missed].sum() <= level + 1e-12


@given(st.integers(2, 40), st.floats(0.02, 0.3), st.floats(0.1, 0.95), st.floats(0.3, 0.99), st.floats(0.01, 0.3))
def test_evidence_is_as_rare_as_it_says_where_the_truth_is_at_the_edge(count, risk, accepted, kept, level):
    """Over all draws of rows that are right, wrong or deferred, with the mean loss exactly what there is room for."""
    room = risk * kept
    wrong = (room - risk * (1 - accepted)) / 1.0
    if not 0 < wrong < accepted:
        return
    draws = [(right, bad, count - right - bad) for right in range(count + 1) for bad in range(count + 1 - right)]
    counts = tuple(np.array(draws, float).T[:, :, None])
    sure = evidence(counts, np.full((len(draws), 1), room), risk)[:, 0] >= -np.log(level)
    chances = multinomial.pmf(draws, count, [accepted - wrong, wrong, 1 - accepted])
    assert chances[sure].sum() <= level + 1e-9


@given(st.integers(0, 99), st.integers(2, 40), st.integers(2, 40))
def test_many_rows_of_few_classes_show_no_more_than_the_classes_do(seed, few, rows_each):
    """Copies of rows change nothing but what is known of familiar ones."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(few), rows_each)
    count = len(labels)

    def some(shift, wrong):
        return Judged(random.normal(size=count) + shift, random.random(count), wrong)

    here, there = some(0.0, random.random(count) < 0.1), some(1.0, np.ones(count, bool))
    played = Played(here, there, labels, np.ones(few))
    twice = Played(here.joined(here), there.joined(there), np.tile(labels, 2), np.ones(few))
    plan = GuardPlan(risk=0.2)
    first, second = (figures(rules_of(here), one, plan) for one in (played, twice))
    assert second.most == pytest.approx(first.most)
    assert (first.most >= 1 - 0.04 ** (1 / few) - 1e-9).all()


def test_of_few_classes_little_is_proved():
    """Not one outlier of 4000 rows accepted, not one error: eight classes do not show 1 %, eighty do."""

    def world_of(classes):
        labels = np.repeat(np.arange(classes), 4000 // classes)
        count = len(labels)
        here = Judged(np.linspace(0, 1, count), np.ones(count), np.zeros(count, bool))
        there = Judged(np.full(count, 9.0), np.ones(count), np.ones(count, bool))
        return Played(here, there, labels, np.ones(classes))

    plan = GuardPlan(risk=0.01, ood_share=0.1)
    few, many = (prove_for_classes(world_of(k), world_of(k), plan, "foreign features").promise for k in (8, 80))
    assert not few.holds
    assert "of 8 classes" in few.why
    assert many.holds


def test_folds_that_do_not_fit_are_refused():
    head, (features, labels), *_ = world(0)
    logits = head.logits(features)
    half = [np.arange(15), np.arange(15, K)]

    def folds(*held):
        return [Fold(tuple(out.tolist()), features, np.delete(logits, out, axis=1)) for out in held]

    lessons = {
        "left out by one network": folds(half[0]),
        "left out by one": folds(*half, np.arange(3)),
        "know two classes": folds(np.arange(K - 1), np.array([K - 1])),
    }
    for lesson, bad in lessons.items():
        with pytest.raises(SettingError, match=lesson):
            fit(features, logits, labels, detector="msp", strange=bad)
    short = [Fold(one.held, one.features[:-1], one.logits[:-1]) for one in folds(*half)]
    with pytest.raises(ShapeError, match="rows that are fitted on"):
        fit(features, logits, labels, detector="msp", strange=short)
    wide = [Fold(one.held, one.features, logits) for one in folds(*half)]
    with pytest.raises(ShapeError, match="logits"):
        fit(features, logits, labels, detector="msp", strange=wide)
    spoiled = folds(*half)
    spoiled[1].features[0, 0] = np.nan
    with pytest.raises(SettingError, match="finite"):
        fit(np.nan_to_num(features), logits, labels, detector="msp", strange=spoiled)
    with pytest.raises(SettingError, match="outliers' logits"):
        fit(np.nan_to_num(features), logits, labels, detector="msp", strange=Outliers(features))
