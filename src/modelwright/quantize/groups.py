"""Layers that are decided about together: those of one kind in one stage, whose neighbours are alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from modelwright.quantize.graph import Layer

MOST = 48
"""Above so many groups the stages are not told apart."""


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


def groups(layers: Sequence[Layer], most: int = MOST) -> tuple[Group, ...]:
    """The layers by their paths, all numbers but the first taken for repetitions of one block; in running order.

    Args:
        layers: of a graph.
        most: where there were more groups, the first number is taken for a repetition as well.
    """
    found = _by_path(layers, 1)
    return found if len(found) <= most else _by_path(layers, 0)


def _by_path(layers: Sequence[Layer], kept: int) -> tuple[Group, ...]:
    gathered: dict[str, list[Layer]] = {}
    for layer in layers:
        gathered.setdefault(_common(layer, kept), []).append(layer)
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
