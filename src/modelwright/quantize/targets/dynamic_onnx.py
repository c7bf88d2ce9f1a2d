"""ONNX models whose layers find their input's range as they run, by ONNX Runtime's own quantizer."""

import logging
import tempfile
from pathlib import Path

import onnx
from torch import fx

from modelwright.errors import ExportError, SettingError
from modelwright.quantize.graph import layers, recurrent
from modelwright.quantize.prepare import quantized_layers
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets.mixed import PREFIX
from modelwright.quantize.targets.target import reason
from modelwright.records import Quantization

OPERATORS = ["MatMul", "Gemm", "LSTM"]
"""Of ONNX, that have kernels for it which gain time: convolutions' are several times slower than float ones."""


def dynamic_onnx(
    model: onnx.ModelProto, graph: fx.GraphModule, recipe: Quantization, profile: Profile
) -> onnx.ModelProto:
    """A copy of a float model with whole weights in linear layers and LSTMs.

    Args:
        model: as `qdq.to_onnx` wrote it.
        graph: that it was written from.
        recipe: schemes, and in `layers` what stays in float.
        profile: of the target.

    Raises:
        UnknownNameError: the recipe names a layer that the graph does not have.
        SettingError: a scheme has no kernels, or there is no layer to quantize.
        ExportError: the model cannot be quantized so.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    weights = recipe.weights
    if weights.bits != 8 or not weights.signed or not weights.symmetric or weights.granularity == "group":
        rule = "dynamic kernels read weights of 8 bits, signed and symmetric, one scale a tensor or a channel"
        raise SettingError(rule, where="recipe, weights", value=weights, way_out="Take WEIGHTS.")
    chosen = {layer.node for layer in quantized_layers(graph, recipe, profile)}
    if not chosen and "lstm" not in recurrent(graph):
        rule, way_out = "dynamic quantization needs a linear layer or an LSTM", "Quantize statically."
        raise SettingError(rule, where="recipe, layers", value=0, way_out=way_out)
    left = [f"{PREFIX}{layer.node}" for layer in layers(graph) if layer.node not in chosen]
    log = logging.getLogger()  # it advises on the root logger to run what would change nothing here
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as place:
            plain, made = Path(place) / "plain.onnx", Path(place) / "made.onnx"
            onnx.save(model, plain)
            quantize_dynamic(
                plain,
                made,
                op_types_to_quantize=OPERATORS,
                nodes_to_exclude=[*left, *(f"{name}_MatMul" for name in left)],  # a product and an addition by then
                per_channel=weights.granularity == "channel",
                weight_type=QuantType.QInt8,
            )
            return onnx.load(made)
    except Exception as failure:  # it raises what it likes
        rule = f"ONNX Runtime must be able to quantize the model ({reason(failure)})"
        raise ExportError(rule, where="dynamic", way_out="Quantize statically.") from failure
    finally:
        log.setLevel(level)
