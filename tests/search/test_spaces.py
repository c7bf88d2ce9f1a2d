"""The spaces that ship: the published networks lie in them, and every point of them can be built."""

import subprocess
import sys
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import RecordError
from modelwright.hardware import platform
from modelwright.hardware.many import estimate_many
from modelwright.networks import architecture
from modelwright.networks.build import build
from modelwright.networks.families import efficientnet, efficientnet_x, gpt, vit
from modelwright.networks.families.row import Row
from modelwright.networks.shapes import shapes
from modelwright.records import Architecture, Point, Space
from modelwright.search.space import Product, make, parse_space, space, space_names, with_data
from modelwright.search.spaces.chosen import Chosen, places

NAMES = space_names()
IMAGES = [name for name in NAMES if name.startswith("efficientnet")]


def drawn(name: str, seed: int, count: int) -> tuple[Space, list[Point]]:
    found = space(name)
    return found, Product(found).sample(np.random.default_rng(seed), count)


def bare(record: Architecture) -> Architecture:
    return msgspec.structs.replace(record, name="x", source="")


def baseline(found: Space, rows: Sequence[Row], coefficient: float, more: Point) -> Point:
    """The point of a published baseline, of whose stages each choice asks one number."""
    point: Point = {}
    for choice in found.choices:
        place = choice.name.split(".")
        if place[0] != "stages":
            point[choice.name] = more[choice.name]
            continue
        row, name = rows[int(place[1]) - 1], place[2]
        value = {
            "repeats": row.repeats,
            "kernel": row.kernel,
            "expansion": int(row.expansion),
            "width": row.out_channels,
            "squeeze": row.squeeze_ratio * coefficient,
            "fused": row.fused,
            "activation": row.activation,
            "space_to_batch": False,
        }[name]
        if name != "space_to_batch" or more["space_to_depth"] != int(place[1]):
            point[choice.name] = value
    return point


def test_efficientnet_b0_lies_in_its_space() -> None:
    found = space("efficientnet")
    point = baseline(found, efficientnet.BASELINE, 1, {"resolution": 224})
    assert point in Product(found)
    assert bare(make(found, point)) == bare(architecture("efficientnet-b0"))


OF_X = {
    "efficientnet-b0": (efficientnet.BASELINE, 1, "swish", 0),
    "efficientnet-x-b0": (efficientnet_x.BASELINE, 4, "relu", 1),
    "efficientnet-x-h-b0": (efficientnet_x.HYBRID, 4, "relu", 1),
}


@pytest.mark.parametrize("name", OF_X)
def test_both_baselines_lie_in_the_space_of_efficientnet_x(name: str) -> None:
    rows, coefficient, activation, merging = OF_X[name]
    found = space("efficientnet-x")
    more: Point = {
        "resolution": 224,
        "stem.width": 32,
        "stem.activation": activation,
        "head.width": 1280,
        "head.activation": activation,
        "space_to_depth": merging,
    }
    point = baseline(found, rows, coefficient, more)
    Product(found).check(point)
    assert bare(make(found, point)) == bare(architecture(name))


