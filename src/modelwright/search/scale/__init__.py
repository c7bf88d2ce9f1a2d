"""Latency-aware compound scaling (LACS of EfficientNet-X, Li et al., 2021, arXiv 2102.05610). Imports no torch.

`trained.trained_accuracy`, which trains, is imported from its own module.
"""

from modelwright.search.scale.base import BASES, Base, base_of, real
from modelwright.search.scale.family import ladder, scale
from modelwright.search.scale.lacs import Machine
from modelwright.search.scale.law import Accuracy, FittedLaw, ScalingLaw
from modelwright.search.scale.multiply import scaled
from modelwright.search.scale.observations import published, read

__all__ = [
    "BASES",
    "Accuracy",
    "Base",
    "FittedLaw",
    "Machine",
    "ScalingLaw",
    "base_of",
    "ladder",
    "published",
    "read",
    "real",
    "scale",
    "scaled",
]
