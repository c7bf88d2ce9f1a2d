"""Bias correction: rounded weights shift the mean of each output channel, and the bias takes that back.

Source: Nagel et al., 2019, arXiv 1906.04721, section 4.2 and appendix D (the empirical way): channel by channel,
E[y] - E[y~] is added to the bias, where y~ comes from the layer with rounded weights, its inputs from layers that are
rounded and corrected already. Banner et al., 2018, arXiv 1810.05723, correct weights for the same shift.
"""

import copy

import torch
from torch import fx

from modelwright.quantize.graph import node_of, parameter
from modelwright.quantize.techniques.channels import add_bias, output_axis, rounded, wanted
from modelwright.quantize.techniques.stream import Batches, Stream
from modelwright.records import Quantization


@torch.no_grad()
def correct_biases(graph: fx.GraphModule, recipe: Quantization, batches: Batches) -> tuple[str, ...]:
    """Make the mean of each output channel, with weights rounded, what it is in float, layer after layer.

    The biases are then right for the rounded weights, not for the float ones: the last technique before calibration.
    Only weights are rounded here; what activations lose has no mean worth mentioning unless they are clipped.

    Args:
        graph: its biases are changed; a layer without gets one. Weights stay as they are.
        recipe: says which layers are quantized, and how their weights are.
        batches: inputs over which means are taken; all of them pass the graph abreast.

    Returns:
        Notes: how many layers, and by how much.

    Raises:
        SettingError: there are no batches.
    """
    chosen = {layer.node: layer for layer in wanted(graph, recipe)}
    if not chosen:
        return ("bias-correction: no layer is quantized; nothing was changed",)
    coarse = copy.deepcopy(graph)
    for layer in chosen.values():
        node = node_of(graph, layer.node)
        parameter(coarse, layer.weight).copy_(rounded(parameter(graph, layer.weight), node, recipe.weights))
    before, after = Stream(graph, batches), Stream(coarse, batches)
    shifts: dict[str, torch.Tensor] = {}
    for node, twin in zip(graph.graph.nodes, coarse.graph.nodes, strict=True):
        before.run(node)
        after.run(twin)
        if node.name in chosen:
            axis = output_axis(node)
            shift = _means(before.of(node), axis) - _means(after.of(twin), axis)
            shifts[node.name] = shift.to(before.of(node)[0].dtype)
            for made in after.of(twin):
                made.movedim(axis, -1).add_(shifts[node.name])
    for name, shift in shifts.items():
        add_bias(graph, chosen[name], shift)
    largest = max(float(shift.abs().max()) for shift in shifts.values())
    return (f"bias-correction: the means of {len(shifts)} layers were set right, by {largest:.3g} at most",)


def _means(batches: list[torch.Tensor], axis: int) -> torch.Tensor:
    """The mean of each channel over all batches, in double precision."""
    rows = [batch.movedim(axis, 0).flatten(1).double() for batch in batches]
    total = torch.stack([row.sum(1) for row in rows]).sum(0)
    return total / sum(row.shape[1] for row in rows)
