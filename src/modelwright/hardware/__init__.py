"""Platforms and the performance model: what a workload costs on an accelerator, and why. Imports no torch."""

from modelwright.hardware.catalogue import platform, platform_names, set_values
from modelwright.hardware.many import estimate_many
from modelwright.hardware.model import estimate

__all__ = ["estimate", "estimate_many", "platform", "platform_names", "set_values"]
