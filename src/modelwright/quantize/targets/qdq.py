"""A graph as ONNX, its quantization as pairs of QuantizeLinear and DequantizeLinear (QDQ), as runtimes want it."""

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import fx

from modelwright.errors import ExportError
from modelwright.quantize.targets.quiet import quiet
from modelwright.quantize.targets.target import reason
from modelwright.records import write_whole

OPSET = 20
"""Of ONNX: the first with Gelu, 2023."""

FILE = "model.onnx"

_MOST = 2**31 - 1
_GATE = 1 / 255
"""The scale of a sigmoid, which lies between 0 and 1."""


def to_onnx(graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> onnx.ModelProto:
    """The graph as ONNX, inputs named as in the graph, the output "logits"; free in its batch if the graph is.

    Args:
        graph: as torch.export captured it, converted by torchao's PT2E or in float.
        inputs: an example.

    Raises:
        ExportError: an operator has no counterpart, or the result breaks ONNX's rules.
    """
    names = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    try:
        with quiet(), torch.no_grad(), redirect_stderr(io.StringIO()):  # the whole graph, where it fails
            program = exported(graph, inputs)
            free = [is_free(node) for node in graph.graph.nodes if node.op == "placeholder"]
            made = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=names,
                output_names=["logits"],
                dynamic_shapes=tuple({0: "batch"} if one else None for one in free) if any(free) else None,
            )
        if made is None:
            raise RuntimeError("torch.onnx.export returned nothing")
        model: onnx.ModelProto = made.model_proto
        _forget_origin(model)
        onnx.checker.check_model(model, full_check=True)
    except Exception as failure:  # exporter and checker raise what they like
        way_out = "Read which operator it names; choose a target that takes graphs as they are, such as inductor."
        rule = f"the graph must be writable as ONNX ({reason(failure)})"
        raise ExportError(rule, where=FILE, way_out=way_out) from failure
    return model


