"""Families: growth, references, measured limits, training as evidence, and the way there and back on paper."""

from collections.abc import Callable, Sequence

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.hardware import platform
from modelwright.records import (
    Architecture,
    Coefficients,
    ConvStem,
    Device,
    Family,
    MBConv,
    Measurement,
    PoolHead,
    Recipe,
    ScaledMember,
    Stage,
    from_json,
    from_toml,
    to_json,
    to_toml,
)
from modelwright.search.scale.base import BASES, Base, base_of, real
from modelwright.search.scale.family import COMPOUND_RULE, Asked, describe, growth, ladder, scale
from modelwright.search.scale.lacs import Machine, search
from modelwright.search.scale.law import FittedLaw, ScalingLaw
from modelwright.search.scale.measured import Measure
from modelwright.search.scale.observations import published
from modelwright.search.scale.trained import trained_accuracy

BLOCKS = (Stage(MBConv(16, 64, 24, stride=2, squeeze=4)), Stage(MBConv(24, 96, 40, kernel=5, stride=2, squeeze=6)))
NETWORK = Architecture("tiny", (3, 32, 32), 10, ConvStem((16,)), BLOCKS, PoolHead(channels=160), dropout=0.1)
TINY: Base = base_of(NETWORK)
MACHINE = Machine(platform("v100-sxm"), 4096)
START = float(MACHINE.latency([NETWORK])[0])
DEVICE = Device("cpu", "a machine of the tests", 1, {})


@pytest.fixture(scope="module")
def law() -> FittedLaw:
    return ScalingLaw().fit(real(published(), BASES["efficientnet"]))


@pytest.fixture(scope="module")
def family(law: FittedLaw) -> Family:
    return scale(TINY, law, ladder(START, 2, 1.4), MACHINE)


def measurement(network: Architecture, seconds: float) -> Measurement:
    return Measurement(network.name, 4096, "fp16", "eager", False, (seconds,), seconds, 0.0, 1, 1, "2000-01-01", DEVICE)


def machine_that_takes(times: Callable[[Architecture, float], float]) -> tuple[Measure, list[Architecture]]:
    """A machine whose times are the model's, changed; and what it was given to measure."""
    given: list[Architecture] = []

    def measure(networks: Sequence[Architecture]) -> list[Measurement]:
        given.extend(networks)
        return [
            measurement(network, times(network, float(seconds)))
            for network, seconds in zip(networks, MACHINE.latency(networks), strict=True)
        ]

    return measure, given


def test_a_family_survives_paper(family: Family) -> None:
    assert from_json(to_json(family), Family) == family
    assert from_toml(to_toml(family), Family) == family


def test_members_keep_their_targets_and_are_what_they_say(family: Family) -> None:
    assert [one.target_s for one in family.members] == ladder(START, 2, 1.4)
    assert family.start.architecture == NETWORK
    for one in family.members:
        assert one.latency_s <= (one.target_s or 0)
        cost = MACHINE.costs([one.architecture])
        assert cost.latency_s[0] == pytest.approx(one.latency_s)
        assert (one.params, one.flops) == (cost.params[0], pytest.approx(cost.flops[0] / 4096))
        assert one.real == TINY.real(one.architecture)


def test_the_family_is_no_worse_than_the_compound_rule_at_its_latency(family: Family) -> None:
    rule = family.references[0]
    assert rule.name == COMPOUND_RULE
    for one in family.members:
        within = [other.accuracy for other in rule.members if other.estimated_s <= one.estimated_s]
        assert within
        assert one.accuracy >= max(within) - 5e-5


@given(
    exponents=st.tuples(*[st.floats(0.0, 0.9)] * 3),
    times=st.lists(st.floats(1.5, 100.0), min_size=1, max_size=6, unique=True),
)
def test_growth_is_the_exponent_by_which_a_family_grows(
    exponents: tuple[float, float, float], times: list[float]
) -> None:
    def member(time: float) -> ScaledMember:
        had = Coefficients(*(time**exponent for exponent in exponents))
        return ScaledMember(had, had, NETWORK, 0.5, time, 1, 1.0)

    found = growth(member(1.0), [member(time) for time in times])
    assert found is not None
    assert tuple(found.values()) == pytest.approx(exponents, abs=1e-9)
    assert growth(member(1.0), []) is None


