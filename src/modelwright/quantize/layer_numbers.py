"""What quantization does to each layer's weights and inputs."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import fx
from torchao.quantization.pt2e import FakeQuantize

from modelwright.quantize.graph import Layer, parameter
from modelwright.quantize.judging import decibels
from modelwright.quantize.numerics import histogram
from modelwright.quantize.prepare import Batch, Prepared
from modelwright.records import LayerNumbers

MOST = 20_000
"""Numbers of each input that are looked at, evenly spaced."""


def layer_numbers(prepared: Prepared, graph: fx.GraphModule, batches: Iterable[Batch]) -> tuple[LayerNumbers, ...]:
    """Every quantized layer's inputs and weights, before and after.

    Args:
        prepared: calibrated, with all simulations switched on.
        graph: the same in float.
        batches: the first of them is run.
    """
    batch = next(iter(batches), None)
    if batch is None:
        return ()
    wanted = {layer.node for layer in prepared.layers}
    seen = _Inputs(graph, wanted)
    with torch.no_grad():
        seen.run(*batch)
    return tuple(_numbers(layer, prepared, graph, seen.inputs[layer.node]) for layer in prepared.layers)


class _Inputs(fx.Interpreter):
    """Runs a graph, and keeps what its layers read."""

    def __init__(self, graph: fx.GraphModule, wanted: set[str]) -> None:
        super().__init__(graph)
        self.wanted = wanted
        self.inputs: dict[str, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run it, its first input kept if it is a layer's."""
        if n.name in self.wanted:
            self.inputs[n.name] = self.fetch_args_kwargs_from_env(n)[0][0].detach()
        return super().run_node(n)


def _numbers(layer: Layer, prepared: Prepared, graph: fx.GraphModule, given: torch.Tensor) -> LayerNumbers:
    parts = prepared.switches[layer.name]
    flat = given.flatten()
    flat = flat[:: max(1, len(flat) // MOST)]
    after = parts[0](flat)
    post = parts[0].activation_post_process
    low = (post.quant_min - parts[0].zero_point) * parts[0].scale
    high = (post.quant_max - parts[0].zero_point) * parts[0].scale
    half = parts[0].scale / 2
    beyond = float(((flat < low - half) | (flat > high + half)).float().mean())
    before = histogram(flat)
    weighted: dict[str, Any] = {}
    if layer.weight and len(parts) > 1 and isinstance(parts[1], FakeQuantize):
        weight = parameter(graph, layer.weight).detach()
        rounded = parts[1](weight)
        told = histogram(weight)
        ends = (told.low, told.high)
        weighted = {
            "weights": told,
            "weights_after": histogram(rounded, ends=ends),
            "weights_sqnr_db": decibels(weight, rounded),
        }
    return LayerNumbers(
        layer.name,
        layer.kind,
        layer.macs,
        before,
        histogram(after, ends=(before.low, before.high)),
        decibels(flat, after),
        beyond,
        **weighted,
    )
