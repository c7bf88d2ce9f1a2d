"""The search for coefficients against everything there is within reach, on a base small enough to try it all."""

import itertools
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.hardware import platform
from modelwright.records import Architecture, ConvStem, MBConv, PoolHead, Stage
from modelwright.records.costs import Numbers
from modelwright.search.scale.base import Base, base_of
from modelwright.search.scale.lacs import SLACK, TOLERANCE, Machine, Scale, axes, search

Law = Callable[[Numbers, Numbers, Numbers], Numbers]

NETWORK = Architecture(
    name="tiny",
    input=(3, 32, 32),
    classes=10,
    stem=ConvStem((16,), activation="swish"),
    stages=(
        Stage(MBConv(16, 64, 24, stride=2, squeeze=4)),
        Stage(MBConv(24, 96, 24, squeeze=6)),
        Stage(MBConv(24, 144, 40, kernel=5, stride=2, squeeze=6)),
    ),
    head=PoolHead(channels=160),
    dropout=0.1,
)
TINY: Base = base_of(NETWORK)
MACHINE = Machine(platform("v100-sxm"), 4096)
START = float(MACHINE.latency([NETWORK])[0])
MOST = 2.0 * START

EXPONENTS = st.floats(0.05, 2.0)
WEIGHTS = st.floats(0.0, 0.2)


@st.composite
def laws(draw: st.DrawFn) -> Law:
    """Any sum of falling powers, below an error of 0.7."""
    weights, powers = [draw(WEIGHTS) for _ in range(3)], [draw(EXPONENTS) for _ in range(3)]

    def told(*coefficients: Numbers) -> Numbers:
        error = sum(w * x**-p for w, x, p in zip(weights, coefficients, powers, strict=True))
        return 0.9 - np.asarray(error)

    return told


@pytest.fixture(scope="module")
def everything() -> tuple[Numbers, Numbers]:
    """Real coefficients and latencies of all networks on the axes."""
    found = axes(TINY, MACHINE, MOST)
    asked = list(itertools.product(*(axis.asked for axis in found)))
    latencies = MACHINE.latency([TINY.make(depth, width, int(pixels)) for depth, width, pixels in asked])
    return np.array(list(itertools.product(*(axis.real for axis in found)))).T, latencies


def made(one: Scale) -> Architecture:
    return TINY.make(one.depth, one.width, one.pixels)


def deep_only(depth: Numbers, width: Numbers, resolution: Numbers) -> Numbers:
    return 0.9 - 0.3 / depth + 0 * width * resolution


def balanced(depth: Numbers, width: Numbers, resolution: Numbers) -> Numbers:
    return 0.9 - 0.1 / depth - 0.1 / width - 0.1 / resolution


@settings(max_examples=12)
@given(law=laws(), times=st.lists(st.floats(1.0, MOST / START), min_size=1, max_size=3))
def test_no_network_within_the_limit_is_better_and_no_limit_is_passed(
    everything: tuple[Numbers, Numbers], law: Law, times: list[float]
) -> None:
    real, latencies = everything
    for target, one in zip(times, search(TINY, law, [START * t for t in times], MACHINE), strict=True):
        assert one.latency_s <= START * target
        assert MACHINE.latency([made(one)])[0] == pytest.approx(one.latency_s, rel=1e-9)
        assert one.accuracy >= law(*real)[latencies <= START * target].max() - TOLERANCE - 1e-9


@settings(max_examples=8)
@given(law=laws(), times=st.lists(st.floats(1.0, MOST / START), min_size=2, max_size=4))
def test_more_time_never_gives_less_accuracy(law: Law, times: list[float]) -> None:
    ranked = search(TINY, law, sorted(START * t for t in times), MACHINE)
    assert [one.accuracy for one in ranked] == sorted(one.accuracy for one in ranked)


@settings(max_examples=8)
@given(law=laws(), time=st.floats(1.0, MOST / START), below=st.floats(-0.2, 0.0), above=st.floats(-1.0, -0.01))
def test_no_network_has_a_higher_reward(
    everything: tuple[Numbers, Numbers], law: Law, time: float, below: float, above: float
) -> None:
    real, latencies = everything
    target = START * time
    (one,) = search(TINY, law, [target], MACHINE, reward=(below, above))

    def reward(accuracy: Numbers, latency: Numbers) -> Numbers:
        return accuracy * (latency / target) ** np.where(latency <= target, below, above)

    reached = reward(np.array(one.accuracy), np.array(one.latency_s))
    assert reached >= reward(law(*real), latencies).max() - TOLERANCE - 1e-9


