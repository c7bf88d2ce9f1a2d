"""Quantization's arithmetic: it is PyTorch's to the bit, errors are what theory says, nothing is lost in counting."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch import Tensor
from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver

from modelwright.errors import RecordError, SettingError
from modelwright.quantize.numerics import (
    dequantize,
    fake_quantize,
    histogram,
    mse,
    parameters,
    quantize,
    ranges,
    saturation,
    sqnr_db,
)
from modelwright.records import ACTIVATIONS, WEIGHTS, Scheme

SCHEMES = st.builds(
    Scheme,
    bits=st.integers(2, 8),
    signed=st.booleans(),
    symmetric=st.booleans(),
    granularity=st.sampled_from(["tensor", "channel", "group"]),
    group=st.sampled_from([1, 2, 4]),
)
NUMBERS = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
TENSORS = npst.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(4)), elements=NUMBERS).map(torch.from_numpy)


def found(x: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    return parameters(*ranges(x, scheme), scheme)


def there_and_back(x: Tensor, scheme: Scheme) -> Tensor:
    return fake_quantize(x, *found(x, scheme), scheme)


def torchaos(x: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """What torchao's own observer finds."""
    channel = scheme.granularity == "channel"
    observer = (PerChannelMinMaxObserver if channel else MinMaxObserver)(
        dtype=torch.int8 if scheme.signed else torch.uint8,
        qscheme={
            (False, False): torch.per_tensor_affine,
            (False, True): torch.per_tensor_symmetric,
            (True, False): torch.per_channel_affine,
            (True, True): torch.per_channel_symmetric,
        }[channel, scheme.symmetric],
        quant_min=scheme.lowest,
        quant_max=scheme.highest,
    )
    observer(x)
    return observer.calculate_qparams()


# --- as PyTorch and torchao -------------------------------------------------------------------------------------------


@given(x=TENSORS, scheme=SCHEMES.filter(lambda scheme: scheme.granularity != "group"))
def test_scales_and_zero_points_are_torchaos(x: Tensor, scheme: Scheme) -> None:
    scale, zero_point = found(x, scheme)
    expected_scale, expected_zero_point = torchaos(x, scheme)
    assert torch.equal(scale, expected_scale)
    assert torch.equal(zero_point, expected_zero_point.to(torch.int32))


@given(x=TENSORS, scheme=SCHEMES.filter(lambda scheme: scheme.granularity != "group"))
def test_quantized_and_back_is_what_pytorchs_kernel_gives(x: Tensor, scheme: Scheme) -> None:
    scale, zero_point = found(x, scheme)
    if scheme.granularity == "channel":
        kernel = torch.fake_quantize_per_channel_affine(x, scale, zero_point, 0, scheme.lowest, scheme.highest)
    else:
        kernel = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, scheme.lowest, scheme.highest)
    assert torch.equal(fake_quantize(x, scale, zero_point, scheme), kernel)


def test_a_channel_may_lie_on_any_axis() -> None:
    x = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    given_first = found(x.movedim(1, 0), WEIGHTS)
    scale, zero_point = parameters(*ranges(x, WEIGHTS, axis=1), WEIGHTS)
    assert torch.equal(scale, given_first[0])
    back = fake_quantize(x, scale, zero_point, WEIGHTS, axis=1)
    assert torch.equal(back.movedim(1, 0), there_and_back(x.movedim(1, 0), WEIGHTS))


def test_a_group_is_a_tensor_of_its_own() -> None:
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    grouped = Scheme(bits=4, symmetric=True, narrow=True, granularity="group", group=4)
    alone = Scheme(bits=4, symmetric=True, narrow=True)
    back = there_and_back(x, grouped)
    for place in np.ndindex(2, 3, 2):
        part = (place[0], place[1], slice(4 * place[2], 4 * place[2] + 4))
        assert torch.equal(back[part], there_and_back(x[part], alone))


# --- errors -----------------------------------------------------------------------------------------------------------


@given(x=TENSORS, scheme=SCHEMES)
def test_no_number_moves_by_more_than_half_a_step_and_zero_stays_zero(x: Tensor, scheme: Scheme) -> None:
    """A symmetric scheme that has one more number below zero than above gives up another half step at its top."""
    scale, zero_point = found(x, scheme)
    back = fake_quantize(x, scale, zero_point, scheme)
    spread = {
        "tensor": lambda s: s,
        "channel": lambda s: s[:, None],
        "group": lambda s: s.repeat_interleave(scheme.group, -1),
    }
    steps = (back - x).abs() / spread[scheme.granularity](scale)
    uneven = scheme.symmetric and not scheme.narrow
    assert steps.max() <= (1.0 if uneven else 0.5) + 1e-3
    assert torch.equal(fake_quantize(torch.zeros_like(x), scale, zero_point, scheme), torch.zeros_like(x))


