"""The one builder: from an Architecture to a torch module."""

from functools import partial
from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import BatchNorm
from modelwright.networks.blocks.bottleneck import BottleneckBlock
from modelwright.networks.blocks.head import PooledClassifier, TokenClassifier
from modelwright.networks.blocks.mbconv import MBConvBlock
from modelwright.networks.blocks.stem import Patches, Tokens, convolutions
from modelwright.networks.blocks.transformer import TransformerBlock
from modelwright.networks.shapes import shapes
from modelwright.records.architecture import Architecture, Block, Bottleneck, ConvStem, MBConv, PatchStem, PoolHead


@final
class Network(nn.Module):
    """An architecture as a module: `stem`, `stages` (stage by stage, block by block), `head`.

    (N, *input) -> logits: (N, classes), or (N, length, classes) where every token is classified.
    """

    def __init__(self, stem: nn.Module, stages: nn.Sequential, head: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.stages = stages
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From samples to logits."""
        out: torch.Tensor = self.head(self.stages(self.stem(x)))
        return out


def build(architecture: Architecture) -> Network:
    """The network of a record, in training mode, with freshly drawn weights from torch's generator.

    Under `with torch.device("meta")` nothing is allocated.

    Raises:
        RecordError: numbers of the record contradict one another.
        ShapeError: the architecture cannot take inputs of its own input shape.
    """
    widths = shapes(architecture)
    norm = partial(nn.BatchNorm2d, eps=architecture.norm_epsilon, momentum=architecture.norm_momentum)
    stages = nn.Sequential()
    position = 0
    for stage in architecture.stages:
        blocks = nn.Sequential()
        for _ in range(stage.repeats):
            blocks.append(_block(stage.block, architecture, norm, architecture.survival_of(position)))
            position += 1
        stages.append(blocks)
    channels = widths[-1][0] if isinstance(architecture.head, PoolHead) else widths[-1][-1]
    stem = _stem(architecture, norm)
    return Network(stem, stages, _head(architecture, channels, norm, stem))


def _block(record: Block, architecture: Architecture, norm: BatchNorm, survival: float) -> nn.Module:
    if isinstance(record, MBConv):
        return MBConvBlock(record, norm, survival)
    if isinstance(record, Bottleneck):
        return BottleneckBlock(record, norm, survival)
    return TransformerBlock(record, architecture.norm_epsilon, architecture.dropout, survival, depth=architecture.depth)


def _stem(architecture: Architecture, norm: BatchNorm) -> nn.Module:
    record = architecture.stem
    if isinstance(record, ConvStem):
        return convolutions(record, architecture.input[0], norm)
    if isinstance(record, PatchStem):
        return Patches(record, architecture.input, architecture.dropout)
    return Tokens(record, architecture.dropout)


def _head(architecture: Architecture, channels: int, norm: BatchNorm, stem: nn.Module) -> nn.Module:
    record = architecture.head
    if isinstance(record, PoolHead):
        return PooledClassifier(record, channels, architecture.classes, norm, architecture.dropout)
    table = stem.table.weight if record.tied and isinstance(stem, Tokens) else None
    return TokenClassifier(record, channels, architecture.classes, architecture.norm_epsilon, table)
