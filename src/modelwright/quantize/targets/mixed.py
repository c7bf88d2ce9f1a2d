"""Some layers of a quantized ONNX model put back into float, without the graph being written anew.

What a mix of whole numbers and floats takes can then be measured in a second, where exporting it takes several.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from modelwright.errors import ExportError
from modelwright.quantize.targets import qdq

PREFIX = "node_"
"""Before the graph's own name of a node, as torch.onnx writes it."""

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
CLIPS = ("Clip", "Relu")


def put_back(file: Path, folder: Path, nodes: Collection[str]) -> None:
    """Write into a folder the ONNX file with these nodes in float.

    Raises:
        ExportError: it has no such node.
        OSError: the place cannot be written.
    """
    qdq.write_onnx(in_float(onnx.load(file), nodes), folder)


def in_float(model: onnx.ModelProto, nodes: Collection[str]) -> onnx.ModelProto:
    """A copy of the model in which these nodes of the graph read floats: what they read is not quantized any more.

    Weights are what they are quantized to, as floats: near the layer's own, and as fast. An addition to such a layer's
    output reads floats as well.

    Args:
        model: as `qdq.to_onnx` wrote it.
        nodes: of the graph that it was written from.

    Raises:
        ExportError: the model has no such node, or it is no convolution and no product.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    makers = {name: node for node in made.graph.node for name in node.output}
    constants = {one.name: one for one in made.graph.initializer}
    wanted = {f"{PREFIX}{name}" for name in nodes}
    known = {node.name for node in made.graph.node}
    for missing in sorted(wanted - known):
        way_out = "Write the mix from its own graph."
        raise ExportError("the model must name its nodes as the graph does", value=missing, way_out=way_out)
    floating = {name for node in made.graph.node if node.name in wanted for name in node.output}
    layers = [layer for node in made.graph.node if node.name in wanted for layer in _layers(node, makers)]
    adds = [one for one in made.graph.node if one.op_type == "Add" and _floats(one, floating, makers)]
    for node in (*layers, *adds):
        for place, name in enumerate(node.input):
            node.input[place] = _float(made, makers.get(name), makers, constants) or name
            maker = makers.get(name)
            if maker is not None and maker.op_type == "Transpose" and node.op_type in LAYERS:  # of a matrix of weights
                maker.input[0] = _float(made, makers.get(maker.input[0]), {}, constants) or maker.input[0]
    for add in adds:
        if not any(name in makers and makers[name].op_type == "DequantizeLinear" for name in add.input):
            _read_sum(made, add, makers)
    _drop_unread(made)
    return made


def _layers(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The convolution or product that a node is, or, of a linear layer written as a product and an addition, has.

    Raises:
        ExportError: it is and has none.
    """
    before = [makers[name] for name in node.input if name in makers] if node.op_type == "Add" else []
    found = [one for one in (node, *before) if one.op_type in LAYERS]
    if not found:
        way_out = "Write the mix from its own graph."
        rule = "the node must be a convolution or a product"
        raise ExportError(rule, where=node.name, value=node.op_type, way_out=way_out)
    return found


def _floats(add: onnx.NodeProto, floating: Collection[str], makers: dict[str, onnx.NodeProto]) -> bool:
    """Whether an addition is to read floats: a layer's as it comes, or, quantized, no layer's that still is whole."""
    if any(name in floating for name in add.input):
        return True
    ends = [_behind(name, makers) for name in add.input]
    made_by_layers = [name for name in ends if name in makers and makers[name].op_type in LAYERS]
    return bool(made_by_layers) and all(name in floating for name in made_by_layers)


def _behind(name: str, makers: dict[str, onnx.NodeProto]) -> str:
    """The output of a layer that stands behind its quantization and its clipping."""
    while name in makers and makers[name].op_type in ("DequantizeLinear", "QuantizeLinear", *CLIPS):
        name = makers[name].input[0]
    return name


def _read_sum(model: onnx.ModelProto, add: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> None:
    """Let all but layers read a sum of floats as it is, clipped or not, in the place of what it is quantized to."""
    after = [node for node in model.graph.node if add.output[0] in node.input]
    ends = {add.output[0], *(node.output[0] for node in after if node.op_type in CLIPS)}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            floats = _float(model, makers.get(name), makers, {})
            if floats in ends and node.op_type not in LAYERS:
                node.input[place] = floats


def _float(
    model: onnx.ModelProto,
    maker: onnx.NodeProto | None,
    makers: dict[str, onnx.NodeProto],
    constants: dict[str, onnx.TensorProto],
) -> str:
    """The float tensor behind one that is dequantized; "" where there is none."""
    if maker is None or maker.op_type != "DequantizeLinear":
        return ""
    before = makers.get(maker.input[0])
    if before is not None:
        return before.input[0] if before.op_type == "QuantizeLinear" else ""
    name = f"{maker.output[0]}_float"
    if name not in constants and maker.input[0] in constants:
        whole, scale = (numpy_helper.to_array(constants[given]) for given in maker.input[:2])
        axis = next((one.i for one in maker.attribute if one.name == "axis"), 1)
        shape = [1] * whole.ndim
        if scale.ndim:
            shape[axis] = -1
        zero = numpy_helper.to_array(constants[maker.input[2]]) if len(maker.input) > 2 and maker.input[2] else 0
        zero = np.reshape(zero, shape) if scale.ndim and np.ndim(zero) else zero
        weight = (whole.astype(np.float32) - np.asarray(zero, np.float32)) * scale.reshape(shape)
        made = helper.make_tensor(
            name, onnx.TensorProto.FLOAT, weight.shape, weight.astype(np.float32).tobytes(), raw=True
        )
        model.graph.initializer.append(made)
        constants[name] = made
    return name if name in constants else ""


def _drop_unread(model: onnx.ModelProto) -> None:
    """Take out what nobody reads any more."""
    outputs = {one.name for one in model.graph.output}
    while True:
        read = outputs | {name for node in model.graph.node for name in node.input}
        dead = [node for node in model.graph.node if not any(name in read for name in node.output)]
        if not dead:
            break
        for node in dead:
            model.graph.node.remove(node)
    unread = [one for one in model.graph.initializer if one.name not in read]
    for one in unread:
        model.graph.initializer.remove(one)