def exported(graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> torch.export.ExportedProgram:
    """The graph as a program that can be written, free in its batch if the graph is."""
    free = [is_free(node) for node in graph.graph.nodes if node.op == "placeholder"]
    if any(free) and len(inputs[0]) < 2:  # a batch of one would be taken for a constant
        inputs = tuple(torch.cat([given, given]) if one else given for given, one in zip(inputs, free, strict=True))
    shapes = tuple({0: torch.export.Dim.DYNAMIC} if one else None for one in free)
    program = torch.export.export(graph, inputs, dynamic_shapes=shapes if any(free) else None)
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # would tell where on whose machine the source lay
    return program


def is_free(placeholder: fx.Node) -> bool:
    """Whether the number of samples of an input may differ."""
    value = placeholder.meta.get("val")
    return isinstance(value, torch.Tensor) and value.ndim > 0 and isinstance(value.shape[0], torch.SymInt)


def write_onnx(model: onnx.ModelProto, folder: Path) -> tuple[Path, ...]:
    """Write the model, checked, as one file with its weights inside.

    Raises:
        ExportError: it breaks ONNX's rules, or is larger than the 2 GB that its format allows.
        OSError: the place cannot be written.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString()
    except Exception as failure:  # checker and protobuf raise what they like
        rule = f"the model must keep ONNX's rules ({reason(failure)})"
        raise ExportError(rule, where=str(folder / FILE)) from failure
    write_whole(folder / FILE, content)
    return (folder / FILE,)


def whole_biases(model: onnx.ModelProto) -> int:
    """Give convolutions and products of whole numbers whole biases, of scale input * weight; returns how many.

    Their sums have that scale, so that a bias can be added without leaving the whole numbers (Jacob et al., 2017,
    arXiv 1712.05877, section 2.4). A bias that 32 bits do not hold stays as it is.
    """
    values, makers = _values(model), _makers(model)
    changed = 0
    for node in list(model.graph.node):
        layer, place = _biased(node, values, makers)
        read = [] if layer is None else [_before_transpose(name, makers) for name in layer.input[:2]]
        if not read or not all(_is_made_by(name, "DequantizeLinear", makers) for name in read):
            continue
        given, weight = (values.get(makers[name].input[1]) for name in read)
        if given is None or weight is None or given.size != 1:
            continue
        bias = values[node.input[place]].astype(np.float64)
        scale = np.broadcast_to(given.astype(np.float64).reshape(()) * weight.astype(np.float64), bias.shape)
        whole = np.rint(bias / scale)
        if not (np.abs(whole) <= _MOST).all():
            continue
        name = f"{node.output[0]}_bias"
        _constant(model, f"{name}_whole", whole.astype(np.int32))
        _constant(model, f"{name}_scale", scale.astype(np.float32))
        made = helper.make_node("DequantizeLinear", [f"{name}_whole", f"{name}_scale"], [name], name=name, axis=0)
        _insert(model, made, before=node)
        node.input[place] = name
        changed += 1
    return changed


def _biased(
    node: onnx.NodeProto, values: dict[str, Any], makers: dict[str, onnx.NodeProto]
) -> tuple[onnx.NodeProto | None, int]:
    """The layer whose bias a node adds, and where the node has it; a product of batches is followed by an addition."""
    if node.op_type in ("Conv", "Gemm") and len(node.input) > 2 and node.input[2] in values:
        return node, 2
    if node.op_type == "Add":
        for place, name in enumerate(node.input):
            other = node.input[1 - place]
            if name in values and values[name].ndim == 1 and _is_made_by(other, "MatMul", makers):
                return makers[other], place
    return None, 0


def _before_transpose(name: str, makers: dict[str, onnx.NodeProto]) -> str:
    return makers[name].input[0] if _is_made_by(name, "Transpose", makers) else name


def weights_around_zero(model: onnx.ModelProto) -> int:
    """Leave out the zero points of weights where all of them are zero, as ONNX takes them then; returns how many.

    Exporting gives weights of one number of channels the same zeros. OpenVINO shapes them for a convolution and for
    products at once, finds them no constant of its own, and computes in float.
    """
    values, changed = _values(model), 0
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values and len(node.input) > 2:
            zeros = values.get(node.input[2])
            if zeros is not None and not zeros.any():
                del node.input[2]
                changed += 1
    return changed


def whole_gates(model: onnx.ModelProto) -> int:
    """Quantize sigmoids of quantized tensors that are multiplied, as in SiLU; returns how many.

    A sigmoid lies between 0 and 1, so its scale is known. torch knows SiLU as one operator, ONNX as a sigmoid and a
    product, and a runtime has integer kernels for each of them only if what lies between them is quantized.
    """
    makers, users = _makers(model), _users(model)
    changed = 0
    for node in list(model.graph.node):
        if node.op_type != "Sigmoid" or not _is_made_by(node.input[0], "DequantizeLinear", makers):
            continue
        output = node.output[0]
        products = users.get(output, [])
        if not products or not all(_is_whole(user, output, makers, users) for user in products):
            continue
        node.output[0] = f"{output}_float"
        _constant(model, f"{output}_scale", np.array(_GATE, np.float32))
        _constant(model, f"{output}_zero", np.array(0, np.uint8))
        numbers = [f"{output}_scale", f"{output}_zero"]
        first = products[0]
        _insert(model, helper.make_node("QuantizeLinear", [node.output[0], *numbers], [f"{output}_whole"]), first)
        _insert(model, helper.make_node("DequantizeLinear", [f"{output}_whole", *numbers], [output]), first)
        changed += 1
    return changed


def pooled_means(model: onnx.ModelProto) -> int:
    """Write means over the pixels of images as the pooling that they are; returns how many.

    torch writes global pooling as a mean over axes. Runtimes have kernels for pooling, in whole numbers and in the
    layout of convolutions, which they do not have for means.
    """
    values = _values(model)
    ranks = {info.name: len(info.type.tensor_type.shape.dim) for info in (*model.graph.value_info, *model.graph.input)}
    makers = _makers(model)
    changed = 0
    for node in model.graph.node:
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[1] not in values:
            continue
        kept = all(made.i == 1 for made in node.attribute if made.name == "keepdims")
        if (
            kept
            and _rank(node.input[0], ranks, makers) == 4
            and {a % 4 for a in values[node.input[1]].tolist()} == {2, 3}
        ):
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]
            changed += 1
    return changed


def _is_whole(
    product: onnx.NodeProto, gate: str, makers: dict[str, onnx.NodeProto], users: dict[str, list[onnx.NodeProto]]
) -> bool:
    """Whether a node is a product that would be one of whole numbers if the gate were."""
    others = [name for name in product.input if name != gate]
    after = {user.op_type for user in users.get(product.output[0], [])}
    whole = all(_is_made_by(name, "DequantizeLinear", makers) for name in others)
    return product.op_type == "Mul" and whole and after == {"QuantizeLinear"}


def _is_made_by(name: str, operator: str, makers: dict[str, onnx.NodeProto]) -> bool:
    return name in makers and makers[name].op_type == operator


def _rank(name: str, ranks: dict[str, int], makers: dict[str, onnx.NodeProto]) -> int | None:
    """Of a tensor; what is quantized and back has that of what was."""
    while name not in ranks and name in makers and makers[name].op_type in ("QuantizeLinear", "DequantizeLinear"):
        name = makers[name].input[0]
    return ranks.get(name)


def _forget_origin(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes of the source: its lines and its place on the disk."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""


def _values(model: onnx.ModelProto) -> dict[str, Any]:
    """Constants by name."""
    found = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Tensor -> the node that makes it."""
    return {name: node for node in model.graph.node for name in node.output}


def _users(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Tensor -> the nodes that read it."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _constant(model: onnx.ModelProto, name: str, value: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(value, name))


def _insert(model: onnx.ModelProto, made: onnx.NodeProto, before: onnx.NodeProto) -> None:
    place = next(index for index, node in enumerate(model.graph.node) if node is before)
    model.graph.node.insert(place, made)
