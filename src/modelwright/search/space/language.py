"""The language that spaces are written in: TOML, or the same as plain Python dictionaries, to a flat `Space`.

    name = "mine"
    makes = "modelwright.search.spaces.mbconv:mbconv"
    stages = 4

    [[choice]]
    name = "repeats"
    per = "stage"               # stages.1.repeats, ..., stages.4.repeats
    values = [1, 2, 3]

A text with `choices` instead of `choice` is a flat record already, as `to_toml` writes it. docs/spaces.md has it all.
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from modelwright.errors import RecordError
from modelwright.records import Architecture, Space, Value, convert, from_toml
from modelwright.records.platform import Name
from modelwright.records.space import Word
from modelwright.registry import load
from modelwright.search.space.expand import Wish, expand
from modelwright.search.space.numbers import without
from modelwright.search.space.rules import check_space

Maker = Callable[[Mapping[str, Value], Mapping[str, Value], str], Architecture]
"""From a point, what is fixed, and a name."""


class _Sheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A space as a person writes it; a list under `fixed` holds one value a stage."""

    name: Name
    choice: Annotated[tuple[Wish, ...], msgspec.Meta(min_length=1)]
    makes: str = ""
    stages: Annotated[int, msgspec.Meta(ge=0)] = 0
    fixed: dict[Word, Value | tuple[Value, ...]] = {}
    source: str = ""


def parse_space(text: str, *, where: str = "", form: Literal["toml", "json"] = "toml") -> Space:
    """The space in a text.

    Args:
        text: of the file.
        where: what errors call it.
        form: in what it is written.

    Raises:
        RecordError: the text breaks a rule; names file, key, rule, value and way out.
    """
    if form == "toml":
        data = from_toml(text, dict, where=where or "space")
    else:
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecordError(f"the text must be valid JSON ({error})", where=where or "space") from error
    return space_from(data, where=where)


def space_from(data: Mapping[str, Any], *, where: str = "") -> Space:
    """The space in plain dictionaries and lists, of the same form as the file.

    Raises:
        RecordError: it breaks a rule; names file, key, rule, value and way out.
    """
    if "choices" in data:
        space = convert(data, Space, where=where or "space")
    else:
        sheet = convert(data, _Sheet, where=where or "space")
        fixed = _fixed(sheet, where or sheet.name)
        choices = expand(sheet.choice, sheet.stages, fixed, where or sheet.name)
        space = Space(sheet.name, choices, sheet.makes, fixed, sheet.source)
    check_space(space, where)
    if space.makes:
        maker_of(space, where)
    return space


def maker_of(space: Space, where: str = "") -> Maker:
    """The function that makes an architecture of a point.

    Raises:
        RecordError: the space has none, or its address leads to no function.
    """
    place = f"{where or space.name}, key 'makes'"
    if not space.makes:
        rule, way_out = "a space must say what makes its networks", "Write module:function."
        raise RecordError(rule, where=place, value="", way_out=way_out)
    rule = "the address must lead to a function"
    try:
        found = load(space.makes)
    except RecordError as error:
        raise RecordError(rule, where=place, value=space.makes, way_out=str(error)) from error
    if not callable(found):
        raise RecordError(rule, where=place, value=space.makes, way_out=f"There stands {found!r}.")
    maker: Maker = found
    return maker


def make(space: Space, point: Mapping[str, Value], name: str = "") -> Architecture:
    """The architecture that a point of a space stands for.

    Args:
        space: says what makes it, and what is fixed.
        point: one of the space's; the numbers that the network computes in are no part of it.
        name: the architecture's; the space's if empty.

    Raises:
        RecordError: the space has no maker, or the maker cannot read a choice.
    """
    return maker_of(space)(without(point), space.fixed, name or space.name)


def _fixed(sheet: _Sheet, where: str) -> dict[str, Value]:
    """What is fixed, lists told apart into one value a stage; with the number of stages, where there is one."""
    fixed: dict[str, Value] = {"stages": sheet.stages} if sheet.stages else {}
    for key, value in sheet.fixed.items():
        if not isinstance(value, tuple):
            fixed[key] = value
            continue
        if len(value) != sheet.stages:
            rule = f"a list must hold one value for each of the {sheet.stages} stages"
            raise RecordError(
                rule, where=f"{where}, fixed, key {key!r}", value=list(value), way_out="Correct it, or `stages`."
            )
        fixed |= {f"stages.{stage}.{key}": one for stage, one in enumerate(value, start=1)}
    return fixed