def test_published_members_stand_beside_the_search_with_their_own_numbers(law: FittedLaw) -> None:
    x = BASES["efficientnet-x"]
    one = x.published["LACS for TPU"]["b3"]
    (told,) = describe(x, law, MACHINE, [Asked("b3", one.depth, one.width, one.resolution)])
    assert told.params == pytest.approx(15.77e6, rel=0.001)
    assert told.asked == Coefficients(1.62, 1.27, 263 / 224)
    assert told.real.depth == 29 / 16


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_a_machine_that_is_slower_by_a_factor_gets_the_same_family_for_that_many_times_the_target(
    law: FittedLaw, family: Family, factor: float
) -> None:
    measure, _ = machine_that_takes(lambda _, seconds: factor * seconds)
    found = scale(TINY, law, [factor * t for t in ladder(START, 2, 1.4)], MACHINE, measure=measure)
    assert [one.asked for one in found.members] == [one.asked for one in family.members]
    assert [one.measured_s for one in found.members] == pytest.approx(
        [factor * one.estimated_s for one in family.members]
    )
    assert found.device == DEVICE


@pytest.mark.parametrize("penalty", [0.2, 1.0])
def test_no_limit_is_passed_as_measured_where_the_model_is_wrong_about_large_networks(
    law: FittedLaw, penalty: float
) -> None:
    def times(network: Architecture, seconds: float) -> float:
        return seconds * (1 + penalty * (seconds / START - 1))

    measure, given = machine_that_takes(times)
    found = scale(TINY, law, ladder(START, 3, 1.4), MACHINE, measure=measure)
    for one in found.members:
        assert one.measured_s is not None
        assert one.measured_s == pytest.approx(times(one.architecture, one.estimated_s))
        assert one.measured_s <= (one.target_s or 0)
    for target in ladder(START, 3, 1.4):
        inside = [one.accuracy for one in found.members if (one.target_s or 0) <= target * (1 + 1e-9)]
        true = START * (penalty - 1 + ((1 - penalty) ** 2 + 4 * penalty * target / START) ** 0.5) / (2 * penalty)
        (nearly,) = search(TINY, law, [max(START, 0.95 * true)], MACHINE)
        assert max(inside) >= nearly.accuracy, "at most a twentieth of the true limit is left"
    assert len({msgspec.json.encode(network) for network in given}) == len(given), "nothing is measured twice"


def test_limits_below_the_measured_base_are_refused(law: FittedLaw) -> None:
    measure, _ = machine_that_takes(lambda _, seconds: 3 * seconds)
    with pytest.raises(SettingError, match="measured"):
        scale(TINY, law, [2 * START], MACHINE, measure=measure)


def test_a_reward_reports_that_one_exponent_makes_no_family(law: FittedLaw) -> None:
    found = scale(TINY, law, ladder(START, 2, 1.4), MACHINE, reward=(-0.07, -0.07))
    assert len(found.members) == 1
    assert any("One exponent" in note for note in found.notes)


@pytest.mark.parametrize(("members", "factor"), [(0, 2.0), (3, 1.0), (3, float("nan"))])
def test_a_ladder_rises(members: int, factor: float) -> None:
    with pytest.raises(SettingError, match="grow"):
        ladder(1.0, members, factor)


def test_training_tells_what_it_tells_alone() -> None:
    """An observation is the validation accuracy of that very network, trained by that very recipe."""
    from modelwright.training import Run, train
    from modelwright.training.data.data import assemble
    from modelwright.training.data.split import Held

    def stripes(count: int, seed: int) -> Held:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 2
        images = torch.randint(0, 200, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
        images[labels == 1, :, :, 4:] += 40
        return Held(images, labels)

    splits = {"train": stripes(48, 0), "validation": stripes(24, 1), "test": stripes(24, 2)}
    data = assemble("toy", ("left", "right"), (1, 8, 8), splits, seed=0)
    small = base_of(msgspec.structs.replace(NETWORK, name="small", input=(1, 8, 8), classes=2))
    recipe = Recipe(epochs=1, batch=16, learning_rate=0.01, crop=0.0)
    scales = [Coefficients(1.0, 1.0, 1.0), Coefficients(2.0, 1.5, 1.5)]
    seen = trained_accuracy(small, data, scales, recipe, Run(threads=1))
    assert [(one.depth, one.width, one.resolution) for one in seen] == [(1, 1, 1), (2, 1.5, 1.5)]
    larger = msgspec.structs.replace(small.make(2.0, 1.5, 12), classes=2)
    assert larger.depth == 4
    assert seen[1].accuracy == train(larger, data, recipe, Run(threads=1)).learning.accuracy
    assert all("toy" in one.source for one in seen)
