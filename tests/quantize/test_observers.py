"""Observers: published values, known optima, and what batches, units and strange tensors must not change."""

import copy
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import integrate, optimize
from scipy import stats as sps
from torch import Tensor

from modelwright.errors import RecordError, SettingError
from modelwright.quantize.numerics import fake_quantize, mse
from modelwright.quantize.observers.auto import CANDIDATES, AutoObserver
from modelwright.quantize.observers.choice import observer_for
from modelwright.quantize.observers.entropy import EntropyObserver
from modelwright.quantize.observers.group import GroupObserver
from modelwright.quantize.observers.mse import MSEObserver
from modelwright.quantize.observers.percentile import PERCENTILES, PercentileObserver
from modelwright.quantize.observers.tally import tally
from modelwright.records import ACTIVATIONS, Scheme

OWN = ("auto", "entropy", "mse", "percentile")
SCHEMES = st.builds(Scheme, bits=st.integers(2, 8), signed=st.booleans(), symmetric=st.booleans())
NUMBERS = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
ROWS = npst.arrays(np.float32, st.integers(1, 40), elements=NUMBERS).map(torch.from_numpy)


def draw(kind: str, count: int = 20_000) -> Tensor:
    torch.manual_seed(0)
    return {
        "normal": lambda: torch.randn(count),
        "rectified": lambda: torch.randn(count).relu(),
        "laplace": lambda: torch.distributions.Laplace(0.0, 1.0).sample((count,)),
        "student": lambda: torch.distributions.StudentT(3.0).sample((count,)),
        "uniform": lambda: torch.rand(count),
    }[kind]()


def seen(name: str, scheme: Scheme, *batches: Tensor) -> Any:
    observer = observer_for(name, scheme)()
    for batch in batches:
        observer(batch)
    return observer


def loss(observer: Any, x: Tensor, scheme: Scheme) -> float:
    return mse(x, fake_quantize(x, *observer.calculate_qparams(), scheme))


def qparams(observer: Any) -> tuple[list[float], list[int]]:
    scale, zero_point = observer.calculate_qparams()
    return scale.tolist(), zero_point.tolist()


# --- known optima -----------------------------------------------------------------------------------------------------


def optimal_error(levels: int) -> float:
    """The least error of an odd number of evenly spaced levels on the standard normal, by integration."""
    reach = levels // 2

    def error(step: float) -> float:
        total = 0.0
        for level in range(-reach, reach + 1):
            low = (level - 0.5) * step if level > -reach else -12.0
            high = (level + 0.5) * step if level < reach else 12.0
            total += integrate.quad(lambda x, at=level * step: (x - at) ** 2 * sps.norm.pdf(x), low, high)[0]
        return total

    return float(optimize.minimize_scalar(error, bounds=(0.5 / reach, 6 / reach), method="bounded").fun)


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_the_normal_is_quantized_as_well_as_it_can_be(bits: int) -> None:
    """Max, 1960, Quantizing for Minimum Distortion, table II."""
    if bits == 2:
        assert optimal_error(3) == pytest.approx(0.1902, abs=1e-4), "as Max has it"
    quantiles = torch.from_numpy(sps.norm.ppf((np.arange(50_000) + 0.5) / 50_000)).float()
    scheme = Scheme(bits=bits, symmetric=True, narrow=True)
    assert loss(seen("mse", scheme, quantiles), quantiles, scheme) == pytest.approx(
        optimal_error(2**bits - 1), rel=0.01
    )


@pytest.mark.parametrize("percentile", PERCENTILES)
@pytest.mark.parametrize("kind", ["normal", "rectified"])
def test_a_percentile_is_the_quantile(percentile: float, kind: str) -> None:
    """To a bin's width, between the two numbers that a quantile lies between."""
    x = draw(kind, 300_000)
    observer = PercentileObserver(percentile, qscheme=torch.per_tensor_symmetric, dtype=torch.int8)
    observer(x)
    low, high = observer.range(observer.seen)
    assert -low == high
    assert lies_at(x.abs(), percentile / 100, high)
    affine = PercentileObserver(percentile)
    affine(x)
    low, high = affine.range(affine.seen)
    tail = (1 - percentile / 100) / (2 if kind == "normal" else 1)
    assert lies_at(x, 1 - tail, high)
    assert lies_at(x, tail, low) if kind == "normal" else low == 0


