"""The shape between any two stages of an architecture, and with it every rule that its numbers must keep; no torch."""

import math

from modelwright.errors import RecordError, ShapeError
from modelwright.records.architecture import (
    Architecture,
    Block,
    Bottleneck,
    ConvStem,
    MBConv,
    PatchStem,
    PoolHead,
    Stage,
    TokenHead,
    TokenStem,
    Transformer,
)

Shape = tuple[int, ...]


def shapes(architecture: Architecture, *, where: str = "") -> tuple[Shape, ...]:
    """The shape of one sample before each stage, and after the last: (channels, height, width) or (length, width).

    Args:
        architecture: the record.
        where: what errors call it; its name if empty.

    Raises:
        RecordError: numbers of the architecture contradict one another; names the place, the rule and the value.
        ShapeError: the architecture is sound but cannot take inputs of its `input` shape.
    """
    where = where or architecture.name
    found = [_after_stem(architecture, where)]
    for position, stage in enumerate(architecture.stages):
        found.append(_after_stage(stage, found[-1], f"{where}, stages[{position}]"))
    _check_head(architecture, found[-1], f"{where}, head")
    _check_size(architecture, f"{where}, input")
    return tuple(found)


def _after_stem(architecture: Architecture, place: str) -> Shape:
    stem, size, where = architecture.stem, architecture.input, f"{place}, input"
    axes = 1 if isinstance(stem, TokenStem) else 3
    if len(size) != axes:
        rule = (
            "must be (length,) for a stem of tokens" if axes == 1 else "must be (channels, height, width) for this stem"
        )
        raise RecordError(f"the input {rule}", where=where, value=size, way_out="Correct input, or change the stem.")
    if isinstance(stem, TokenStem):
        if size[0] > stem.positions:
            rule = f"the input must be no longer than the stem's {stem.positions} positions"
            raise ShapeError(rule, where=where, value=size, way_out="Shorten input, or raise stem.positions.")
        return size[0], stem.width
    if isinstance(stem, PatchStem):
        if size[1] % stem.patch or size[2] % stem.patch:
            rule = f"height and width must be multiples of the patch of {stem.patch}"
            raise ShapeError(rule, where=where, value=size, way_out="Resize input, or change stem.patch.")
        return size[1] // stem.patch * (size[2] // stem.patch) + stem.class_token, stem.width
    _check_odd(stem.kernel, f"{place}, stem.kernel")
    stride = 4 if stem.pool else 2
    return stem.out_channels, _halved(size[1], stride), _halved(size[2], stride)


def _after_stage(stage: Stage, before: Shape, where: str) -> Shape:
    block = stage.block
    tokens = isinstance(block, Transformer)
    if tokens != (len(before) == 2):
        raise RecordError(
            f"a {'transformer' if tokens else 'convolutional'} block must follow {'tokens' if tokens else 'an image'}",
            where=where,
            value=type(block).__name__,
            way_out="Use a stem of patches or tokens before transformer blocks, one of convolutions before the others.",
        )
    channels = before[1] if tokens else before[0]
    if block.in_channels != channels:
        key = "width" if tokens else "in_channels"
        raise RecordError(
            f"{key} must be the {channels} channels that arrive",
            where=f"{where}.block.{key}",
            value=block.in_channels,
            way_out="Make it equal to the out_channels (or width) of the stage or stem before it.",
        )
    after = _after_block(block, before, where)
    if stage.repeats > 1 and after != before:
        raise RecordError(
            "a block that repeats must keep its input's shape",
            where=f"{where}.repeats",
            value=stage.repeats,
            way_out="Give the block that strides or changes the channels a stage of its own.",
        )
    return after


def _after_block(block: Block, before: Shape, where: str) -> Shape:
    if isinstance(block, MBConv):
        return _after_mbconv(block, before, where)
    if isinstance(block, Bottleneck):
        return _after_bottleneck(block, before, where)
    for key, value, of in (("heads", block.heads, "width"), ("kv_heads", block.kv_heads, "heads")):
        if getattr(block, of) % value:
            rule = f"{key} must divide {of} = {getattr(block, of)}"
            raise RecordError(rule, where=f"{where}.block.{key}", value=value, way_out="Choose a divisor.")
    return before


