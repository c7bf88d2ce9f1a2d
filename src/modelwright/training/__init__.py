"""Data sets, the training loop and checkpoints. The names here are imported when they are first used."""

import importlib
from typing import TYPE_CHECKING, Any

from modelwright.training.data import DATA

if TYPE_CHECKING:
    from modelwright.training.data.catalogue import dataset
    from modelwright.training.data.data import Data
    from modelwright.training.data.split import Split
    from modelwright.training.evaluation import evaluate, predict, settle_batch_norm
    from modelwright.training.loop import Trained, train
    from modelwright.training.preprocessing import Preprocess, adapt, preprocess
    from modelwright.training.recipes import recipe_for
    from modelwright.training.run import Run
    from modelwright.training.weights import load_weights, save_weights

__all__ = [
    "DATA",
    "Data",
    "Preprocess",
    "Run",
    "Split",
    "Trained",
    "adapt",
    "dataset",
    "evaluate",
    "load_weights",
    "predict",
    "preprocess",
    "recipe_for",
    "save_weights",
    "settle_batch_norm",
    "train",
]

_HOMES = {
    "Data": "data.data",
    "Preprocess": "preprocessing",
    "Run": "run",
    "Split": "data.split",
    "Trained": "loop",
    "adapt": "preprocessing",
    "dataset": "data.catalogue",
    "evaluate": "evaluation",
    "load_weights": "weights",
    "predict": "evaluation",
    "preprocess": "preprocessing",
    "recipe_for": "recipes",
    "save_weights": "weights",
    "settle_batch_norm": "evaluation",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    """The named part of the face, imported now and kept."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    part = getattr(importlib.import_module(f"modelwright.training.{_HOMES[name]}"), name)
    globals()[name] = part
    return part
