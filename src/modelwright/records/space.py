"""A search space as a frozen value: choices, some of them under conditions, and what a point of it becomes."""

from typing import Annotated

import msgspec

from modelwright.records.platform import Name

Word = Annotated[str, msgspec.Meta(min_length=1)]
Value = bool | int | float | str
Point = dict[str, Value]
"""What was chosen: choice -> value, active choices only, in the space's order."""


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a search decides.

    Attributes:
        name: dotted path, such as "stages.2.kernel".
        values: what it can be, each once; numbers in rising order.
        when: choice -> values; this choice is active only where each of those (earlier) choices is active and has one
            of the values named.
    """

    name: Word
    values: Annotated[tuple[Value, ...], msgspec.Meta(min_length=1)]
    when: dict[str, tuple[Value, ...]] = {}

    @property
    def ordered(self) -> bool:
        """Whether neighbouring values resemble each other: all are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a search may choose from, flat: one choice a decision.

    Attributes:
        name: the word for it on the command line.
        choices: in order; a condition names an earlier choice.
        makes: "module:function" from (point, fixed, name) to an `Architecture`; empty for a table of candidates.
        fixed: what every point has in common, handed to `makes`.
        source: the paper.
    """

    name: Name
    choices: Annotated[tuple[Choice, ...], msgspec.Meta(min_length=1)]
    makes: str = ""
    fixed: dict[str, Value] = {}
    source: str = ""
