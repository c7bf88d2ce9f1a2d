"""Many at once: the arrays say of every architecture what the model says of its trace, whatever stands beside it."""

import itertools
import math
import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import ModelwrightError, RecordError, SettingError, ShapeError
from modelwright.hardware import estimate, many, platform
from modelwright.hardware.many import estimate_many
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.networks.families.efficientnet import mbconv_network
from modelwright.networks.families.row import Row
from modelwright.networks.families.scaling import Scaling
from modelwright.networks.shapes import shapes
from modelwright.networks.trace import trace
from modelwright.records import Architecture, ConvStem, MBConv, Platform, Policy, PoolHead, Stage, Workload
from modelwright.records.costs import Costs

PLATFORMS = ("tpu-v3", "tpu-v4i", "v100", "h200", "x86")
EXECUTIONS = ("eager", "compiled", "graph", "engine")
POLICIES: tuple[Policy, ...] = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8", "amp", "amp-bf16")
NAMED = ("efficientnet-b0", "efficientnet-x-b0", "mobilenetv3-small")
NUMBERS = (
    "latency_s", "throughput_per_s", "params", "flops", "vector_flops", "bytes", "intensity", "efficiency",
    "peak_memory_bytes", "energy_j",
)  # fmt: skip

ACTIVATIONS = ("relu", "swish", "hard-swish", "gelu", "gelu-tanh")


def traced(made: Architecture) -> Workload:
    with torch.device("meta"):
        return trace(build(made), torch.empty((2, *made.input)), name=made.name)


def policies(chip: Platform) -> list[Policy]:
    """The policies under which a platform computes."""
    known = {*chip.matrix.peak, *chip.vector.peak}
    return [policy for policy in POLICIES if {"amp": "fp16", "amp-bf16": "bf16"}.get(policy, policy) in known]


def assert_equal(costs: Costs, number: int, workload: Workload, chip: Platform) -> None:
    """What the arrays say at one place is what the model says of a trace."""
    one = estimate(
        workload, chip, batch=costs.batch, precision=costs.precision, execution=costs.execution, strict=False
    )
    for name in NUMBERS:
        expected, got = getattr(one, name), getattr(costs, name)[number]
        where = f"{workload.name} on {chip.name}, {costs.execution}, {costs.precision}, batch {costs.batch}: {name}"
        assert math.isclose(got, math.nan if expected is None else expected, rel_tol=1e-9) or (
            expected is None and math.isnan(got)
        ), f"{where} {got} instead of {expected}"


def sound(made: Architecture) -> bool:
    """Whether it can be built, and is covered: space-to-batch down to phases of one pixel is not."""
    try:
        after = shapes(made)[1:]
    except ModelwrightError:
        return False
    split = [isinstance(s.block, MBConv) and s.block.reshape == "space-to-batch" for s in made.stages]
    return not any(here and size[1:] == (2, 2) for here, size in zip(split, after, strict=True))


@st.composite
def from_rows(draw: st.DrawFn) -> Architecture:
    """Networks of the EfficientNet form, as a search makes them."""
    widths = draw(st.lists(st.sampled_from([8, 16, 24]), min_size=2, max_size=4))
    rows = [
        Row(
            repeats=draw(st.integers(1, 2)),
            kernel=draw(st.sampled_from([3, 5, 7])),
            stride=draw(st.sampled_from([1, 2])),
            expansion=draw(st.sampled_from([1, 3, 6])),
            in_channels=before,
            out_channels=after,
            squeeze_ratio=draw(st.sampled_from([0.0, 0.25])),
            fused=draw(st.booleans()),
            activation=draw(st.sampled_from(ACTIVATIONS)),
            reshape=draw(st.sampled_from(["none", "none", "space-to-depth", "space-to-batch"])),
        )
        for before, after in itertools.pairwise(widths)
    ]
    scaling = Scaling(draw(st.sampled_from([1.0, 1.4])), resolution=draw(st.sampled_from([64, 80, 93])))
    return mbconv_network("rows", rows, scaling, head_channels=draw(st.sampled_from([16, 64])))


