"""Axes hold what is drawn on them and speak in round numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.report.charts import PLAIN, Axis
from modelwright.report.plane import MOST_TICKS, Mark, Marks, key, plane, scale

AXIS = Axis("anything", PLAIN)
COSTS = st.lists(st.floats(1e-6, 1e15), min_size=1, max_size=6)
SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(COSTS)
def test_a_logarithmic_axis_holds_all_values_and_some_legible_ticks(values: list[float]) -> None:
    found = scale(values, AXIS, logarithmic=True)
    low, high = found.ends
    assert low < min(values)
    assert max(values) < high
    assert all(low <= tick <= high for tick in found.ticks)
    assert 1 <= len(found.ticks) <= MOST_TICKS + 1
    assert len(set(found.ticks)) == len(found.ticks)


@given(SHARES)
def test_an_axis_of_shares_holds_them_and_goes_no_further_than_shares_do(values: list[float]) -> None:
    found = scale(values, AXIS, within=(0.0, 1.0))
    assert found.ends[0] <= min(values)
    assert max(values) <= found.ends[1]
    assert found.ends == pytest.approx((max(found.ends[0], 0), min(found.ends[1], 1)))
    assert found.ticks == tuple(sorted(set(found.ticks)))
    assert 2 <= len(found.ticks) <= MOST_TICKS + 3


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ((0.002, 0.0078), (0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008)),
        ((1e6, 1e9), (1e6, 1e7, 1e8, 1e9)),
        ((0.0031, 0.0034), (0.003, 0.0032, 0.0034, 0.0036)),
    ],
)
def test_ticks_are_those_that_a_hand_would_draw(values: tuple[float, ...], ticks: tuple[float, ...]) -> None:
    assert scale(values, AXIS, logarithmic=True).ticks == pytest.approx(ticks)


def test_the_key_names_each_sort_of_mark_once_and_only_what_is_drawn() -> None:
    groups = [
        Marks("trials", "grey", (Mark(1, 1),), hollow=True),
        Marks("none", "red", ()),
        Marks("", "black", (Mark(1, 1), Mark(2, 2)), line="bare"),
        Marks("b0", "blue", (Mark(1, 2),), line="dashed"),
        Marks("b0", "blue", (Mark(2, 2),), line="dashed"),
    ]
    assert key(groups) == (("dashes", "blue", "b0"), ("hollow", "grey", "trials"))
    option = plane(scale([1, 2], AXIS), scale([1, 2], AXIS), groups)
    assert len(option["series"]) == 4