@pytest.mark.parametrize("size", vit.SIZES)
def test_the_vision_transformers_lie_in_their_space(size: str) -> None:
    width, heads, depth = vit.SIZES[size]
    point: Point = {"resolution": 224, "patch": 16, "layers": depth, "heads": heads, "head_width": width // heads}
    point |= {f"kv_heads.{heads}": heads, "ratio": 4.0}
    Product(space("vit")).check(point)
    assert bare(make(space("vit"), point)) == bare(architecture(f"vit-{size}-16"))


@pytest.mark.parametrize("name", gpt.SIZES)
def test_gpt2_lies_in_its_space(name: str) -> None:
    width, heads, depth = gpt.SIZES[name]
    point: Point = {"layers": depth, "heads": heads, "head_width": width // heads, f"kv_heads.{heads}": heads}
    point |= {"ratio": 4.0}
    Product(space("gpt")).check(point)
    assert bare(make(space("gpt"), point)) == bare(architecture(name))


@pytest.mark.parametrize("name", ["efficientnet", "efficientnet-small"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_the_platform_free_twin_is_a_part_of_the_space(name: str, seed: int) -> None:
    twin, [point] = drawn(name, seed, 1)
    whole = space(name.replace("efficientnet", "efficientnet-x"))
    wider = Product(whole)
    same = dict(point)
    for choice in wider.choices:
        leaf = choice.name.rpartition(".")[2]
        defaults = {"fused": False, "activation": "swish", "space_to_depth": 0, "space_to_batch": False}
        same.setdefault(choice.name, twin.fixed.get(choice.name, defaults.get(leaf, 0)))
    wider.check(same)
    assert bare(make(whole, same)) == bare(make(twin, point))


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_every_point_is_a_sound_network(name: str, seed: int) -> None:
    found, points = drawn(name, seed, 3)
    assert all(shapes(make(found, point)) for point in points)


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 16), (1, 28), (3, 32)])
@pytest.mark.parametrize("name", ["efficientnet-x-small", "efficientnet-small"])
def test_every_point_fitted_to_small_images_is_a_sound_network(name: str, channels: int, side: int) -> None:
    found = with_data(space(name), channels, 26, side)
    for point in Product(found).sample(np.random.default_rng(side), 100):
        made = make(found, point)
        assert shapes(made)
        assert made.input[0] == channels
        assert made.classes == 26
        assert made.input[1] == made.input[2] == point["resolution"]


@pytest.mark.parametrize("name", NAMES)
def test_points_become_modules(name: str) -> None:
    found, [point] = drawn(name, 0, 1)
    record = make(found, point)
    with torch.device("meta"):
        network = build(record)
        kind = torch.int64 if len(record.input) == 1 else torch.float32
        logits = network(torch.zeros(2, *record.input, dtype=kind))
    assert (logits.shape[0], logits.shape[-1]) == (2, record.classes)


@pytest.mark.parametrize("name", IMAGES)
def test_points_are_estimated_without_a_framework(name: str) -> None:
    found, points = drawn(name, 1, 40)
    costs = estimate_many([make(found, point) for point in points], platform("v100-sxm"))
    assert np.isfinite(costs.latency_s).all()
    assert (costs.latency_s > 0).all()


@pytest.mark.parametrize("name", ["efficientnet-x-small", "efficientnet-small"])
def test_small_networks_have_ten_thousand_to_a_million_parameters(name: str) -> None:
    found, points = drawn(name, 2, 300)
    params = estimate_many([make(found, point) for point in points], platform("x86")).params
    assert np.quantile(params, 0.01) > 10_000
    assert np.quantile(params, 0.99) < 1_100_000
    assert 10**6 < Product(found).size < 2 * 10**12


@pytest.mark.parametrize("name", IMAGES)
def test_each_choice_changes_the_network(name: str) -> None:
    """No two points one choice apart are one network: nothing is chosen twice."""
    found, [point] = drawn(name, 5, 1)
    made = {make(found, other) for other in Product(found).neighbours(point)} | {make(found, point)}
    assert len(made) == len(Product(found).neighbours(point)) + 1


BLOCKS = """
name = "blocks"
makes = "modelwright.search.spaces.mbconv:mbconv"
stages = 2

[fixed]
resolution = 32
stride = [1, 2]
width = [16, 24]
repeats = 3
expansion = 4
kernel = 3
space_to_depth = 1
"stem.width" = 16
"stem.activation" = "relu"
"head.width" = 0

[[choice]]
name = "activation"
per = "block"
values = ["relu", "swish"]
"""


def test_a_choice_per_block_reaches_its_block() -> None:
    found = parse_space(BLOCKS)
    for point in Product(found).sample(np.random.default_rng(0), 10):
        made = make(found, point)
        shapes(made)
        assert [block.activation for block in made.blocks] == list(point.values())
        assert [block.reshape != "none" for block in made.blocks] == [True] + [False] * 5
    even = make(found, dict.fromkeys(point, "relu"))
    assert [stage.repeats for stage in even.stages] == [1, 2, 1, 2]


def test_a_shared_choice_counts_in_all_its_stages() -> None:
    assert places("stages.1-3+5.kernel") == tuple((stage, 0, "kernel") for stage in (1, 2, 3, 5))
    chosen = Chosen({"stages.1-2.kernel": 5, "stages.2.blocks.2.kernel": 7}, {"kernel": 3}, {"kernel"})
    found = [chosen.whole("kernel", stage, block) for stage in (1, 2, 3) for block in (1, 2)]
    assert found == [5, 5, 5, 7, 3, 3]


@pytest.mark.parametrize(
    ("fixed", "error"),
    [
        ({"kernal": 3}, "kernal: the maker must know the name, but got 'kernal'. It reads activation, classes"),
        ({}, r"stages\.1\.kernel: a value must be chosen or fixed"),
        ({"kernel": "three"}, r"stages\.1\.kernel: the value must be a whole number, but got 'three'"),
        ({"kernel": 3, "expansion": "six"}, r"stages\.1\.expansion: the value must be a number, but got 'six'"),
        ({"kernel": 3, "fused": 1}, r"stages\.1\.fused: the value must be true or false, but got 1"),
        ({"kernel": 3, "stem.activation": 1}, r"stem\.activation: the value must be a word, but got 1"),
        (
            {"kernel": 3, "stem.activation": "tanh"},
            r"stem\.activation: the value must be an activation, but got 'tanh'",
        ),
        ({"kernel": 3, "stages.1.width": 12}, r"stages\.1\.width: a width must be a multiple of 8, but got 12"),
    ],
)
def test_a_maker_tells_what_it_cannot_read(fixed: Point, error: str) -> None:
    found = parse_space(BLOCKS)
    common = {name: value for name, value in found.fixed.items() if name != "kernel"} | fixed
    point = Product(found).sample(np.random.default_rng(0), 1)[0]
    with pytest.raises(RecordError, match=error):
        make(msgspec.structs.replace(found, fixed=common), point)


def test_a_space_that_makes_nothing_says_so() -> None:
    with pytest.raises(RecordError, match="a space must say what makes its networks"):
        make(msgspec.structs.replace(space("vit"), makes=""), {})


def test_spaces_are_read_and_points_made_without_torch() -> None:
    look = (
        "import sys; import numpy as np; from modelwright.search.space import Product, make, space, space_names;"
        "[make(space(n), Product(space(n)).sample(np.random.default_rng(0), 1)[0]) for n in space_names()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
