"""Named spaces, and those in users' files."""

from collections.abc import Callable
from pathlib import Path

from modelwright.errors import RecordError, UnknownNameError
from modelwright.records import Space
from modelwright.registry import Registry
from modelwright.search.space.language import parse_space
from modelwright.search.spaces import SPACES

spaces: Registry[Callable[[], Space | str]] = Registry("search space", SPACES, group="modelwright.spaces")
"""Each row leads to a function that returns a space, or the text of a TOML file."""


def space(name_or_path: str) -> Space:
    """The space of a name, or in a .toml or .json file.

    Raises:
        UnknownNameError: no space has that name.
        RecordError: the file cannot be read or breaks a rule; names file, key, rule, value and way out.
    """
    if name_or_path.endswith((".toml", ".json")):
        return _from_file(Path(name_or_path))
    if name_or_path not in spaces:
        raise UnknownNameError("search space", name_or_path, spaces, way_out="A .toml or .json file may hold one too.")
    found = spaces[name_or_path]()
    where = f"search space {name_or_path!r}"
    return parse_space(found, where=where) if isinstance(found, str) else found


def space_names() -> tuple[str, ...]:
    """All names, the shipped ones first."""
    return tuple(spaces)


def _from_file(path: Path) -> Space:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        rule = f"a file of a search space must be readable text ({error})"
        raise RecordError(rule, where=str(path), way_out="Check its path.") from error
    return parse_space(text, where=str(path), form="json" if path.suffix == ".json" else "toml")
