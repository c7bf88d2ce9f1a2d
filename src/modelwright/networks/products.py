"""The matrix products inside ATen operators, from their tensors' shapes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.records import Product, Window

Shape = tuple[int, ...]


def convolution(
    shapes: Sequence[Shape], arguments: dict[str, Any], output: Shape
) -> tuple[tuple[Product, ...], Window]:
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
        product = Product(groups, batch * math.prod(source[-axes:]), weight[1] * taps, weight[0] // groups, "m")
    else:
        product = Product(groups, batch * math.prod(output[-axes:]), weight[0] // groups, weight[1] * taps, "m")
    return (product,), window


def plain(
    target: str, arguments: Mapping[str, Any], shapes: Sequence[Shape], batched: Sequence[bool]
) -> tuple[Product, ...]:
    """Products of matrices, by the operator's name; none where the operands do not say."""
    if target in {"addmm", "baddbmm", "addbmm"}:
        shapes, batched = shapes[1:], batched[1:]
    if target == "einsum":
        return einsum(str(arguments["equation"]), shapes, batched)
    if len(shapes) < 2:
        return ()
    if target in {"linear", "inner"}:
        return linear(shapes, batched)
    if target == "tensordot":
        return tensordot(shapes, batched, arguments["dims_self"])
    if target == "bilinear":
        left, right, weight = shapes[:3]
        return (Product(1, math.prod(left[:-1]), weight[0], left[-1] * right[-1], "m" if batched[0] else ""),)
    return matmul(shapes, batched)


def linear(shapes: Sequence[Shape], batched: Sequence[bool]) -> tuple[Product, ...]:
    """x (..., k) by w (..., k): every row of one with every row of the other."""
    source, weight = shapes[0], shapes[1]
    return _single(math.prod(source[:-1]), math.prod(weight[:-1]), source[-1], batched)


def tensordot(shapes: Sequence[Shape], batched: Sequence[bool], axes: Sequence[int]) -> tuple[Product, ...]:
    """Some axes of the first operand against as many of the second."""
    k = math.prod(shapes[0][axis] for axis in axes)
    return _single(math.prod(shapes[0]) // k, math.prod(shapes[1]) // k, k, batched)


def matmul(shapes: Sequence[Shape], batched: Sequence[bool]) -> tuple[Product, ...]:
    """a (..., m, k) by b (..., k, n), broadcast over the leading axes; if b has two, a's leading axes become rows."""
    a, b = shapes[0], shapes[1]
    a = (1, *a) if len(a) == 1 else a
    b = (*b, 1) if len(b) == 1 else b
    m, k, n = a[-2], a[-1], b[-1]
    if len(b) == 2:
        return _single(math.prod(a[:-1]), n, k, batched)
    lead_a, lead_b = (1,) * (len(b) - len(a)) + a[:-2], (1,) * (len(a) - len(b)) + b[:-2]
    count = math.prod(max(x, y) for x, y in zip(lead_a, lead_b, strict=True))
    return (Product(count, m, n, k, "count" if any(batched[:2]) else ""),)


def einsum(equation: str, shapes: Sequence[Shape], batched: Sequence[bool]) -> tuple[Product, ...]:
    """A contraction, its operands taken from left to right: each step one product.

    Axes that both sides have and that are still needed count the products; those of one side are rows or columns.
    """
    terms, result = _terms(equation, shapes)
    size: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for axis, length in zip(term, shape, strict=True):
            size[axis] = max(size.get(axis, 1), length)

    def extent(axes: set[str]) -> int:
        return math.prod(size[axis] for axis in axes)

    found: list[Product] = []
    left, grown = set(terms[0]), batched[0]
    for number, term in enumerate(terms[1:], start=1):
        right = set(term)
        needed = set(result).union(*terms[number + 1 :])
        count, k = extent(left & right & needed), extent((left & right) - needed)
        m, n = extent((left - right) & needed), extent((right - left) & needed)
        if grown != batched[number]:  # the batch is an axis of one side alone
            m, n = (m, n) if grown else (n, m)
            found.append(Product(count, m, n, k, "m"))
        else:
            found.append(Product(count, m, n, k, "count" if grown else ""))
        left, grown = (left | right) & needed, grown or batched[number]
    return tuple(found)


def _terms(equation: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """One letter an axis: each operand's and the result's, with dots spelled out and a missing result filled in."""
    sides, arrow, result = equation.replace(" ", "").partition("->")
    terms = sides.split(",")
    dots = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    spelled = "".join(chr(0x100 + axis) for axis in range(max(dots), 0, -1))  # the last axis first: they align there
    terms = [term.replace("...", spelled[len(spelled) - n :]) for term, n in zip(terms, dots, strict=True)]
    if arrow:
        return terms, result.replace("...", spelled)
    letters = "".join(terms)
    return terms, spelled + "".join(axis for axis in sorted(set(letters)) if letters.count(axis) == 1)


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
    found: list[Product] = []
    for weight in (shape for shape in weights if len(shape) == 2):
        recurrent = weight[0] == gates * weight[1] and bool(found) and found[-1].count == 1
        rows = (steps, batch) if recurrent else (1, steps * batch)
        found.append(Product(rows[0], rows[1], weight[0], weight[1], "m"))
    return tuple(found)


def cell(source: Shape, weights: Sequence[Shape]) -> tuple[Product, ...]:
    """One step of a recurrence: a product with the input's weights and one with the state's."""
    rows = math.prod(source[:-1])
    return tuple(Product(1, rows, weight[0], weight[1], "m") for weight in weights if len(weight) == 2)


def _single(m: int, n: int, k: int, batched: Sequence[bool]) -> tuple[Product, ...]:
    """One product (m x k) by (k x n); rows are what grows with the batch, so the sides change places if they must."""
    left, right = batched[:2]
    if right and not left:
        m, n = n, m
    return (Product(1, m, n, k, "" if not (left or right) else "count" if left and right else "m"),)


def _spread(value: Any, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return tuple(int(v) for v in (values * axes if len(values) == 1 else values))


def window(size: Any, stride: Any, source: Shape, target: str) -> Window:
    """A pooling window; the stride is the kernel's size where none is given."""
    axes = int(target.partition("pool")[2][0])
    return Window(kernel=_spread(size, axes), stride=_spread(stride or size, axes), groups=source[-axes - 1])
