"""The matrix products inside ATen operators, from their tensors' shapes."""

import math
from collections.abc import Sequence
from typing import Any

from modelwright.records import Product, Window

Shape = tuple[int, ...]


def convolution(shapes: Sequence[Shape], arguments: dict[str, Any], output: Shape) -> tuple[tuple[Product, ...], Window]:
    """Convolution as one product a group: output positions x output channels x (input channels a group * taps).

    A transposed convolution multiplies every input position into a window of outputs: its rows are input positions.
    """
    source, weight = shapes[0], shapes[1]
    groups = int(arguments.get("groups", 1))
    axes = len(weight) - 2
    kernel = weight[2:]
    transposed = bool(arguments.get("transposed", False))
    window = Window(
        kernel=kernel,
        stride=_spread(arguments.get("stride", 1), axes),
        dilation=_spread(arguments.get("dilation", 1), axes),
        groups=groups,
        transposed=transposed,
    )
    taps = math.prod(kernel)
    batch = source[0] if len(source) == axes + 2 else 1
    if transposed:
        product = Product(
            groups, batch * math.prod(source[-axes:]), weight[1] * taps, weight[0] // groups, "m"
        )
    else:
        product = Product(groups, batch * math.prod(output[-axes:]), weight[0] // groups, weight[1] * taps, "m")
    return (product,), window


def linear(shapes: Sequence[Shape], batched: Sequence[bool]) -> tuple[Product, ...]:
    """x (..., k) by w (n, k)."""
    source, weight = shapes[0], shapes[1]
    n = weight[0] if len(weight) == 2 else 1
    return (Product(1, math.prod(source[:-1]), n, source[-1], "m" if batched[0] else ""),)


def matmul(shapes: Sequence[Shape], batched: Sequence[bool]) -> tuple[Product, ...]:
    """a (..., m, k) by b (..., k, n), broadcast over the leading axes; a two-axis b folds a's leading axes into rows."""
    a, b = shapes[0], shapes[1]
    a = (1, *a) if len(a) == 1 else a
    b = (*b, 1) if len(b) == 1 else b
    m, k, n = a[-2], a[-1], b[-1]
    if math.prod(b[:-2]) == 1:
        return (Product(1, math.prod(a[:-1]), n, k, _growth(batched, rows=batched[0] and not batched[1])),)
    lead_a, lead_b = (1,) * (len(b) - len(a)) + a[:-2], (1,) * (len(a) - len(b)) + b[:-2]
    count = math.prod(max(x, y) for x, y in zip(lead_a, lead_b, strict=True))
    return (Product(count, m, n, k, _growth(batched, rows=False)),)


def einsum(equation: str, shapes: Sequence[Shape], batched: Sequence[bool]) -> tuple[Product, ...]:
    """A two-operand contraction: axes in both operands and the result count, one-sided ones are rows or columns."""
    sides, _, result = equation.replace(" ", "").partition("->")
    terms = sides.split(",")
    if len(terms) != 2 or "." in equation:
        return ()
    size = {axis: length for term, shape in zip(terms, shapes, strict=False) for axis, length in zip(term, shape, strict=True)}
    left, right, kept = set(terms[0]), set(terms[1]), set(result)

    def extent(axes: set[str]) -> int:
        return math.prod(size[axis] for axis in axes)

    count, k = extent(left & right & kept), extent((left & right) - kept)
    return (Product(count, extent((left - right) & kept), extent((right - left) & kept), k,
                    _growth(batched, rows=count == 1 and batched[0] and not batched[1])),)  # fmt: skip


def attention(shapes: Sequence[Shape]) -> tuple[Product, ...]:
    """softmax(q k') v over (..., heads, length, width): scores, then their product with the values."""
    q, k, v = shapes[0], shapes[1], shapes[2]
    count = math.prod(q[:-2])
    return (
        Product(count, q[-2], k[-2], q[-1], "count"),
        Product(count, q[-2], v[-1], k[-2], "count"),
    )


def recurrence(gates: int, source: Shape, weights: Sequence[Shape], batch_first: bool) -> tuple[Product, ...]:
    """LSTM, GRU or RNN: for each weight pair one product over all steps for the inputs and one a step for the state."""
    steps, batch = (source[1], source[0]) if batch_first else (source[0], source[1])
    found = []
    for weight in (shape for shape in weights if len(shape) == 2):
        recurrent = weight[0] == gates * weight[1] and bool(found) and found[-1].count == 1
        rows = (steps, batch) if recurrent else (1, steps * batch)
        found.append(Product(rows[0], rows[1], weight[0], weight[1], "m"))
    return tuple(found)


def _growth(batched: Sequence[bool], *, rows: bool) -> Any:
    if not any(batched[:2]):
        return ""
    return "m" if rows else "count"


def _spread(value: Any, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return tuple(int(v) for v in (values * axes if len(values) == 1 else values))


def window(size: Any, stride: Any, source: Shape, target: str) -> Window:
    """A pooling window; the stride is the kernel's size where none is given."""
    axes = int(target.partition("pool")[2][0])
    return Window(kernel=_spread(size, axes), stride=_spread(stride or size, axes), groups=source[-axes - 1])
