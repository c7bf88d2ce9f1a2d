"""A space as a set of points: counted exactly, drawn with equal chances, and no operation leaves it."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import RecordError
from modelwright.records import Choice, Point, Space, Value
from modelwright.records.codec import from_json, from_toml, to_json, to_toml
from modelwright.search.space import Product

VALUES: st.SearchStrategy[tuple[Value, ...]] = st.one_of(
    st.sets(st.integers(-5, 40), min_size=1, max_size=4).map(sorted).map(tuple),
    st.sets(st.floats(0.1, 9.0), min_size=1, max_size=3).map(sorted).map(tuple),
    st.sets(st.sampled_from(["relu", "swish", "gelu"]), min_size=1).map(sorted).map(tuple),
    st.just((False, True)),
)


@st.composite
def spaces(draw: st.DrawFn, most_conditions: int = 2) -> Space:
    choices: list[Choice] = []
    for number in range(draw(st.integers(1, 7))):
        when = {}
        if choices:
            for parent in draw(
                st.lists(st.sampled_from(choices), max_size=most_conditions, unique_by=lambda choice: choice.name)
            ):
                when[parent.name] = tuple(draw(st.lists(st.sampled_from(parent.values), min_size=1, unique=True)))
        choices.append(Choice(f"choice{number}", draw(VALUES), when))
    return Space("drawn", tuple(choices))


def key(point: Point) -> tuple[tuple[str, Value], ...]:
    return tuple(point.items())


def by_brute_force(space: Space) -> set[tuple[tuple[str, Value], ...]]:
    """Every combination of values, each without what its conditions rule out."""
    found = set()
    for values in product(*(choice.values for choice in space.choices)):
        point: Point = {}
        for choice, value in zip(space.choices, values, strict=True):
            if all(point.get(name) in allowed for name, allowed in choice.when.items()):
                point[choice.name] = value
        found.add(key(point))
    return found


def seeds() -> st.SearchStrategy[np.random.Generator]:
    return st.integers(0, 2**32).map(np.random.default_rng)


BRANCHED = Product(
    Space(
        "branched",
        (
            Choice("kind", ("conv", "pool", "skip")),
            Choice("kernel", (3, 5, 7), {"kind": ("conv", "pool")}),
            Choice("fused", (False, True), {"kind": ("conv",)}),
            Choice("expansion", (1, 2, 4, 6), {"kernel": (3, 5), "fused": (True,)}),
        ),
    )
)
"""Its 16 points: 1 skip, 3 pools, 3 depthwise convolutions, 4 + 4 + 1 fused ones. Choice by choice is far from even."""


@given(space=spaces())
def test_the_count_is_what_listing_finds(space: Space) -> None:
    domain = Product(space)
    listed = domain.enumerate(10_000_000)
    assert listed is not None
    assert domain.size == len(listed) == len({key(point) for point in listed})
    assert {key(point) for point in listed} == by_brute_force(space)
    assert domain.enumerate(domain.size - 1) is None


def test_a_space_too_large_to_list_is_counted_exactly() -> None:
    """A thousand pairs of a switch and three values that it rules: 4 to the power of 1000."""
    pairs = [
        choice
        for number in range(1000)
        for choice in (
            Choice(f"switch{number}", (False, True)),
            Choice(f"value{number}", (1, 2, 3), {f"switch{number}": (True,)}),
        )
    ]
    domain = Product(Space("huge", tuple(pairs)))
    assert domain.size == 4**1000
    assert domain.sample(np.random.default_rng(0), 1)[0] in domain


def test_points_are_drawn_with_equal_chances() -> None:
    points = BRANCHED.enumerate(16)
    assert points is not None
    draws = 200 * len(points)
    counts = Counter(key(point) for point in BRANCHED.sample(np.random.default_rng(7), draws))
    assert set(counts) == {key(point) for point in points}
    chi_square = sum((seen - 200) ** 2 / 200 for seen in counts.values())
    freedom = len(points) - 1
    assert chi_square < freedom + 3 * math.sqrt(2 * freedom)


@given(space=spaces(), rng=seeds(), changes=st.integers(1, 3))
def test_no_operation_leaves_the_space(space: Space, rng: np.random.Generator, changes: int) -> None:
    domain = Product(space)
    a, b = domain.sample(rng, 2)
    child, mutant = domain.crossover(a, b, rng), domain.mutate(a, rng, changes)
    for point in (a, b, child, mutant, *domain.neighbours(a)):
        domain.check(point)
        assert list(point) == [choice.name for choice in space.choices if choice.name in point]
    assert (mutant != a) == (domain.size > 1)


@given(space=spaces(), rng=seeds())
def test_a_child_has_each_value_from_a_parent(space: Space, rng: np.random.Generator) -> None:
    domain = Product(space)
    a, b = domain.sample(rng, 2)
    child = domain.crossover(a, b, rng)
    for name, value in child.items():
        parents = [parent[name] for parent in (a, b) if name in parent]
        assert value in parents or not parents


def test_both_parents_are_heard_alike() -> None:
    domain = Product(Space("bits", tuple(Choice(f"bit{n}", (0, 1)) for n in range(1000))))
    zeros, ones = (dict.fromkeys((choice.name for choice in domain.choices), value) for value in (0, 1))
    assert sum(domain.crossover(zeros, ones, np.random.default_rng(0)).values()) == pytest.approx(500, abs=60)


@given(space=spaces(), rng=seeds())
def test_each_neighbour_stands_once_and_differs_by_one_decision(space: Space, rng: np.random.Generator) -> None:
    domain = Product(space)
    [point] = domain.sample(rng, 1)
    near = domain.neighbours(point)
    values = {choice.name: choice.values for choice in space.choices}
    assert len({key(other) for other in near}) == len(near) == sum(len(values[name]) - 1 for name in point)
    for other in near:
        changed = [name for name in point if name in other and other[name] != point[name]]
        lost_or_won = set(point) ^ set(other)
        ruled = {choice.name for choice in space.choices if choice.when}
        assert len(changed) == 1
        assert lost_or_won <= ruled


@given(space=spaces(most_conditions=0), rng=seeds())
def test_without_conditions_to_be_neighbours_is_mutual(space: Space, rng: np.random.Generator) -> None:
    domain = Product(space)
    [point] = domain.sample(rng, 1)
    assert all(point in domain.neighbours(other) for other in domain.neighbours(point))


def test_ordered_choices_prefer_near_values() -> None:
    domain = Product(Space("line", (Choice("width", tuple(range(9))),)))
    rng = np.random.default_rng(3)
    steps = Counter(abs(int(domain.mutate({"width": 4}, rng)["width"]) - 4) for _ in range(3000))
    assert steps[1] > 1.7 * steps[2] > 1.7 * 1.7 * steps[3] > 1.7**3 * steps[4] > 0


@given(space=spaces(), rng=seeds())
def test_an_encoding_tells_the_points(space: Space, rng: np.random.Generator) -> None:
    domain = Product(space)
    points = domain.sample(rng, 5)
    encoding = domain.encode(points)
    assert domain.decode(encoding.numbers) == points
    assert encoding.numbers.shape == (5, len(space.choices))
    ordered = encoding.numbers[:, ~encoding.categorical]
    assert ordered.max(initial=0.0) <= 1.0
    assert ((encoding.numbers == -1) == [[name not in point for name in encoding.names] for point in points]).all()


@given(space=spaces(), rng=seeds())
@settings(max_examples=50)
def test_any_numbers_are_decoded_to_a_point(space: Space, rng: np.random.Generator) -> None:
    domain = Product(space)
    assert all(point in domain for point in domain.decode(rng.normal(0, 3, (4, len(space.choices)))))


def test_equal_ratios_are_equal_steps_where_values_span_more_than_four_times() -> None:
    domain = Product(Space("scales", (Choice("width", (8, 16, 32, 64)), Choice("kernel", (3, 5, 9)))))
    numbers = domain.encode([{"width": 16, "kernel": 5}, {"width": 64, "kernel": 3}]).numbers
    assert numbers.tolist() == pytest.approx(np.array([[1 / 3, 1 / 3], [1.0, 0.0]]))


@given(space=spaces())
@settings(max_examples=50)
def test_a_space_survives_paper(space: Space) -> None:
    assert from_json(to_json(space), Space) == space
    assert from_toml(to_toml(space), Space) == space


@pytest.mark.parametrize(
    ("point", "error"),
    [
        (
            {"kind": "conv", "kernel": 4, "fused": False},
            r"branched, kernel: the value must be .* got 4\. Known: 3, 5, 7",
        ),
        ({"kind": "conv", "kernel": 3}, r"branched, fused: an active choice must have a value\. Known: False, True"),
        (
            {"kind": "pool", "kernel": 3, "fused": True},
            r"fused: .* no value unless kind is 'conv', but got True\. Leave",
        ),
        ({"kind": "conv", "kernel": 3, "fused": 0}, r"fused: the value must be one of the choice's, but got 0"),
        (
            {"kind": "skip", "colour": "red"},
            r"a point must name choices of its space, but got 'colour'\. Its choices: k",
        ),
    ],
)
def test_a_wrong_point_is_told_which_choice_breaks_which_rule(point: Point, error: str) -> None:
    with pytest.raises(RecordError, match=error):
        BRANCHED.check(point)
    assert point not in BRANCHED


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ((Choice("a", (1,)), Choice("a", (2,))), "choice 'a': a choice must be named once"),
        ((Choice("a", (3, 1)),), r"values: numbers must rise, each once, but got \[3, 1\]\. Write \[1, 3\]"),
        ((Choice("a", ("x", "x")),), "each value must stand once"),
        ((Choice("a", (1, "x")),), "all values must be of one kind, not numbers and words"),
        ((Choice("a", (1, True)),), "all values must be of one kind, not numbers and true and false"),
        ((Choice("a", (1, 2), {"b": (1,)}), Choice("b", (1,))), "a condition must name an earlier choice, but got 'b'"),
        ((Choice("a", (1, 2)), Choice("b", (1,), {"a": (3,)})), r"name values of 'a', but got 3\. They are 1, 2"),
        ((Choice("a", (1, 2)), Choice("b", (1,), {"a": ()})), "a condition must allow a value"),
    ],
)
def test_a_space_that_contradicts_itself_is_refused(choices: tuple[Choice, ...], error: str) -> None:
    with pytest.raises(RecordError, match=error):
        Product(Space("broken", choices))


def test_what_is_chosen_is_not_fixed_too() -> None:
    with pytest.raises(RecordError, match="what is chosen must not be fixed too, but got 5"):
        Product(Space("broken", (Choice("kernel", (3, 5)),), fixed={"kernel": 5}))
