"""From a module to a graph whose layers can be quantized one by one."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import fx, nn
from torch.export import Dim
from torchao.quantization.pt2e.utils import _fuse_conv_bn_

from modelwright.errors import SettingError, TraceError

aten = torch.ops.aten

CONVOLUTIONS = (
    aten.conv1d.default, aten.conv2d.default, aten.conv3d.default,
    aten.conv1d.padding, aten.conv2d.padding, aten.conv3d.padding,
)  # fmt: skip
TRANSPOSED = (aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input)
LINEARS = (aten.linear.default,)
PRODUCTS = (aten.matmul.default, aten.bmm.default)
RECURRENT = {aten.lstm.input: "lstm", aten.gru.input: "gru", aten.rnn_tanh.input: "rnn", aten.rnn_relu.input: "rnn"}

Kind = Literal["conv", "depthwise", "linear", "product"]


@final
@dataclass(frozen=True)
class Layer:
    """A convolution or a product in a captured graph.

    Attributes:
        name: the module's path as its author knows it; of a product of two activations, the path and the node.
        node: the graph's node.
        kind: what it is; "depthwise" convolves each channel by itself.
        weight, bias: paths of the graph's parameters, "" where there is none.
        macs: multiply-accumulates of one sample.
    """

    name: str
    node: str
    kind: Kind
    weight: str = ""
    bias: str = ""
    macs: int = 0


def capture(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], *, dynamic: bool = True, fold: bool = True
) -> fx.GraphModule:
    """The module as a graph of operators, in evaluation mode, its batch normalisations folded into convolutions.

    Args:
        module: left as it is; the graph has weights of its own.
        inputs: an example, first axis the samples; two or more of them, as one would be taken for a constant.
        dynamic: whether the number of samples may differ later.
        fold: whether batch normalisation goes into the convolution before it (Jacob et al., 2017, arXiv 1712.05877).

    Raises:
        TraceError: torch.export cannot capture it; says where and why.
        SettingError: a dynamic number of samples needs two of them at least.
    """
    if dynamic and any(given.shape[:1] < (2,) for given in inputs):
        way_out = "Give two samples, or fix their number."
        raise SettingError("a dynamic number of samples needs an example of two", where="inputs", way_out=way_out)
    shapes = tuple({0: Dim.DYNAMIC} for _ in inputs) if dynamic else None
    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()  # which returns nothing in a module that torchao converted
        exported = torch.export.export(_plain(module), _contiguous(inputs), dynamic_shapes=shapes)
    except Exception as failure:  # torch raises what it likes
        rule = "torch.export must be able to capture the module"
        way_out = "Read why; `capture_parts` captures what can be captured of it."
        raise TraceError(rule, where=type(module).__name__, value=_first_line(failure), way_out=way_out) from failure
    finally:
        for part, mode in modes.items():
            part.training = mode
    graph = copy.deepcopy(exported.module())  # torch's shares its parameters with the module
    if not isinstance(graph, fx.GraphModule):
        raise TraceError("the captured module must be a graph", where=type(module).__name__, value=type(graph).__name__)
    if fold:
        _fuse_conv_bn_(graph)
        graph.recompile()
    return graph


def layers(graph: fx.GraphModule) -> tuple[Layer, ...]:
    """The convolutions and products of a captured graph, in the order in which they run."""
    found: list[Layer] = []
    taken: dict[str, int] = {}
    for node in graph.graph.nodes:
        kind = kind_of(node)
        if kind is None:
            continue
        weight = "" if kind == "product" else _attribute(node, 1)
        if kind != "product" and not weight:
            continue  # its weight is computed: nothing is known of it beforehand
        path = _path(node) or node.name
        taken[path] = taken.get(path, 0) + 1
        name = path if kind != "product" and taken[path] == 1 else f"{path}:{node.name}"
        bias = "" if kind == "product" else _attribute(node, 2)
        found.append(Layer(name, node.name, kind, weight, bias, _macs(node, kind)))
    return tuple(found)


def recurrent(graph: fx.GraphModule) -> tuple[str, ...]:
    """The kinds of recurrent layers of a graph, which quantization knows as a whole only: "lstm", "gru", "rnn"."""
    return tuple(dict.fromkeys(RECURRENT[node.target] for node in graph.graph.nodes if node.target in RECURRENT))


def kind_of(node: fx.Node) -> Kind | None:
    """What a node computes, None for all that is no convolution and no product."""
    if node.op != "call_function":
        return None
    if node.target in CONVOLUTIONS:
        groups = node.args[6] if len(node.args) > 6 else node.kwargs.get("groups", 1)
        given = _value(node.args[0])
        alone = isinstance(groups, int) and groups > 1 and given is not None and groups == given.shape[1]
        return "depthwise" if alone else "conv"
    if node.target in TRANSPOSED:
        return "conv"
    if node.target in LINEARS:
        return "linear"
    if node.target in PRODUCTS:
        return "product"
    return None


def node_of(graph: fx.GraphModule, name: str) -> fx.Node:
    """The node of that name.

    Raises:
        SettingError: there is none.
    """
    found: fx.Node | None = next((node for node in graph.graph.nodes if node.name == name), None)
    if found is None:
        raise SettingError("the graph must have the node", value=name, way_out="Capture the module again.")
    return found


def parameter(graph: fx.GraphModule, path: str) -> torch.Tensor:
    """The parameter or buffer at a path of the graph."""
    found: Any = graph
    for step in path.split("."):
        found = getattr(found, step)
    tensor: torch.Tensor = found
    return tensor


def _plain(module: nn.Module) -> nn.Module:
    """The module, its weights in the usual order of memory.

    Of one in channels_last, torch.export makes a flattening `as_strided`, of which OpenVINO computes something else.
    """
    held = (*module.parameters(), *module.buffers())
    if all(value.is_contiguous() for value in held):
        return module
    made: nn.Module = copy.deepcopy(module).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return made


def _contiguous(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(given.contiguous() for given in inputs)


def _attribute(node: fx.Node, place: int) -> str:
    """The path of the parameter that is an argument of a node, "" where it is none."""
    given = node.args[place] if len(node.args) > place else None
    return str(given.target) if isinstance(given, fx.Node) and given.op == "get_attr" else ""


def _path(node: fx.Node) -> str:
    """Where in the module's tree the node was called."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [str(entry[0]) for entry in stack.values()]
    return paths[-1].removeprefix("L['self'].").replace("L['self']", "") if paths else ""


def _macs(node: fx.Node, kind: Kind) -> int:
    """Multiply-accumulates of one sample: the outputs of a sample times what each sums up."""
    made, first, second = _value(node), _value(node.args[0]), _value(node.args[1])
    if made is None or first is None or second is None:
        return 0
    outputs = math.prod(int(side) for side in made.shape[1:])
    if kind in ("linear", "product"):
        return outputs * int(first.shape[-1])
    if node.target in TRANSPOSED:
        return math.prod(int(side) for side in first.shape[1:]) * math.prod(int(side) for side in second.shape[1:])
    return outputs * math.prod(int(side) for side in second.shape[1:])


def _value(node: Any) -> torch.Tensor | None:
    found = node.meta.get("val") if isinstance(node, fx.Node) else None
    return found if isinstance(found, torch.Tensor) else None


def _first_line(failure: BaseException) -> str:
    lines: Sequence[str] = str(failure).strip().splitlines() or [type(failure).__name__]
    return lines[0]
