"""What is quantized, and all that is known of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import nn

from modelwright.quantize.judging import Samples
from modelwright.records import DataCard, Quantization, Recipe
from modelwright.training import Data, Preprocess


@final
@dataclass(frozen=True)
class Training:
    """What a network can be trained further with.

    Attributes:
        data: its training and validation splits.
        see: makes images into what the network reads.
        recipe: by which it was trained.
    """

    data: Data
    see: Preprocess
    recipe: Recipe


def _as_it_is(network: nn.Module) -> nn.Module:
    return network


@final
@dataclass(frozen=True)
class Subject:
    """A network to be quantized.

    Attributes:
        name: of the network.
        network: trained.
        calibration: samples that ranges are found on; not those that judge.
        judged: samples that accuracy is judged on. Without labels the float network's own answers are taken for them,
            and a drop is the share of answers that changed.
        data: what the samples are called.
        whole: puts around the network what makes samples into its inputs.
        training: for quantization-aware training; None where there is none.
        card: describes the data, for whoever loads the artifact.
        recipe: that is tried first, such as the one by which a search found the network; None for none.
    """

    name: str
    network: nn.Module
    calibration: Samples
    judged: Samples
    data: str = ""
    whole: Callable[[nn.Module], nn.Module] = _as_it_is
    training: Training | None = None
    card: DataCard | None = None
    recipe: Quantization | None = None
