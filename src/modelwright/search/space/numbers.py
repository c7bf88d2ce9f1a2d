"""The numbers that a candidate computes in, as a choice of any space; what makes networks does not see it.

One choice for the whole network. Which layers of a network are best left in float is found afterwards, by measuring
whole graphs: times of layers do not add up.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from modelwright.errors import SettingError
from modelwright.records import Choice, Plan, Point, Policy, Space, Value

CHOICE = "precision"
PRECISIONS: tuple[Policy, ...] = ("fp32", "bf16", "int8")
"""What it can be: what a network is trained in, half of that, and whole numbers."""


def with_precisions(space: Space, precisions: Sequence[str]) -> Space:
    """The space with one choice more: the numbers that a network computes in.

    Raises:
        SettingError: there is such a choice already, or numbers that cannot be chosen.
    """
    if any(choice.name == CHOICE for choice in space.choices):
        way_out = "Leave out --precisions, or take the choice out of the space."
        raise SettingError("a space has one choice of precision", where=space.name, value=CHOICE, way_out=way_out)
    made = msgspec.structs.replace(space, choices=(*space.choices, Choice(CHOICE, tuple(dict.fromkeys(precisions)))))
    precisions_of(made)
    return made


def precisions_of(space: Space) -> tuple[Policy, ...]:
    """The numbers that a space lets a candidate compute in; none where it does not ask.

    Raises:
        SettingError: some are none that a trained network can be run in.
    """
    found = next((choice.values for choice in space.choices if choice.name == CHOICE), ())
    for precision in found:
        if precision not in PRECISIONS:
            way_out = f"Choose among {', '.join(PRECISIONS)}."
            rule = "a network must be one that can be run in the precision once it is trained"
            raise SettingError(rule, where=f"{space.name}, {CHOICE}", value=precision, way_out=way_out)
    return cast(tuple[Policy, ...], found)


def precision_of(plan: Plan, point: Mapping[str, Value]) -> Policy:
    """The numbers that a point's network computes in; those of the plan where the space does not ask."""
    return cast(Policy, point.get(CHOICE, plan.precision))


def without(point: Mapping[str, Value]) -> Point:
    """A point as whoever makes networks knows it."""
    return {name: value for name, value in point.items() if name != CHOICE}
