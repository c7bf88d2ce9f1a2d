"""How well one number stands for another: against scipy, and by what the numbers mean."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from modelwright.report.agreement import errors, kendall, proportion

NUMBERS = st.integers(1, 9)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=20)


@given(PAIRS)
def test_rank_correlation_is_scipys(pairs: list[tuple[float, float]]) -> None:
    expected = kendalltau(*zip(*pairs, strict=True)).statistic
    found = kendall(pairs)
    assert found is None if math.isnan(expected) else found == pytest.approx(expected)


@given(PAIRS)
def test_rank_correlation_sees_order_alone(pairs: list[tuple[float, float]]) -> None:
    stretched, turned = [(math.exp(x), y) for x, y in pairs], [(-x, y) for x, y in pairs]
    found = kendall(pairs)
    assert kendall(stretched) == found
    assert kendall(turned) == (None if found is None else -found)


@given(PAIRS)
def test_as_many_lie_above_the_proportional_line_as_below(pairs: list[tuple[float, float]]) -> None:
    factor = proportion(pairs)
    above = sum(second > factor * first * (1 + 1e-9) for first, second in pairs)
    below = sum(second < factor * first * (1 - 1e-9) for first, second in pairs)
    assert max(above, below) <= len(pairs) / 2


def test_errors_are_relative_to_the_truth() -> None:
    assert errors([(1.0, 2.0), (3.0, 2.0), (8.0, 2.0)]) == [0.5, 0.5, 3.0]
