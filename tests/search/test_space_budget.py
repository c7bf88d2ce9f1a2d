"""Spaces made smaller, and budgets that a space can or cannot keep."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import SettingError, UnknownNameError
from modelwright.records import Choice, Point, Space
from modelwright.search.space import Product, feasible, listed, narrow, space, with_data

LINES = Product(Space("lines", tuple(Choice(f"width{n}", tuple(range(1, 33))) for n in range(8))))
"""Costing the product of all widths, one point in 32^8 costs 1, and drawn ones about 10^9."""

BRANCHED = Space(
    "branched",
    (
        Choice("resolution", (16, 24, 32)),
        Choice("batched", (False, True), {"resolution": (16, 32)}),
        Choice("phases", (2, 4), {"batched": (True,)}),
    ),
)


def widths(points: Sequence[Point]) -> np.ndarray:
    return np.array([np.prod([float(value) for value in point.values()]) for point in points])


def test_a_rare_point_is_found_by_walking_down() -> None:
    point = feasible(LINES, widths, 1.0, np.random.default_rng(0), tries=16)
    assert set(point.values()) == {1}


def test_a_drawn_point_that_will_do_needs_no_walk() -> None:
    asked: list[int] = []

    def cost(points: Sequence[Point]) -> np.ndarray:
        asked.append(len(points))
        return widths(points)

    assert widths([feasible(LINES, cost, 1e13, np.random.default_rng(0), tries=64)])[0] <= 1e13
    assert asked == [64]


def test_a_limit_below_all_is_told_with_the_least_cost() -> None:
    with pytest.raises(SettingError, match=r"hold a point within the limit of 0\.5, but got 1\.0\. That is the least"):
        feasible(LINES, widths, 0.5, np.random.default_rng(0), tries=16)


def test_several_limits_are_kept_together() -> None:
    def cost(points: Sequence[Point]) -> np.ndarray:
        return np.stack([widths(points), [-float(point["width0"]) for point in points]], axis=1)

    point = feasible(LINES, cost, (32.0, -32.0), np.random.default_rng(0), tries=16)
    assert point == {f"width{n}": 32 if n == 0 else 1 for n in range(8)}
    with pytest.raises(SettingError, match=r"limit of 16 and -32, but got \["):
        feasible(LINES, cost, (16.0, -32.0), np.random.default_rng(0), tries=16)


def test_what_cannot_be_had_is_no_way_down() -> None:
    def cost(points: Sequence[Point]) -> np.ndarray:
        return np.where(widths(points) < 1000, np.nan, widths(points))

    assert widths([feasible(LINES, cost, 2000.0, np.random.default_rng(0), tries=16)])[0] >= 1000


@given(limit=st.integers(0, 30), seed=st.integers(0, 100))
def test_in_a_table_a_budget_is_kept_or_refused_rightly(limit: int, seed: int) -> None:
    domain = listed({"width": [str(n) for n in range(5, 25)]})

    def cost(points: Sequence[Point]) -> np.ndarray:
        return np.array([float(point["width"]) for point in points])

    if limit < 5:
        with pytest.raises(SettingError, match=r"but got 5\.0"):
            feasible(domain, cost, limit, np.random.default_rng(seed), tries=2)
    else:
        assert int(feasible(domain, cost, limit, np.random.default_rng(seed), tries=2)["width"]) <= limit


def test_a_narrowed_space_holds_the_points_that_have_the_values() -> None:
    for kept in ((16,), (24,), (24, 32)):
        everything = Product(BRANCHED).enumerate(100)
        narrowed = Product(narrow(BRANCHED, "resolution", kept)).enumerate(100)
        assert everything is not None
        assert narrowed == [point for point in everything if point["resolution"] in kept]


def test_what_can_never_be_active_is_left_out() -> None:
    assert [choice.name for choice in narrow(BRANCHED, "resolution", (24,)).choices] == ["resolution"]


def test_narrowing_to_nothing_is_refused() -> None:
    with pytest.raises(SettingError, match=r"branched, resolution: a choice must keep a value, but got \[20\]"):
        narrow(BRANCHED, "resolution", (20,))
    with pytest.raises(UnknownNameError, match="the choice must be a known name, but got 'resolutoin'"):
        narrow(BRANCHED, "resolutoin", (16,))


def test_a_space_is_fitted_to_its_images() -> None:
    digits = with_data(space("efficientnet-x-small"), 1, 10, 8)
    photos = with_data(space("efficientnet-x-small"), 3, 100, 32)
    assert digits.choices[0].values == (8, 12, 16)
    assert photos.choices[0].values == (16, 20, 24, 28, 32, 40, 48)
    assert photos.fixed["image_channels"] == 3
    assert photos.fixed["classes"] == 100


def test_a_space_of_another_size_or_kind_is_refused() -> None:
    with pytest.raises(SettingError, match=r"efficientnet-x, resolution: .* within a factor of 2 .* but got 28"):
        with_data(space("efficientnet-x"), 1, 10, 28)
    with pytest.raises(SettingError, match="gpt: a space for images must fix image_channels and classes"):
        with_data(space("gpt"), 1, 10, 28)
