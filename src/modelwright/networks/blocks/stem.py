"""Stems: from an image or token numbers to what the first stage reads."""

from collections import OrderedDict
from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import BatchNorm
from modelwright.networks.blocks.convolution import Convolution
from modelwright.networks.blocks.initialise import truncated_normal
from modelwright.records.architecture import ConvStem, PatchStem, TokenStem


def convolutions(record: ConvStem, channels: int, norm: BatchNorm) -> nn.Sequential:
    """The convolutions of a stem, and its pooling: (N, channels, H, W) -> (N, out_channels, H / s, W / s), rounded up.

    s is 2, or 4 with the pooling.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for position, (before, after) in enumerate(zip((channels, *record.channels), record.channels, strict=False)):
        stride = 1 if position else 2
        layers[f"convolution{position}"] = Convolution(
            (before, after), norm, kernel=record.kernel, stride=stride, activation=record.activation
        )
    if record.pool:
        layers["pool"] = nn.MaxPool2d(3, 2, padding=1)
    return nn.Sequential(layers)


@final
class Patches(nn.Module):
    """An image as tokens: (N, C, H, W) -> (N, patches, width), one more with a class token.

    Args:
        record: the stem's numbers.
        image: channels, height, width.
        dropout: after the positions are added, in training.
    """

    def __init__(self, record: PatchStem, image: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        channels, height, width = image
        side = record.patch
        self.project = nn.Conv2d(channels, record.width, side, side)
        truncated_normal(self.project.weight, (channels * side * side) ** -0.5)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]  # the stub knows no bias=True
        count = height // side * (width // side) + record.class_token
        self.class_token = nn.Parameter(torch.zeros(1, 1, record.width)) if record.class_token else None
        self.positions = nn.Parameter(truncated_normal(torch.empty(1, count, record.width)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Cut, project, add positions."""
        tokens = self.project(x).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            tokens = torch.cat((self.class_token.expand(tokens.shape[0], -1, -1), tokens), 1)
        out: torch.Tensor = self.dropout(tokens + self.positions)
        return out


@final
class Tokens(nn.Module):
    """Token numbers as vectors: (N, L) of int64 -> (N, L, width), L no longer than the record's positions."""

    def __init__(self, record: TokenStem, dropout: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Embedding(record.vocabulary, record.width)
        truncated_normal(self.table.weight)
        self.positions = nn.Parameter(truncated_normal(torch.empty(record.positions, record.width)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Look up, add positions."""
        out: torch.Tensor = self.dropout(self.table(x) + self.positions[: x.shape[1]])
        return out
