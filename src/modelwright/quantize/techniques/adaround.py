"""AdaRound: each weight is rounded up or down as the layer's output asks for, not to the nearest.

W~ = s clamp(floor(W / s) + h(V)), h(V) = clamp(1.2 sigmoid(V) - 0.1, 0, 1); V is learned so that the layer's output
with rounded weights, from inputs that rounded layers before it make, comes near to what the float network makes there:
||f(W x) - f(W~ x~)||^2 + lambda sum(1 - |2 h(V) - 1|^beta), f the ReLU that follows. Beta falls from 20 to 2
along a cosine, so that h is free at first and ends at 0 or 1.

Both terms are made free of scale: the first is divided by what rounding to the nearest loses, the second is a mean.

Source: Nagel et al., 2020, arXiv 2004.10568, equations 21 to 25.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, fx

from modelwright.quantize.graph import parameter
from modelwright.quantize.numerics import dequantize, parameters, ranges
from modelwright.quantize.techniques.channels import wanted, weight_axis
from modelwright.quantize.techniques.stream import Batches, Stream
from modelwright.records import Quantization, Scheme

aten = torch.ops.aten

LOW, HIGH = -0.1, 1.1
"""Ends to which the sigmoid is stretched, gamma and zeta."""
BETAS = (20.0, 2.0)
WARM = 0.2
"""Share of the iterations before the regulariser sets in."""

Report = Callable[[str, int, int], object]
"""Is told the layer, its number from 1, and how many there are, as each is done."""


@final
@dataclass(frozen=True)
class Rounding:
    """How roundings are learned.

    Attributes:
        iterations: of each layer. The paper takes 10,000; a few hundred bring most of it.
        batch: samples an iteration, at most; drawn from one of the batches.
        learning_rate: of Adam.
        regulariser: lambda.
        seed: of the draw.
    """

    iterations: int = 300
    batch: int = 32
    learning_rate: float = 0.1
    regulariser: float = 10.0
    seed: int = 0


def adaround(
    graph: fx.GraphModule,
    recipe: Quantization,
    batches: Batches,
    *,
    rounding: Rounding | None = None,
    report: Report = lambda *_: None,
) -> tuple[str, ...]:
    """Round the weights of each layer so that its output changes least; they end on the grid of their scheme.

    The weight that makes a scale is rounded to the nearest, so that a later observer finds the same scale again (with a
    symmetric scheme that is `narrow`, as kernels read; others may give a slightly different one).
    A layer for which nothing better was learned is rounded to the nearest.

    Args:
        graph: its weights are changed.
        recipe: says which layers are quantized, and how their weights are.
        batches: inputs; all of them pass the graph abreast.
        rounding: how; the default one if None.
        report: told as each layer is done.

    Returns:
        Notes: how many layers, what they lose against rounding to the nearest, and how many weights went another way.

    Raises:
        SettingError: there are no batches.
    """
    rounding = rounding or Rounding()
    chosen = {layer.node: layer for layer in wanted(graph, recipe)}
    if not chosen:
        return ("adaround: no layer is quantized; nothing was changed",)
    coarse = copy.deepcopy(graph)
    draw = torch.Generator().manual_seed(rounding.seed)
    shares: list[float] = []
    moved = 0
    with torch.no_grad():
        before, after = Stream(graph, batches), Stream(coarse, batches)
        for node, twin in zip(graph.graph.nodes, coarse.graph.nodes, strict=True):
            before.run(node)
            layer = chosen.get(node.name)
            if layer is not None:
                weight = parameter(coarse, layer.weight)
                grid = _grid(weight, node, recipe.weights)
                task = _Task(twin, parameter(coarse, layer.bias) if layer.bias else None, _follows_relu(node))
                up, share = _learn(task, grid, after.of(_given(twin)), before.of(node), (rounding, draw))
                weight.copy_(grid.at(up))
                moved += int((up != grid.nearest).sum())
                shares.append(share)
                report(layer.name, len(shares), len(chosen))
            after.run(twin)
        for layer in chosen.values():
            parameter(graph, layer.weight).copy_(parameter(coarse, layer.weight))
    left = math.exp(sum(math.log(max(share, 1e-12)) for share in shares) / len(shares))
    return (
        f"adaround: the outputs of {len(shares)} layers lose {left:.2f} of what rounding to the nearest loses; "
        f"{moved} weights went the other way",
    )


@final
@dataclass(frozen=True, eq=False)
class _Grid:
    """Where a layer's weights can be: `down` or one above, in whole numbers.

    Attributes:
        down: rounded down, without the zero point.
        scale, zero_point: of each weight.
        ends: least and greatest whole number.
        fraction: what rounding down takes away, in steps.
        nearest: whether rounding to the nearest goes up.
        fixed: those that make the scale.
    """

    down: Tensor
    scale: Tensor
    zero_point: Tensor
    ends: tuple[int, int]
    fraction: Tensor
    nearest: Tensor
    fixed: Tensor

    def at(self, up: Tensor) -> Tensor:
        """The weights, each up by one (1), not at all (0), or by a part of a step."""
        whole = (self.down + up + self.zero_point).clamp(*self.ends)
        return (whole - self.zero_point) * self.scale


@final
@dataclass(frozen=True, eq=False)
class _Task:
    """A layer that is called with other weights.

    Attributes:
        node: of the layer.
        bias: its bias.
        rectified: whether a ReLU follows, and nothing else.
    """

    node: fx.Node
    bias: Tensor | None
    rectified: bool

    def loss(self, given: Tensor, weight: Tensor, wanted: Tensor) -> Tensor:
        """Mean squared difference of the outputs."""
        made = self.node.target(given, weight, self.bias, *self.node.args[3:], **self.node.kwargs)  # type: ignore[operator]  # an operator
        if self.rectified:
            made, wanted = made.relu(), wanted.relu()
        return torch.nn.functional.mse_loss(made, wanted)


def _grid(weight: Tensor, node: fx.Node, scheme: Scheme) -> _Grid:
    axis = weight_axis(node)
    low, high = ranges(weight, scheme, axis)
    scale, zero_point = parameters(low, high, scheme)

    def spread(values: Tensor) -> Tensor:
        return dequantize(torch.ones_like(weight), values.float(), torch.zeros_like(zero_point), scheme, axis)

    steps = weight * (1.0 / spread(scale))
    down = steps.floor()
    nearest = steps.round() - down
    fixed = (weight == spread(low)) | (weight == spread(high))
    return _Grid(down, spread(scale), spread(zero_point), (scheme.lowest, scheme.highest), steps - down, nearest, fixed)


def _learn(
    task: _Task, grid: _Grid, given: list[Tensor], wanted: list[Tensor], how: tuple[Rounding, torch.Generator]
) -> tuple[Tensor, float]:
    """Which weights go up (1, else 0), and the loss as a share of what rounding to the nearest loses."""
    rounding, draw = how
    base = _total(task, grid.at(grid.nearest), given, wanted)
    if base <= 0:
        return grid.nearest, 1.0
    inverse = ((grid.fraction - LOW) / (HIGH - LOW)).clamp(1e-4, 1 - 1e-4)
    with torch.enable_grad():
        free = torch.log(inverse / (1 - inverse)).requires_grad_()
        optimizer = torch.optim.Adam([free], lr=rounding.learning_rate)
        for iteration in range(rounding.iterations):
            some = int(torch.randint(len(given), (), generator=draw))
            rows = torch.randperm(len(given[some]), generator=draw)[: rounding.batch].to(given[some].device)
            up = torch.where(grid.fixed, grid.nearest, _rectified(free))
            loss = task.loss(given[some][rows], grid.at(up), wanted[some][rows]) / base
            done = iteration / rounding.iterations
            if done >= WARM:
                beta = BETAS[1] + (BETAS[0] - BETAS[1]) * (1 + math.cos(math.pi * (done - WARM) / (1 - WARM))) / 2
                loss = loss + rounding.regulariser * (1 - (2 * _rectified(free) - 1).abs().pow(beta)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
    up = torch.where(grid.fixed, grid.nearest, (free.detach() > 0).to(grid.nearest.dtype))
    share = _total(task, grid.at(up), given, wanted) / base
    return (up, share) if share < 1 else (grid.nearest, 1.0)


def _rectified(free: Tensor) -> Tensor:
    return (torch.sigmoid(free) * (HIGH - LOW) + LOW).clamp(0, 1)


def _total(task: _Task, weight: Tensor, given: list[Tensor], wanted: list[Tensor]) -> float:
    """The loss over all batches."""
    sizes = [len(one) for one in given]
    losses = [float(task.loss(one, weight, other)) for one, other in zip(given, wanted, strict=True)]
    return sum(size * loss for size, loss in zip(sizes, losses, strict=True)) / sum(sizes)


def _given(node: fx.Node) -> fx.Node:
    given: fx.Node = node.args[0]  # type: ignore[assignment]  # a layer reads a node
    return given


def _follows_relu(node: fx.Node) -> bool:
    users = list(node.users)
    return len(users) == 1 and users[0].target in (aten.relu.default, aten.relu_.default)
