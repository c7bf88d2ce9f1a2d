"""Groups of layers: blocks of one stage together, every layer once, never too many of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.quantize.graph import Layer
from modelwright.quantize.groups import groups


def named(*names: str) -> list[Layer]:
    return [Layer(name, name.replace(".", "_"), "conv", macs=number) for number, name in enumerate(names, 1)]


def test_the_same_layer_of_a_stages_blocks_is_one_group() -> None:
    found = groups(named("stem", "stages.0.0.first", "stages.0.0.second", "stages.0.1.first", "stages.1.0.first"))
    assert [(one.name, one.layers) for one in found] == [
        ("stem", ("stem",)),
        ("stages.0.*.first", ("stages.0.0.first", "stages.0.1.first")),
        ("stages.0.*.second", ("stages.0.0.second",)),
        ("stages.1.*.first", ("stages.1.0.first",)),
    ]
    assert [one.macs for one in found] == [1, 2 + 4, 3, 5]


def test_products_of_one_block_are_one_group_whatever_their_nodes_are_called() -> None:
    found = groups([Layer(f"blocks.0.attention:{node}", node, "product") for node in ("matmul", "matmul_1")])
    assert [one.name for one in found] == ["blocks.0.attention.*"]


def test_above_the_most_the_stages_are_not_told_apart() -> None:
    layers = named(*(f"stages.{stage}.{block}.conv" for stage in range(5) for block in range(2)))
    assert len(groups(layers, most=5)) == 5
    assert [one.name for one in groups(layers, most=4)] == ["stages.*.*.conv"]


def test_a_layer_that_stands_apart_is_a_group_and_the_others_stay_together() -> None:
    layers = named("stages.0.0.first", "stages.0.1.first", "stages.0.2.first")
    found = {one.name: one.layers for one in groups(layers, apart=["stages.0.1.first"])}
    assert found == {
        "stages.0.*.first": ("stages.0.0.first", "stages.0.2.first"),
        "stages.0.1.first": ("stages.0.1.first",),
    }


@given(st.lists(st.from_regex(r"[ab](\.[0-3]){0,3}\.(conv|fc)", fullmatch=True), unique=True), st.integers(1, 6))
@pytest.mark.filterwarnings("error")
def test_every_layer_is_in_one_group_and_no_multiplication_is_lost(names: list[str], most: int) -> None:
    layers = named(*names)
    found = groups(layers, most, apart=names[::3])
    assert sorted(name for one in found for name in one.layers) == sorted(names)
    assert sum(one.macs for one in found) == sum(layer.macs for layer in layers)
    assert len({one.name for one in found}) == len(found)
