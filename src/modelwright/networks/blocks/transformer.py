"""The pre-norm transformer block, for images and for text."""

from typing import final

import torch
from torch import nn

from modelwright.networks.blocks.activation import ACTIVATIONS, NORMS
from modelwright.networks.blocks.initialise import truncated
from modelwright.networks.blocks.stochastic_depth import StochasticDepth
from modelwright.records.architecture import Transformer


@final
class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V, heads side by side, then a projection; keeps the shape (N, L, width).

    Args:
        record: the block's numbers.
        scale: of the projection's initial weights.
    """

    def __init__(self, record: Transformer, scale: float = 1.0) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.causal = record.heads, record.kv_heads, record.causal
        self.side = record.width // record.heads
        shared = self.side * record.kv_heads
        self.split = [record.width, shared, shared]
        self.qkv = truncated(nn.Linear(record.width, sum(self.split), bias=record.qkv_bias))
        self.project = truncated(nn.Linear(record.width, record.width), scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix the tokens."""
        parts = torch.split(self.qkv(x), self.split, 2)
        query, key, value = (torch.unflatten(part, 2, (-1, self.side)).transpose(1, 2) for part in parts)
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=self.causal, enable_gqa=self.heads != self.kv_heads
        )
        out: torch.Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return out


@final
class Perceptron(nn.Module):
    """Linear, activation, linear; keeps the shape (N, L, width)."""

    def __init__(self, record: Transformer, scale: float = 1.0) -> None:
        super().__init__()
        self.expand = truncated(nn.Linear(record.width, record.hidden))
        self.activation = ACTIVATIONS[record.activation]()
        self.project = truncated(nn.Linear(record.hidden, record.width), scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Change each token on its own."""
        out: torch.Tensor = self.project(self.activation(self.expand(x)))
        return out


@final
class TransformerBlock(nn.Module):
    """One Transformer record as a module; keeps the shape (N, L, width).

    Args:
        record: the block's numbers.
        epsilon: of both norms.
        dropout: at the end of each branch, in training.
        survival: probability that each branch is kept in training.
        depth: blocks in the network; a causal stack's last projections start 1 / sqrt(2 depth) smaller (GPT-2).
    """

    def __init__(
        self, record: Transformer, epsilon: float, dropout: float = 0.0, survival: float = 1.0, depth: int = 1
    ) -> None:
        super().__init__()
        scale = (2 * depth) ** -0.5 if record.causal else 1.0
        self.attention_norm = NORMS[record.norm](record.width, epsilon)
        self.attention = Attention(record, scale)
        self.perceptron_norm = NORMS[record.norm](record.width, epsilon)
        self.perceptron = Perceptron(record, scale)
        self.dropout = nn.Dropout(dropout)
        self.survive = StochasticDepth(survival)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add both branches, one after the other."""
        x = x + self.survive(self.dropout(self.attention(self.attention_norm(x))))
        out: torch.Tensor = x + self.survive(self.dropout(self.perceptron(self.perceptron_norm(x))))
        return out
