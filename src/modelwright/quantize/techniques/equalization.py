"""Cross-layer equalization: channels of neighbouring layers get equal ranges, and the network stays what it is.

An activation f with f(s x) = s f(x) for s > 0 lets a positive factor through: channel c of a layer is divided by s_c,
and the next layer's weights that read it are multiplied by s_c. With s = sqrt(r1 / r2) both have the range
sqrt(r1 r2), where r is the largest magnitude of a channel's weights. Pair after pair, until nothing changes: so longer
chains are served, too.

Source: Nagel et al., 2019, arXiv 1906.04721, section 4.1.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import fx

from modelwright.quantize.graph import Layer, node_of, parameter
from modelwright.quantize.techniques.channels import alone, grouped, output_axis
from modelwright.quantize.techniques.stream import Batches, peaks
from modelwright.records import Quantization

aten = torch.ops.aten

ELEMENTWISE = (
    aten.relu.default, aten.relu_.default, aten.leaky_relu.default, aten.leaky_relu_.default, aten.prelu.default,
    aten.dropout.default, aten.clone.default, aten.contiguous.default, aten.alias.default, aten.detach.default,
)  # fmt: skip
POOLINGS = (
    aten.max_pool1d.default, aten.max_pool2d.default, aten.max_pool3d.default,
    aten.avg_pool1d.default, aten.avg_pool2d.default, aten.avg_pool3d.default,
    aten.adaptive_avg_pool1d.default, aten.adaptive_avg_pool2d.default, aten.adaptive_avg_pool3d.default,
)  # fmt: skip
FLATTENINGS = (aten.flatten.using_ints, aten.view.default, aten.reshape.default)
CLIPS = (aten.hardtanh.default, aten.hardtanh_.default, aten.clamp.default, aten.clamp_.default)
SIXES = (aten.relu6.default, aten.relu6_.default)

SWEEPS = 100
TOLERANCE = 1e-3
"""Relative change of a factor below which ranges count as equal."""
DEAD = 1e-5
"""Share of a layer's largest weight below which a channel is dead: scaled up, its bias would outgrow all others."""
HEADROOM = 1.25
"""A channel may be scaled up until what was seen, times this, reaches the clip of ReLU6."""


@final
@dataclass(frozen=True)
class _Link:
    """Two layers whose channels are joined, and what lies between.

    Attributes:
        first, second: the layers.
        repeat: inputs of the second for each channel of the first, more than one after flattening.
        clips: nodes that clip from above, and where.
    """

    first: Layer
    second: Layer
    repeat: int
    clips: tuple[tuple[fx.Node, float], ...]


def equalize(graph: fx.GraphModule, recipe: Quantization, batches: Batches) -> tuple[str, ...]:
    """Give the channels of neighbouring layers equal ranges; the graph's outputs stay what they are.

    Layers are joined by ReLU, leaky or parametric ReLU, by poolings and flattening, or by nothing, each with one user.
    ReLU6 clips, which is not homogeneous: channels that were seen to reach the clip stay as they are, the others are
    scaled up no further than leaves a quarter of room above what was seen. Outputs are then equal on the batches, and
    on all that stays within that room. High biases are not absorbed; a channel that is dead stays as it is.

    Args:
        graph: its weights and biases are changed.
        recipe: "float" leaves the graph as it is.
        batches: inputs that tell what reaches a clip; not looked at where nothing clips.

    Returns:
        Notes: how many pairs, which channels could not be scaled, or that there are no pairs.
    """
    links = _links(graph) if recipe.kind != "float" else []
    if not links:
        return ("equalization: no two layers are joined by a homogeneous activation alone; nothing was changed",)
    axes = {clip.all_input_nodes[0]: 1 for link in links for clip, _ in link.clips}
    seen = peaks(graph, batches, axes, magnitude=False) if axes else {}
    floors = [_floor(link, seen) for link in links]
    for _ in range(SWEEPS):
        if max([_balance(graph, link, floor) for link, floor in zip(links, floors, strict=True)]) < TOLERANCE:
            break
    names = ", ".join(f"{link.first.name} - {link.second.name}" for link in links[:3])
    more = ", ..." if len(links) > 3 else ""
    clipped = sum(int((floor == math.inf).sum()) for floor in floors if floor is not None)
    notes = [f"equalization: {len(links)} pairs of layers have equal ranges ({names}{more})"]
    if clipped:
        notes.append(f"equalization: {clipped} channels reach the clip of their ReLU6 and stay as they were")
    return tuple(notes)


