"""The rules that a space's choices keep together, beyond those of each record."""

from collections.abc import Mapping
from itertools import pairwise

from modelwright.errors import RecordError
from modelwright.records import Choice, Space, Value


def check_space(space: Space, where: str = "") -> None:
    """Refuse a space that contradicts itself.

    Args:
        space: the record.
        where: what errors call it; its name if empty.

    Raises:
        RecordError: a name stands twice, values repeat, are unsorted or of several kinds, or a condition names a choice
            or a value that is not there before it; says which choice, the rule, the value and the way out.
    """
    earlier: dict[str, Choice] = {}
    for choice in space.choices:
        place = f"{where or space.name}, choice {choice.name!r}"
        if choice.name in earlier:
            raise RecordError("a choice must be named once", where=place, value=choice.name, way_out="Rename one.")
        if choice.name in space.fixed:
            raise RecordError(
                "what is chosen must not be fixed too",
                where=place,
                value=space.fixed[choice.name],
                way_out=f"Take {choice.name!r} out of `fixed`, or leave out the choice.",
            )
        check_values(choice.values, f"{place}, values")
        for name, values in choice.when.items():
            _check_condition(name, values, earlier, place)
        earlier[choice.name] = choice


def check_values(values: tuple[Value, ...], where: str) -> None:
    """Refuse values of several kinds, repeated ones, and numbers that do not rise.

    Raises:
        RecordError: says the rule, the value and the way out.
    """
    if not values:
        raise RecordError("there must be at least one value", where=where, value=[], way_out="Name the values.")
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1:
        raise RecordError(
            f"all values must be of one kind, not {' and '.join(sorted(kinds))}",
            where=where,
            value=list(values),
            way_out="Use numbers only, words only, or true and false.",
        )
    if kinds == {"numbers"}:
        if any(later <= value for value, later in pairwise(values)):  # type: ignore[operator]  # numbers
            rising = sorted(set(values))
            rule, way_out = "numbers must rise, each once", f"Write {rising}."
            raise RecordError(rule, where=where, value=list(values), way_out=way_out)
    elif len(set(values)) < len(values):
        raise RecordError(
            "each value must stand once", where=where, value=list(values), way_out="Leave out the copies."
        )


def _check_condition(name: str, values: tuple[Value, ...], earlier: Mapping[str, Choice], place: str) -> None:
    where = f"{place}, when"
    if name not in earlier:
        raise RecordError(
            "a condition must name an earlier choice",
            where=where,
            value=name,
            way_out=f"Known here: {', '.join(earlier) or 'none yet'}. Put the choice that decides before this one.",
        )
    known = earlier[name]
    for value in values:
        if not any(value == other and _kind(value) == _kind(other) for other in known.values):
            raise RecordError(
                f"a condition must name values of {name!r}",
                where=where,
                value=value,
                way_out=f"They are {', '.join(map(repr, known.values))}.",
            )
    if not values:
        raise RecordError("a condition must allow a value", where=where, value=name, way_out="Name at least one.")


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "true and false"
    return "words" if isinstance(value, str) else "numbers"