@st.composite
def from_blocks(draw: st.DrawFn) -> Architecture:
    """Networks from any blocks of the space, some degenerate: one channel, one pixel, even kernels, oblong images."""
    stem = ConvStem(
        channels=tuple(draw(st.lists(st.sampled_from([1, 8, 16]), min_size=1, max_size=2))),
        kernel=draw(st.sampled_from([1, 3])),
        pool=draw(st.booleans()),
    )
    channels, stages = stem.out_channels, []
    for _ in range(draw(st.integers(1, 3))):
        fused, stride = draw(st.booleans()), draw(st.sampled_from([1, 1, 2]))
        hidden = draw(st.sampled_from([channels, 1, 24, *([0, 0] if fused else [])]))
        block = MBConv(
            in_channels=channels,
            hidden=hidden,
            out_channels=draw(st.sampled_from([channels, channels, 1, 8])),
            kernel=draw(st.sampled_from([1, 3, 5] if stride == 2 else [1, 2, 3, 4])),
            stride=stride,
            fused=fused,
            squeeze=draw(st.sampled_from([0, 1, 4])) if hidden else 0,
            activation=draw(st.sampled_from(ACTIVATIONS)),
            squeeze_activation=draw(st.sampled_from(ACTIVATIONS)),
            gate=draw(st.sampled_from(["sigmoid", "hard-sigmoid"])),
            reshape=draw(st.sampled_from(["none", "none", "space-to-depth", "space-to-batch"])),
        )
        keeps = stride == 1 and block.out_channels == channels and block.reshape != "space-to-depth"
        stages.append(Stage(block, draw(st.integers(1, 3)) if keeps else 1))
        channels = block.out_channels
    return Architecture(
        name="blocks",
        input=(draw(st.sampled_from([1, 3])), *draw(st.sampled_from([(32, 32), (33, 47), (48, 64)]))),
        classes=draw(st.sampled_from([1, 10])),
        stem=stem,
        stages=tuple(stages),
        head=PoolHead(channels=draw(st.sampled_from([0, 0, 16])), hidden=draw(st.sampled_from([0, 8]))),
    )


@settings(max_examples=14)
@given(
    st.one_of(from_rows(), from_blocks()).filter(sound), st.sampled_from([1, 3, 128]), st.randoms(use_true_random=False)
)
def test_many_equals_one_by_one(made: Architecture, batch: int, chance: random.Random) -> None:
    workload = traced(made)
    for name in PLATFORMS:
        chip = platform(name)
        for execution in chance.sample(EXECUTIONS, 2):
            policy = chance.choice(policies(chip))
            costs = estimate_many([made], chip, batch=batch, precision=policy, execution=execution)
            assert_equal(costs, 0, workload, chip)


@pytest.mark.parametrize("network", NAMED)
def test_published_networks_equal_one_by_one(network: str) -> None:
    made = architecture(network)
    workload = traced(made)
    for name, execution in itertools.product(PLATFORMS, EXECUTIONS):
        chip = platform(name)
        for batch, policy in ((1, policies(chip)[0]), (128, chip.precision)):
            costs = estimate_many([made], chip, batch=batch, precision=policy, execution=execution)
            assert_equal(costs, 0, workload, chip)


def neighbours() -> list[Architecture]:
    """Different networks of one space, some of them twice."""
    made = [architecture(name) for name in (*NAMED, "efficientnet-b1", "efficientnetv2-s", "efficientnet-x-b1-gpu")]
    return [*made, msgspec.structs.replace(made[0], input=(3, 97, 131)), made[0]]


