"""Methods that prepare a classifier for the unfamiliar while it is trained, on features or on whole inputs.

The names of `METHODS` are imported when they are first used; this package itself imports no torch.
"""

from collections.abc import Mapping

__all__ = ["METHODS"]

METHODS: Mapping[str, str] = {
    "ensemble": "modelwright.guard.training.ensemble:Ensemble",
    "hierarchical": "modelwright.guard.training.hierarchical:Hierarchical",
    "mc-dropout": "modelwright.guard.training.dropout:McDropout",
    "outlier-exposure": "modelwright.guard.training.exposure:OutlierExposure",
    "plain": "modelwright.guard.training.plain:Plain",
    "reject": "modelwright.guard.training.reject:Reject",
    "sngp": "modelwright.guard.training.sngp:Sngp",
}
"""Name of a method -> the class whose fields are its settings."""
