"""Building blocks, model families, tracing and measuring: the lowest room with torch, which is imported on first use."""

from typing import TYPE_CHECKING, Any

from modelwright.networks.catalogue import architecture, architecture_names
from modelwright.registry import load

if TYPE_CHECKING:
    from modelwright.networks.build import Network, build
    from modelwright.networks.measuring import measure
    from modelwright.networks.trace import trace

__all__ = ["Network", "architecture", "architecture_names", "build", "measure", "trace"]

_LATER = {
    "Network": "modelwright.networks.build:Network",
    "build": "modelwright.networks.build:build",
    "measure": "modelwright.networks.measuring:measure",
    "trace": "modelwright.networks.trace:trace",
}


def __getattr__(name: str) -> Any:
    """A part that needs torch, imported now and kept."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part = load(_LATER[name])
    globals()[name] = part
    return part
