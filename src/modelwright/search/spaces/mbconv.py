"""From a point to a network of inverted bottlenecks: all that EfficientNet-X's authors let their search choose.

Source: Li et al., 2021, arXiv 2102.05610; blocks and rules as in `networks.families.row`.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple, cast, get_args

from modelwright.errors import RecordError
from modelwright.networks.families.row import Row, stages_of
from modelwright.networks.families.scaling import Scaling
from modelwright.records import Architecture, ConvStem, PoolHead, Value
from modelwright.records.architecture import Activation, Reshape, Stride
from modelwright.search.spaces.chosen import Chosen

NETWORK = frozenset(
    {
        "classes",
        "dropout",
        "head",
        "image_channels",
        "norm_epsilon",
        "norm_momentum",
        "resolution",
        "side",
        "space_to_depth",
        "stages",
        "stem",
        "survival",
    }
)
STAGE = frozenset({"repeats", "space_to_batch", "stride", "width"})
BLOCK = frozenset({"activation", "expansion", "fused", "kernel", "squeeze"})
KNOWN = NETWORK | STAGE | BLOCK


def mbconv(point: Mapping[str, Value], fixed: Mapping[str, Value], name: str) -> Architecture:
    """A 3x3 stride-2 stem, stages of MBConv blocks, a 1x1 head, pooling, a classifier.

    What it reads, from the point or from what is fixed. Of the network: `resolution`, `image_channels`, `classes`,
    `stages` (how many), `stem.width`, `stem.activation`, `head.width` (0 for none), `head.activation` (the stem's if
    there is none), `space_to_depth` (the stage that begins with it, 0 for none), `dropout`, `survival`, `norm_epsilon`,
    `norm_momentum`. Of a stage: `repeats`, `width` (output channels, a multiple of 8), `stride`, `space_to_batch`. Of a
    stage or a block: `kernel`, `expansion`, `squeeze` (over the block's input channels, 0 for none), `activation`,
    `fused`. A name of a stage without its number counts for all stages.

    Raises:
        RecordError: a value is missing, unknown or of the wrong kind.
    """
    chosen = Chosen(point, fixed, KNOWN)
    resolution = chosen.whole("resolution")
    dropout = chosen.number("dropout", default=0.2)
    activation = _activation(chosen, "stem.activation")
    return Architecture(
        name=name,
        input=(chosen.whole("image_channels", default=3), resolution, resolution),
        classes=chosen.whole("classes", default=1000),
        stem=ConvStem((_width(chosen, "stem.width"),), activation=activation),
        stages=stages_of(_rows(chosen), Scaling(resolution=resolution, dropout=dropout)),
        head=PoolHead(
            chosen.whole("head.width"), activation=_activation(chosen, "head.activation", default=activation)
        ),
        dropout=dropout,
        survival=chosen.number("survival", default=1.0),
        norm_epsilon=chosen.number("norm_epsilon", default=1e-3),
        norm_momentum=chosen.number("norm_momentum", default=0.1),
    )


class _Form(NamedTuple):
    """What the blocks of a stage can differ in."""

    kernel: int
    expansion: float
    squeeze_ratio: float
    fused: bool
    activation: Activation


def _rows(chosen: Chosen) -> Iterator[Row]:
    """A row for each run of equal blocks; only the first of a stage strides, or turns space into depth."""
    entering = _width(chosen, "stem.width")
    merging = chosen.whole("space_to_depth", default=0)
    for stage in range(1, chosen.whole("stages") + 1):
        leaving = _width(chosen, "width", stage)
        stride = cast(Stride, chosen.whole("stride", stage))
        batched = chosen.flag("space_to_batch", stage, default=False)
        later: Reshape = "space-to-batch" if batched else "none"
        reshape: Reshape = "space-to-depth" if stage == merging else later
        forms = [_form(chosen, stage, block) for block in range(1, chosen.whole("repeats", stage) + 1)]
        for form, blocks in groupby(forms):
            channels: dict[str, Any] = {"in_channels": entering, "out_channels": leaving}
            yield Row(len(list(blocks)), stride=stride, reshape=reshape, **form._asdict(), **channels)
            entering, stride, reshape = leaving, 1, later


def _form(chosen: Chosen, stage: int, block: int) -> _Form:
    return _Form(
        chosen.whole("kernel", stage, block),
        chosen.number("expansion", stage, block),
        chosen.number("squeeze", stage, block, default=0.0),
        chosen.flag("fused", stage, block, default=False),
        _activation(chosen, "activation", stage, block),
    )


def _activation(
    chosen: Chosen, name: str, stage: int = 0, block: int = 0, default: Activation | None = None
) -> Activation:
    value = chosen.word(name, stage, block, default)
    if value not in get_args(Activation):
        way_out = f"Known: {', '.join(get_args(Activation))}."
        raise RecordError("the value must be an activation", where=name, value=value, way_out=way_out)
    return cast(Activation, value)


def _width(chosen: Chosen, name: str, stage: int = 0) -> int:
    value = chosen.whole(name, stage)
    if value < 8 or value % 8:
        where = f"stages.{stage}.{name}" if stage else name
        way_out = "Round it: the rules of the family would."
        raise RecordError("a width must be a multiple of 8", where=where, value=value, way_out=way_out)
    return value
