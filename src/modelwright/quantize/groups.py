"""Layers that are decided about together: those of one kind in one stage, whose neighbours are alike."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import final

from modelwright.quantize.graph import Layer
from modelwright.records import Sensitivity

MOST = 48
"""Above so many groups the stages are not told apart."""

APART = 4
"""So many layers are decided about by themselves: those that add most noise, which may be all of their group's."""


@final
@dataclass(frozen=True)
class Group:
    """Layers that compute in the same numbers.

    Attributes:
        name: their common path, "*" for what differs.
        layers: their names.
        macs: multiply-accumulates of one sample, all together.
    """

    name: str
    layers: tuple[str, ...]
    macs: int


def groups(layers: Sequence[Layer], most: int = MOST, apart: Collection[str] = ()) -> tuple[Group, ...]:
    """The layers by their paths, all numbers but the first taken for repetitions of one block; in running order.

    Args:
        layers: of a graph.
        most: where there were more groups, the first number is taken for a repetition as well.
        apart: names of layers that are a group each, and not counted among the most.
    """
    kept = 1 if len(_by_path(layers, 1, ())) <= most else 0
    return _by_path(layers, kept, apart)


def most_sensitive(alone: Sequence[Sensitivity]) -> tuple[str, ...]:
    """The layers that add most noise, the worst first, of those that were asked one at a time."""
    ranked = sorted((one for one in alone if len(one.layers) == 1), key=lambda one: -one.mse)
    return tuple(dict.fromkeys(one.layers[0] for one in ranked))[:APART]


def _by_path(layers: Sequence[Layer], kept: int, apart: Collection[str]) -> tuple[Group, ...]:
    gathered: dict[str, list[Layer]] = {}
    for layer in layers:
        gathered.setdefault(layer.name if layer.name in apart else _common(layer, kept), []).append(layer)
    return tuple(
        Group(name, tuple(layer.name for layer in some), sum(layer.macs for layer in some))
        for name, some in gathered.items()
    )


def _common(layer: Layer, kept: int) -> str:
    """The path with a star for each number after the first `kept`."""
    steps, numbers = [], 0
    for step in re.split(r"[.:]", layer.name):
        number = step.isdecimal() or (layer.kind == "product" and step == layer.node)
        numbers += number
        steps.append("*" if number and numbers > kept else step)
    return ".".join(steps)
