"""Fronts, ranks, crowding and hypervolumes are what their definitions say."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelwright.search.pareto import (
    MARGIN,
    crowding,
    hypervolume,
    non_dominated,
    ranks,
    reference_point,
)

Numbers = NDArray[np.float64]


def losses(objectives: int, least: int = 1, most: int = 9) -> st.SearchStrategy[Numbers]:
    """Few distinct numbers, so that ties and copies are common."""
    row = st.lists(st.integers(0, 6), min_size=objectives, max_size=objectives)
    return st.lists(row, min_size=least, max_size=most).map(lambda rows: np.array(rows, dtype=float))


ANY = st.integers(1, 3).flatmap(losses)


def dominates(a: Numbers, b: Numbers) -> bool:
    return bool((a <= b).all() and (a < b).any())


def by_inclusion_and_exclusion(points: Numbers, reference: Numbers) -> float:
    """The volume of a union of boxes, from the volumes of all their intersections."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for some in combinations(range(len(points)), size):
            corner = points[list(some)].max(axis=0)
            total += (-1) ** (size + 1) * float(np.prod(np.maximum(reference - corner, 0.0)))
    return total


@given(ANY)
def test_the_front_is_what_nothing_else_dominates_each_outcome_once(points: Numbers) -> None:
    front = non_dominated(points)
    good = [row for row in points if not any(dominates(other, row) for other in points)]
    assert {tuple(row) for row in points[front]} == {tuple(row) for row in good}
    assert len(front) == len({tuple(row) for row in good})
    assert points[front][:, 0].tolist() == sorted(points[front][:, 0])
    for place in front:
        assert place == next(other for other, row in enumerate(points) if (row == points[place]).all())


@given(ANY)
def test_a_rank_is_the_longest_chain_of_rows_each_better_than_the_next(points: Numbers) -> None:
    def chain(row: Numbers) -> int:
        return max((1 + chain(other) for other in points if dominates(other, row)), default=0)

    assert ranks(points).tolist() == [chain(row) for row in points]


@given(st.integers(1, 3).flatmap(lambda objectives: losses(objectives, 3)))
def test_crowding_is_the_gap_between_neighbours_as_a_share_of_the_extent(points: Numbers) -> None:
    if any(len(set(column)) < len(column) for column in points.T):
        points = points + np.arange(len(points))[:, None] * 1e-3  # neighbours are only then without doubt
    found, expected = crowding(points), np.zeros(len(points))
    for column in points.T:
        for place, value in enumerate(column):
            below, above = column[column < value], column[column > value]
            gap = above.min() - below.max() if len(below) and len(above) else np.inf
            expected[place] += gap / np.ptp(column)
    assert found == pytest.approx(expected)


@given(ANY, st.integers(1, 7))
def test_hypervolume_is_the_volume_of_the_union_of_boxes(points: Numbers, corner: int) -> None:
    reference = np.full(points.shape[1], float(corner))
    assert hypervolume(points, reference) == pytest.approx(by_inclusion_and_exclusion(points, reference))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_hypervolume_is_the_share_of_random_points_that_are_dominated(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points, draws = rng.random((12, objectives)) * 0.9, rng.random((40_000, objectives))
    inside = np.any((draws[:, None] >= points[None]).all(axis=2), axis=1).mean()
    assert hypervolume(points, np.ones(objectives)) == pytest.approx(inside, abs=0.01)


KNOWN = {
    "a staircase of three": ([[1, 3], [2, 2], [3, 1]], [4, 4], 6),
    "one corner of a cube": ([[0, 0, 0]], [1, 2, 3], 6),
    "three bars that share a corner": ([[0, 1, 1], [1, 0, 1], [1, 1, 0]], [2, 2, 2], 4),
    "one number": ([[3], [1], [2]], [4], 3),
    "on the edge of the reference": ([[1, 4], [4, 1]], [4, 4], 0),
    "nothing": (np.empty((0, 2)), [1, 1], 0),
}


@pytest.mark.parametrize("name", KNOWN)
def test_hypervolumes_that_are_known(name: str) -> None:
    points, reference, volume = KNOWN[name]
    assert hypervolume(np.array(points, dtype=float), np.array(reference, dtype=float)) == pytest.approx(volume)


@given(ANY, st.randoms(use_true_random=False))
def test_hypervolume_minds_neither_order_nor_copies(points: Numbers, random: object) -> None:
    reference = np.full(points.shape[1], 7.0)
    mixed = [*range(len(points)), *range(0, len(points), 2)]
    random.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis names no type for it
    assert hypervolume(points[mixed], reference) == pytest.approx(hypervolume(points, reference))


@given(st.integers(1, 3).flatmap(lambda objectives: st.tuples(losses(objectives), losses(objectives, 1, 1))))
def test_one_more_point_never_takes_volume_away_and_adds_some_only_if_nothing_is_as_good(
    both: tuple[Numbers, Numbers],
) -> None:
    points, more = both
    reference = np.full(points.shape[1], 7.0)
    gained = hypervolume(np.vstack([points, more]), reference) - hypervolume(points, reference)
    covered = bool((points <= more[0]).all(axis=1).any())
    assert (gained == pytest.approx(0)) if covered else (gained > 1e-9)


@given(ANY)
def test_the_reference_point_lies_beyond_the_whole_front_by_its_margin(points: Numbers) -> None:
    front = points[non_dominated(points)]
    extent = np.ptp(front, axis=0)
    beyond = reference_point(points) - front.max(axis=0)
    assert beyond == pytest.approx(MARGIN * np.where(extent > 0, extent, 1.0))
    assert (reference_point(points, 0.5) - front.max(axis=0)) == pytest.approx(5 * beyond)


@settings(max_examples=30)
@given(st.integers(2, 3).flatmap(losses), st.floats(0.1, 10), st.floats(-5, 5))
def test_all_of_it_moves_with_the_scale_of_the_losses(points: Numbers, factor: float, offset: float) -> None:
    moved = points * factor + offset
    assert non_dominated(moved).tolist() == non_dominated(points).tolist()
    assert ranks(moved).tolist() == ranks(points).tolist()
    before = hypervolume(points, np.full(points.shape[1], 7.0))
    after = hypervolume(moved, np.full(points.shape[1], 7.0) * factor + offset)
    assert after == pytest.approx(before * factor ** points.shape[1], rel=1e-6, abs=1e-9)