@given(x=TENSORS, scheme=SCHEMES)
def test_whole_numbers_survive_the_way_there_and_back(x: Tensor, scheme: Scheme) -> None:
    scale, zero_point = found(x, scheme)
    whole = quantize(x, scale, zero_point, scheme)
    assert whole.dtype == (torch.int8 if scheme.signed else torch.uint8)
    assert scheme.lowest <= whole.min()
    assert whole.max() <= scheme.highest
    assert torch.equal(quantize(dequantize(whole, scale, zero_point, scheme), scale, zero_point, scheme), whole)


@pytest.mark.parametrize("symmetric", [True, False])
def test_finer_scales_lose_less(symmetric: bool) -> None:
    spreads = torch.logspace(-2, 1, 16)[:, None]
    x = torch.randn(16, 256, generator=torch.Generator().manual_seed(1)) * spreads
    losses = [
        mse(x, there_and_back(x, Scheme(bits=4, symmetric=symmetric, granularity=granularity, group=16)))
        for granularity in ("group", "channel", "tensor")
    ]
    assert losses == sorted(losses)
    assert losses[0] < losses[2] / 4


def test_a_bit_is_worth_six_decibels() -> None:
    """Each bit halves the step, so it quarters the error's power: 20 log10(2) = 6.02 dB (Bennett, 1948)."""
    x = torch.rand(100_000, generator=torch.Generator().manual_seed(2))
    levels = {bits: sqnr_db(x, there_and_back(x, Scheme(bits=bits, signed=False))) for bits in range(2, 9)}
    gains = [levels[bits] - levels[bits - 1] for bits in range(4, 9)]
    assert gains == pytest.approx([20 * math.log10(2)] * 5, abs=0.7)  # 2^b - 1 steps, so small b gain a bit more
    assert levels[8] == pytest.approx(10 * math.log10(12 / 3 * 255**2), abs=0.05)


# --- what is counted --------------------------------------------------------------------------------------------------


@given(x=TENSORS, bins=st.integers(1, 50))
def test_a_histogram_counts_every_number(x: Tensor, bins: int) -> None:
    for one in (histogram(x, bins), histogram(x, bins, (-1.0, 1.0))):
        assert len(one.counts) == bins
        assert sum(one.counts) == x.numel()


def test_a_histogram_counts_where_the_numbers_are() -> None:
    one = histogram(torch.tensor([0.0, 0.1, 0.9, 5.0]), 2, (0.0, 1.0))
    assert (one.low, one.high, one.counts) == (0.0, 1.0, (2, 2))


@given(value=NUMBERS)
def test_numbers_all_alike_lie_within_their_histogram(value: float) -> None:
    one = histogram(torch.full((5,), value))
    assert one.low < value < one.high
    assert sorted(one.counts)[-1] == 5


def test_what_is_clipped_is_counted() -> None:
    scale, zero_point = parameters(torch.tensor([0.0]), torch.tensor([1.0]), ACTIVATIONS)
    x = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.001, 2.0])
    assert saturation(x, scale, zero_point, ACTIVATIONS) == pytest.approx(2 / 6), "less than half a step is rounding"


@given(x=TENSORS, scheme=SCHEMES)
def test_what_a_scheme_represents_is_within_its_range(x: Tensor, scheme: Scheme) -> None:
    scale, zero_point = found(x, scheme)
    assert saturation(fake_quantize(x, scale, zero_point, scheme), scale, zero_point, scheme) == 0


def test_decibels_are_those_of_the_definition() -> None:
    x = torch.tensor([3.0, 4.0])
    assert sqnr_db(x, x + torch.tensor([0.3, 0.4])) == pytest.approx(20)
    assert sqnr_db(x, x) == math.inf
    assert sqnr_db(torch.zeros(2), x) == -math.inf
    assert mse(x, torch.zeros(2)) == 12.5


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_range(bad: float) -> None:
    x = torch.tensor([[1.0, bad]])
    for call in (lambda: ranges(x, WEIGHTS), lambda: histogram(x), lambda: histogram(x, 4, (0.0, 1.0))):
        with pytest.raises(RecordError, match="finite numbers"):
            call()


def test_nothing_has_no_range() -> None:
    with pytest.raises(RecordError, match="finite numbers"):
        ranges(torch.empty(0, 3), WEIGHTS)


def test_groups_must_fit() -> None:
    scheme = Scheme(granularity="group", group=3)
    with pytest.raises(SettingError, match="multiple of the group of 3"):
        ranges(torch.zeros(2, 4), scheme)
    with pytest.raises(SettingError, match="multiple of the group of 3"):
        quantize(torch.zeros(2, 4), torch.ones(2, 1), torch.zeros(2, 1), scheme)


def test_only_tensors_of_one_shape_are_compared() -> None:
    with pytest.raises(SettingError, match="one shape"):
        sqnr_db(torch.zeros(2, 1), torch.zeros(2))


@pytest.mark.parametrize(("bins", "ends"), [(0, None), (4, (1.0, 1.0)), (4, (1.0, 0.0))])
def test_a_histogram_without_bins_or_range_is_refused(bins: int, ends: tuple[float, float] | None) -> None:
    with pytest.raises(SettingError, match="a bin and a range"):
        histogram(torch.arange(3.0), bins, ends)
