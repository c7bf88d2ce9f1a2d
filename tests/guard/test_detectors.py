"""Detectors give the numbers of their papers, computed here by other means; and none where they can not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from scipy.special import softmax
from scipy.stats import combine_pvalues, entropy
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from modelwright.errors import SettingError, ShapeError, UnknownNameError
from modelwright.guard import DETECTORS
from modelwright.guard.detectors.catalogue import detector, name_of, names
from modelwright.guard.detectors.detector import Fitted, settings_of
from modelwright.guard.detectors.knn import kth_greatest
from modelwright.guard.metrics import auroc
from modelwright.guard.rows import Head, halves

K, D = 5, 16
NEED_HEADS = ("ash", "nci", "react", "scale")


def world(seed=0, count=200, shift=0.0):
    """Features like those behind a ReLU, of classes that a linear layer tells apart."""
    random = np.random.default_rng(seed)
    means = np.random.default_rng(99).normal(size=(K, D)) * 2.0
    labels = np.arange(count) % K
    features = np.maximum(means[labels] + random.normal(size=(count, D)) + shift, 0.0)
    head = Head(means * 0.4, np.random.default_rng(98).normal(size=K))
    return features, features @ head.weight.T + head.bias, labels, head


X, L, Y, HEAD = world()
NEW, NEW_L, _, _ = world(seed=1, count=40, shift=1.0)
P = softmax(NEW_L, axis=1)


def scored(name, **settings):
    return detector(name, settings).fit(X, L, Y, HEAD).score(NEW, NEW_L)


def log_sum(logits):
    return np.logaddexp.reduce(logits, axis=1)


def test_msp_is_what_the_most_probable_class_leaves():
    assert scored("msp") == pytest.approx(1 - P.max(1), abs=1e-12)


def test_msp_still_orders_what_is_all_but_certain():
    logits = np.array([[50.0, 0, 0, 0, 0], [60.0, 0, 0, 0, 0]])
    first, second = detector("msp").fit(X, L, Y).score(NEW[:2], logits)
    assert first > second > 0


def test_entropy_is_scipys():
    assert scored("entropy") == pytest.approx(entropy(P, axis=1))


def test_max_logit_and_energy_are_their_formulas():
    assert scored("max-logit") == pytest.approx(-NEW_L.max(1))
    assert scored("energy") == pytest.approx(-log_sum(NEW_L))
    assert scored("energy", temperature=2.0) == pytest.approx(-2 * log_sum(NEW_L / 2))


def test_a_cold_energy_is_the_maximum_logit():
    assert scored("energy", temperature=1e-6) == pytest.approx(scored("max-logit"), abs=1e-5)


@pytest.mark.parametrize("top", [1, 3, 100])
def test_gen_sums_over_the_most_probable_classes(top):
    ordered = np.sort(P, axis=1)[:, ::-1][:, :top]
    assert scored("gen", top=top) == pytest.approx(((ordered * (1 - ordered)) ** 0.1).sum(1), rel=1e-6)


def test_mahalanobis_is_scipys_with_scikit_learns_covariance():
    means = np.array([X[label == Y].mean(0) for label in range(K)])
    precision = EmpiricalCovariance(assume_centered=True).fit(X - means[Y]).precision_
    truth = [min(mahalanobis(row, mean, precision) ** 2 for mean in means) for row in NEW]
    assert scored("mahalanobis") == pytest.approx(truth)


def test_relative_mahalanobis_takes_off_the_distance_to_the_whole():
    whole = EmpiricalCovariance().fit(X)
    assert scored("relative-mahalanobis") == pytest.approx(scored("mahalanobis") - whole.mahalanobis(NEW))


@given(st.integers(0, 1000))
def test_mahalanobis_knows_no_units(seed):
    """The distance is the same in any other basis and scale."""
    basis = np.random.default_rng(seed).normal(size=(D, D)) + 3 * np.eye(D)
    for name in ("mahalanobis", "relative-mahalanobis"):
        turned = detector(name).fit(X @ basis, L, Y).score(NEW @ basis, NEW_L)
        assert turned == pytest.approx(scored(name), rel=1e-4)


def test_directions_without_variance_do_not_break_mahalanobis():
    wide, new = np.hstack([X, np.zeros((len(X), 2))]), np.hstack([NEW, np.zeros((len(NEW), 2))])
    assert detector("mahalanobis").fit(wide, L, Y).score(new, NEW_L) == pytest.approx(scored("mahalanobis"))


@pytest.mark.parametrize("k", [1, 7, 200, 500])
def test_knn_is_scikit_learns(k):
    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    near = NearestNeighbors(n_neighbors=min(k, len(X)), algorithm="brute").fit(unit(X))
    assert scored("knn", k=k) == pytest.approx(near.kneighbors(unit(NEW))[0][:, -1], abs=1e-3)


@given(st.integers(1, 30), st.integers(0, 1000), st.booleans())
def test_the_kth_greatest_is_what_sorting_finds(k, seed, ties):
    values = np.random.default_rng(seed).normal(size=(3, 700)).astype(np.float32)
    values = np.round(values) if ties else values
    assert kth_greatest(values, k).tolist() == np.sort(values, axis=1)[:, -k].tolist()


def test_knn_does_not_see_how_long_features_are():
    fitted = detector("knn").fit(X, L, Y)
    assert fitted.score(NEW * 7.0, NEW_L) == pytest.approx(scored("knn"), abs=1e-5)


def test_vim_is_scikit_learns_principal_components_and_an_energy():
    origin = -np.linalg.pinv(HEAD.weight) @ HEAD.bias
    mirrored = np.vstack([X - origin, origin - X])  # has mean 0, so that PCA does not centre it elsewhere
    rest = PCA().fit(mirrored).components_[6:].T
    alpha = L.max(1).mean() / np.linalg.norm((X - origin) @ rest, axis=1).mean()
    truth = alpha * np.linalg.norm((NEW - origin) @ rest, axis=1) - log_sum(NEW_L)
    assert scored("vim", kept=6) == pytest.approx(truth)
    assert (
        np.argsort(softmax(np.c_[NEW_L, truth + log_sum(NEW_L)], axis=1)[:, -1]).tolist() == np.argsort(truth).tolist()
    )


def test_nci_is_its_formula():
    centred = NEW - X.mean(0)
    cosines = [row @ HEAD.weight[c] / np.linalg.norm(row) for row, c in zip(centred, NEW_L.argmax(1), strict=True)]
    assert scored("nci", alpha=0.01) == pytest.approx(-np.array(cosines) - 0.01 * np.abs(NEW).sum(1))


def test_react_cuts_at_a_percentile_and_changes_nothing_at_the_hundredth():
    cut = np.minimum(NEW, np.percentile(X, 80))
    assert scored("react", percentile=80.0) == pytest.approx(-log_sum(HEAD.logits(cut)))
    fitted = detector("react", {"percentile": 100.0}).fit(X, L, Y, HEAD)
    assert fitted.score(X, L) == pytest.approx(-log_sum(L))


@pytest.mark.parametrize("variant", ["p", "b", "s"])
def test_ash_shapes_row_by_row(variant):
    shaped = []
    for row in NEW:
        kept = np.sort(row)[::-1][: D - round(0.75 * D)]
        mask = row >= kept[-1]
        value = {"p": row, "b": np.full(D, row.sum() / mask.sum()), "s": row * np.exp(row.sum() / kept.sum())}[variant]
        shaped.append(np.where(mask, value, 0.0))
    assert scored("ash", percentile=75.0, variant=variant) == pytest.approx(-log_sum(HEAD.logits(np.array(shaped))))


def test_scale_scales_row_by_row():
    factors = [np.exp(row.sum() / np.sort(row)[::-1][: D - round(0.85 * D)].sum()) for row in NEW]
    assert scored("scale") == pytest.approx(-log_sum(HEAD.logits(NEW * np.array(factors)[:, None])))


SIGNED = np.random.default_rng(5).normal(size=(60, D))


def test_features_of_either_sign_have_their_formulas_numbers():
    """Half of these rows have a sum below 0; nothing in exp(s1 / s2) asks for another."""
    assert 20 < (SIGNED.sum(1) < 0).sum() < 40
    for name, share, cut in (("scale", 0.85, False), ("ash", 0.9, True)):
        shaped = []
        for row in SIGNED:
            greatest = np.sort(row)[::-1][: D - round(share * D)]
            shaped.append(np.where((row >= greatest[-1]) | (not cut), row, 0.0) * np.exp(row.sum() / greatest.sum()))
        score = detector(name).fit(X, L, Y, HEAD).score(SIGNED, HEAD.logits(SIGNED))
        assert score == pytest.approx(-log_sum(HEAD.logits(np.array(shaped))), rel=1e-9)


@pytest.mark.parametrize("name", ["ash", "scale"])
def test_where_a_formula_gives_no_number_there_is_no_score(name):
    """A row of zeros is 0 / 0; a sum of the greatest that is all but 0 makes the exponential overflow."""
    zeros, small = np.zeros(D), np.full(D, -1.0)
    small[0] = 1e-6  # s1 / s2 = -15e6, whose exponential is 0: all that is left is the bias
    large = np.full(D, -1.0)
    large[0] = -1e-6  # s1 / s2 = 15e6
    rows = np.array([zeros, small, large])
    found = detector(name, {"percentile": 99.0}).fit(X, L, Y, HEAD).score(rows, HEAD.logits(rows))
    assert np.isnan(found).tolist() == [True, False, True]
    assert found[1] == pytest.approx(-log_sum(HEAD.bias[None])[0])


@pytest.mark.parametrize("name", names())
def test_bad_rows_have_no_score_and_leave_the_others_theirs(name):
    bad, bad_l = NEW.copy(), NEW_L.copy()
    bad[0, 3], bad[1, 0], bad_l[2, 1] = np.nan, np.inf, np.nan
    found = detector(name).fit(X, L, Y, HEAD).score(bad, bad_l)
    assert np.isnan(found[:3]).all()
    assert found[3:] == pytest.approx(scored(name)[3:], rel=1e-5)


@pytest.mark.parametrize("name", names())
def test_a_score_does_not_depend_on_the_rest_of_the_batch(name):
    fitted, order = detector(name).fit(X, L, Y, HEAD), np.random.default_rng(0).permutation(len(NEW))
    one_by_one = np.concatenate([fitted.score(NEW[i : i + 1], NEW_L[i : i + 1]) for i in range(len(NEW))])
    assert one_by_one == pytest.approx(scored(name), rel=1e-4, abs=1e-6)
    assert fitted.score(NEW[order], NEW_L[order]) == pytest.approx(scored(name)[order], rel=1e-4, abs=1e-6)
    assert fitted.score(NEW[:0], NEW_L[:0]).shape == (0,)


@pytest.mark.parametrize("name", names())
def test_what_was_learned_comes_back_from_its_arrays(name):
    fitted = detector(name).fit(X, L, Y, HEAD)
    again = Fitted(detector(name, settings_of(fitted.detector)), D, K, fitted.arrays())
    assert (again.score(NEW, NEW_L) == fitted.score(NEW, NEW_L)).all()
    assert name_of(fitted.detector) == name


@pytest.mark.parametrize("name", sorted(set(names()) - {"ash", "scale"}))
def test_rows_of_other_classes_are_less_familiar(name):
    """(Not so with sums that are scaled: these are made for networks with many units.)"""
    random = np.random.default_rng(3)
    strange = np.maximum(random.normal(size=(200, D)) * 2.0 + random.normal(size=(200, D)), 0.0)
    known, logits, _, _ = world(seed=4)
    fitted = detector(name).fit(X, L, Y, HEAD)
    scores = np.concatenate([fitted.score(known, logits), fitted.score(strange, HEAD.logits(strange))])
    assert auroc(np.arange(400) >= 200, scores) > 0.65


@pytest.mark.parametrize("name", names())
def test_another_width_is_refused(name):
    fitted = detector(name).fit(X, L, Y, HEAD)
    for features, logits in ((NEW[:, 1:], NEW_L), (NEW, NEW_L[:, 1:]), (NEW[0], NEW_L[0]), (NEW[1:], NEW_L)):
        with pytest.raises(ShapeError):
            fitted.score(features, logits)
    with pytest.raises(ShapeError, match="tables of numbers"):
        fitted.score(np.array([["a"] * D]), NEW_L[:1])


@pytest.mark.parametrize("name", NEED_HEADS)
def test_who_needs_a_head_says_so(name):
    assert detector(name).NEEDS_HEAD
    with pytest.raises(SettingError, match="last layer"):
        detector(name).fit(X, L, Y)


def test_who_needs_none_does_without():
    for name in set(names()) - set(NEED_HEADS):
        assert np.isfinite(detector(name).fit(X, L, Y).score(NEW, NEW_L)).all()


@pytest.mark.parametrize(
    ("features", "logits", "labels", "error"),
    [
        (X[:0], L[:0], Y[:0], SettingError),
        (np.where(X > 2, np.nan, X), L, Y, SettingError),
        (X, L, Y + 1, SettingError),
        (X, L, np.zeros_like(Y), SettingError),
        (X, L[1:], Y, ShapeError),
        (X[:, 0], L, Y, ShapeError),
    ],
)
def test_rows_that_teach_nothing_are_refused(features, logits, labels, error):
    with pytest.raises(error):
        detector("energy").fit(features, logits, labels)


def test_a_name_or_setting_that_is_none_is_refused():
    assert set(names()) >= set(DETECTORS)
    with pytest.raises(UnknownNameError):
        detector("oracle")
    with pytest.raises(SettingError, match="setting"):
        detector("knn", {"neighbors": 3})


def test_fishers_combination_orders_rows_as_the_p_values_of_its_members_do():
    """Of one half the members are made, the other gives the p-values; the sum is recomputed from scipy's."""
    first, second = halves(Y, 0.5, np.random.default_rng(0))
    total = 0.0
    for name in ("entropy", "knn", "mahalanobis"):
        one = detector(name).fit(X[first], L[first], Y[first])
        known, new = one.score(X[second], L[second]), one.score(NEW, NEW_L)
        likely = (1 + (known[None] >= new[:, None]).sum(1)) / (1 + len(known))
        total = total + np.array([combine_pvalues([one], method="fisher").statistic / 2 for one in likely])
    assert scored("fisher") == pytest.approx(total)
