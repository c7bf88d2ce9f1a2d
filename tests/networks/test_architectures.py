"""Architectures: records that round-trip, numbers that must agree, and modules that compute what the records say."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import ModelwrightError, RecordError, ShapeError, UnknownNameError
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture, architecture_names
from modelwright.networks.families.efficientnet import mbconv_network
from modelwright.networks.families.efficientnet_x import SINGLE_OBJECTIVE, efficientnet_x
from modelwright.networks.families.row import Row
from modelwright.networks.families.scaling import Scaling, round_depth, round_width
from modelwright.networks.shapes import shapes
from modelwright.records.architecture import Architecture, Stage
from modelwright.records.codec import from_json, from_toml, to_json, to_toml

NAMES = architecture_names()
replace = msgspec.structs.replace


def with_block(record: Architecture, position: int, **changes: object) -> Architecture:
    stages = list(record.stages)
    stages[position] = replace(stages[position], block=replace(stages[position].block, **changes))
    return replace(record, stages=tuple(stages))


# --- records --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_named_architecture_is_sound_and_survives_paper(name: str) -> None:
    record = architecture(name)
    assert record.name == name
    assert record.source
    assert shapes(record)
    assert from_toml(to_toml(record), Architecture) == record
    assert from_json(to_json(record), Architecture) == record


def test_names_are_known_without_torch() -> None:
    look = (
        "import sys; from modelwright.networks.catalogue import architecture, architecture_names;"
        "[architecture(name) for name in architecture_names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="resnet-50"):
        architecture("resnet50")


@pytest.mark.parametrize("kind", ["toml", "json"])
def test_a_file_of_ones_own_holds_an_architecture(kind: str, tmp_path: Path) -> None:
    record = replace(architecture("efficientnet-x-b0"), name="mine", classes=10)
    file = tmp_path / f"mine.{kind}"
    file.write_bytes(to_json(record) if kind == "json" else to_toml(record).encode())
    assert architecture(str(file)) == record


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(RecordError, match=r"nowhere\.toml"):
        architecture("nowhere.toml")


BROKEN = {
    "channels that do not match": (
        with_block(architecture("resnet-50"), 2, in_channels=128),
        RecordError,
        r"stages\[2\]\.block\.in_channels: in_channels must be the 256 channels that arrive, but got 128",
    ),
    "an even kernel with a stride": (
        with_block(architecture("efficientnet-b0"), 1, kernel=4),
        RecordError,
        r"stages\[1\]\.block\.kernel: the kernel must be odd .* but got 4\. Use 3 or 5",
    ),
    "a stride that repeats": (
        replace(architecture("resnet-50"), stages=(Stage(architecture("resnet-50").stages[0].block, 2),)),
        RecordError,
        r"stages\[0\]\.repeats: a block that repeats must keep its input's shape, but got 2",
    ),
    "groups that do not divide": (
        with_block(architecture("regnety-4gf"), 0, groups=5),
        RecordError,
        "groups must divide hidden = 128",
    ),
    "heads that do not divide": (
        with_block(architecture("vit-b-16"), 0, heads=7, kv_heads=7),
        RecordError,
        r"heads must divide width = 768, but got 7",
    ),
    "shared heads that do not divide": (
        with_block(architecture("vit-b-16"), 0, kv_heads=5),
        RecordError,
        "kv_heads must divide heads = 12",
    ),
    "no hidden channels": (
        with_block(architecture("efficientnet-b0"), 0, hidden=0),
        RecordError,
        "hidden must be at least 1",
    ),
    "split attention in groups": (
        with_block(architecture("resnest-50"), 0, groups=2),
        RecordError,
        "split attention needs groups = 1",
    ),
    "a transformer after convolutions": (
        replace(architecture("vit-b-16"), stem=architecture("resnet-50").stem),
        RecordError,
        "a transformer block must follow tokens",
    ),
    "a head for images after tokens": (
        replace(architecture("vit-b-16"), head=architecture("resnet-50").head),
        RecordError,
        "a head of kind pool must follow an image",
    ),
    "a tied head with other classes": (
        replace(architecture("gpt2-small"), classes=1000),
        RecordError,
        "a tied head needs",
    ),
    "an image for a stem of tokens": (
        replace(architecture("gpt2-small"), input=(3, 224, 224)),
        RecordError,
        r"the input must be \(length,\)",
    ),
    "a sequence that is too long": (
        replace(architecture("gpt2-small"), input=(2048,)),
        ShapeError,
        "no longer than the stem's 1024 positions",
    ),
    "an image smaller than the strides": (
        replace(architecture("efficientnet-x-b0"), input=(3, 224, 16)),
        ShapeError,
        "at least the product of all strides, 32",
    ),
    "an image that patches do not fill": (
        replace(architecture("vit-b-16"), input=(3, 224, 230)),
        ShapeError,
        "multiples of the patch of 16",
    ),
    "phases of an odd image": (
        with_block(replace(architecture("efficientnet-b0"), input=(3, 226, 226)), 0, reshape="space-to-batch"),
        ShapeError,
        "space-to-batch needs a height and width that 2 divides",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_numbers_that_contradict_one_another_are_refused_with_a_lesson(fault: str) -> None:
    record, kind, message = BROKEN[fault]
    with pytest.raises(kind, match=message) as caught:
        build(record)
    assert isinstance(caught.value, ModelwrightError)
    assert caught.value.where.startswith(record.name)
    assert caught.value.way_out


def test_a_broken_file_is_refused_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(BROKEN["channels that do not match"][0]))
    with pytest.raises(RecordError, match=r"mine\.toml, stages\[2\].*in_channels must be the 256"):
        architecture(str(file))
    file.write_text(to_toml(architecture("resnet-50")).replace("stride = 2", "stride = 3"))
    with pytest.raises(RecordError, match=r"mine\.toml.*stride"):
        architecture(str(file))


# --- rules ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 4096), st.floats(0.1, 8))
def test_widths_are_rounded_to_eight_and_never_lose_more_than_a_tenth(channels: int, width: float) -> None:
    rounded = round_width(channels, width)
    assert rounded % 8 == 0
    assert rounded >= 8
    assert rounded >= 0.9 * channels * width
    assert rounded <= max(8, channels * width + 8)


@given(st.integers(1, 64), st.floats(1, 8))
def test_depths_are_rounded_up(repeats: int, depth: float) -> None:
    assert 0 <= round_depth(repeats, depth) - repeats * depth < 1


def test_the_published_scaling_is_one_point_of_the_rule() -> None:
    b3 = SINGLE_OBJECTIVE["b3"]
    rule = efficientnet_x(b3.width, b3.depth, b3.resolution, b3.dropout, b3.se_coefficient, name="efficientnet-x-b3")
    assert rule == architecture("efficientnet-x-b3")


ROWS = st.builds(
    Row,
    repeats=st.integers(1, 2),
    kernel=st.sampled_from([3, 5]),
    stride=st.sampled_from([1, 2]),
    expansion=st.sampled_from([1, 2, 6]),
    in_channels=st.just(8),
    out_channels=st.sampled_from([8, 16, 24]),
    squeeze_ratio=st.sampled_from([0, 0.25]),
    fused=st.booleans(),
    reshape=st.sampled_from(["none", "space-to-depth"]),
)


@settings(max_examples=25)
@given(
    st.lists(ROWS, min_size=1, max_size=4),
    st.builds(Scaling, width=st.floats(1, 2), depth=st.floats(1, 2), resolution=st.integers(64, 90)),
)
def test_any_rows_at_any_scale_become_a_network_that_runs(rows: list[Row], scaling: Scaling) -> None:
    """Whatever a search puts into rows: the record is sound, and its shapes are the ones that the module makes."""
    chained = [replace(row, in_channels=before.out_channels) for before, row in pairwise(rows)]
    record = mbconv_network("searched", [rows[0], *chained], scaling)
    expected = shapes(record)
    with torch.device("meta"), torch.no_grad():
        network = build(record).eval()
        x = network.stem(torch.empty(1, *record.input))
        for position, stage in enumerate(network.stages):
            assert x.shape[1:] == expected[position]
            x = stage(x)
        assert x.shape[1:] == expected[-1]
        assert network.head(x).shape == (1, 1000)
