"""Neighbours out of lists: never nearer than the nearest, the same where all lists are searched, and few are missed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.guard.detectors.catalogue import detector
from modelwright.guard.detectors.knn import unit
from modelwright.guard.detectors.lists import kth_found, lists_of
from modelwright.guard.metrics import auroc

WIDTH, KINDS = 24, 30
MIDDLES = np.random.default_rng(0).normal(size=(KINDS, 4))
SPREAD = np.random.default_rng(1).normal(size=(4, WIDTH))


def drawn(count: int, seed: int, middles: np.ndarray = MIDDLES) -> np.ndarray:
    """Rows near a plane of few dimensions, in groups, as features of networks are."""
    random = np.random.default_rng(seed)
    inner = middles[random.integers(0, len(middles), count)] + 0.3 * random.normal(size=(count, 4))
    return inner @ SPREAD + 0.2 * random.normal(size=(count, WIDTH))


def scores(rows: np.ndarray, asked: np.ndarray, **settings: int) -> np.ndarray:
    labels = np.arange(len(rows)) % 2
    fitted = detector("knn", settings).fit(rows, np.eye(2)[labels], labels)
    return fitted.score(asked, np.zeros((len(asked), 2)))


@given(st.integers(2, 300), st.integers(1, 20), st.integers(1, 12), st.integers(0, 99), st.booleans())
def test_fewer_lists_never_bring_a_row_nearer(count, k, probes, seed, gaussian):
    """So that whoever looks at few, defers rather than accepts."""
    random = np.random.default_rng(seed)
    rows, asked = (random.normal(size=(size, 5)) if gaussian else drawn(size, seed + size) for size in (count, 12))
    exact = scores(rows, asked, k=k)
    few, more = (scores(rows, asked, k=k, exact=0, probes=number) for number in (probes, probes + 3))
    assert (few**2 >= exact**2 - 1e-5).all()
    assert (few >= more).all()


@given(st.integers(2, 300), st.integers(1, 400), st.integers(0, 99))
def test_all_lists_together_hold_every_row(count, k, seed):
    rows, asked = drawn(count, seed), drawn(12, seed + 1)
    exact = scores(rows, asked, k=k)
    assert scores(rows, asked, k=k, exact=0, probes=1000) ** 2 == pytest.approx(exact**2, abs=1e-5)
    assert scores(rows, asked, k=k, exact=0, probes=0).tolist() == exact.tolist()


@given(st.integers(1, 400), st.integers(0, 99))
def test_a_row_is_in_the_list_of_its_nearest_centroid(count, seed):
    rows = unit(drawn(count, seed))
    lists = lists_of(rows, seed)
    assert sorted(map(tuple, lists.rows.tolist())) == sorted(map(tuple, rows.tolist()))
    assert (lists.starts[0], lists.starts[-1], len(lists.centroids)) == (0, count, round(count**0.5))
    assert np.linalg.norm(lists.centroids, axis=1) == pytest.approx(1, abs=1e-5)
    for number, (first, last) in enumerate(zip(lists.starts[:-1], lists.starts[1:], strict=True)):
        cosines = lists.rows[first:last] @ lists.centroids.T
        assert (cosines[:, number] >= cosines.max(axis=1, initial=-1) - 1e-5).all()


def test_lists_that_hold_too_few_rows_are_not_the_end_of_the_search():
    lists = lists_of(unit(drawn(100, 0)), 0)
    assert np.diff(lists.starts).max() < 60
    query = unit(drawn(1, 1))[0]
    assert kth_found(lists, query, 60, 1) <= np.sort(lists.rows @ query)[-60] + 1e-6
    assert kth_found(lists, query, 100, 1) == pytest.approx((lists.rows @ query).min(), abs=1e-6)


def test_few_neighbours_are_missed_and_outliers_are_told_as_well():
    rows, known = drawn(6000, 2), drawn(300, 3)
    strange = drawn(300, 4, np.random.default_rng(9).normal(size=(KINDS, 4)))
    asked = np.vstack([known, strange])
    exact, found = scores(rows, asked), scores(rows, asked, exact=0)
    assert (found[:300] <= exact[:300] + 1e-3).mean() > 0.98
    outlier = np.arange(600) >= 300
    assert auroc(outlier, found) == pytest.approx(auroc(outlier, exact), abs=0.005)


def test_a_score_is_the_same_in_a_batch_and_alone():
    rows, asked = drawn(500, 5), drawn(40, 6)
    alone = np.concatenate([scores(rows, asked[place : place + 1], exact=0, probes=2) for place in range(len(asked))])
    assert alone.tolist() == scores(rows, asked, exact=0, probes=2).tolist()


def test_small_references_are_searched_whole():
    rows = drawn(200, 7)
    labels = np.arange(200) % 2
    for settings, lists in (({}, False), ({"exact": 200 * WIDTH}, False), ({"exact": 200 * WIDTH - 1}, True)):
        fitted = detector("knn", settings).fit(rows, np.eye(2)[labels], labels)
        assert ("centroids" in fitted.arrays()) == lists
