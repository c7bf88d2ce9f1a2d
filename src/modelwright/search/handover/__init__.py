"""What a search hands over: each network in a folder of its own, ready for use. Names are imported when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.search.handover.classifier import Classifier
    from modelwright.search.handover.context import Context
    from modelwright.search.handover.handover import hand_over
    from modelwright.search.handover.load import load_member
    from modelwright.search.handover.manifest import verify

__all__ = ["Classifier", "Context", "hand_over", "load_member", "verify"]

_HOMES = {
    "Classifier": "classifier",
    "Context": "context",
    "hand_over": "handover",
    "load_member": "load",
    "verify": "manifest",
}


def __getattr__(name: str) -> Any:
    """The named part of the face, imported now and kept."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part = getattr(importlib.import_module(f"modelwright.search.handover.{_HOMES[name]}"), name)
    globals()[name] = part
    return part
