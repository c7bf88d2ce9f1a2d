"""Modelwright: what a neural network costs on an accelerator, and why.

The plan, one line a floor. Imports go down only. `|` parts strangers, which do not import one another; `:` parts
neighbours, which may; a room in parentheses is still to come.

    cli                                                      the face: parse, call one function, show
    web | report                                             pages: live over HTTP; self-contained files from records
    (drivethru) | (twin) | (testing)                         applications; contracts for authors of plug-ins
    (pipeline) | endpoint                                    the landing: the only places that wire stages together
    search | quantize | guard | serve | (promote)            the five stages
    training                                                 data sets, the training loop, checkpoints
    networks                                                 building blocks, families, tracing, measuring (torch)
    store | hardware                                         what is kept; platforms and the performance model
    records                                                  frozen values: all that travels between rooms
    registry : errors : clock                                the ground

docs/house.md says why. The names of this package are imported when they are first used; `import modelwright` itself
imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.hardware import estimate, platform
    from modelwright.networks import architecture
    from modelwright.networks.build import build
    from modelwright.networks.measuring import measure
    from modelwright.networks.trace import trace
    from modelwright.records import Architecture, Estimate, Platform, Workload

__all__ = [
    "Architecture",
    "Estimate",
    "Platform",
    "Workload",
    "architecture",
    "build",
    "estimate",
    "measure",
    "platform",
    "trace",
]

__version__ = "0.1.0"

_FACE = {
    "Architecture": "modelwright.records:Architecture",
    "Estimate": "modelwright.records:Estimate",
    "Platform": "modelwright.records:Platform",
    "Workload": "modelwright.records:Workload",
    "architecture": "modelwright.networks:architecture",
    "build": "modelwright.networks.build:build",
    "estimate": "modelwright.hardware:estimate",
    "measure": "modelwright.networks.measuring:measure",
    "platform": "modelwright.hardware:platform",
    "trace": "modelwright.networks.trace:trace",
}


def __getattr__(name: str) -> Any:
    """The named part of the face, imported now and kept."""
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _FACE[name].partition(":")
    part = getattr(importlib.import_module(module), attribute)
    globals()[name] = part
    return part


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
