"""Platform-aware search: spaces, objectives, algorithms, and studies that survive what happens to their process.

The names here are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.search.costs import Costs
    from modelwright.search.planning import plan_for
    from modelwright.search.run import search
    from modelwright.search.site import Site

__all__ = ["Costs", "Site", "plan_for", "search"]

_HOMES = {"Costs": "costs", "Site": "site", "plan_for": "planning", "search": "run"}


def __getattr__(name: str) -> Any:
    """The named part of the face, imported now and kept."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part = getattr(importlib.import_module(f"modelwright.search.{_HOMES[name]}"), name)
    globals()[name] = part
    return part
