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
from modelwright.records.costs import Costs
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
from modelwright.records.recipe import Epoch, Learning, Recipe
from modelwright.records.space import Choice, Point, Space, Value
from modelwright.records.study import Agreement, Findings, Member, Objective, Plan, Prediction, Reason, Trial
from modelwright.records.sweep import Sweep, Variant
from modelwright.records.workload import WIDTHS, Kind, Operator, Product, Role, Tensor, Window, Workload

__all__ = [
    "WIDTHS",
    "Agreement",
    "Architecture",
    "Bottleneck",
    "Choice",
    "ConvStem",
    "Costs",
    "Device",
    "Energy",
    "Epoch",
    "Estimate",
    "Execution",
    "Findings",
    "KernelEstimate",
    "Kind",
    "Launch",
    "Learning",
    "MBConv",
    "MatrixUnits",
    "Measurement",
    "Member",
    "MemoryLevel",
    "Objective",
    "Operator",
    "PatchStem",
    "Plan",
    "Platform",
    "Point",
    "Policy",
    "PoolHead",
    "Precision",
    "Prediction",
    "Product",
    "Reason",
    "Recipe",
    "Role",
    "Space",
    "Stage",
    "Sweep",
    "Tensor",
    "TokenHead",
    "TokenStem",
    "Transformer",
    "Trial",
    "Value",
    "Variant",
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
