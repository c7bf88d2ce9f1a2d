"""The networks of NAS-Bench-201 as workloads, written down without a trace: there are 15,625 of them.

A stem of 16 channels; three stages of five equal cells of 16, 32 and 64 channels with a residual block of stride 2
before the second and the third; normalisation, pooling, a classifier (Dong and Yang, 2020, arXiv 2001.00326, section
2.1). A cell has four nodes, each the sum of one operation on every node before it. Operators are those of the
authors' PyTorch code in inference: "none" multiplies by zero, and Python's `sum` begins by adding to 0. `network` is
the same as a torch module, by which `same` checks the workload.
"""

import math
from itertools import pairwise

import torch
from torch import nn

from modelwright.networks.trace import trace
from modelwright.records import Kind, Operator, Product, Tensor, Window, Workload
from modelwright.records.workload import Role

CHANNELS, CELLS, IMAGE = (16, 32, 64), 5, 32
Cell = tuple[tuple[str, ...], ...]
"""Of each node but the first, its operations, on the nodes from the first on."""


def parse(text: str) -> Cell:
    """A cell in the benchmark's words, such as |skip_connect~0|+|none~0|none~1|+..."""
    return tuple(tuple(edge.split("~")[0] for edge in node.strip("|").split("|")) for node in text.split("+"))


class Draft:
    """Tensors and operators as they are written down."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.parameters = 0

    def tensor(self, *shape: int, role: Role = "activation") -> int:
        """A new one; its position."""
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        self.tensors.append(Tensor(shape, "float32", role, role in ("input", "activation"), strides))
        self.parameters += math.prod(shape) if role == "weight" else 0
        return len(self.tensors) - 1

    def put(
        self,
        kind: Kind,
        target: str,
        inputs: tuple[int, ...],
        shape: tuple[int, ...] = (),
        products: tuple[Product, ...] = (),
        window: Window | None = None,
    ) -> int:
        """An operator; the position of what it gives, which has the shape of its first input if none is named."""
        out = self.tensor(*(shape or self.tensors[inputs[0]].shape))
        name = f"{target}_{len(self.operators)}"
        self.operators.append(Operator(name, kind, target, "", inputs, (out,), products, window))
        return out

    def convolution(self, x: int, wide: int, kernel: int, stride: int = 1) -> int:
        """Square, padded, without bias."""
        _, channels, height, _ = self.tensors[x].shape
        size = height // stride
        weight = self.tensor(wide, channels, kernel, kernel, role="weight")
        product = Product(1, size * size, wide, channels * kernel**2)
        window = Window((kernel, kernel), (stride, stride), (1, 1))
        return self.put("convolution", "conv2d", (x, weight), (1, wide, size, size), (product,), window)

    def normalised(self, x: int) -> int:
        """Batch normalisation."""
        wide = self.tensors[x].shape[1]
        held = [self.tensor(wide, role=role) for role in ("weight", "weight", "buffer", "buffer")]
        return self.put("norm", "batch_norm", (x, *held))

    def unit(self, x: int, wide: int, kernel: int, stride: int = 1) -> int:
        """ReLU, convolution, normalisation."""
        return self.normalised(self.convolution(self.put("activation", "relu", (x,)), wide, kernel, stride))

    def pooled(self, x: int, kernel: int, stride: int) -> int:
        """Average pooling."""
        _, wide, height, _ = self.tensors[x].shape
        window = Window((kernel, kernel), (stride, stride), groups=wide)
        return self.put("pool", "avg_pool2d", (x,), (1, wide, height // stride, height // stride), window=window)

    def operation(self, name: str, x: int) -> int:
        """One of the five."""
        match name:
            case "none":
                return self.put("elementwise", "mul", (x,))
            case "skip_connect":
                return x
            case "avg_pool_3x3":
                return self.pooled(x, 3, 1)
        return self.unit(x, self.tensors[x].shape[1], int(name[-1]))

    def cell(self, cell: Cell, x: int) -> int:
        """The last node of a cell."""
        nodes = [x]
        for names in cell:
            first, *more = [(name, node) for name, node in zip(names, nodes, strict=True)]
            total = self.put("elementwise", "add", (self.operation(*first),))
            for name, node in more:
                total = self.put("elementwise", "add", (total, self.operation(name, node)))
            nodes.append(total)
        return nodes[-1]

    def halved(self, x: int, wide: int) -> int:
        """The residual block between stages."""
        short = self.convolution(self.pooled(x, 2, 2), wide, 1)
        return self.put("elementwise", "add", (short, self.unit(self.unit(x, wide, 3, 2), wide, 3)))


def workload(text: str, classes: int = 100) -> Workload:
    """The network of a cell, one image."""
    draft, cell = Draft(), parse(text)
    x = draft.tensor(1, 3, IMAGE, IMAGE, role="input")
    x = draft.normalised(draft.convolution(x, CHANNELS[0], 3))
    for stage, wide in enumerate(CHANNELS):
        x = draft.halved(x, wide) if stage else x
        for _ in range(CELLS):
            x = draft.cell(cell, x)
    x = draft.put("activation", "relu", (draft.normalised(x),))
    x = draft.put("pool", "adaptive_avg_pool2d", (x,), (1, CHANNELS[-1], 1, 1))
    x = draft.put("view", "flatten", (x,), (1, CHANNELS[-1]))
    weights = draft.tensor(classes, CHANNELS[-1], role="weight"), draft.tensor(classes, role="weight")
    x = draft.put("product", "linear", (x, *weights), (1, classes), (Product(1, 1, classes, CHANNELS[-1]),))
    return Workload(text, 1, tuple(draft.tensors), tuple(draft.operators), (x,), draft.parameters)


class Zero(nn.Module):
    """The operation "none"."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All zeros."""
        return x.mul(0.0)


