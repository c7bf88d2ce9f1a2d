"""The detectors of pytorch-ood on features and logits, beside ours with the same settings.

pytorch-ood asks for torchvision, whose names it only imports: without one, a stand-in answers. It is installed by
`pip install --no-deps pytorch-ood`, as it would otherwise bring another torch.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timm_networks import _Torchvision
from torch import Tensor, nn

from modelwright.guard import Head, Rows
from modelwright.guard.detectors.catalogue import detector
from modelwright.guard.rows import Floats

Scorer = Callable[[Floats, Floats], Floats]
"""From features and logits to scores, higher for less familiar."""


_SIMPLE = {"msp": "MaxSoftmax", "entropy": "Entropy", "max-logit": "MaxLogit", "energy": "EnergyBased"}
"""Those that read logits and have no setting."""


def peers() -> Any:
    """pytorch-ood's detectors; None where it is not installed."""
    if not importlib.util.find_spec("pytorch_ood"):
        return None
    if not importlib.util.find_spec("torchvision"):
        sys.meta_path.insert(0, _Torchvision())
    return importlib.import_module("pytorch_ood.detector")


def scorer(name: str, theirs: Any, reference: Rows, head: Head) -> Scorer:
    """Their detector of our name, fitted on the reference.

    Raises:
        Exception: whatever theirs raises.
    """
    if name in (
        simple := {"msp": "MaxSoftmax", "entropy": "Entropy", "max-logit": "MaxLogit", "energy": "EnergyBased"}
    ):
        return _of_logits(getattr(theirs, simple[name])(None))
    if name == "gen":
        own: Any = detector(name)
        return _of_logits(theirs.GEN(None, gamma=own.gamma, M=min(own.top, reference.classes)))
    if name in ("react", "ash", "scale"):
        return _of_maps(name, theirs, reference, head)
    one = _of_features(name, theirs, reference, head)
    one.fit_features(_tensor(reference.features), torch.from_numpy(reference.labels))
    return lambda features, logits: np.asarray(one.predict_features(_tensor(features)), np.float64)


def _of_features(name: str, theirs: Any, reference: Rows, head: Head) -> Any:
    layer = _layer(head)
    own: Any = detector(name)
    if name == "knn":
        return theirs.KNN(None, k=own.k)
    if name == "nci":
        return theirs.NCI(None, layer, alpha=own.alpha)
    if name == "vim":
        kept = own.kept or reference.width // 2  # the paper's number, up to 767 features
        return theirs.ViM(None, kept, layer.weight, layer.bias)
    return {"mahalanobis": theirs.Mahalanobis, "relative-mahalanobis": theirs.RMD}[name](None)


def _of_logits(one: Any) -> Scorer:
    return lambda features, logits: np.asarray(one.predict_logits(torch.from_numpy(logits)), np.float64)


def _of_maps(name: str, theirs: Any, reference: Rows, head: Head) -> Scorer:
    """Those that read feature maps (b, d, 1, 1)."""
    layer, own = _layer(head), detector(name)
    share = getattr(own, "percentile", 0.0) / 100

    def logits_of(maps: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = layer(maps.flatten(1))
        return found

    kind = {"react": theirs.ReAct, "ash": theirs.ASH, "scale": theirs.SCALE}[name]
    one = kind(nn.Identity(), logits_of, percentile=share)
    if name == "react":
        one.fit_feature_maps(_tensor(reference.features)[:, :, None, None], torch.from_numpy(reference.labels))
    return lambda features, logits: np.asarray(
        one.predict_feature_maps(_tensor(features)[:, :, None, None]), np.float64
    )


def _layer(head: Head) -> nn.Linear:
    layer = nn.Linear(head.weight.shape[1], head.weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))
    return layer


def _tensor(features: Floats) -> Tensor:
    return torch.from_numpy(features).float()
