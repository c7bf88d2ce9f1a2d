"""From what a user names to a Workload: an architecture, a file that holds one, or the address of a module.

Tracing takes seconds and needs torch; a traced architecture is kept in a folder, so that the second time takes
milliseconds and imports none. A kept workload counts for exactly what it was made from: the architecture, the code
that builds and traces, and the version of torch.
"""

import hashlib
import importlib
import re
from collections.abc import Callable, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError, RecordError, SettingError, TraceError
from modelwright.networks.catalogue import architecture
from modelwright.records import Workload, from_json, to_json, write_whole
from modelwright.records.architecture import Architecture
from modelwright.registry import load

BATCH = 2
"""An architecture is traced with two samples: with one, an axis of length one could be taken for the batch."""

_MAKERS = ("modelwright.networks", "modelwright.networks.blocks", "modelwright.records")


def workload(
    what: str, *, inputs: Sequence[str] = (), cache: Path | None = None, channels_last: bool = False
) -> Workload:
    """The work that a network asks of a machine.

    Args:
        what: an architecture's name, a .toml or .json file that holds one, or "package.module:attribute" of a
            `torch.nn.Module` or of a callable that returns one.
        inputs: example inputs of an address, such as "1x3x224x224" or "1x1024:int64"; an architecture has its own.
        cache: folder of traced architectures; None keeps nothing.
        channels_last: trace with four-axis tensors in N,H,W,C memory order.

    Raises:
        UnknownNameError: no architecture has that name.
        RecordError: a file breaks a rule, or nothing stands at the address.
        SettingError: inputs are missing, or given to an architecture; the address leads to no module.
        ShapeError: the network cannot take inputs of that shape.
        TraceError: the module cannot be built or captured.
    """
    if is_address(what):
        return _addressed(what, inputs, channels_last)
    if inputs:
        way_out = f"To change it: modelwright architectures show {what} > mine.toml, and edit `input` there."
        raise SettingError("an architecture has its own input shape", where=what, value=list(inputs), way_out=way_out)
    found = architecture(what)
    if cache is None:
        return _traced(found, channels_last)
    kept = cache / f"{_fingerprint(found, channels_last)}.json"
    try:
        return from_json(kept.read_bytes(), Workload)
    except (OSError, RecordError):
        made = _traced(found, channels_last)
    _keep(kept, made)
    return made


def is_address(what: str) -> bool:
    """Whether a word is an address of a module, "package.module:attribute", rather than an architecture."""
    return ":" in what and not what.endswith((".toml", ".json"))


def _traced(found: Architecture, channels_last: bool) -> Workload:
    torch, build, tracing = _torch(), importlib.import_module("modelwright.networks.build"), _tracing()
    with torch.device("meta"):
        module = build.build(found)
        dtype = torch.int64 if len(found.input) == 1 else torch.float32
        example = torch.empty((BATCH, *found.input), dtype=dtype)
    made: Workload = tracing.trace(module, example, name=found.name, channels_last=channels_last)
    return made


def _addressed(address: str, inputs: Sequence[str], channels_last: bool) -> Workload:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", address):
        way_out = "Write dots for slashes and no .py, such as mypackage.mymodule:build."
        raise SettingError("an address must read module:attribute", value=address, way_out=way_out)
    if not inputs:
        way_out = "Give --input, for example --input 1x3x224x224; repeat it for further arguments."
        raise SettingError("a module needs example inputs to be traced", where=address, way_out=way_out)
    torch, tracing = _torch(), _tracing()
    examples = [tracing.parse_input(text) for text in inputs]
    try:
        found = load(address)
    except ModelwrightError:
        raise
    except Exception as failure:  # importing runs the user's own code, which may raise anything
        raise TraceError(f"the module must be importable ({_reason(failure)})", where=address) from failure
    module = found if isinstance(found, torch.nn.Module) else _built(found, address)
    made: Workload = tracing.trace(module, examples, name=address, channels_last=channels_last)
    return made


def _built(found: Any, address: str) -> Any:
    """What a callable returns: on the meta device, where weights need no memory; if that fails, on the CPU."""
    torch = _torch()
    if not callable(found):
        way_out = "Name a torch.nn.Module, or a function or class that makes one from no arguments."
        raise SettingError(
            "an address must lead to a module", where=address, value=type(found).__name__, way_out=way_out
        )
    build: Callable[[], Any] = found
    try:
        with torch.device("meta"):
            module = build()
    except Exception:  # noqa: BLE001 - building runs the user's own code; what matters is whether the plain way works
        try:
            module = build()
        except Exception as failure:
            way_out = "It is called without arguments; wrap it in a function that gives it what it needs."
            raise TraceError(f"building must succeed ({_reason(failure)})", where=address, way_out=way_out) from failure
    if not isinstance(module, torch.nn.Module):
        rule = "what stands at the address must return a torch.nn.Module"
        raise SettingError(rule, where=address, value=type(module).__name__)
    return module


def _reason(failure: BaseException) -> str:
    text = str(failure).strip().partition("\n")[0][:300]
    return f"{type(failure).__name__}: {text}" if text else type(failure).__name__


def _torch() -> Any:
    return importlib.import_module("torch")


def _tracing() -> Any:
    return importlib.import_module("modelwright.networks.trace")


def _fingerprint(found: Architecture, channels_last: bool) -> str:
    """What a traced architecture depends on, as one word."""
    digest = hashlib.sha256(to_json(found))
    digest.update(f"{channels_last} {BATCH} {_version('torch')}".encode())
    for package in _MAKERS:
        for source in sorted(resources.files(package).iterdir(), key=lambda entry: entry.name):
            if source.name.endswith(".py"):
                digest.update(source.read_bytes())
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _keep(path: Path, made: Workload) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_json(made))
    except OSError:  # a cache that cannot be written costs time and nothing else
        pass
