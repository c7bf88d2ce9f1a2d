"""A table as a set of points: columns are understood, and every operation ends on a row."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import RecordError, SettingError
from modelwright.records import Choice, Value
from modelwright.search.space import Listed, listed

OPERATIONS = ("avg_pool_3x3", "none", "nor_conv_1x1", "nor_conv_3x3", "skip_connect")
CELLS = [
    "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*operations)
    for operations in product(OPERATIONS, ("none", "skip_connect"), OPERATIONS, ("none",), OPERATIONS, OPERATIONS)
]
"""Cells as NAS-Bench-201 writes them (2020, arXiv 2001.00326); the fourth edge is the same in all."""

TABLES = st.lists(
    st.tuples(st.sampled_from(["192", "384", "768"]), st.lists(st.integers(1, 4), min_size=1, max_size=4)),
    min_size=1,
    max_size=30,
).map(lambda rows: {"width": [width for width, _ in rows], "heads": [" ".join(map(str, heads)) for _, heads in rows]})


def seeds() -> st.SearchStrategy[np.random.Generator]:
    return st.integers(0, 2**32).map(np.random.default_rng)


def apart(a: dict[str, Value], b: dict[str, Value]) -> int:
    return sum(a.get(name) != b.get(name) for name in a | b)


def test_a_cell_of_operations_is_one_choice_an_edge() -> None:
    domain = listed({"arch": CELLS})
    assert domain.size == len(CELLS)
    assert [choice.name for choice in domain.choices] == ["arch.1", "arch.2", "arch.3", "arch.4", "arch.5"]
    assert domain.choices[0].values == OPERATIONS
    assert domain.choices[1].values == ("none", "skip_connect")
    assert domain.encode(domain.points).categorical.all()
    assert domain.points[7]["arch.5"] == OPERATIONS[7 % 5]


def test_in_a_whole_product_neighbours_are_those_that_change_one_operation() -> None:
    domain = listed({"arch": CELLS})
    for point in domain.sample(np.random.default_rng(0), 5):
        near = domain.neighbours(point)
        assert len(near) == 4 + 1 + 4 + 4 + 4
        assert all(apart(point, other) == 1 for other in near)
        assert all(point in domain.neighbours(other) for other in near)


def test_lists_of_unequal_length_leave_the_last_positions_empty() -> None:
    domain = listed({"layers": ["2", "3", "2"], "heads": ["12 4", "4 12 8", "8 8"], "bias": ["True", "False", "False"]})
    heads = [choice for choice in domain.choices if choice.name.startswith("heads")]
    assert [choice.values for choice in heads] == [(4, 8, 12), (4, 8, 12), (8,)]
    assert domain.points[0] == {"layers": 2, "heads.1": 12, "heads.2": 4, "bias": True}
    numbers = domain.encode(domain.points)
    assert numbers.numbers[:, 3].tolist() == [-1, 0, -1]
    assert dict(zip(numbers.names, numbers.categorical.tolist(), strict=True))["bias"]


KINDS = {
    "whole numbers": (["3", "5", "3"], [(3, 5)], True),
    "numbers": (["0.5", "1", "1e-3"], [(0.001, 0.5, 1.0)], True),
    "yes and no": (["true", "False", "true"], [(False, True)], False),
    "words": (["relu", "swish", "relu"], [("relu", "swish")], False),
    "words with digits": (["conv_3x3", "conv_5x5", "pool"], [("conv_3x3", "conv_5x5", "pool")], False),
    "lists in brackets": (["[1, 2]", "[3, 2]", "[1, 4]"], [(1, 3), (2, 4)], True),
    "a number that is missing": (["3", "", "5"], [(3, 5)], True),
    "suffixes that differ": (["a~0|b~1", "b~1|a~1", "a~0|a~1"], [("a", "b"), (0, 1), ("a", "b")], None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_column_holds_is_found_out(kind: str) -> None:
    cells, values, ordered = KINDS[kind]
    choices = listed({"column": cells}).choices
    assert [choice.values for choice in choices] == values
    assert ordered is None or {choice.ordered for choice in choices} == {ordered}


def test_many_words_are_taken_apart_where_all_have_equal_parts() -> None:
    cells = [f"k{k}_e{e}-c{c}" for k, e, c in product((3, 5, 7), (1, 4, 6), range(8, 80, 8))]
    assert [len(choice.values) for choice in listed({"block": cells}).choices] == [3, 3, 9]
    [whole] = listed({"block": [*cells, "skip"]}).choices
    assert len(whole.values) == len(cells) + 1


def test_rows_of_equal_choices_are_one_candidate_and_the_first_row_stands() -> None:
    domain = listed({"kernel": ["3", "5", "3", "7"], "fused": ["True", "True", "true", "False"]})
    assert (domain.size, domain.dropped) == (3, 1)
    assert domain.row({"kernel": 7, "fused": False}) == 3
    assert domain.place({"kernel": 7, "fused": False}) == 2


@given(table=TABLES, rng=seeds(), changes=st.integers(1, 3))
def test_every_operation_ends_on_a_row(table: dict[str, list[str]], rng: np.random.Generator, changes: int) -> None:
    domain = listed(table)
    a, b = domain.sample(rng, 2)
    mutant = domain.mutate(a, rng, changes)
    near = domain.neighbours(a)
    assert all(point in domain for point in (a, b, mutant, domain.crossover(a, b, rng), *near))
    assert (mutant != a) == (domain.size > 1)
    assert a not in near
    assert len({tuple(point.items()) for point in near}) == len(near)
    assert bool(near) == (domain.size > 1)
    assert domain.size + domain.dropped == len(table["width"])


@given(table=TABLES)
def test_a_points_own_numbers_lead_back_to_it(table: dict[str, list[str]]) -> None:
    domain = listed(table)
    rows = domain.encode(domain.points).numbers
    assert [domain.nearest(row) for row in rows] == list(range(domain.size))
    assert domain.enumerate(domain.size) == list(domain.points)


@given(table=TABLES, rng=seeds())
def test_the_nearest_row_that_is_free_is_found(table: dict[str, list[str]], rng: np.random.Generator) -> None:
    domain = listed(table)
    rows = domain.encode(domain.points).numbers
    wanted = rows[int(rng.integers(domain.size))] + np.where(rng.random(rows.shape[1]) < 0.5, 0.0, 0.125)
    taken = set(rng.choice(domain.size, size=domain.size // 2, replace=False).tolist())
    none, wants_none = rows < 0, wanted < 0
    away = np.where(none & wants_none, 0.0, np.where(none != wants_none, 1.0, np.abs(rows - wanted))).sum(axis=1)
    away[list(taken)] = np.inf
    assert away[domain.nearest(wanted, taken)] == pytest.approx(away.min())


def test_an_exhausted_table_says_so() -> None:
    domain = listed({"kernel": ["3", "5"]})
    with pytest.raises(SettingError, match="a point must be left that is not taken, but got 2"):
        domain.nearest(np.zeros(1), {0, 1})


def test_a_mutation_changes_what_was_picked_and_little_else() -> None:
    """In a whole product a row with only the picked choice changed is always there, so it is the nearest."""
    domain = listed({"arch": CELLS})
    rng = np.random.default_rng(1)
    for changes in (1, 2, 3):
        point = domain.points[123]
        assert {apart(point, domain.mutate(point, rng, changes)) for _ in range(20)} == {changes}


def test_a_child_in_a_whole_product_has_each_edge_from_a_parent() -> None:
    domain = listed({"arch": CELLS})
    rng = np.random.default_rng(2)
    a, b = domain.points[0], domain.points[-1]
    children = [domain.crossover(a, b, rng) for _ in range(40)]
    taken = [sum(child[name] in (a[name], b[name]) for name in a) for child in children]
    assert Counter(taken)[5] > 30  # but where all edges came from one parent, which is no child
    assert a not in children
    assert b not in children


def test_where_no_row_differs_in_one_choice_the_nearest_are_neighbours() -> None:
    domain = listed({"a": [str(n) for n in range(20)], "b": [str(n) for n in range(20)]})
    near = domain.neighbours({"a": 10, "b": 10})
    assert sorted(point["a"] for point in near) == [6, 7, 8, 9, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({}, "a table must have columns of one length"),
        ({"a": []}, "with at least one row"),
        ({"a": ["1"], "b": ["1", "2"]}, r"columns of one length.*\{'a': 1, 'b': 2\}"),
        ({"a": ["", " "]}, "a: a column must have a cell that is not empty"),
        ({"a": ["1 2", "2 1"], "a.1": ["1", "2"]}, r"each choice must have a name of its own, but got 'a\.1'"),
    ],
)
def test_a_table_without_candidates_is_refused(columns: dict[str, list[str]], error: str) -> None:
    with pytest.raises(RecordError, match=error):
        listed(columns)


@pytest.mark.parametrize(
    ("point", "error"),
    [
        ({"kernel": 4, "fused": True}, "kernel: the value must be in the table's column, but got 4. Known: 3, 5"),
        ({"kernel": 3, "fused": 1}, "fused: the value must be in the table's column, but got 1"),
        ({"kernel": 3, "fused": False}, "a point must be a row of the table"),
        ({"kernel": 3, "fused": True, "colour": "red"}, "choices of its table, but got 'colour'"),
    ],
)
def test_what_is_no_row_is_told_why(point: dict[str, Value], error: str) -> None:
    domain = listed({"kernel": ["3", "5"], "fused": ["True", "False"]})
    with pytest.raises(RecordError, match=error):
        domain.check(point)
    assert point not in domain


def test_copies_among_points_are_refused() -> None:
    with pytest.raises(RecordError, match=r"points\[1\]: each point must stand once"):
        Listed((Choice("kernel", (3, 5)),), ({"kernel": 3}, {"kernel": 3}))
