"""Heads: from the last stage's output to logits."""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import ACTIVATIONS, NORMS, BatchNorm
from modelwright.networks.blocks.convolution import Convolution
from modelwright.networks.blocks.initialise import truncated, uniform
from modelwright.records.architecture import PoolHead, TokenHead


@final
class PooledClassifier(nn.Module):
    """(N, C, H, W) -> logits (N, classes).

    Args:
        record: the head's numbers.
        channels: C.
        classes: width of the logits.
        norm: makes the normalisation for a number of channels.
        dropout: before the classifier, in training.
    """

    def __init__(self, record: PoolHead, channels: int, classes: int, norm: BatchNorm, dropout: float = 0.0) -> None:
        super().__init__()
        act = record.activation
        width = record.channels or channels
        self.conv = Convolution((channels, width), norm, activation=act) if record.channels else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.hidden = (
            nn.Sequential(uniform(nn.Linear(width, record.hidden)), ACTIVATIONS[act]())
            if record.hidden
            else nn.Identity()
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = uniform(nn.Linear(record.hidden or width, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool and classify."""
        out: torch.Tensor = self.classifier(self.dropout(self.hidden(self.pool(self.conv(x)).flatten(1))))
        return out


@final
class TokenClassifier(nn.Module):
    """(N, L, width) -> logits (N, classes), or (N, L, classes) where every token is classified.

    Args:
        record: the head's numbers.
        width: of the tokens.
        classes: width of the logits.
        epsilon: of the norm.
        table: the token table's weights, which a tied classifier takes for its own.
    """

    def __init__(
        self, record: TokenHead, width: int, classes: int, epsilon: float, table: torch.Tensor | None = None
    ) -> None:
        super().__init__()
        self.norm = NORMS[record.norm](width, epsilon)
        self.pool = record.pool
        self.classifier = truncated(nn.Linear(width, classes, bias=record.bias))
        if table is not None:
            self.classifier.weight = table

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise, choose, classify."""
        tokens = self.norm(x)
        if self.pool == "first":
            tokens = tokens[:, 0]
        elif self.pool == "mean":
            tokens = tokens.mean(1)
        out: torch.Tensor = self.classifier(tokens)
        return out
