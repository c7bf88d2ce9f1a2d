"""The operators of a network's parts, as its modules run them: stem, inverted bottleneck, head, and stand-ins.

Each function writes one part of many networks into a draft. Fields come as columns, a number a network; what changes
the sequence itself (whether there is a squeeze, say) is read from the first and must be the same for all.
"""

from collections.abc import Mapping

import numpy as np

from modelwright.hardware.lowering.draft import TRACED, Draft, Extent
from modelwright.hardware.table import Index

Columns = Mapping[str, Index]

NONE, MERGE, SPLIT = range(3)
"""The reshapes of a block in columns: none, space-to-depth, space-to-batch."""
ACTIVATED, SPLITTED, ADDED, POOLED = 1, 2, 4, 8
"""How a part may end, as bits: with an activation, with its phases put together, with an addition, with a pooling."""
PLAIN, MEAN, PHASES, PADDED = range(4)
"""How a part may begin: with a convolution, a pooling of the whole image, a split into phases, a padding."""


def stem(draft: Draft, x: int, c: Columns) -> int:
    """The convolutions of a stem, the first with stride 2, and its pooling."""
    for position in range(int(c["convolutions"][0])):
        x = _convolution(draft, x, (c[f"channels{position}"], c["kernel"], 1 if position else 2), c["activation"])
    if c["pool"][0]:
        n, channels, height, width = draft.shape(x)
        x = draft.pool(x, "max_pool2d", (n, channels, (height + 1) // 2, (width + 1) // 2), kernel=3)
    return x


def block(draft: Draft, x: int, c: Columns) -> int:
    """One inverted bottleneck."""
    reshape = int(c["reshape"][0])
    if reshape == MERGE:
        padded = padding(draft, x, c["odd_height"], c["odd_width"]) if c["odd_height"][0] or c["odd_width"][0] else x
        x = draft.activation(draft.norm(draft.convolution(padded, c["merged"], 2, 2)), c["activation"])
    out = phases(draft, x) if reshape == SPLIT else x
    if c["expands"][0]:
        out = _convolution(draft, out, (c["inner"], 1, 1), c["activation"])
    groups = 1 if c["fused"][0] else c["inner"]
    out = _convolution(draft, out, (c["inner"], c["kernel"], c["stride"]), c["activation"], groups)
    if c["squeeze"][0]:
        out = _squeeze(draft, out, c, 4 if reshape == SPLIT else 1)
    if c["hidden"][0]:
        out = draft.norm(draft.convolution(out, c["out_channels"]))
    if reshape == SPLIT:
        out = images(draft, out)
    return draft.pointwise("add", x, out) if c["residual"][0] else out


def head(draft: Draft, x: int, c: Columns) -> int:
    """Pooling and classifier, with a convolution before and a linear layer after where there are any."""
    if c["channels"][0]:
        x = _convolution(draft, x, (c["channels"], 1, 1), c["activation"])
    x = average(draft, x)
    x = draft.view(x, "flatten", draft.shape(x)[:2])
    if c["hidden"][0]:
        x = draft.activation(draft.linear(x, c["hidden"]), c["activation"])
    x = draft.view(x, "dropout", draft.shape(x))
    return draft.linear(x, c["classes"])


def before(draft: Draft, shape: tuple[Extent, ...], ending: int) -> int:
    """A stand-in for the part before, of which only the ending matters: bits of ACTIVATED, SPLITTED, ADDED, POOLED."""
    n, channels, height, width = shape
    inner = (n * 4, channels, height // 2, width // 2) if ending & SPLITTED else shape
    other = draft.convolution(draft.tensor(shape), channels) if ending & ADDED else 0
    x = draft.norm(draft.convolution(draft.tensor(inner), channels))
    if ending & ACTIVATED:
        x = draft.activation(x, np.zeros(1, dtype=np.int64))
    if ending & SPLITTED:
        x = images(draft, x)
    if ending & POOLED:
        x = draft.pool(x, "max_pool2d", shape, kernel=3)
    return draft.pointwise("add", other, x) if ending & ADDED else x


def after(draft: Draft, x: int, beginning: int, pads: tuple[Extent, Extent], adds: bool) -> None:
    """A stand-in for the part after, of which only the beginning matters, and whether it adds its input in the end."""
    if beginning == PLAIN:
        taken = x
    elif beginning == MEAN:
        taken = average(draft, x)
    else:
        taken = phases(draft, x) if beginning == PHASES else padding(draft, x, *pads)
    taken = draft.convolution(taken, draft.shape(x)[1])
    if adds:
        draft.pointwise("add", x, taken)


def padding(draft: Draft, x: int, height: Extent, width: Extent) -> int:
    """Zeros around or after an image: so many rows and columns more."""
    n, channels, *sides = draft.shape(x)
    return draft.copy(x, "pad", (n, channels, sides[0] + height, sides[1] + width))


def average(draft: Draft, x: int) -> int:
    """The mean of a whole image, by its pooling operator."""
    n, channels, _, _ = draft.shape(x)
    return draft.pool(x, "adaptive_avg_pool2d", (n, channels, 1, 1))


def phases(draft: Draft, x: int) -> int:
    """The four phases of each image as four images."""
    n, c, h, w = draft.shape(x)
    x = draft.view(x, "reshape", (n, c, h // 2, 2, w // 2, 2))
    x = draft.view(x, "permute", (2, 2, n, c, h // 2, w // 2), memory=(3, 5, 0, 1, 2, 4))
    return draft.copy(x, "reshape", (n * 4, c, h // 2, w // 2))


def images(draft: Draft, x: int) -> int:
    """The inverse of `phases`."""
    n, c, h, w = draft.shape(x)
    x = draft.view(x, "reshape", (2, 2, n // 4, c, h, w))
    x = draft.view(x, "permute", (n // 4, c, h, 2, w, 2), memory=(2, 3, 4, 0, 5, 1))
    return draft.copy(x, "reshape", (n // 4, c, h * 2, w * 2))


def _convolution(draft: Draft, x: int, form: tuple[Extent, Extent, Extent], codes: Index, groups: Extent = 1) -> int:
    """Padding where the kernel is even, convolution of (channels, kernel, stride), normalisation, activation."""
    channels, kernel, stride = form
    if not isinstance(kernel, int) and kernel[0] % 2 == 0:
        x = padding(draft, x, kernel - 1, kernel - 1)
    x = draft.convolution(x, channels, kernel, stride, groups=groups)
    return draft.activation(draft.norm(x), codes)


def _squeeze(draft: Draft, x: int, c: Columns, parts: int) -> int:
    """Squeeze-and-excitation, over all phases of an image together where there are several."""
    n, channels, _, _ = draft.shape(x)
    mean = draft.reduction(x, (n, channels, 1, 1))
    if parts > 1:
        mean = draft.view(mean, "unflatten", (parts, TRACED, channels, 1, 1))
        mean = draft.reduction(mean, (TRACED, channels, 1, 1))
    weight = draft.activation(draft.convolution(mean, c["squeeze"], bias=True), c["squeeze_activation"])
    weight = draft.activation(draft.convolution(weight, channels, bias=True), c["gate"])
    if parts > 1:
        weight = draft.copy(weight, "repeat", (n, channels, 1, 1))
    return draft.pointwise("mul", x, weight)