def _after_mbconv(block: MBConv, before: Shape, where: str) -> Shape:
    if block.stride > 1:
        _check_odd(block.kernel, f"{where}.block.kernel", " where the block has a stride")
    if not block.hidden and (not block.fused or block.squeeze):
        raise RecordError(
            "hidden must be at least 1 unless the block is fused and has no squeeze",
            where=f"{where}.block.hidden",
            value=block.hidden,
            way_out="Set hidden, for instance to 6 times in_channels.",
        )
    step = 2 * block.stride
    if block.reshape == "space-to-batch" and (before[1] % step or before[2] % step):
        rule = f"space-to-batch needs a height and width that {step} divides"
        raise ShapeError(rule, where=where, value=before, way_out="Change the input's size, or set reshape to none.")
    stride = step if block.reshape == "space-to-depth" else block.stride
    return block.out_channels, _halved(before[1], stride), _halved(before[2], stride)


def _after_bottleneck(block: Bottleneck, before: Shape, where: str) -> Shape:
    _check_odd(block.kernel, f"{where}.block.kernel")
    if block.hidden % block.groups:
        rule = f"groups must divide hidden = {block.hidden}"
        raise RecordError(rule, where=f"{where}.block.groups", value=block.groups, way_out="Choose a divisor.")
    if block.radix > 1 and (block.groups > 1 or not block.squeeze or block.hidden % block.radix):
        raise RecordError(
            "split attention needs groups = 1, a squeeze of at least 1 and a radix that divides hidden",
            where=f"{where}.block.radix",
            value=block.radix,
            way_out="Set radix to 1 to do without it.",
        )
    return block.out_channels, _halved(before[1], block.stride), _halved(before[2], block.stride)


def _check_head(architecture: Architecture, before: Shape, where: str) -> None:
    head, stem = architecture.head, architecture.stem
    if isinstance(head, PoolHead) != (len(before) == 3):
        rule = "a head of kind pool must follow an image, one of kind token must follow tokens"
        raise RecordError(rule, where=where, value=type(head).__name__, way_out="Change head.kind.")
    if isinstance(head, TokenHead) and head.tied:
        vocabulary = stem.vocabulary if isinstance(stem, TokenStem) else 0
        if head.bias or architecture.classes != vocabulary or before[-1] != stem.out_channels:
            raise RecordError(
                "a tied head needs a stem of tokens, classes equal to its vocabulary and no bias",
                where=f"{where}.tied",
                value=architecture.classes,
                way_out="Set tied to false, or make the two agree.",
            )


def _check_size(architecture: Architecture, where: str) -> None:
    """A side of the image that is smaller than all strides together would be nothing but padding at the end."""
    if len(architecture.input) == 1 or isinstance(architecture.stem, PatchStem):
        return
    stride = 4 if isinstance(architecture.stem, ConvStem) and architecture.stem.pool else 2
    for block in architecture.blocks:
        if not isinstance(block, Transformer):
            merges = isinstance(block, MBConv) and block.reshape == "space-to-depth"
            stride *= block.stride * (2 if merges else 1)
    if min(architecture.input[1:]) < stride:
        raise ShapeError(
            f"height and width must be at least the product of all strides, {stride}",
            where=where,
            value=architecture.input,
            way_out="Enlarge input, or take out a stride.",
        )


def _check_odd(kernel: int, where: str, when: str = "") -> None:
    if kernel % 2 == 0:
        rule = f"the kernel must be odd{when}, to be padded evenly"
        raise RecordError(rule, where=where, value=kernel, way_out=f"Use {kernel - 1} or {kernel + 1}.")


def _halved(size: int, stride: int) -> int:
    """Side of the output under padding that keeps every pixel: strides of 2 one after the other round up each time."""
    return math.ceil(size / stride)
