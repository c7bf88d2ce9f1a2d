"""Named architectures, and those in users' files; pure data, no torch."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from modelwright.errors import RecordError, UnknownNameError
from modelwright.networks.families import FAMILIES
from modelwright.networks.shapes import shapes
from modelwright.records.architecture import Architecture
from modelwright.records.codec import from_json, from_toml
from modelwright.registry import Registry

Maker = Callable[[], Architecture]

families: Registry[Mapping[str, Maker]] = Registry("architecture family", FAMILIES, group="modelwright.families")


@lru_cache(maxsize=1)
def _makers() -> Mapping[str, Maker]:
    makers: dict[str, Maker] = {}
    for family, named in families.items():
        for name, maker in named.items():
            if name in makers:
                raise RecordError(
                    "each architecture name must stand for one architecture",
                    where=f"family {family!r}",
                    value=name,
                    way_out="Rename one, or uninstall the package that adds it.",
                )
            makers[name] = maker
    return makers


def architecture_names() -> tuple[str, ...]:
    """All names, family after family."""
    return tuple(_makers())


def architecture(name_or_path: str) -> Architecture:
    """The architecture of a name, or in a .toml or .json file.

    Raises:
        UnknownNameError: no architecture has that name.
        RecordError: the file cannot be read, or breaks a rule of the record or of its numbers together.
        ShapeError: the file's architecture cannot take inputs of its own input shape.
    """
    if name_or_path.endswith((".toml", ".json")):
        return _from_file(Path(name_or_path))
    if name_or_path not in _makers():
        raise UnknownNameError(
            "architecture", name_or_path, _makers(), way_out="A .toml or .json file may hold one too."
        )
    return _makers()[name_or_path]()


def _from_file(path: Path) -> Architecture:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"an architecture file must be readable text ({error})", where=str(path), way_out="Check its path."
        ) from error
    found = (from_toml if path.suffix == ".toml" else from_json)(text, Architecture, where=str(path))
    shapes(found, where=str(path))
    return found
