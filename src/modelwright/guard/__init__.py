"""Guard: models that know when they do not know, and hand over to people.

A detector scores how unfamiliar an input is; a profile holds the one that was chosen, its threshold and what it
promises, and decides. The names here are imported when they are first used.
"""

import importlib
from collections.abc import Mapping
from typing import Any

__all__ = [
    "DETECTORS",
    "Decisions",
    "Fold",
    "GuardProfile",
    "Head",
    "Outliers",
    "Queue",
    "Rows",
    "Sample",
    "evaluate",
    "extract",
    "fit",
    "hand_over",
    "load",
]

DETECTORS: Mapping[str, str] = {
    "ash": "modelwright.guard.detectors.ash:Ash",
    "energy": "modelwright.guard.detectors.energy:Energy",
    "entropy": "modelwright.guard.detectors.entropy:Entropy",
    "fisher": "modelwright.guard.detectors.fisher:Fisher",
    "gen": "modelwright.guard.detectors.gen:Gen",
    "knn": "modelwright.guard.detectors.knn:Knn",
    "mahalanobis": "modelwright.guard.detectors.mahalanobis:Mahalanobis",
    "max-logit": "modelwright.guard.detectors.max_logit:MaxLogit",
    "msp": "modelwright.guard.detectors.msp:Msp",
    "nci": "modelwright.guard.detectors.nci:Nci",
    "react": "modelwright.guard.detectors.react:React",
    "relative-mahalanobis": "modelwright.guard.detectors.relative_mahalanobis:RelativeMahalanobis",
    "scale": "modelwright.guard.detectors.scale:Scale",
    "vim": "modelwright.guard.detectors.vim:Vim",
}
"""Name of a detector -> the class whose fields are its settings."""

_HOMES = {
    "Decisions": "decisions",
    "Fold": "folds",
    "GuardProfile": "profile",
    "Head": "rows",
    "Outliers": "rows",
    "Queue": "queue",
    "Rows": "rows",
    "Sample": "evaluation",
    "evaluate": "evaluation",
    "extract": "extraction",
    "fit": "fitting",
    "hand_over": "handover",
    "load": "profile",
}


def __getattr__(name: str) -> Any:
    """The named part of the face, imported now and kept."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part = getattr(importlib.import_module(f"modelwright.guard.{_HOMES[name]}"), name)
    globals()[name] = part
    return part