def test_where_only_depth_helps_only_depth_is_scaled() -> None:
    targets = [1.2 * START, 1.6 * START, MOST]
    found = search(TINY, deep_only, targets, MACHINE)
    assert [(one.width, one.pixels) for one in found] == [(1.0, 32)] * 3
    assert found[0].depth < found[1].depth < found[2].depth
    for target, one in zip(targets, found, strict=True):
        deeper = TINY.make(one.depth + 1, 1.0, 32)
        assert MACHINE.latency([deeper])[0] > target


def test_where_nothing_helps_the_base_is_the_answer() -> None:
    found = search(TINY, lambda depth, width, resolution: np.full(len(depth), 0.5), [MOST], MACHINE)
    assert [(one.depth, one.width, one.pixels) for one in found] == [(1.0, 1.0, 32)]


def test_one_exponent_makes_one_network_the_best_for_all_targets() -> None:
    """The target is then only a factor of the reward: argmax a (t/T)^w = argmax a t^w."""
    found = search(TINY, balanced, [START, 1.5 * START, MOST], MACHINE, reward=(-0.07, -0.07))
    assert len(set(found)) == 1
    pair = search(TINY, balanced, [START, 1.5 * START, MOST], MACHINE, reward=(0.0, -5.0))
    limited = search(TINY, balanced, [START, 1.5 * START, MOST], MACHINE)
    assert pair[0].latency_s < pair[1].latency_s < pair[2].latency_s
    assert [one.latency_s for one in pair] == pytest.approx([one.latency_s for one in limited], rel=0.05)


def test_the_axes_hold_each_network_once_by_its_smallest_multiplier() -> None:
    deep, wide, fine = axes(TINY, MACHINE, MOST)
    depths = [TINY.make(value, 1.0, 32).stages for value in deep.asked]
    widths = [TINY.make(1.0, value, 32) for value in wide.asked]
    assert len(set(map(str, depths))) == len(depths)
    assert len(set(map(str, widths))) == len(widths)
    assert deep.asked[0] == wide.asked[0] == fine.real[0] == 1.0
    for value, network in zip(deep.asked[1:], depths[1:], strict=True):
        assert TINY.make(value - 0.01, 1.0, 32).stages != network
    for value, network in zip(wide.asked[1:], widths[1:], strict=True):
        assert TINY.make(1.0, value - 0.01, 32) != network


def test_padding_saves_less_than_the_slack(everything: tuple[Numbers, Numbers]) -> None:
    """What the search rests on: a network that is larger in every way is hardly ever the faster one."""
    latencies = everything[1].reshape([len(axis.asked) for axis in axes(TINY, MACHINE, MOST)])
    highest = latencies
    for axis in range(3):
        highest = np.maximum.accumulate(highest, axis=axis)
    assert (latencies / highest).min() > 1 - SLACK


def test_what_does_not_fit_the_memory_is_no_candidate() -> None:
    memory = MACHINE.platform.memory
    need = MACHINE.costs([NETWORK]).peak_memory_bytes[0]
    small = msgspec.structs.replace(
        MACHINE.platform,
        memory=tuple(
            msgspec.structs.replace(level, capacity=1.1 * need) if level is MACHINE.platform.main_memory else level
            for level in memory
        ),
    )
    machine = Machine(small, 4096)

    def sharp_only(depth: Numbers, width: Numbers, resolution: Numbers) -> Numbers:
        return 0.9 - 0.3 / resolution + 0 * depth * width

    (one,) = search(TINY, sharp_only, [MOST], machine)
    (free,) = search(TINY, sharp_only, [MOST], MACHINE)
    assert (
        machine.costs([made(one)]).peak_memory_bytes[0] <= 1.1 * need < machine.costs([made(free)]).peak_memory_bytes[0]
    )
    assert one.accuracy < free.accuracy
    with pytest.raises(SettingError, match="memory"):
        search(TINY, balanced, [1.0], Machine(small, 65536))


@pytest.mark.parametrize(
    ("targets", "reward", "rule"),
    [
        ([], None, "above 0"),
        ([-1.0], None, "above 0"),
        ([0.5 * START], None, "below the base's own"),
        ([MOST], (0.0, 0.07), "must fall"),
        ([MOST], (0.1, -0.07), "must fall"),
    ],
)
def test_what_cannot_be_meant_is_refused(targets: list[float], reward: tuple[float, float] | None, rule: str) -> None:
    with pytest.raises(SettingError, match=rule):
        search(TINY, balanced, targets, MACHINE, reward=reward)
