"""Multiply-accumulates of traced modules: PyTorch's own FLOP counter, and textbook formulas where it does not count."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from modelwright.hardware import estimate, platform
from modelwright.networks.trace import trace
from modelwright.records import Workload


class Function(nn.Module):
    """A module of one function, whose keyword arguments are its parameters."""

    def __init__(self, function: Callable[..., torch.Tensor], **parameters: torch.Tensor) -> None:
        super().__init__()
        self.function, self.names = function, tuple(parameters)
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(value))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs, **{name: getattr(self, name) for name in self.names})


def counted(module: nn.Module, *inputs: torch.Tensor) -> int:
    """MACs as PyTorch counts them while it computes, attention written out as two products."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return counter.get_total_flops() // 2


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(shape)


def einsum(equation: str) -> Function:
    return Function(lambda *operands: torch.einsum(equation, *operands))


MODULES: dict[str, tuple[nn.Module, tuple[tuple[int, ...], ...]]] = {
    "conv1d": (nn.Conv1d(4, 6, 3), ((2, 4, 32),)),
    "conv1d, strided and dilated": (nn.Conv1d(4, 6, 3, stride=2, dilation=3, padding=2), ((2, 4, 33),)),
    "conv2d": (nn.Conv2d(3, 8, 3), ((2, 3, 15, 13),)),
    "conv2d, one by one": (nn.Conv2d(3, 8, 1, bias=False), ((2, 3, 9, 9),)),
    "conv2d, grouped": (nn.Conv2d(6, 9, 3, groups=3, padding=1), ((2, 6, 8, 8),)),
    "conv2d, depthwise": (nn.Conv2d(8, 8, (5, 3), groups=8, stride=(2, 1)), ((2, 8, 16, 16),)),
    "conv2d, depthwise with two results a channel": (nn.Conv2d(4, 8, 3, groups=4), ((2, 4, 9, 9),)),
    "conv2d, padded to the same size": (nn.Conv2d(3, 4, 4, padding="same"), ((2, 3, 8, 8),)),
    "conv2d, padded around": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), ((2, 3, 8, 8),)),
    "conv2d, no batch": (nn.Conv2d(3, 4, 3), ((3, 8, 8),)),
    "conv3d": (nn.Conv3d(2, 4, (1, 3, 3), stride=(1, 2, 2)), ((2, 2, 4, 9, 9),)),
    "transposed conv1d": (nn.ConvTranspose1d(4, 6, 3, stride=2), ((2, 4, 17),)),
    "transposed conv2d": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1), ((2, 4, 9, 9),)),
    "transposed conv3d": (nn.ConvTranspose3d(4, 2, 2, stride=2, dilation=2), ((2, 4, 5, 5, 5),)),
    "linear": (nn.Linear(4, 5), ((2, 4),)),
    "linear over many axes": (nn.Linear(4, 5, bias=False), ((2, 3, 7, 4),)),
    "linear, named arguments": (
        Function(lambda x, w: functional.linear(weight=w, input=x), w=zeros(5, 4)),
        ((2, 3, 4),),
    ),
    "mm": (Function(torch.mm), ((3, 4), (4, 5))),
    "bmm": (Function(torch.bmm), ((2, 3, 4), (2, 4, 5))),
    "matmul, broadcast": (Function(torch.matmul), ((2, 1, 3, 4), (5, 4, 6))),
    "matmul, matrix on the right": (Function(torch.matmul), ((2, 5, 3, 4), (4, 6))),
    "matmul, matrix on the left": (Function(torch.matmul), ((3, 4), (2, 4, 6))),
    "matmul, vector on the left": (Function(torch.matmul), ((4,), (2, 4, 6))),
    "addmm": (Function(torch.addmm), ((5,), (2, 4), (4, 5))),
    "baddbmm": (Function(torch.baddbmm), ((2, 3, 5), (2, 3, 4), (2, 4, 5))),
    "inner": (Function(torch.inner), ((2, 3, 4), (6, 4))),
    "tensordot": (
        Function(lambda a, b: torch.tensordot(a, b, dims=([1, 2], [0, 1]))),
        ((2, 3, 4), (3, 4, 5)),
    ),
    "einsum, product": (einsum("bik,kj->bij"), ((2, 3, 4), (4, 5))),
    "einsum, scores": (einsum("bqhd,bkhd->bhqk"), ((2, 3, 4, 5), (2, 6, 4, 5))),
    "einsum, shared axes": (einsum("bhik,hkj->bhij"), ((2, 3, 4, 5), (3, 5, 6))),
    "einsum, result left out": (einsum("ij,jk"), ((2, 3), (3, 4))),
    "einsum, dots": (einsum("...ij,...jk->...ik"), ((2, 7, 3, 4), (7, 4, 5))),
    "einsum, dots and result left out": (einsum("...ij,jk"), ((2, 7, 3, 4), (4, 5))),
    "einsum, axis summed away": (einsum("bij,bjk->bk"), ((2, 3, 4), (2, 4, 5))),
    "attention": (Function(functional.scaled_dot_product_attention), ((2, 4, 8, 16), (2, 4, 12, 16), (2, 4, 12, 10))),
    "multi-head attention": (nn.MultiheadAttention(8, 2, batch_first=True), ((2, 5, 8), (2, 7, 8), (2, 7, 8))),
    "encoder layer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), ((2, 5, 8),)),
    "encoder and decoder": (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), ((2, 5, 8), (2, 6, 8))),
    "lstm with projections": (nn.LSTM(4, 8, proj_size=3), ((5, 2, 4),)),
    "gru": (nn.GRU(4, 8, num_layers=2, bidirectional=True, batch_first=True), ((2, 5, 4),)),
    "rnn": (nn.RNN(4, 8), ((5, 2, 4),)),
    "lstm cell": (nn.LSTMCell(4, 8), ((2, 4),)),
    "gru cell": (nn.GRUCell(4, 8), ((2, 4),)),
    "rnn cell": (nn.RNNCell(4, 8), ((2, 4),)),
    "no product at all": (nn.Sequential(nn.BatchNorm2d(3), nn.SiLU(), nn.AvgPool2d(2)), ((2, 3, 8, 8),)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_macs_are_those_that_pytorch_counts(name: str) -> None:
    module, shapes = MODULES[name]
    inputs = [zeros(*shape) for shape in shapes]
    assert trace(module, inputs).macs == counted(module, *inputs)


FORMULAS: dict[str, tuple[nn.Module, tuple[tuple[int, ...], ...], int]] = {
    "matrix by vector": (Function(torch.matmul), ((2, 3, 4), (4,)), 2 * 3 * 4),
    "dot": (Function(torch.dot), ((7,), (7,)), 7),
    "outer product as einsum": (einsum("bi,bj->bij"), ((2, 3), (2, 4)), 2 * 3 * 4),
    "sum of products": (Function(torch.addbmm), ((3, 5), (2, 3, 4), (2, 4, 5)), 2 * 3 * 4 * 5),
    "bilinear": (nn.Bilinear(3, 4, 5), ((2, 3), (2, 4)), 2 * 5 * 3 * 4),
    # two layers, two directions, four gates, five steps, two samples; the second layer reads both directions
    "lstm": (
        nn.LSTM(4, 8, num_layers=2, bidirectional=True, batch_first=True),
        ((2, 5, 4),),
        2 * 5 * 2 * 4 * 8 * ((4 + 8) + (16 + 8)),
    ),
    # eight heads of queries share two of keys and values: every query head still meets every key
    "grouped-query attention": (
        Function(lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)),
        ((2, 8, 6, 16), (2, 2, 6, 16), (2, 2, 6, 16)),
        2 * 8 * 6 * 6 * (16 + 16),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_macs_that_pytorch_does_not_count(name: str) -> None:
    module, shapes, macs = FORMULAS[name]
    workload = trace(module, [zeros(*shape) for shape in shapes])
    assert workload.macs == macs
    assert workload.unknown == ()


def test_causal_attention_is_marked_and_counts_as_a_whole() -> None:
    attention = functional.scaled_dot_product_attention
    inputs = [zeros(2, 4, 8, 16)] * 3
    causal = trace(Function(lambda q, k, v: attention(q, k, v, is_causal=True)), inputs)
    full = trace(Function(attention), inputs)
    assert [operator.causal for operator in causal.operators] == [True]
    assert [operator.causal for operator in full.operators] == [False]
    assert causal.macs == full.macs


def test_attention_counts_as_much_as_the_two_products_that_it_is() -> None:
    def written_out(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (q @ k.mT / 4).softmax(-1) @ v

    inputs = [zeros(2, 4, 8, 16), zeros(2, 4, 12, 16), zeros(2, 4, 12, 16)]
    fused = trace(Function(functional.scaled_dot_product_attention), inputs)
    assert fused.macs == trace(Function(written_out), inputs).macs


AXES = {"both": "bc", "left": "il", "right": "jr", "contracted": "kq"}


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """A contraction of two operands whose axes lie in any order, with its shapes."""
    counts = {kind: draw(st.integers(kind == "contracted", 2)) for kind in AXES}
    axes = {kind: AXES[kind][:count] for kind, count in counts.items()}
    kept = axes["both"] + axes["left"] + axes["right"]
    left = draw(st.permutations(axes["both"] + axes["left"] + axes["contracted"]))
    right = draw(st.permutations(axes["both"] + axes["right"] + axes["contracted"]))
    result = draw(st.permutations(kept))
    size = {axis: draw(st.integers(2, 5)) for axis in itertools.chain(left, right)}
    return (
        f"{''.join(left)},{''.join(right)}->{''.join(result)}",
        tuple(size[axis] for axis in left),
        tuple(size[axis] for axis in right),
    )


@settings(max_examples=20)
@given(equations())
def test_an_einsum_counts_every_axis_once(case: tuple[str, tuple[int, ...], tuple[int, ...]]) -> None:
    equation, left, right = case
    sizes = dict(zip(equation.partition("->")[0].replace(",", ""), left + right, strict=True))
    assert trace(einsum(equation), [zeros(*left), zeros(*right)]).macs == math.prod(sizes.values())


def test_an_einsum_of_three_operands_is_taken_from_left_to_right() -> None:
    workload = trace(einsum("bi,ij,jk->bk"), [zeros(2, 3), zeros(3, 4), zeros(4, 5)])
    assert [product.macs for product in workload.operators[0].products] == [2 * 3 * 4, 2 * 4 * 5]


GROWING: dict[str, Callable[[int], tuple[nn.Module, list[torch.Tensor]]]] = {
    "linear": lambda b: (nn.Linear(40, 50), [zeros(b, 3, 40)]),
    "convolution": lambda b: (nn.Conv2d(6, 9, 3, groups=3), [zeros(b, 6, 12, 12)]),
    "transposed convolution": lambda b: (nn.ConvTranspose2d(6, 9, 2, stride=2), [zeros(b, 6, 7, 7)]),
    "two inputs": lambda b: (Function(torch.bmm), [zeros(b, 30, 40), zeros(b, 40, 5)]),
    "keys of one head": lambda b: (Function(torch.matmul), [zeros(b, 8, 30, 40), zeros(b, 1, 40, 5)]),
    "weights on the left": lambda b: (Function(lambda x, w: w @ x.mT, w=zeros(70, 40)), [zeros(b, 40)]),
    "weights on the left of a stack": lambda b: (Function(lambda x, w: w @ x, w=zeros(70, 40)), [zeros(b, 40, 9)]),
    "a stack of weights": lambda b: (Function(lambda x, w: x @ w, w=zeros(8, 40, 9)), [zeros(b, 8, 30, 40)]),
    "einsum with weights": lambda b: (
        Function(lambda x, w: torch.einsum("bhik,hkj->bhij", x, w), w=zeros(3, 40, 9)), [zeros(b, 3, 30, 40)]
    ),
    "einsum, weights first": lambda b: (
        Function(lambda x, w: torch.einsum("oc,bcn->bon", w, x), w=zeros(70, 40)), [zeros(b, 40, 9)]
    ),
    "attention": lambda b: (Function(functional.scaled_dot_product_attention), [zeros(b, 4, 33, 16)] * 3),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("device", ["h200", "tpu-v4"])
def test_what_the_batch_multiplies_is_known_at_any_batch(name: str, device: str) -> None:
    """Traced at 2 and estimated at 6 is traced at 6: rows, columns and counts, so their padding is the same too."""

    def matrix_seconds(workload: Workload) -> list[float]:
        found = estimate(workload, platform(device), batch=6, precision="bf16", execution="compiled")
        return [kernel.matrix_s for kernel in found.kernels if kernel.flops]

    small, large = (trace(*GROWING[name](batch)) for batch in (2, 6))
    assert small.macs * 3 == large.macs
    assert matrix_seconds(small) == pytest.approx(matrix_seconds(large), rel=1e-12)