def same(left: Costs, right: Costs, order: Sequence[int]) -> bool:
    """Whether the left ones are the right ones in another order."""
    return all(
        np.allclose(getattr(left, name), getattr(right, name)[order], rtol=1e-12, atol=0, equal_nan=True)
        for name in NUMBERS
    )


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_neighbours_do_not_matter(execution: str) -> None:
    made, chip = neighbours(), platform("v100")
    together = estimate_many(made, chip, batch=4, execution=execution)
    order = list(range(len(made)))
    random.Random(7).shuffle(order)
    assert same(estimate_many([made[i] for i in order], chip, batch=4, execution=execution), together, order)
    for number, alone in enumerate(made):
        assert same(estimate_many([alone], chip, batch=4, execution=execution), together, [number])


def test_the_size_of_a_bite_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    made, chip = neighbours(), platform("h200")
    whole = estimate_many(made, chip, batch=8, execution="compiled")
    monkeypatch.setattr(many, "READ_AT_ONCE", 3)
    monkeypatch.setattr(many, "COSTED_AT_ONCE", 2)
    assert same(estimate_many(made, chip, batch=8, execution="compiled"), whole, range(len(made)))


def test_settings_default_to_the_platforms() -> None:
    chip = platform("tpu-v3")
    costs = estimate_many(neighbours(), chip)
    assert (costs.platform, costs.batch, costs.precision, costs.execution) == ("tpu-v3", 1, "bf16", "engine")
    assert len(costs) == len(neighbours())
    assert len(estimate_many([], chip)) == 0


def test_energy_is_unknown_where_the_platform_states_none() -> None:
    silent = msgspec.structs.replace(platform("h200"), energy=None)
    assert np.isnan(estimate_many(neighbours(), silent).energy_j).all()


@pytest.mark.parametrize(
    ("name", "part"), [("resnet-50", "Bottleneck"), ("vit-b-16", "PatchStem"), ("gpt-1b", "TokenStem")]
)
def test_other_spaces_are_sent_one_by_one(name: str, part: str) -> None:
    with pytest.raises(SettingError, match=rf"{name}.*{part}.*one by one"):
        estimate_many([architecture("efficientnet-b0"), architecture(name)], platform("h200"))


def test_phases_of_one_pixel_are_sent_one_by_one() -> None:
    block = MBConv(in_channels=8, hidden=8, out_channels=8, reshape="space-to-batch")
    made = Architecture(
        name="tiny", input=(3, 4, 4), classes=10, stem=ConvStem((8,)), stages=(Stage(block),), head=PoolHead()
    )
    with pytest.raises(SettingError, match=r"tiny.*one pixel.*one by one"):
        estimate_many([made], platform("h200"))


def broken() -> list[Architecture]:
    """EfficientNet-B0 with one number wrong, each in another way."""
    whole = architecture("efficientnet-b0")

    def with_block(position: int, repeats: int = 1, **changes: object) -> Architecture:
        stages = list(whole.stages)
        stages[position] = Stage(msgspec.structs.replace(stages[position].block, **changes), repeats)
        return msgspec.structs.replace(whole, stages=tuple(stages))

    return [
        with_block(0, in_channels=24),
        with_block(1, kernel=4),
        with_block(0, hidden=0),
        with_block(1, repeats=2, out_channels=16),
        with_block(-1, reshape="space-to-batch"),
        msgspec.structs.replace(whole, stem=msgspec.structs.replace(whole.stem, kernel=2)),
        msgspec.structs.replace(whole, input=(3, 24, 224)),
        msgspec.structs.replace(whole, input=(224,)),
    ]


@pytest.mark.parametrize("number", range(len(broken())))
def test_contradictions_are_refused_as_a_builder_would(number: int) -> None:
    made = broken()[number]
    with pytest.raises((RecordError, ShapeError)) as expected:
        shapes(made)
    with pytest.raises(type(expected.value), match="efficientnet-b0"):
        estimate_many([architecture("efficientnet-x-b0"), made], platform("tpu-v3"))


def test_a_batch_below_one_and_a_precision_that_is_not_there_are_refused() -> None:
    with pytest.raises(SettingError, match="batch"):
        estimate_many(neighbours(), platform("h200"), batch=0)
    with pytest.raises(SettingError, match="precision"):
        estimate_many(neighbours(), platform("tpu-v3"), precision="fp8")
