"""Catalogues of parts: rows of name -> "module:attribute", imported on first use.

A room shows its rows as a plain dictionary in its `__init__`; parts from other distributions join through an
entry-point group in the same syntax. Two rows of one name are an error, whoever wrote them.
"""

import importlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Generic, TypeVar

from modelwright.errors import RecordError, UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only catalogue of named parts, each imported when it is first asked for.

    Args:
        noun: what a row is, singular, for messages ("platform", "command").
        rows: name -> "module:attribute".
        group: entry-point group through which other distributions add rows; "" for none.
    """

    def __init__(self, noun: str, rows: Mapping[str, str], group: str = "") -> None:
        self.noun = noun
        self.group = group
        self._builtin = dict(rows)
        self._all: dict[str, str] | None = None

    @property
    def rows(self) -> Mapping[str, str]:
        """All rows, the built-in ones and the strangers', name -> "module:attribute"."""
        if self._all is None:
            rows = dict(self._builtin)
            for point in metadata.entry_points(group=self.group) if self.group else ():
                if rows.setdefault(point.name, point.value) != point.value:
                    raise RecordError(
                        f"each {self.noun} name must stand for one part",
                        where=f"entry-point group {self.group!r}",
                        value=f"{point.name} -> {rows[point.name]} and {point.value}",
                        way_out="Rename or uninstall one of the two.",
                    )
            self._all = rows
        return self._all

    def __getitem__(self, name: str) -> T:
        if name not in self.rows:
            raise UnknownNameError(self.noun, name, self.rows)
        part: T = load(self.rows[name])
        return part

    def __contains__(self, name: object) -> bool:
        return name in self.rows

    def get(self, name: str, default: Any = None) -> Any:
        """The part of that name, or the default where there is none."""
        return self[name] if name in self.rows else default

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def load(address: str) -> Any:
    """The object at "module:attribute".

    Raises:
        RecordError: the address is malformed, the module cannot be imported, or it has no such attribute.
    """
    module_name, _, attribute = address.partition(":")
    if not module_name or not attribute:
        raise RecordError(
            "an address must read module:attribute", value=address, way_out="For example mypackage.models:build."
        )
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise RecordError(
            f"the module {error.name!r} must be importable",
            where=address,
            way_out="Install it, or run from the folder that holds it.",
        ) from error
    except AttributeError as error:
        raise RecordError(f"the attribute must exist ({error})", where=address) from error
    return found
