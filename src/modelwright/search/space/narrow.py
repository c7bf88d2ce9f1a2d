"""A space made smaller: fewer values of a choice, or only those that a data set is worth."""

from collections.abc import Sequence

import msgspec

from modelwright.errors import SettingError, UnknownNameError
from modelwright.records import Choice, Space, Value

ENLARGED = 2
"""Images are enlarged, or made smaller, by no more than this."""


def narrow(space: Space, name: str, values: Sequence[Value]) -> Space:
    """The space with only these values of one choice; choices that can then never be active are left out.

    Raises:
        UnknownNameError: the space has no choice of that name.
        SettingError: none of the values is the choice's.
    """
    names = [choice.name for choice in space.choices]
    if name not in names:
        raise UnknownNameError("choice", name, names)
    kept: dict[str, Choice] = {}
    for choice in space.choices:
        stay = tuple(value for value in choice.values if choice.name != name or value in values)
        if not stay:
            rule, way_out = "a choice must keep a value", f"It has {', '.join(map(repr, choice.values))}."
            raise SettingError(rule, where=f"{space.name}, {name}", value=list(values), way_out=way_out)
        when = {
            decider: tuple(value for value in allowed if decider in kept and value in kept[decider].values)
            for decider, allowed in choice.when.items()
        }
        if all(when.values()):
            kept[choice.name] = msgspec.structs.replace(choice, values=stay, when=when)
    return msgspec.structs.replace(space, choices=tuple(kept.values()))


def with_data(space: Space, channels: int, classes: int, side: int) -> Space:
    """A space of networks for images, fitted to a data set.

    Where the resolution is chosen, only those from half the images' side to twice it are kept: the images are resized.

    Args:
        space: fixes `image_channels` and `classes`.
        channels: of an image.
        classes: that are told apart.
        side: of the square images, in pixels.

    Raises:
        SettingError: the space is not one for images, or all its resolutions are far from theirs.
    """
    if not {"image_channels", "classes"} <= space.fixed.keys():
        rule, way_out = "a space for images must fix image_channels and classes", "Choose one of networks for images."
        raise SettingError(rule, where=space.name, value=sorted(space.fixed), way_out=way_out)
    fixed = {**space.fixed, "image_channels": channels, "classes": classes, "side": side}
    fitted = msgspec.structs.replace(space, fixed=fixed)
    chosen = next((choice for choice in space.choices if choice.name == "resolution"), None)
    if chosen is None:
        return fitted
    worth = [value for value in chosen.values if side / ENLARGED <= float(value) <= side * ENLARGED]
    if not worth:
        raise SettingError(
            f"a resolution must lie within a factor of {ENLARGED} of the images' side",
            where=f"{space.name}, resolution",
            value=side,
            way_out=f"It has {', '.join(map(str, chosen.values))}: choose a space for images of that size.",
        )
    return narrow(fitted, "resolution", worth)
