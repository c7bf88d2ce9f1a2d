"""Fake quantization that is trained: its range follows what it sees, or its scale is learned.

Scales are learned as in LSQ (Esser et al., 2019, arXiv 1902.08153), gradients scaled by 1 / sqrt(numbers * highest);
but as factors of what calibration found, so that a step of the optimiser changes large and small scales alike.
"""

from typing import Any, final

import torch
from torch import fx, nn
from torch.nn.utils import parametrize
from torchao.quantization.pt2e import (
    FakeQuantize,
    FakeQuantizeBase,
    LearnableFakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
)

from modelwright.quantize.batch_norm import fold_norms
from modelwright.quantize.graph import kind_of

AVERAGING = 0.01
"""Share of the new batch in the range of an activation."""


def make_trainable(graph: fx.GraphModule, *, learn_scales: bool) -> dict[int, str]:
    """Put trainable fake quantization in the place of each; returns the names under which the old ones stood, by id."""
    weights = {
        str(node.args[1].target)
        for node in graph.graph.nodes
        if kind_of(node) not in (None, "product") and isinstance(node.args[1], fx.Node)
    }
    names: dict[int, str] = {}
    made: dict[int, nn.Module] = {}
    for name, part in list(graph.named_children()):
        if isinstance(part, FakeQuantize):
            made[id(part)] = _learning(part) if learn_scales else _following(part, weight=name in weights)
            names[id(part)] = name
    for name, child in list(graph._modules.items()):
        if child is not None and id(child) in made:
            setattr(graph, name, made[id(child)])
    return names


def finished(graph: fx.GraphModule) -> fx.GraphModule:
    """A trained graph as it is converted: normalisations are folded, nothing watches, and scales are numbers again."""
    fold_norms(graph)
    for part in list(graph.modules()):
        if isinstance(part, FakeQuantizeBase):
            if parametrize.is_parametrized(part, "scale"):
                parametrize.remove_parametrizations(part, "scale")
                part.disable_range_learning()
            part.disable_observer()
    return graph


def _following(part: Any, *, weight: bool) -> nn.Module:
    """One whose range follows what it sees: that of a weight at once, that of an activation as a moving average."""
    channel = {"ch_axis": part.ch_axis} if part.is_per_channel else {}
    made = FakeQuantize(
        observer=MovingAveragePerChannelMinMaxObserver if part.is_per_channel else MovingAverageMinMaxObserver,
        averaging_constant=1.0 if weight else AVERAGING,
        **_numbers(part),
        **channel,
    )
    low, high = ((end - part.zero_point) * part.scale for end in (made.quant_min, made.quant_max))
    made.activation_post_process.min_val, made.activation_post_process.max_val = (
        end if part.is_per_channel else end.reshape(()) for end in (low, high)
    )
    made.scale, made.zero_point = part.scale.clone(), part.zero_point.clone()
    return _typed(made)


def _learning(part: Any) -> nn.Module:
    """One whose scale is learned, and the zero point where there is one."""
    channel = {"ch_axis": part.ch_axis} if part.is_per_channel else {}
    observer = MovingAveragePerChannelMinMaxObserver if part.is_per_channel else MovingAverageMinMaxObserver
    made = LearnableFakeQuantize(observer=observer, use_grad_scaling=True, **_numbers(part), **channel)
    made._initialize_or_update_qparams(part.scale.clone(), part.zero_point.clone())
    made.enable_range_learning()
    if part.qscheme in (torch.per_tensor_symmetric, torch.per_channel_symmetric):
        made.zero_point.requires_grad_(False)
    parametrize.register_parametrization(made, "scale", _Relative(part.scale))
    return _typed(made)


def _numbers(part: Any) -> dict[str, Any]:
    observer = part.activation_post_process
    return {
        "dtype": part.dtype,
        "qscheme": part.qscheme,
        "quant_min": observer.quant_min,
        "quant_max": observer.quant_max,
    }


def _typed(made: Any) -> nn.Module:
    found: nn.Module = made
    return found


@final
class _Relative(nn.Module):
    """A scale as the logarithm of what it is more than at the start: always positive.

    Args:
        start: the scale that calibration found.
    """

    start: torch.Tensor

    def __init__(self, start: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start.detach().clone())

    def forward(self, logarithm: torch.Tensor) -> torch.Tensor:
        """The scale."""
        return self.start * logarithm.exp()

    def right_inverse(self, scale: torch.Tensor) -> torch.Tensor:
        """What stands for a scale."""
        return (scale / self.start).log()
