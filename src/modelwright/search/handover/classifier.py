"""A network with its preprocessing inside: what every format holds, so that training and use see alike."""

from typing import final

import torch
from torch import nn

from modelwright.errors import SettingError, ShapeError
from modelwright.records import Architecture, DataCard
from modelwright.training import Preprocess


@final
class Classifier(nn.Module):
    """Samples as the data has them to logits.

    Images: uint8 of (N, C, h, w) in the data's own size -> float32 (N, classes). They are resized and normalised by the
    very function that training used. Tokens: int64 of (N, length) -> float32 logits.

    Args:
        network: reads (N, *architecture.input).
        architecture: its record.
        data: what it was trained on.

    Raises:
        ShapeError: the architecture cannot read the data's samples.
        SettingError: it has another number of classes, or the data has no mean and deviation for each channel.
    """

    def __init__(self, network: nn.Module, architecture: Architecture, data: DataCard) -> None:
        super().__init__()
        _check(architecture, data)
        self.network = network
        self.shape = data.shape
        self.dtype = torch.uint8 if len(data.shape) == 3 else torch.int64
        self.input_name = "images" if len(data.shape) == 3 else "tokens"
        self.levels = 256 if len(data.shape) == 3 else getattr(architecture.stem, "vocabulary", 1)
        self.see: Preprocess | None = None
        if len(data.shape) == 3:
            height, width = architecture.input[1:]
            self.see = Preprocess((height, width), architecture.classes, data.mean, data.std)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """See, then judge."""
        logits: torch.Tensor = self.network(self.see(samples) if self.see else samples)
        return logits

    def draw(self, batch: int, seed: int = 0) -> torch.Tensor:
        """Samples of noise, every level as likely, to try the network with."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, self.levels, (batch, *self.shape), dtype=self.dtype, generator=generator)


def _check(architecture: Architecture, data: DataCard) -> None:
    where, reads, way_out = architecture.name, architecture.input, "Describe the data that it was trained on."
    if len(reads) != len(data.shape) or (reads[0] != data.shape[0]):
        rule = f"the network must read samples of {data.name}, of shape {data.shape}"
        raise ShapeError(rule, where=where, value=reads, way_out=way_out)
    if data.classes and len(data.classes) != architecture.classes:
        rule = f"the classifier must have the {len(data.classes)} classes of {data.name}"
        raise SettingError(rule, where=where, value=architecture.classes, way_out=way_out)
    if len(data.shape) == 3 and not len(data.mean) == len(data.std) == data.shape[0]:
        rule = f"images must have a mean and a deviation for each of their {data.shape[0]} channels"
        raise SettingError(rule, where=data.name, value=(data.mean, data.std), way_out=way_out)
