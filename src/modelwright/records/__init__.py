"""Frozen values: all that travels between rooms, and how they are written down."""

from modelwright.records.codec import convert, from_json, from_toml, to_json, to_toml, write_whole
from modelwright.records.estimate import Estimate, KernelEstimate
from modelwright.records.measurement import Device, Measurement
from modelwright.records.platform import (
    Energy,
    Execution,
    Launch,
    MatrixUnits,
    MemoryLevel,
    Platform,
    Policy,
    Precision,
    VectorUnits,
)
from modelwright.records.workload import WIDTHS, Kind, Operator, Product, Role, Tensor, Window, Workload

__all__ = [
    "WIDTHS",
    "Device",
    "Energy",
    "Estimate",
    "Execution",
    "KernelEstimate",
    "Kind",
    "Launch",
    "MatrixUnits",
    "Measurement",
    "MemoryLevel",
    "Operator",
    "Platform",
    "Policy",
    "Precision",
    "Product",
    "Role",
    "Tensor",
    "VectorUnits",
    "Window",
    "Workload",
    "convert",
    "from_json",
    "from_toml",
    "to_json",
    "to_toml",
    "write_whole",
]
