"""What a search may know: taken points, costs that are free, limits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelwright.records import Point
from modelwright.search.history import History, key
from modelwright.search.pareto import ranks

A, B, C, D = ({"width": width} for width in (1, 2, 3, 4))


def widths(points: list[Point]) -> np.ndarray:
    """The second loss is the width; the first must be paid for."""
    return np.array([[np.nan, float(point["width"])] for point in points])


def test_what_was_tried_is_under_way_or_failed_is_taken() -> None:
    history = History((A,), np.zeros((1, 2)), pending=(B,), failed=(C,))
    assert history.taken == {key(A), key(B), key(C)}
    assert key(D) not in history.taken


def test_a_limit_rules_out_what_is_known_to_break_it_and_nothing_else() -> None:
    limits = np.array([0.5, 2.0])
    assert History(known=widths, limits=limits).allowed([A, B, C]).tolist() == [True, True, False]
    assert History(limits=limits).allowed([A, B, C]).all(), "nothing is known"
    assert History(known=widths).allowed([A, B, C]).all(), "nothing is limited"
    assert History(known=widths, limits=np.array([0.0, np.inf])).allowed([A, B, C]).all(), "the limit is on what is not"
    assert History(known=widths, limits=limits).free([]) is None


LOSSES = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5)), min_size=1, max_size=9).map(
    lambda rows: np.array(rows, dtype=float)
)


@given(LOSSES, st.floats(-2, 4), st.floats(-1, 5))
def test_whoever_keeps_the_limits_is_before_whoever_does_not_and_less_excess_is_before_more(
    losses: np.ndarray, first: float, second: float
) -> None:
    limits = np.array([first, second])
    points = tuple({"width": place} for place in range(len(losses)))
    ordered = History(points, losses, limits=limits).ordered()
    excess = np.maximum(losses - limits, 0.0).sum(axis=1)
    kept = excess == 0
    assert (ordered[kept] == losses[kept]).all()
    for i in np.flatnonzero(~kept):
        assert (losses[kept] < ordered[i]).all()
        for j in np.flatnonzero(~kept):
            assert (excess[i] < excess[j]) == bool((ordered[i] < ordered[j]).all())
    if kept.any():
        assert ranks(ordered)[kept].max() < (ranks(ordered)[~kept].min() if (~kept).any() else np.inf)


def test_without_limits_nothing_is_moved() -> None:
    losses = np.array([[1.0, 2.0], [3.0, 0.0]])
    assert History((A, B), losses).ordered() is losses
    assert (History((A, B), losses, limits=np.array([np.inf, np.inf])).ordered() == losses).all()
    assert History(limits=np.array([1.0, 1.0])).ordered().shape == (0, 2)
