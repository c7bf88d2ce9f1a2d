"""Which precision each tensor and operator has under a policy: one precision for all, or autocast's rules.

Under "amp" (fp16) and "amp-bf16" the rules are those of torch.autocast for CUDA, as listed in PyTorch's reference
"Autocast Op Reference": matrix work casts its inputs down, a list of sensitive operators casts them up, the rest
promotes to the widest input. "amp-fast-norm" is "amp" with layer and group normalisation kept in fp16, as timm's fast
norm and NVIDIA's Apex run them.
"""

from collections.abc import Sequence
from typing import cast

import msgspec

from modelwright.records import WIDTHS, Operator, Policy, Precision, Workload

_WIDTH: dict[Precision, int] = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}
AUTOCAST: dict[str, Precision] = {"amp": "fp16", "amp-bf16": "bf16", "amp-fast-norm": "fp16"}
"""Policy -> the precision that it casts matrix work to."""

_DOWN_NORMS = frozenset({"layer_norm", "group_norm"})
_UP = frozenset({
    "acos", "asin", "cdist", "cosh", "cosine_similarity", "exp", "expm1", "group_norm", "layer_norm",
    "linalg_vector_norm", "log", "log1p", "log2", "logsumexp", "norm", "pairwise_distance", "pow", "reciprocal",
    "rms_norm", "rsqrt", "sinh", "softplus", "square", "tan", "upsample_bicubic2d", "upsample_bilinear2d",
    "upsample_linear1d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_trilinear3d",
})  # fmt: skip
_UP_INSIDE = frozenset(["cumprod", "cumsum", "log_softmax", "prod", "softmax", "sum"])
"""Read at the width they come in and written in fp32: autocast sets their dtype argument, no conversion runs."""
_DOWN = frozenset({"convolution", "product", "attention", "recurrence"})
_WIDEST = frozenset({"bilinear", "tensordot"})
"""Products that autocast runs in the widest precision among their inputs."""


class Cast(msgspec.Struct, frozen=True):
    """A conversion that autocast puts before an operator: `tensor` is read at one width and written at another."""

    tensor: int
    read: int
    write: int


class Assignment(msgspec.Struct, frozen=True):
    """The outcome: bytes an element of every tensor, the matrix precision of every operator, and casts before each."""

    widths: tuple[int, ...]
    matrix: tuple[Precision, ...]
    casts: tuple[tuple[Cast, ...], ...]


def assign(workload: Workload, policy: Policy) -> Assignment:
    """Give every tensor a width and every operator a precision under the policy."""
    precision = matrix_precision(policy)
    if policy in AUTOCAST:
        return _autocast(workload, precision, _DOWN_NORMS if policy == "amp-fast-norm" else frozenset())
    width = _WIDTH[precision]
    widths = tuple(width if tensor.floating else WIDTHS.get(tensor.dtype, 4) for tensor in workload.tensors)
    nothing: tuple[Cast, ...] = ()
    return Assignment(widths, (precision,) * len(workload.operators), (nothing,) * len(workload.operators))


def matrix_precision(policy: Policy) -> Precision:
    """The precision in which a policy multiplies matrices."""
    return AUTOCAST[policy] if policy in AUTOCAST else cast(Precision, policy)


def _autocast(workload: Workload, low: Precision, more_down: frozenset[str]) -> Assignment:
    widths = [
        min(4, WIDTHS.get(tensor.dtype, 4)) if tensor.floating else WIDTHS.get(tensor.dtype, 4)
        for tensor in workload.tensors
    ]
    kept: dict[int, int] = {}  # weights are converted once and kept
    matrix: list[Precision] = []
    casts = []
    for operator in workload.operators:
        down = (operator.kind in _DOWN and operator.target not in _WIDEST) or operator.target in {"prelu", *more_down}
        up = operator.target in _UP and not down and not operator.in_place
        wanted = 2 if down else 4
        before = _casts(operator, workload, widths, wanted, kept) if down or up else ()
        casts.append(before)
        matrix.append(low)
        fixed = down or up or operator.target in _UP_INSIDE
        _give(operator, workload, widths, wanted if fixed else 0)
    return Assignment(tuple(widths), tuple(matrix), tuple(casts))


def _casts(
    operator: Operator, workload: Workload, widths: Sequence[int], wanted: int, kept: dict[int, int]
) -> tuple[Cast, ...]:
    found = []
    for position in operator.inputs:
        tensor = workload.tensors[position]
        if not tensor.floating or widths[position] == wanted or kept.get(position) == wanted:
            continue
        found.append(Cast(position, widths[position], wanted))
        if tensor.role == "weight":
            kept[position] = wanted
    return tuple(found)


def _give(operator: Operator, workload: Workload, widths: list[int], wanted: int) -> None:
    """Set the outputs' widths: the wanted one, or the widest of the inputs that have axes."""
    if not wanted:
        inputs = [workload.tensors[p] for p in operator.inputs]
        counted = [
            w for w, t in zip((widths[p] for p in operator.inputs), inputs, strict=True) if t.floating and t.shape
        ]
        if (operator.target == "batch_norm" or operator.in_place) and inputs:
            counted = [widths[operator.inputs[0]]]
        if operator.kind == "cast":
            return
        wanted = max(counted, default=4)
    for position in operator.outputs:
        if workload.tensors[position].floating:
            widths[position] = wanted