def lies_at(x: Tensor, share: float, found: float) -> bool:
    ordered = x.sort().values.numpy()
    place = share * len(x)
    below, above = ordered[int(place) - 1], ordered[min(int(place) + 1, len(x) - 1)]
    return below - 0.004 * abs(below) <= found <= above + 0.004 * abs(above)


def test_a_stray_number_costs_a_percentile_nothing() -> None:
    x = draw("normal", 100_000)
    observer = seen("percentile", Scheme(symmetric=True), x, torch.tensor([1e6]))
    _, high = observer.range(observer.seen)
    assert high == pytest.approx(np.quantile(x.abs().numpy(), 0.9999), rel=0.05)


def migacz(x: np.ndarray, levels: int = 128, bins: int = 2048) -> float:
    """The pseudo-code of the slides, on a histogram of the numbers themselves."""
    counts, edges = np.histogram(np.abs(x), bins)
    found = []
    for cut in range(levels, bins + 1, 16):
        p, q = counts[:cut].astype(float), np.zeros(cut)
        p[-1] += counts[cut:].sum()
        for level in np.array_split(np.arange(cut), levels):
            q[level] = np.where(p[level] > 0, counts[level].sum() / max(1, (p[level] > 0).sum()), 0)
        found.append((sps.entropy(p, q), edges[cut]))
    return min(found)[1]


@pytest.mark.parametrize("kind", ["normal", "laplace", "uniform", "student"])
def test_entropy_cuts_about_where_the_slides_do(kind: str) -> None:
    """They count each number in its own bin of 2048, and so see more chance in sparse tails."""
    x = draw(kind, 200_000)
    one = seen("entropy", Scheme(symmetric=True), x)
    assert one.range(one.seen)[1] == pytest.approx(migacz(x.numpy()), rel=0.2)


@pytest.mark.parametrize("scheme", [ACTIVATIONS, Scheme(symmetric=True), Scheme(bits=4, signed=False)])
def test_entropy_keeps_all_of_the_even_and_cuts_the_tail_of_the_long(scheme: Scheme) -> None:
    even = seen("entropy", scheme, draw("uniform"))
    assert even.range(even.seen)[1] == pytest.approx(float(draw("uniform").max()), rel=0.01)
    for x in (draw("student", 200_000), draw("student", 200_000).abs()):
        long = seen("entropy", scheme, x)
        _, high = long.range(long.seen)
        assert high < 0.6 * x.abs().max()
        assert (x.abs() <= high).float().mean() > 0.99


def test_entropy_does_not_count_the_zeros_of_a_relu() -> None:
    x = draw("laplace").abs()
    alone, among = seen("entropy", ACTIVATIONS, x), seen("entropy", ACTIVATIONS, x, torch.zeros(100_000))
    assert qparams(alone) == qparams(among)


