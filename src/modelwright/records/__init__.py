"""Frozen values: all that travels between rooms, and how they are written down."""

from modelwright.records.architecture import (
    Architecture,
    Bottleneck,
    ConvStem,
    MBConv,
    PatchStem,
    PoolHead,
    Stage,
    TokenHead,
    TokenStem,
    Transformer,
)
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
    "Architecture",
    "Bottleneck",
    "ConvStem",
    "Device",
    "Energy",
    "Estimate",
    "Execution",
    "KernelEstimate",
    "Kind",
    "Launch",
    "MBConv",
    "MatrixUnits",
    "Measurement",
    "MemoryLevel",
    "Operator",
    "PatchStem",
    "Platform",
    "Policy",
    "PoolHead",
    "Precision",
    "Product",
    "Role",
    "Stage",
    "Tensor",
    "TokenHead",
    "TokenStem",
    "Transformer",
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