def unit(narrow: int, wide: int, kernel: int, stride: int = 1) -> nn.Module:
    """ReLU, convolution, normalisation."""
    convolution = nn.Conv2d(narrow, wide, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(wide))


class CellModule(nn.Module):
    """A cell."""

    def __init__(self, cell: Cell, wide: int) -> None:
        super().__init__()
        others = {"none": Zero, "skip_connect": nn.Identity}
        pool = {"avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False)}
        made = others | pool | {f"nor_conv_{k}x{k}": lambda k=k: unit(wide, wide, k) for k in (1, 3)}
        self.nodes = nn.ModuleList(nn.ModuleList(made[name]() for name in names) for names in cell)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the shape of x."""
        found = [x]
        for operations in self.nodes:
            found.append(sum(one(node) for one, node in zip(operations, found, strict=True)))
        return found[-1]


class Halved(nn.Module):
    """The residual block between stages."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.long = nn.Sequential(unit(narrow, wide, 3, 2), unit(wide, wide, 3))
        self.short = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(narrow, wide, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, wide, half, half)."""
        return self.short(x) + self.long(x)


def network(text: str, classes: int = 100) -> nn.Module:
    """The network of a cell."""
    cell, first = parse(text), CHANNELS[0]
    parts: list[nn.Module] = [nn.Conv2d(3, first, 3, padding=1, bias=False), nn.BatchNorm2d(first)]
    parts += [CellModule(cell, first) for _ in range(CELLS)]
    for narrow, wide in pairwise(CHANNELS):
        parts += [Halved(narrow, wide), *(CellModule(cell, wide) for _ in range(CELLS))]
    last = CHANNELS[-1]
    head = (nn.BatchNorm2d(last), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes))
    return nn.Sequential(*parts, *head)


def same(text: str) -> bool:
    """Whether the workload of a cell is that of its traced module, in all that a cost depends on."""
    with torch.device("meta"):
        traced = trace(network(text), torch.empty(1, 3, IMAGE, IMAGE))
    written = workload(text)
    totals = [(one.parameters, one.macs, len(one.operators)) for one in (traced, written)]
    return totals[0] == totals[1] and [*map(_seen(traced), traced.operators)] == [
        *map(_seen(written), written.operators)
    ]


def _seen(work: Workload):  # noqa: ANN202  # a view of an operator without names and positions
    def view(operator: Operator) -> tuple[object, ...]:
        ends = [[work.tensors[place] for place in places] for places in (operator.inputs, operator.outputs)]
        return operator.kind, operator.target, operator.products, operator.window, ends

    return view