# --- what must not matter ---------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(x=ROWS, scheme=SCHEMES, name=st.sampled_from(OWN), data=st.data())
def test_how_numbers_are_dealt_into_batches_changes_nothing(x: Tensor, scheme: Scheme, name: str, data: Any) -> None:
    """But for the last bits of the bins' sums; so errors are compared, as two ranges may serve alike."""
    order = data.draw(st.permutations(range(len(x))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(x)), max_size=4)))
    shuffled = x[list(order)]
    batches = [shuffled[start:end] for start, end in itertools.pairwise([0, *cuts, len(x)])]
    together, dealt = seen(name, scheme, x), seen(name, scheme, *batches)
    assert (dealt.min_val, dealt.max_val) == (together.min_val, together.max_val)
    low, high = np.array([together.range(together.seen), dealt.range(dealt.seen)]).T
    first, second = together.errors(low, high)
    assert second == pytest.approx(first, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("scheme", [ACTIVATIONS, Scheme(bits=4, symmetric=True)])
def test_another_unit_of_measurement_changes_the_scale_alike(name: str, scheme: Scheme) -> None:
    x = draw("laplace", 5000)
    scale, zero_point = qparams(seen(name, scheme, x))
    assert qparams(seen(name, scheme, 64 * x)) == (pytest.approx([64 * scale[0]]), zero_point)


@given(x=ROWS)
def test_a_tally_keeps_count_sum_and_squares(x: Tensor) -> None:
    one = tally(x)
    assert one.total == len(x)
    points, weights = one.points()
    for power in (0, 1, 2):
        assert (points**power) @ weights == pytest.approx(float(x.double().pow(power).sum()), rel=1e-9, abs=1e-6)
    assert (one.lowest, one.highest) == (float(x.min()), float(x.max()))
    assert one.histogram(np.array([one.lowest - 1, 0.0, one.highest + 1])).sum() == pytest.approx(len(x))
    assert one.magnitudes().highest == float(x.abs().max())
    assert one.lowest <= one.quantile(0.5) <= one.highest


@pytest.mark.parametrize("name", OWN)
def test_what_was_seen_survives_a_copy_and_a_state_dictionary(name: str) -> None:
    observer = seen(name, ACTIVATIONS, draw("normal"))
    other = observer_for(name, ACTIVATIONS)()
    other.load_state_dict(observer.state_dict())
    assert qparams(other) == qparams(copy.deepcopy(observer)) == qparams(observer)
    observer.reset_min_max_vals()
    other.load_state_dict(observer.state_dict())
    assert math.isinf(other.min_val)


# --- none is worse than it says ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(x=ROWS, scheme=SCHEMES)
def test_the_searched_range_is_no_worse_than_the_others(x: Tensor, scheme: Scheme) -> None:
    """By what was seen, as the tally remembers it."""
    best = seen("mse", scheme, x)
    others = [(best.seen.lowest, best.seen.highest)]
    for percentile in PERCENTILES:
        one = PercentileObserver(percentile, qscheme=best.qscheme)
        others.append(one.range(best.seen))
    lows, highs = np.array([best.range(best.seen), *others]).T
    errors = best.errors(lows, highs)
    assert errors[0] <= errors[1:].min() * (1 + 1e-6) + 1e-12


@settings(deadline=None)
@given(x=ROWS, scheme=SCHEMES)
def test_auto_picks_the_candidate_of_the_least_error(x: Tensor, scheme: Scheme) -> None:
    auto = seen("auto", scheme, x)
    found = auto.range(auto.seen)
    assert auto.picked in CANDIDATES
    lows, highs = np.array([found, *(seen(name, scheme, x).range(auto.seen) for name in OWN[1:])]).T
    errors = auto.errors(lows, highs)
    assert errors[0] <= errors[1:].min() * (1 + 1e-6) + 1e-12


@pytest.mark.parametrize("kind", ["normal", "rectified", "laplace", "uniform"])
@pytest.mark.parametrize("scheme", [ACTIVATIONS, Scheme(symmetric=True), Scheme(bits=4, symmetric=True, narrow=True)])
def test_on_the_numbers_themselves_the_search_pays(kind: str, scheme: Scheme) -> None:
    x = draw(kind)
    losses = {name: loss(seen(name, scheme, x), x, scheme) for name in (*OWN, "minmax", "histogram")}
    assert losses["mse"] <= 1.01 * min(losses.values())
    assert losses["auto"] <= 1.01 * min(losses.values())


@pytest.mark.parametrize(("kind", "scheme"), [("normal", ACTIVATIONS), ("rectified", Scheme(bits=4, signed=False))])
def test_the_error_that_is_foretold_is_the_error(kind: str, scheme: Scheme) -> None:
    x = draw(kind)
    observer = seen("mse", scheme, x)
    low, high = observer.range(observer.seen)
    assert observer.errors([low], [high])[0] == pytest.approx(loss(observer, x, scheme), rel=0.02)


def test_auto_says_which_candidate_it_picked() -> None:
    even = seen("auto", ACTIVATIONS, torch.arange(256.0))
    assert even.picked == ""
    assert qparams(even) == ([1.0], [0]), "whole numbers are their own codes: nothing is lost"
    assert even.picked == "minmax"
    long = seen("auto", Scheme(bits=4, symmetric=True), draw("laplace"))
    long.calculate_qparams()
    assert long.picked == "mse"


def test_a_greater_power_spares_the_large_numbers() -> None:
    x = draw("laplace")
    reaches = []
    for power in (1.0, 2.0, 2.4, 4.0):
        observer = MSEObserver(power, dtype=torch.int8, qscheme=torch.per_tensor_symmetric, quant_min=-7, quant_max=7)
        observer(x)
        reaches.append(observer.range(observer.seen)[1])
    assert reaches == sorted(reaches)
    assert reaches[0] < reaches[-1]


# --- strange tensors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
@settings(deadline=None, max_examples=40)
@given(value=NUMBERS, scheme=SCHEMES)
def test_numbers_all_alike_are_represented(name: str, value: float, scheme: Scheme) -> None:
    """To half a step of the whole range; what is unevenly symmetric has a step less at its top."""
    x = torch.full((7,), value)
    observer = seen(name, scheme, x)
    step = abs(value) / (scheme.highest - scheme.lowest) * (2 if scheme.symmetric else 1)
    assert math.sqrt(loss(observer, x, scheme)) <= 0.51 * step + 1e-6


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("scheme", [ACTIVATIONS, Scheme(symmetric=True)])
def test_zeros_stay_zeros(name: str, scheme: Scheme) -> None:
    observer = seen(name, scheme, torch.zeros(3, 3), torch.zeros(0))
    assert loss(observer, torch.zeros(5), scheme) == 0
    assert observer.calculate_qparams()[0].item() > 0


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(name: str, bad: float) -> None:
    with pytest.raises(RecordError, match="must be finite"):
        seen(name, ACTIVATIONS, torch.tensor([1.0, bad]))


@pytest.mark.parametrize("observer", [observer_for(name, ACTIVATIONS)() for name in OWN] + [
    GroupObserver(Scheme(granularity="group"))
])  # fmt: skip
def test_no_range_is_given_before_numbers_were_seen(observer: Any) -> None:
    with pytest.raises(SettingError, match="must see numbers"):
        observer.calculate_qparams()


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"qscheme": torch.per_channel_affine}, "one scale a tensor"),
        ({"is_dynamic": True}, "before the network runs"),
        ({"dtype": torch.int16}, r"torch\.int8 or torch\.uint8"),
        ({"quant_min": -128, "quant_max": 127}, "fit torch.uint8"),
        ({"quant_min": 1, "quant_max": 5}, "hold 0"),
    ],
)
@pytest.mark.parametrize("kind", [EntropyObserver, MSEObserver, PercentileObserver, AutoObserver])
def test_what_cannot_be_observed_is_refused(kind: Any, options: dict[str, Any], rule: str) -> None:
    with pytest.raises(SettingError, match=rule):
        kind(**options)


@pytest.mark.parametrize("percentile", [50, 100.1, -1, math.nan])
def test_a_percentile_is_above_50(percentile: float) -> None:
    with pytest.raises(SettingError, match="above 50"):
        PercentileObserver(percentile)


@pytest.mark.parametrize("power", [0, -2, math.nan])
def test_a_power_is_positive(power: float) -> None:
    with pytest.raises(SettingError, match="must be positive"):
        MSEObserver(power)
