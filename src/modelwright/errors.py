"""Every error Modelwright raises on purpose, on one tree.

    ModelwrightError
    ├── UnknownNameError         no platform, architecture, command ... of that name (also a LookupError)
    ├── RecordError              a record, or a file that should hold one, breaks a rule (also a ValueError)
    │   └── PlatformFileError    a platform file: names file, key, rule and value
    ├── SettingError             an argument or option breaks a rule (also a ValueError)
    ├── TraceError               a module that cannot be captured as a graph
    ├── ShapeError               an input shape that the network cannot take (also a ValueError)
    ├── CapacityError            the work does not fit the machine's memory
    ├── MeasurementError         a measurement that could not be taken or trusted
    ├── TrainingError            a training that went astray: its loss is no finite number
    ├── ExportError              a network that cannot be written in a format, or gives other outputs from it
    ├── RefusedError             a request that a server refuses, under AWS's code for it
    ├── InstanceError            a process that serves a model and did not load, died, was late, or spoke no HTTP
    └── StoreError               a journal that cannot be read, or cannot take an entry
        ├── ConflictError        another process appended first: read again, decide again
        ├── BusyError            it has more to do than it can take in now: wait, then try again
        ├── InputError           an input of a request that cannot be read
        └── ObjectError          an object store's refusal, under S3's code for it

Each says where, the rule, the value and the way out. Exit codes and HTTP codes belong to the faces.
"""

import difflib
from collections.abc import Iterable

_UNSET = object()


class ModelwrightError(Exception):
    """An error that teaches: where it happened, the rule, the offending value, the way out.

    Args:
        rule: what must hold, in one sentence, without a full stop.
        where: the file, key, operator or option concerned.
        value: what was found instead (shown with repr); leave out when there is none.
        way_out: what to do now.
    """

    def __init__(self, rule: str, *, where: str = "", value: object = _UNSET, way_out: str = "") -> None:
        self.rule = rule
        self.where = where
        self.value = None if value is _UNSET else value
        self.way_out = way_out
        text = f"{where}: {rule}" if where else rule
        if value is not _UNSET:
            text += f", but got {value!r}"
        super().__init__(f"{text}. {way_out}".rstrip() if way_out else f"{text}.")


class UnknownNameError(ModelwrightError, LookupError):
    """A name that is in no catalogue; offers the nearest ones."""

    def __init__(self, noun: str, name: str, known: Iterable[str], *, way_out: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            hint = f"Did you mean {' or '.join(repr(n) for n in near)}?"
        elif len(names) <= 40:
            hint = f"Known: {', '.join(names)}."
        else:
            hint = f"{len(names)} are known, such as {', '.join(names[:5])}."
        super().__init__(f"the {noun} must be a known name", value=name, way_out=f"{hint} {way_out}".strip())
        self.noun = noun
        self.name = name


class RecordError(ModelwrightError, ValueError):
    """A record, or a file that should hold one, breaks a rule."""


class PlatformFileError(RecordError):
    """A platform file that breaks a rule; `where` names the file and the key."""


class SettingError(ModelwrightError, ValueError):
    """An argument or option that breaks a rule."""


class TraceError(ModelwrightError):
    """A module that cannot be captured as a graph of operators."""


class ShapeError(ModelwrightError, ValueError):
    """An input shape that the network cannot take."""


class CapacityError(ModelwrightError):
    """Work that does not fit the machine's memory."""


class MeasurementError(ModelwrightError):
    """A measurement that could not be taken or cannot be trusted."""


class StoreError(ModelwrightError):
    """A journal that cannot be read, or cannot take an entry; `where` names the file and the entry."""


class ConflictError(StoreError):
    """An entry that was not appended because another process had appended first: read again, decide again."""


class BusyError(StoreError):
    """A change that was not taken in because too many wait already; nothing of it was done: wait, then try again."""


class InputError(StoreError):
    """An input that cannot be read.

    Args:
        rule, where, value, way_out: as of every error.
        lasting: trying again would not help.
    """

    def __init__(
        self, rule: str, *, where: str = "", value: object = _UNSET, way_out: str = "", lasting: bool = False
    ) -> None:
        super().__init__(rule, where=where, value=value, way_out=way_out)
        self.lasting = lasting


class ObjectError(StoreError):
    """An object store's refusal.

    Args:
        code: S3's word for it, such as "NoSuchKey", by which callers tell refusals apart.
        rule, where, value, way_out: as of every error.
    """

    def __init__(self, code: str, rule: str, *, where: str = "", value: object = _UNSET, way_out: str = "") -> None:
        super().__init__(rule, where=where, value=value, way_out=way_out)
        self.code = code


class RefusedError(ModelwrightError):
    """A request that a server refuses.

    Args:
        code: AWS's word for it, such as "ValidationException", by which clients tell refusals apart.
        rule, where, value, way_out: as of every error.
        status: of HTTP.
    """

    def __init__(
        self, code: str, rule: str, *, where: str = "", value: object = _UNSET, way_out: str = "", status: int = 400
    ) -> None:
        super().__init__(rule, where=where, value=value, way_out=way_out)
        self.code = code
        self.status = status


class InstanceError(ModelwrightError):
    """An instance that gave no answer; whether it is tried again depends on why.

    Args:
        fate: "unready": it did not load; "died": it ended in the midst; "late": its time was over; "garbled": what it
            sent is not the container contract's HTTP; "long": its answer was longer than allowed.
        rule, where, value, way_out: as of every error.
    """

    def __init__(self, fate: str, rule: str, *, where: str = "", value: object = _UNSET, way_out: str = "") -> None:
        super().__init__(rule, where=where, value=value, way_out=way_out)
        self.fate = fate


class TrainingError(ModelwrightError):
    """A training that went astray; `where` names epoch, step and learning rate."""


class ExportError(ModelwrightError):
    """A network that cannot be written in a format, or gives other outputs from it; `where` names member and file."""
