"""TensorRT's rules for explicit quantization: symmetric int8 everywhere; its file is written, checked, not run.

Source: NVIDIA, TensorRT documentation, "Working with Quantized Types"; Wu et al., 2020, arXiv 2004.09602.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import onnx
import torch
from onnx import numpy_helper
from torch import fx

from modelwright.errors import ExportError, SettingError
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets import qdq
from modelwright.quantize.targets.target import Program, Target, check_floats
from modelwright.records import Scheme

PROFILE = Profile("tensorrt", activations=Scheme(symmetric=True), kinds=("conv", "depthwise", "linear", "product"))

_PAIR = ("QuantizeLinear", "DequantizeLinear")


@final
@dataclass(frozen=True)
class TensorRT(Target):
    """QDQ ONNX for an NVIDIA GPU, whose builder chooses the float precision itself."""

    profile: Profile = PROFILE

    def check(self) -> None:
        """Nothing is measured, so that nothing can be missing."""

    def write(
        self, graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...], folder: Path, *, floats: str = "fp32"
    ) -> tuple[Path, ...]:
        """Write a QDQ ONNX file that keeps TensorRT's rules.

        Raises:
            ExportError: or a pair of Q and DQ breaks them; names it.
        """
        check_floats(self.profile, floats)
        model = qdq.to_onnx(graph, inputs)
        check_rules(model)
        return qdq.write_onnx(model, folder)

    def load(self, folder: Path, *, floats: str = "fp32", threads: int = 1, batch: int | None = None) -> Program:
        """Refuse: TensorRT is no part of Modelwright.

        Raises:
            SettingError: always; says how to run the file.
        """
        way_out = f"Build it where it is to run: trtexec --onnx={qdq.FILE} --int8 --fp16."
        raise SettingError("TensorRT's artifact is written and checked, but not run here", way_out=way_out)


def check_rules(model: onnx.ModelProto) -> None:
    """Hold a model against what TensorRT asks of Q and DQ: int8, zero points of 0, weights by their first axis.

    Raises:
        ExportError: names the node that breaks a rule.
    """
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in _PAIR:
            continue
        zero = constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is not None and (zero.dtype.name != "int8" or zero.any()):
            raise _breach("TensorRT takes int8 with a zero point of 0 only", node, f"{zero.dtype} {zero.max()}")
        axis = next((made.i for made in node.attribute if made.name == "axis"), 1)
        scale = constants.get(node.input[1])
        if scale is not None and scale.size > 1 and axis != 0:
            raise _breach("TensorRT takes weights' scales along their first axis only", node, axis)


def _breach(rule: str, node: onnx.NodeProto, value: object) -> ExportError:
    way_out = "Take symmetric signed activations, and weights with a scale for each output channel."
    return ExportError(rule, where=node.name, value=value, way_out=way_out)
