"""What is done to ONNX files keeps what they compute, and leaves alone what it does not understand."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from modelwright.quantize.targets.qdq import pooled_means, whole_biases, whole_gates

HEAD = '<ir_version: 9, opset_import: ["" : 20]>\n'


def parsed(text: str, **constants: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEAD + text)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return model


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    """As the standard says, nothing fused."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    [made] = session.run(None, inputs)
    return np.asarray(made)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def convolution(bias: np.ndarray, given: float = 0.02, weight: tuple[float, ...] = (0.01, 0.03)) -> onnx.ModelProto:
    return parsed(
        """convolve (float[2,3,5,5] x) => (float[n,c,h,w] y) {
            whole = QuantizeLinear(x, scale, zero)
            back = DequantizeLinear(whole, scale, zero)
            w = DequantizeLinear<axis = 0>(weight, scales)
            y = Conv(back, w, b)
        }""",
        scale=np.float32(given),
        zero=np.uint8(128),
        weight=np.arange(-27, 27, dtype=np.int8).reshape(2, 3, 3, 3),
        scales=np.array(weight, np.float32),
        b=bias.astype(np.float32),
    )


IMAGES = np.random.default_rng(0).normal(size=(2, 3, 5, 5)).astype(np.float32)


@given(st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2))
@settings(max_examples=20)
def test_a_whole_bias_is_off_by_half_a_step_at_most(values: list[float]) -> None:
    bias = np.array(values)
    model = convolution(bias)
    before = run(model, x=IMAGES)
    assert whole_biases(model) == 1
    steps = 0.02 * np.array([0.01, 0.03])
    error = np.abs(run(model, x=IMAGES) - before).max(axis=(0, 2, 3))
    assert (error <= steps / 2 + 1e-6 * (np.abs(bias) + np.abs(before).max())).all()


def test_a_whole_bias_has_the_scale_of_input_times_weight_and_no_zero_point() -> None:
    model = convolution(np.array([1.0, -2.0]))
    whole_biases(model)
    made = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    [pair] = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and "bias" in node.input[0]]
    whole, scale = (made[name] for name in pair.input)
    assert whole.dtype == np.int32
    assert scale == pytest.approx([0.0002, 0.0006])
    assert whole.tolist() == [5000, -3333]


def test_a_bias_that_32_bits_do_not_hold_stays_as_it_is() -> None:
    """A channel of zeros has the least scale there is, yet its bias may be large."""
    model = convolution(np.array([50.0, 1.0]), given=1e-4, weight=(1e-7, 0.03))
    before = model.SerializeToString()
    assert whole_biases(model) == 0
    assert model.SerializeToString() == before


def test_a_bias_of_a_float_convolution_stays_float() -> None:
    model = parsed(
        "f (float[1,3,5,5] x) => (float y) { y = Conv(x, w, b) }",
        w=np.ones((2, 3, 3, 3), np.float32),
        b=np.ones(2, np.float32),
    )
    assert whole_biases(model) == 0


def gate(inside: str, after: str) -> onnx.ModelProto:
    return parsed(
        f"""silu (float[4,8] x) => (float[n,c] y) {{
            whole = QuantizeLinear(x, scale, zero)
            back = DequantizeLinear(whole, scale, zero)
            s = Sigmoid(back)
            product = Mul({inside}, s)
            {after}
        }}""",
        scale=np.float32(0.05),
        zero=np.uint8(128),
    )


QUANTIZED = "p = QuantizeLinear(product, scale, zero)\ny = DequantizeLinear(p, scale, zero)"


def test_a_gate_between_whole_numbers_becomes_one_and_is_off_by_half_a_step_of_it() -> None:
    model = gate("back", QUANTIZED)
    given = np.linspace(-6, 6, 32, dtype=np.float32).reshape(4, 8)
    before = run(model, x=given)
    assert whole_gates(model) == 1
    assert operators(model).count("QuantizeLinear") == 3
    assert (np.abs(run(model, x=given) - before) <= np.abs(given) / 255 / 2 + 0.0501).all()


@pytest.mark.parametrize(
    ("inside", "after"), [("x", QUANTIZED), ("back", "y = Relu(product)"), ("back", "y = Identity(product)")]
)
def test_a_gate_that_no_whole_product_reads_stays_float(inside: str, after: str) -> None:
    assert whole_gates(gate(inside, after)) == 0


@pytest.mark.parametrize("axes", [[2, 3], [3, 2], [-1, -2], [-2, 3]])
def test_a_mean_over_all_pixels_is_global_pooling(axes: list[int]) -> None:
    text = "mean (float[2,3,5,5] x) => (float[n,c,h,w] y) { y = ReduceMean<keepdims = 1>(x, axes) }"
    model = parsed(text, axes=np.array(axes, np.int64))
    before = run(model, x=IMAGES)
    assert pooled_means(model) == 1
    assert operators(model) == ["GlobalAveragePool"]
    assert run(model, x=IMAGES) == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "keep", "axes"),
    [
        ("2,3,5,5", 0, [2, 3]),
        ("2,3,5,5", 1, [1, 2]),
        ("2,3,5,5", 1, [3]),
        ("2,3,5,5,5", 1, [2, 3]),
        ("6,5", 1, [-2, -1]),
    ],
)
def test_any_other_mean_stays_one(shape: str, keep: int, axes: list[int]) -> None:
    model = parsed(
        f"mean (float[{shape}] x) => (float y) {{ y = ReduceMean<keepdims = {keep}>(x, axes) }}",
        axes=np.array(axes, np.int64),
    )
    assert pooled_means(model) == 0
    assert operators(model) == ["ReduceMean"]
