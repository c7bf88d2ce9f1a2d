"""Any convolutional architecture, deeper, wider and on larger images: compound scaling of a network without its rows.

Rounding as EfficientNet's (2019, arXiv 1905.11946): channels to multiples of 8, never more than a tenth below; repeats
up. What belongs to a block's channels (hidden channels, squeeze-and-excitation) keeps its ratio to them.
"""

from collections.abc import Sequence

import msgspec

from modelwright.errors import SettingError
from modelwright.networks.families.scaling import round_depth, round_width
from modelwright.records.architecture import Architecture, Block, Bottleneck, ConvStem, MBConv, PoolHead, Stage

Convolutional = MBConv | Bottleneck


def scaled(architecture: Architecture, depth: float = 1.0, width: float = 1.0, resolution: float = 1.0) -> Architecture:
    """The architecture with more blocks, more channels and larger images.

    A row is a run of blocks of which all but the first keep the shape; its repeats are multiplied and rounded up.
    Grouped convolutions keep the width of a group. Dropout stays: see `rules.dropout`.

    Raises:
        SettingError: a multiplier is not above 0, or a stem, block or head is not convolutional.
    """
    for name, value in (("depth", depth), ("width", width), ("resolution", resolution)):
        if not value > 0:
            raise SettingError(f"the {name} must be multiplied by more than 0", where=architecture.name, value=value)
    stem, head = architecture.stem, architecture.head
    if not isinstance(stem, ConvStem) or not isinstance(head, PoolHead):
        rule = "a network must have a convolutional stem and a pooling head to be scaled"
        raise SettingError(rule, where=architecture.name, way_out="Of transformers, change width and depth by hand.")
    channels, *sides = architecture.input
    return msgspec.structs.replace(
        architecture,
        input=(channels, *(max(1, round(side * resolution)) for side in sides)),
        stem=msgspec.structs.replace(stem, channels=tuple(round_width(c, width) for c in stem.channels)),
        stages=tuple(stage for row in rows(architecture) for stage in _row(row, depth, width)),
        head=msgspec.structs.replace(
            head,
            channels=round_width(head.channels, width) if head.channels else 0,
            hidden=round_width(head.hidden, width) if head.hidden else 0,
        ),
    )


def rows(architecture: Architecture) -> tuple[tuple[Stage, ...], ...]:
    """The stages as a paper's table has them: a block that may change the shape, with the equal blocks that follow it.

    Raises:
        SettingError: a block is not convolutional.
    """
    found: list[list[Stage]] = []
    for stage in architecture.stages:
        if found and found[-1][0].repeats == 1 and _follows(_block(found[-1][0]), _block(stage)) and len(found[-1]) < 2:
            found[-1].append(stage)
        else:
            found.append([stage])
    return tuple(map(tuple, found))


def repeats(architecture: Architecture) -> tuple[int, ...]:
    """Blocks of each row."""
    return tuple(sum(stage.repeats for stage in row) for row in rows(architecture))


def channels(architecture: Architecture) -> tuple[int, ...]:
    """Channels that leave the stem, each row, and the head's convolution where there is one."""
    stem, head = architecture.stem, architecture.head
    ends = (head.channels,) if isinstance(head, PoolHead) and head.channels else ()
    return (stem.out_channels, *(row[0].block.out_channels for row in rows(architecture)), *ends)


def _row(row: Sequence[Stage], depth: float, width: float) -> list[Stage]:
    first = _wider(_block(row[0]), width)
    wanted = round_depth(sum(stage.repeats for stage in row), depth)
    rest = _wider(_block(row[1]), width) if len(row) > 1 else _kept(first)
    if first == rest:
        return [Stage(first, wanted)]
    return [Stage(first), *([Stage(rest, wanted - 1)] if wanted > 1 else [])]


def _wider(block: Convolutional, width: float) -> Convolutional:
    before = block.in_channels
    into, out = round_width(before, width), round_width(block.out_channels, width)
    squeeze = max(1, int(block.squeeze * into / before)) if block.squeeze else 0
    if isinstance(block, MBConv):
        hidden = int(block.hidden * into / before)
        return msgspec.structs.replace(block, in_channels=into, out_channels=out, hidden=hidden, squeeze=squeeze)
    group = block.hidden // block.groups
    hidden = round_width(block.hidden, width, 8 if block.groups == 1 else group)
    groups = 1 if block.groups == 1 else hidden // group
    squeeze = round_width(block.squeeze, width) if block.squeeze else 0
    return msgspec.structs.replace(
        block, in_channels=into, out_channels=out, hidden=hidden, groups=groups, squeeze=squeeze
    )


def _kept(first: Convolutional) -> Convolutional:
    """The block that can follow a first one any number of times: its ratios, at one width, without its stride."""
    out = first.out_channels
    if isinstance(first, Bottleneck):
        return msgspec.structs.replace(first, in_channels=out, stride=1)
    return msgspec.structs.replace(
        first,
        in_channels=out,
        hidden=first.hidden * out // first.in_channels,
        squeeze=max(1, first.squeeze * out // first.in_channels) if first.squeeze else 0,
        stride=1,
        reshape="none" if first.reshape == "space-to-depth" else first.reshape,
    )


def _follows(first: Convolutional, then: Convolutional) -> bool:
    """Whether a block is what the first of its row would be followed by, but for what its width is rounded to."""
    if type(first) is not type(then) or then.stride != 1 or then.in_channels != then.out_channels:
        return False
    wanted = _kept(first)
    return then == msgspec.structs.replace(wanted, hidden=then.hidden, squeeze=then.squeeze, kernel=then.kernel) and (
        then.kernel in (first.kernel, wanted.kernel)
    )


def _block(stage: Stage) -> Convolutional:
    block: Block = stage.block
    if not isinstance(block, MBConv | Bottleneck):
        rule = "a block must be convolutional to be scaled"
        raise SettingError(rule, where="stages", value=type(block).__name__, way_out="Use MBConv or Bottleneck blocks.")
    return block
