"""Detectors by their names, with their settings as plain values."""

from collections.abc import Mapping

from modelwright.errors import SettingError
from modelwright.guard import DETECTORS
from modelwright.guard.detectors.detector import Detector
from modelwright.records import Value
from modelwright.registry import Registry

_CATALOGUE: Registry[type[Detector]] = Registry("detector", DETECTORS, group="modelwright.detectors")


def names() -> tuple[str, ...]:
    """All that are known, sorted."""
    return tuple(sorted(_CATALOGUE))


def detector(name: str, settings: Mapping[str, Value] | None = None) -> Detector:
    """The detector of that name.

    Args:
        name: as in DETECTORS, or of another distribution (entry-point group "modelwright.detectors").
        settings: field -> value, where it is not to be the default.

    Raises:
        UnknownNameError: there is none of that name.
        SettingError: it has no such setting, or not of that value.
    """
    kind = _CATALOGUE[name]
    try:
        return kind(**(settings or {}))
    except TypeError as failure:
        rule = f"a detector must have the setting ({failure})"
        raise SettingError(rule, where=name, value=dict(settings or {})) from failure


def name_of(one: Detector) -> str:
    """The name of a detector.

    Raises:
        SettingError: it is in no catalogue, so that a saved guard could not find it.
    """
    for name in _CATALOGUE:
        if _CATALOGUE.rows[name] == f"{type(one).__module__}:{type(one).__qualname__}":
            return name
    rule = "a guard's detector must be in the catalogue"
    way_out = "Register it in the entry-point group 'modelwright.detectors'."
    raise SettingError(rule, value=type(one).__qualname__, way_out=way_out)
