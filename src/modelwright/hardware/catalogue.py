"""The catalogue of platforms: those that ship, a user's own files, and what-if changes to either.

A platform file is one TOML file that holds a `Platform`. Numbers go by dotted keys, in which a memory level stands
under its own name: `matrix.units`, `matrix.peak.bf16`, `hbm.bandwidth`, `launch.kernel`. The same keys name a number's
source in the file, name it in errors, and change it in `set_values`.
"""

import functools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from modelwright.errors import PlatformFileError, RecordError, SettingError, UnknownNameError
from modelwright.hardware.precision import matrix_precision
from modelwright.records import Platform
from modelwright.records.codec import convert, from_toml

_TABLES = ("matrix", "vector", "launch", "energy")

_DECIMAL = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SMALL = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12}
_BYTES = {f"{p}B": f for p, f in _DECIMAL.items()} | {f"{p}iB": 1024.0**n for n, p in enumerate("KMGTP", 1)}
_UNITS: dict[str, dict[str, float]] = {
    "bytes": _BYTES,
    "bytes a second": {f"{unit}/s": factor for unit, factor in _BYTES.items()},
    "FLOP a second": {f"{p}{o}": f for p, f in _DECIMAL.items() for o in ("FLOP/s", "FLOPS", "OP/s", "OPS")},
    "values a second": {f"{p}/s": f for p, f in _DECIMAL.items()},
    "seconds": {f"{p}s": f for p, f in _SMALL.items() if p != "p"},
    "joules a FLOP": {f"{p}J/FLOP": f for p, f in _SMALL.items()},
    "joules a byte": {f"{p}J/B": f for p, f in _SMALL.items()},
    "watts": {"W": 1.0, "kW": 1e3},
    "share": {"%": 0.01},
    "": {},
}
_EXAMPLES = {
    "bytes": "64MiB",
    "bytes a second": "900GB/s",
    "FLOP a second": "312TFLOP/s",
    "values a second": "2T/s",
    "seconds": "3us",
    "joules a FLOP": "0.3pJ/FLOP",
    "joules a byte": "40pJ/B",
    "watts": "300W",
    "share": "90%",
    "": "4",
}


class Fault(NamedTuple):
    """A rule that a platform breaks: the dotted key concerned, the rule, what was found, the way out."""

    key: str
    rule: str
    value: object
    way_out: str