def _links(graph: fx.GraphModule) -> list[_Link]:
    """All pairs of layers that can be equalized, in order."""
    ends = {node_of(graph, layer.node): layer for layer in alone(graph)}
    found = (_follow(graph, node, ends) for node in ends)
    return [link for link in found if link is not None]


def _follow(graph: fx.GraphModule, start: fx.Node, ends: dict[fx.Node, Layer]) -> _Link | None:
    """The link that begins at a layer, if its only users lead to another one and keep its channels apart."""
    here, axis, repeat = start, output_axis(start), 1
    clips: list[tuple[fx.Node, float]] = []
    while len(here.users) == 1:
        (user,) = here.users
        if user.all_input_nodes[:1] != [here]:
            return None
        if user in ends:
            channels = grouped(graph, ends[start]).shape[:2].numel()
            second = grouped(graph, ends[user])
            apart = axis == (here.meta["val"].ndim - 1 if ends[user].kind == "linear" else 1)
            fits = apart and second.shape[0] * second.shape[2] == channels * repeat
            return _Link(ends[start], ends[user], repeat, tuple(clips)) if fits else None
        limit = _limit(user)
        if limit is not None and math.isfinite(limit) and axis == 1:
            clips.append((user, limit))
        elif user.target in FLATTENINGS:
            wide = _flattened(here, user) if axis == 1 else 0
            if not wide:
                return None
            repeat *= wide
        elif limit != math.inf and user.target not in ELEMENTWISE and not (axis == 1 and _pools(here, user)):
            return None
        here = user
    return None


def _limit(node: fx.Node) -> float | None:
    """Where a node that rectifies clips from above, infinity for nowhere; None for a node that does something else."""
    if node.target in SIXES:
        return 6.0
    if node.target not in CLIPS:
        return None
    defaults: tuple[object, ...] = (-1.0, 1.0) if "hardtanh" in str(node.target) else (None, None)
    low, high = tuple(node.args[1:]) + defaults[len(node.args) - 1 :]
    whole = all(bound is None or isinstance(bound, int | float) for bound in (low, high))
    if not whole or low != 0 or node.kwargs:
        return None
    return math.inf if high is None else float(high)  # type: ignore[arg-type]  # a literal


def _pools(given: fx.Node, node: fx.Node) -> bool:
    """Whether a node pools or averages within each channel of axis 1."""
    ndim = given.meta["val"].ndim
    if node.target in POOLINGS:
        return f"{ndim - 2}d" in str(node.target)
    if node.target is not aten.mean.dim:
        return False
    dims = node.args[1]
    return isinstance(dims, list | tuple) and bool(dims) and all(int(dim) % ndim > 1 for dim in dims)  # type: ignore[arg-type]  # literals


def _flattened(given: fx.Node, node: fx.Node) -> int:
    """How many numbers of each channel of axis 1 stand side by side after flattening; 0 for any other reshaping."""
    before, after = given.meta["val"].shape[1:], node.meta["val"].shape
    wide = math.prod(int(side) for side in before[1:])
    return wide if len(after) == 2 and after[1] == before[0] * wide else 0


def _floor(link: _Link, seen: dict[fx.Node, torch.Tensor]) -> torch.Tensor | None:
    """The least factor for each channel so that its peak stays below the clips; infinite where it reaches one."""
    if not link.clips:
        return None
    least = [seen[clip.all_input_nodes[0]] / limit for clip, limit in link.clips]
    worst = torch.stack(least).amax(0)
    return torch.where(worst >= 1, math.inf, worst * HEADROOM)


@torch.no_grad()
def _balance(graph: fx.GraphModule, link: _Link, floor: torch.Tensor | None) -> float:
    """Equalize one pair, and return the largest change: the magnitude of a factor's logarithm."""
    first, second = grouped(graph, link.first), grouped(graph, link.second)
    ours = first.abs().amax(tuple(range(2, first.ndim))).flatten()
    theirs = second.abs().amax((1, *range(3, second.ndim))).reshape(-1, link.repeat).amax(1)
    alive = (ours > DEAD * ours.max()) & (theirs > DEAD * theirs.max())
    factor = torch.where(alive, (ours / theirs).sqrt(), 1.0)
    if floor is not None:
        factor = torch.where(floor == math.inf, 1.0, torch.maximum(factor, floor.clamp(max=1.0)))
        floor.div_(factor)
    first.div_(factor.reshape(*first.shape[:2], *[1] * (first.ndim - 2)))
    if link.first.bias:
        parameter(graph, link.first.bias).div_(factor)
    wide = factor.repeat_interleave(link.repeat)
    second.mul_(wide.reshape(second.shape[0], 1, second.shape[2], *[1] * (second.ndim - 3)))
    return float(factor.log().abs().max())
