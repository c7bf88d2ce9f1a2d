"""Detectors: how unfamiliar an input is, from its features and logits; one paper, one file."""

from modelwright.guard.detectors.detector import Detector, Fitted, settings_of

__all__ = ["Detector", "Fitted", "settings_of"]
