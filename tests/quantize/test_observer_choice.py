"""Observers as torchao and a recipe take them: the article's values, names, and layers that are converted with them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchao.quantization.pt2e import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize import OBSERVERS
from modelwright.quantize.numerics import fake_quantize, parameters, ranges
from modelwright.quantize.observers.choice import observer_for, observers, weight_observer_for
from modelwright.quantize.observers.group import GroupObserver
from modelwright.records import ACTIVATIONS, WEIGHTS, Scheme

OWN = ("auto", "entropy", "mse", "percentile")

FIRST = torch.tensor(
    [[-0.0590, 1.1674, 0.7119, -1.1270], [-1.3974, 0.5077, -0.5601, 0.0683], [-0.0929, 0.9473, 0.7159, -0.4574]]
)
SECOND = torch.tensor(
    [[-0.0236, -0.7599, 1.0290, 0.8914], [-1.1727, -1.2556, -0.2271, 0.9568], [-0.2500, 1.4579, 1.4707, 0.4043]]
)
"""The two tensors that Suraj Subramanian et al. print in Practical Quantization in PyTorch (PyTorch's blog, 2022)."""


def seen(name: str, scheme: Scheme, *batches: Tensor) -> Any:
    observer = observer_for(name, scheme)()
    for batch in batches:
        observer(batch)
    return observer


def qparams(observer: Any) -> tuple[list[float], list[int]]:
    scale, zero_point = observer.calculate_qparams()
    return scale.tolist(), zero_point.tolist()


# --- published values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observer", "scales", "zero_points"),
    [
        (MinMaxObserver(), [0.0112], [124]),
        (MovingAverageMinMaxObserver(), [0.0101], [139]),
        (HistogramObserver(), [0.0112], [124]),  # the article printed (0.0100, 106): its search has changed since
        (MovingAveragePerChannelMinMaxObserver(ch_axis=0), [0.0090, 0.0075, 0.0055], [125, 187, 82]),
        (MovingAverageMinMaxObserver(qscheme=torch.per_tensor_affine), [0.0101], [139]),
        (MovingAverageMinMaxObserver(qscheme=torch.per_tensor_symmetric), [0.0109], [128]),
    ],
    ids=["minmax", "moving-average", "histogram", "channels", "affine", "symmetric"],
)
def test_the_articles_tensors_have_the_articles_scales(
    observer: Any, scales: list[float], zero_points: list[int]
) -> None:
    for x in (FIRST, SECOND):
        observer(x)
    found, middle = qparams(observer)
    assert found == pytest.approx(scales, abs=5.1e-5)
    assert middle == zero_points


@pytest.mark.parametrize(
    ("name", "scale", "zero_point"),
    [("minmax", 0.0112, 124), ("moving-average", 0.0101, 139), ("histogram", 0.0112, 124)],
)
def test_the_registrys_names_stand_for_the_articles_observers(name: str, scale: float, zero_point: int) -> None:
    found, middle = qparams(seen(name, ACTIVATIONS, FIRST, SECOND))
    assert found == pytest.approx([scale], abs=5.1e-5)
    assert middle == [zero_point]


# --- torchao takes them -----------------------------------------------------------------------------------------------


def test_every_calibration_has_its_observer() -> None:
    assert set(observers) == {*OBSERVERS, "auto"}
    for name in observers:
        made = seen(name, Scheme(bits=5), torch.randn(1000))
        assert (made.quant_min, made.quant_max, made.dtype) == (-16, 15, torch.int8)


def test_names_and_schemes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="calibration"):
        observer_for("maxmin", ACTIVATIONS)
    with pytest.raises(SettingError, match="one scale a tensor"):
        observer_for("mse", WEIGHTS)
    with pytest.raises(SettingError, match="one scale a group"):
        GroupObserver(WEIGHTS)


class Marker(Quantizer):
    """Quantizes the input and the weight of every linear layer."""

    def __init__(self, name: str, weights: Scheme) -> None:
        self.specs = [
            self.spec(observer_for(name, ACTIVATIONS), ACTIVATIONS),
            self.spec(weight_observer_for(weights), weights),
        ]

    def spec(self, constructor: Any, scheme: Scheme) -> QuantizationSpec:
        channel = scheme.granularity == "channel"
        affine, symmetric = (
            (torch.per_channel_affine, torch.per_channel_symmetric)
            if channel
            else (torch.per_tensor_affine, torch.per_tensor_symmetric)
        )
        return QuantizationSpec(
            dtype=torch.int8 if scheme.signed else torch.uint8,
            observer_or_fake_quant_ctr=constructor,
            quant_min=scheme.lowest,
            quant_max=scheme.highest,
            qscheme=symmetric if scheme.symmetric else affine,
            ch_axis=0,
        )

    def annotate(self, model: Any) -> Any:
        for node in model.graph.nodes:
            if node.target is torch.ops.aten.linear.default:
                marks = dict(zip(node.args[:2], self.specs, strict=True))
                node.meta["quantization_annotation"] = QuantizationAnnotation(marks, _annotated=True)
        return model

    def validate(self, model: Any) -> None:
        pass


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_a_converted_layer_computes_what_the_numerics_foretell(name: str, granularity: Any) -> None:
    torch.manual_seed(0)
    weights = Scheme(bits=4, symmetric=True, narrow=True, granularity=granularity, group=4)
    layer, x = nn.Linear(8, 3).eval(), torch.randn(16, 8)
    with torch.no_grad():
        prepared = prepare_pt2e(torch.export.export(layer, (x,)).module(), Marker(name, weights))
        prepared(x)
        converted = convert_pt2e(prepared)
        observer = seen(name, ACTIVATIONS, x)
        inputs = fake_quantize(x, *observer.calculate_qparams(), ACTIVATIONS)
        matrix = fake_quantize(layer.weight, *parameters(*ranges(layer.weight, weights), weights), weights)
        expected = nn.functional.linear(inputs, matrix, layer.bias)
        assert torch.allclose(converted(x), expected, atol=1e-6)
