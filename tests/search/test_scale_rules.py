"""Scaling a base: published members come out to the last number, and anything convolutional scales."""

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.networks import architecture
from modelwright.networks.families.scaling import Scaling
from modelwright.networks.shapes import shapes
from modelwright.search.scale.base import BASES, base, base_of, real
from modelwright.search.scale.multiply import channels, repeats, scaled
from modelwright.search.scale.observations import published

SUFFIX = {"single-objective": "", "LACS for TPU": "-tpu", "LACS for GPU": "-gpu"}
MEMBERS = [
    (name, f"{name}-{size}{SUFFIX[rule]}", scaling)
    for name, one in BASES.items()
    for rule, sizes in one.published.items()
    for size, scaling in sizes.items()
]
CONVOLUTIONAL = ("efficientnet-b0", "efficientnet-x-b0", "efficientnetv2-s", "mobilenetv3-large", "resnet-50",
                 "regnety-800mf", "resnest-50")  # fmt: skip
FACTORS = st.floats(1.0, 3.0)


@pytest.mark.parametrize(("name", "member", "scaling"), MEMBERS, ids=[member for _, member, _ in MEMBERS])
def test_each_published_member_comes_out_of_the_rules(name: str, member: str, scaling: Scaling) -> None:
    """Dropout and squeeze-and-excitation as well, which are told by the size alone."""
    made = BASES[name].member(member, scaling.depth, scaling.width, scaling.resolution)
    assert made == architecture(member)


@pytest.mark.parametrize("size", [f"b{number}" for number in range(8)])
def test_b0_without_its_rows_scales_to_every_published_member(size: str) -> None:
    one = BASES["efficientnet"].published["single-objective"][size]
    made = base("efficientnet-b0").member(f"efficientnet-{size}", one.depth, one.width, one.resolution)
    assert made == architecture(f"efficientnet-{size}")


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_nothing_multiplied_is_nothing_changed(name: str) -> None:
    found = architecture(name)
    assert channels(scaled(found)) == tuple(channels(found))
    assert repeats(scaled(found)) == repeats(found)
    assert scaled(found).input == found.input


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@settings(max_examples=12)
@given(depth=FACTORS, width=FACTORS, resolution=st.floats(1.0, 1.5))
def test_what_is_scaled_is_sound_and_has_what_was_asked(
    name: str, depth: float, width: float, resolution: float
) -> None:
    before = architecture(name)
    after = scaled(before, depth, width, resolution)
    shapes(after)
    assert repeats(after) == tuple(math.ceil(depth * count) for count in repeats(before))
    assert after.input[1] == round(resolution * before.input[1])
    for less, more in zip(channels(before), channels(after), strict=True):
        assert 0.9 * width * less <= more <= width * less + 8


@settings(max_examples=40)
@given(depth=FACTORS, width=FACTORS, pixels=st.integers(224, 400))
def test_one_network_has_one_set_of_real_coefficients(depth: float, width: float, pixels: int) -> None:
    """Multipliers that round to the same network are the same to a law."""
    found = BASES["efficientnet-x"]
    network = found.make(depth, width, pixels)
    had = found.real(network)
    assert had.depth == network.depth / 16
    assert had.depth >= depth
    assert had.width == pytest.approx(width, abs=0.25)
    assert had.resolution == pixels / 224


def test_b1_is_deeper_than_its_coefficient_tells() -> None:
    """1.1 times 16 blocks, each stage rounded up, are 23."""
    b1 = real(published(), BASES["efficientnet"])[1]
    assert b1.depth == 23 / 16


def test_transformers_and_oblong_images_are_refused() -> None:
    with pytest.raises(SettingError, match="convolutional"):
        scaled(architecture("vit-b-16"), depth=2)
    with pytest.raises(SettingError, match="convolutional"):
        base("vit-b-16")
    with pytest.raises(SettingError, match="square"):
        base_of(msgspec.structs.replace(architecture("efficientnet-b0"), input=(3, 224, 192)))
    with pytest.raises(SettingError, match="more than 0"):
        scaled(architecture("efficientnet-b0"), width=0)
