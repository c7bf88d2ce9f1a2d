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
from modelwright.records.manifest import DataCard, File, Manifest
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
from modelwright.records.scaling import Coefficients, Family, Law, Observation, Powers, Reference, ScaledMember
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
    "Coefficients",
    "ConvStem",
    "Costs",
    "DataCard",
    "Device",
    "Energy",
    "Epoch",
    "Estimate",
    "Execution",
    "Family",
    "File",
    "Findings",
    "KernelEstimate",
    "Kind",
    "Launch",
    "Law",
    "Learning",
    "MBConv",
    "Manifest",
    "MatrixUnits",
    "Measurement",
    "Member",
    "MemoryLevel",
    "Objective",
    "Observation",
    "Operator",
    "PatchStem",
    "Plan",
    "Platform",
    "Point",
    "Policy",
    "PoolHead",
    "Powers",
    "Precision",
    "Prediction",
    "Product",
    "Reason",
    "Recipe",
    "Reference",
    "Role",
    "ScaledMember",
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
