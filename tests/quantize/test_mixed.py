"""Layers put back into float in an ONNX file: the file then computes what the graph with these layers in float does."""

import functools

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import fx, nn

from modelwright.errors import ExportError
from modelwright.quantize.graph import capture, layers
from modelwright.quantize.judging import decibels
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets import qdq
from modelwright.quantize.targets.mixed import in_float
from modelwright.quantize.targets.onnxruntime import PROFILE as ONNXRUNTIME
from modelwright.quantize.targets.openvino import PROFILE as OPENVINO
from modelwright.records import Quantization

PIXELS = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPE = Quantization(calibration="minmax")
OTHER = Profile("other", adds="other")
each_profile = pytest.mark.parametrize("profile", [OPENVINO, ONNXRUNTIME, OTHER], ids=lambda profile: profile.name)


@functools.cache  # exporting takes a second
def written(graph: fx.GraphModule, profile: Profile, left: str = "") -> onnx.ModelProto:
    recipe = msgspec.structs.replace(RECIPE, layers={left: "fp32"} if left else {})
    prepared = prepare(graph, recipe, profile)
    calibrate(prepared, [(PIXELS,)])
    model = qdq.to_onnx(convert(prepared), (PIXELS[:2],))
    if profile.biases:
        qdq.whole_biases(model)
    return model


def run(model: onnx.ModelProto) -> torch.Tensor:
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    [made] = session.run(None, {session.get_inputs()[0].name: PIXELS.numpy()})
    return torch.from_numpy(np.asarray(made))


def pairs(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "QuantizeLinear" for node in model.graph.node)


def rounded(network: nn.Module) -> fx.GraphModule:
    """The float graph with weights on their grid."""
    graph = capture(network, (PIXELS[:2],))
    prepared = prepare(graph, RECIPE, OPENVINO)
    calibrate(prepared, [(PIXELS,)])
    with torch.no_grad():
        for layer in prepared.layers:
            weight = graph.get_parameter(layer.weight)
            weight.copy_(prepared.switches[layer.name][1](weight))
    return graph


@pytest.fixture(scope="module")
def graph(learned: nn.Module) -> fx.GraphModule:
    return capture(learned, (PIXELS[:2],))


@each_profile
def test_with_no_node_in_float_it_is_the_model(graph: fx.GraphModule, profile: Profile) -> None:
    model = written(graph, profile)
    before, made = model.SerializeToString(), in_float(model, [])
    assert list(made.graph.node) == list(model.graph.node)
    assert torch.equal(run(made), run(model))
    assert model.SerializeToString() == before


@each_profile
def test_with_all_nodes_in_float_it_is_the_float_network_with_rounded_weights(
    graph: fx.GraphModule, learned: nn.Module, profile: Profile
) -> None:
    model = written(graph, profile)
    made = in_float(model, [layer.node for layer in layers(graph)])
    if not profile.outputs:  # else what runs between layers stays in whole numbers
        assert pairs(made) == 0
        assert decibels(rounded(learned)(PIXELS), run(made)) > 100
    assert decibels(graph(PIXELS), run(made)) > decibels(graph(PIXELS), run(model)) - 1
    assert pairs(made) < pairs(model)
    assert len(made.graph.initializer) <= len(model.graph.initializer)


@each_profile
def test_one_layer_in_float_is_near_the_graph_prepared_so(graph: fx.GraphModule, profile: Profile) -> None:
    node = next(layer.node for layer in layers(graph) if layer.name == "inner")
    made, truth = in_float(written(graph, profile), [node]), written(graph, profile, "inner")
    assert decibels(run(truth), run(made)) > 30
    [layer] = [one for one in made.graph.node if one.name == f"node_{node}"]
    makers = {output: one.op_type for one in made.graph.node for output in one.output}
    assert [makers.get(given, "") for given in layer.input].count("DequantizeLinear") == 0


def test_an_addition_to_a_float_layers_output_reads_floats(graph: fx.GraphModule) -> None:
    model = written(graph, OTHER)
    node = next(layer.node for layer in layers(graph) if layer.name == "inner")
    for made, wanted in ((model, 1), (in_float(model, [node]), 0)):
        makers = {output: one.op_type for one in made.graph.node for output in one.output}
        [add] = [one for one in made.graph.node if one.op_type == "Add"]
        assert [makers[given] for given in add.input].count("DequantizeLinear") == wanted


@pytest.mark.parametrize("profile", [OPENVINO, ONNXRUNTIME], ids=lambda profile: profile.name)
def test_a_linear_layer_that_onnx_has_as_product_and_sum_is_put_back_whole(profile: Profile) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.relu(self.first(x.squeeze(1)))).mean(1)

    network = Tokens().eval()
    tokens = capture(network, (PIXELS[:2],))
    model = written(tokens, profile)
    made = in_float(model, [layer.node for layer in layers(tokens)])
    makers = {output: one for one in made.graph.node for output in one.output}
    products = [one for one in made.graph.node if one.op_type == "MatMul"]
    assert len(products) == 2
    for product in products:
        before = [makers[name] for name in product.input if name in makers]
        behind = [makers[name].op_type for one in before for name in one.input if name in makers]
        assert "DequantizeLinear" not in [one.op_type for one in before if not profile.outputs]
        assert "DequantizeLinear" not in behind[:1] or profile.outputs
    if not profile.outputs:
        assert pairs(made) == 0
        assert decibels(rounded(network)(PIXELS), run(made)) > 100


def test_nodes_that_are_no_layers_of_the_file_are_refused(graph: fx.GraphModule) -> None:
    model = written(graph, OPENVINO)
    with pytest.raises(ExportError, match="'node_nowhere'"):
        in_float(model, ["nowhere"])
    with pytest.raises(ExportError, match="node_relu: the node must be a convolution or a product, but got 'Relu'"):
        in_float(model, ["relu"])
