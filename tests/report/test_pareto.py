"""Fronts: nothing drawn on one is dominated, and the area they dominate is the area one counts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.report.pareto import box, covered, dominated, front

SMALL = st.integers(0, 12)
POINTS = st.lists(st.tuples(SMALL, SMALL), max_size=12)


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(POINTS)
def test_the_front_is_all_that_nothing_beats_each_once_and_cheapest_first(points: list[tuple[float, float]]) -> None:
    found = [points[place] for place in front(points)]
    assert found == sorted({point for point in points if not any(beats(other, point) for other in points)})
    assert [gain for _, gain in found] == sorted(gain for _, gain in found), "who pays more gets more"


@given(POINTS)
def test_the_share_of_a_box_is_that_of_its_unit_squares(points: list[tuple[float, float]]) -> None:
    squares = sum(any(cost <= x and gain >= y + 1 for cost, gain in points) for x in range(10) for y in range(2, 12))
    assert dominated(points, ((0, 12), (10, 2))) == pytest.approx(squares / 100)


@given(POINTS, st.tuples(SMALL, SMALL))
def test_a_further_point_never_takes_away(points: list[tuple[float, float]], further: tuple[float, float]) -> None:
    corners = ((0, 12), (12, 0))
    assert dominated([*points, further], corners) >= dominated(points, corners)


@given(POINTS)
def test_a_front_covers_all_that_is_behind_it_and_nothing_of_itself(points: list[tuple[float, float]]) -> None:
    best = [points[place] for place in front(points)]
    behind = [point for point in points if point not in best]
    assert covered(best, best) == 0
    assert covered(behind, best) == (1 if behind else 0)


@given(POINTS.filter(bool))
def test_a_share_of_the_box_is_no_more_than_all_of_it(points: list[tuple[float, float]]) -> None:
    assert 0 <= dominated(points, box([points])) <= 1


def test_one_point_in_the_best_corner_dominates_the_whole_box() -> None:
    corners = box([[(1.0, 0.9)], [(3.0, 0.5), (2.0, 0.7)]])
    assert corners == ((1.0, 0.9), (3.0, 0.5))
    assert dominated([(1.0, 0.9)], corners) == pytest.approx(1.0)
    assert dominated([(2.0, 0.7)], corners) == pytest.approx(0.25)
    assert math.isclose(dominated([(3.0, 0.5)], corners), 0.0)