def platform_names(folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """The names of all platforms that ship, and of those in the folders, sorted; aliases are left out.

    Args:
        folders: where a user keeps platform files.
    """
    return tuple(sorted({found.name for found in _known(tuple(folders)).values()}))


def platform(name_or_path: str | Path, folders: Sequence[Path] = ()) -> Platform:
    """The platform of that name or alias, or the one in that file.

    Args:
        name_or_path: a name, an alias, or a path (a `Path`, or a string that ends in .toml or contains a separator).
        folders: where a user keeps further platform files.

    Raises:
        UnknownNameError: no platform has that name; near ones are offered.
        PlatformFileError: a file breaks a rule; the error names file, key, rule and value.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml") or _separated(name_or_path):
        return read_platform(Path(name_or_path))
    known = _known(tuple(folders))
    if name_or_path not in known:
        raise UnknownNameError("platform", name_or_path, known, way_out="A path must end in .toml.")
    return known[name_or_path]


def read_platform(path: Path) -> Platform:
    """The platform in a TOML file.

    Raises:
        PlatformFileError: the file cannot be read or breaks a rule; the error names file, key, rule and value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        reason = getattr(failure, "strerror", None) or str(failure)
        raise PlatformFileError(f"the file must be readable text ({reason})", where=str(path)) from failure
    return parse_platform(text, where=str(path))


def parse_platform(text: str, where: str) -> Platform:
    """The platform in a TOML text, with every rule checked.

    Args:
        text: the whole file.
        where: the file's name, for errors.

    Raises:
        PlatformFileError: the text breaks a rule.
    """
    found = from_toml(text, Platform, where=where, error=PlatformFileError)
    for fault in faults(found):
        place = f"{where} key {fault.key!r}"
        raise PlatformFileError(fault.rule, where=place, value=fault.value, way_out=fault.way_out)
    return found


def numbers(platform: Platform) -> dict[str, float]:
    """Every number of a platform by its dotted key, in the order of the file, in the units of `Platform`."""
    plain = msgspec.to_builtins(platform)
    levels = {level["name"]: level for level in plain["memory"]}
    holders = {"matrix": plain["matrix"], "vector": plain["vector"], **levels}
    holders |= {"launch": plain["launch"], "energy": plain["energy"] or {}}
    return dict(_flat(holders, ""))


def source_of(platform: Platform, key: str) -> str:
    """Where the number under a dotted key comes from: its own source, or that of the nearest table above, or ""."""
    while key:
        if key in platform.sources:
            return platform.sources[key]
        key = key.rpartition(".")[0]
    return ""


def claims(platform: Platform) -> tuple[str, ...]:
    """The dotted keys that need a source: every number but those left at a default that says nothing."""
    silent = {"matrix.channels": 1.0, "matrix.fill": 0.0, "vector.output": 0.0}
    silent |= {f"launch.{name}": 0.0 for name in ("program", "library", "reorder", "page")}
    keys = []
    for key, value in numbers(platform).items():
        default = 1.0 if key.endswith(".achievable") else 0.0 if key.startswith("energy.") else silent.get(key)
        keys += [key] if value != default else []
        keys += ["matrix.tiles"] if key == "matrix.units" else []
    return tuple(keys)


def faults(platform: Platform) -> Iterator[Fault]:
    """The rules beyond types and ranges that a platform breaks, one by one."""
    yield from _name_faults(platform)
    for key, value in numbers(platform).items():
        if not math.isfinite(value):
            yield Fault(key, "the number must be finite", value, "Write a number.")
    yield from _order_faults(platform)
    if "fp32" not in platform.vector.peak:
        yield Fault(
            "vector.peak", "the vector units need a peak in fp32", platform.vector.peak, "Give vector.peak.fp32."
        )
    low = matrix_precision(platform.precision)
    if low not in platform.matrix.peak and low not in platform.vector.peak:
        peaks = sorted({*platform.matrix.peak, *platform.vector.peak})
        way_out = f"Give matrix.peak.{low}, or take one of {', '.join(peaks)}."
        yield Fault("precision", "the default precision must have a peak", platform.precision, way_out)
    yield from _source_faults(platform)


def set_values(platform: Platform, changes: Mapping[str, str]) -> Platform:
    """The platform with some numbers changed, all at once; its name stays, its notes and sources say what changed.

    Args:
        platform: what to change; it is left as it is.
        changes: dotted key -> new value: "1.2e12", "900GB/s", "64MiB", "3us", or relative: "2x", "0.5x", "+10%".

    Raises:
        UnknownNameError: the platform has no number of that key.
        SettingError: a value is malformed, of the wrong unit, or leaves a platform that breaks a rule.
    """
    plain = msgspec.to_builtins(platform)
    known = numbers(platform)
    for key, text in changes.items():
        if key not in known:
            raise UnknownNameError("key", key, known, way_out=f"{platform.name} has {', '.join(known)}.")
        old, new = known[key], _value(key, text, known[key])
        _put(plain, key, new)
        plain["sources"][key] = f"what-if: {text}; before: {old:g}, {source_of(platform, key) or 'a default'}"
        plain["notes"] = f"{plain['notes']} What-if: {key} {text} ({old:g} -> {new:g}).".lstrip()
    where = " ".join(f"{key}={text}" for key, text in changes.items())
    try:
        changed = convert(plain, Platform, where=platform.name)
    except RecordError as failure:
        raise SettingError(failure.rule, where=where, value=failure.value, way_out="Choose another value.") from failure
    for fault in faults(changed):
        raise SettingError(f"{fault.key}: {fault.rule}", where=where, value=fault.value, way_out=fault.way_out)
    return changed


def _separated(name: str) -> bool:
    return any(mark in name for mark in ("/", os.sep))


@functools.cache
def _shipped() -> dict[str, tuple[str, Platform]]:
    """Name or alias -> (file, platform), of the files beside this module."""
    found: dict[str, tuple[str, Platform]] = {}
    for entry in sorted(resources.files("modelwright.hardware").joinpath("platforms").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            _enter(found, entry.name, parse_platform(entry.read_text(encoding="utf-8"), where=entry.name))
    return found


def _known(folders: tuple[Path, ...]) -> dict[str, Platform]:
    found = dict(_shipped())
    for folder in folders:
        if not folder.is_dir():
            raise SettingError("a folder of platform files must exist", value=str(folder), way_out="Create it.")
        for path in sorted(folder.glob("*.toml")):
            _enter(found, str(path), read_platform(path))
    return {name: entry for name, (_, entry) in found.items()}


def _enter(found: dict[str, tuple[str, Platform]], file: str, entry: Platform) -> None:
    for name in (entry.name, *entry.aliases):
        if name in found:
            raise PlatformFileError(
                f"each name must stand for one platform, and {found[name][0]} has this one",
                where=f"{file} key {'name' if name == entry.name else 'aliases'!r}",
                value=name,
                way_out="Rename yours.",
            )
        found[name] = (file, entry)


def _flat(data: Mapping[str, Any], above: str) -> Iterator[tuple[str, float]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{above}{key}", value


def _name_faults(platform: Platform) -> Iterator[Fault]:
    seen: set[str] = set(_TABLES)
    for place, level in enumerate(platform.memory):
        if level.name in seen:
            rule = f"a memory level needs a name of its own, other than {', '.join(_TABLES)}"
            yield Fault(f"memory[{place}].name", rule, level.name, "Rename it.")
        seen.add(level.name)
    if len({platform.name, *platform.aliases}) <= len(platform.aliases):
        yield Fault("aliases", "the name and its aliases must differ", list(platform.aliases), "Drop the repeated one.")


def _order_faults(platform: Platform) -> Iterator[Fault]:
    """Levels go away from the units: no level is smaller, and none is faster, than the one before it."""
    for near, far in zip(platform.memory, platform.memory[1:], strict=False):
        if far.capacity < near.capacity:
            rule = f"capacity must not fall from one memory level to the next ({near.name} has {near.capacity:g})"
            yield Fault(f"{far.name}.capacity", rule, far.capacity, "Order the levels from near to far.")
        if far.bandwidth > near.bandwidth:
            rule = f"bandwidth must not rise from one memory level to the next ({near.name} has {near.bandwidth:g})"
            way_out = f"Order the levels from near to far, or raise {near.name}.bandwidth as well."
            yield Fault(f"{far.name}.bandwidth", rule, far.bandwidth, way_out)


def _source_faults(platform: Platform) -> Iterator[Fault]:
    needing = claims(platform)
    present = {*needing, *numbers(platform)}
    for key in needing:
        if not source_of(platform, key).strip():
            way_out = f'Add "{key}" = "title of the publication" under [sources], or a source for a table above it.'
            yield Fault(key, "every number needs a source", _found(platform, key), way_out)
    for key in platform.sources:
        if not any(name == key or name.startswith(f"{key}.") for name in present):
            way_out = "Correct the key: the table's or memory level's name, a full stop, the number's name."
            yield Fault(f"sources.{key}", "a source must belong to a number of the file", key, way_out)


def _found(platform: Platform, key: str) -> object:
    return numbers(platform).get(key, platform.matrix.tiles)


def _put(plain: dict[str, Any], key: str, value: float) -> None:
    """Set the number under a dotted key in a platform held as plain dictionaries."""
    for level in plain["memory"]:
        head, _, tail = key.rpartition(".")
        if level["name"] == head:
            level[tail] = value
            return
    *holders, last = key.split(".")
    for name in holders:
        plain = plain[name]
    plain[last] = value


def _value(key: str, text: str, old: float) -> float:
    """What a change's text makes of the old number."""
    measure = _measure(key)
    match = re.fullmatch(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d]\S*)?\s*", text)
    number, unit = (float(match[1]), match[2] or "") if match else (0.0, "?")
    if unit == "x":
        new = old * number
    elif unit == "%" and match and match[1][0] in "+-":
        new = old * (1 + number / 100)
    elif unit in _UNITS[measure] or not unit:
        new = number * _UNITS[measure].get(unit, 1.0)
    else:
        rule = f"a value must be a number such as {_EXAMPLES[measure]}, a factor such as 2x, or a change such as +10%"
        way_out = f"Without a unit it is in {measure}; it is {old:g} now." if measure else f"It is {old} now."
        raise SettingError(rule, where=key, value=text, way_out=way_out)
    if isinstance(old, int):
        if not math.isfinite(new) or new != int(new):
            raise SettingError("this number must stay whole", where=key, value=text, way_out=f"It is {old} now.")
        return int(new)
    return new


def _measure(key: str) -> str:
    """What a number is counted in, by its dotted key; "" where it is a plain count."""
    head, _, last = key.rpartition(".")
    by_table = {"matrix.peak": "FLOP a second", "vector.peak": "FLOP a second", "launch": "seconds"}
    by_table["energy.matrix"] = "joules a FLOP"
    by_name = {"capacity": "bytes", "bandwidth": "bytes a second", "achievable": "share"}
    by_name |= {"special": "values a second", "loads": "values a second", "vector": "joules a FLOP"}
    by_name |= {"byte": "joules a byte", "idle": "watts", "limit": "watts"}
    return by_table.get(head) or by_name.get(last, "")
