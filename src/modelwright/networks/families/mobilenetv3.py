"""MobileNetV3, large and small at width 1: found by platform-aware search (Howard et al., 2019, arXiv 1905.02244).

One line a block, as in the paper's tables 1 and 2. Squeeze-and-excitation is a quarter of the hidden channels, rounded
to a multiple of 8, with ReLU inside and a hard sigmoid for its gate.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from modelwright.networks.families.scaling import round_width
from modelwright.records.architecture import Activation, Architecture, ConvStem, MBConv, PoolHead, Stage, Stride

SOURCE = "Howard et al., MobileNetV3, 2019, arXiv 1905.02244"


class Line(NamedTuple):
    """A line of the paper's tables: kernel, hidden and output channels, squeeze, activation, stride."""

    kernel: int
    hidden: int
    out_channels: int
    squeeze: bool
    activation: Activation
    stride: Stride


LARGE = (
    Line(3, 16, 16, False, "relu", 1),
    Line(3, 64, 24, False, "relu", 2),
    Line(3, 72, 24, False, "relu", 1),
    Line(5, 72, 40, True, "relu", 2),
    Line(5, 120, 40, True, "relu", 1),
    Line(5, 120, 40, True, "relu", 1),
    Line(3, 240, 80, False, "hard-swish", 2),
    Line(3, 200, 80, False, "hard-swish", 1),
    Line(3, 184, 80, False, "hard-swish", 1),
    Line(3, 184, 80, False, "hard-swish", 1),
    Line(3, 480, 112, True, "hard-swish", 1),
    Line(3, 672, 112, True, "hard-swish", 1),
    Line(5, 672, 160, True, "hard-swish", 2),
    Line(5, 960, 160, True, "hard-swish", 1),
    Line(5, 960, 160, True, "hard-swish", 1),
)
SMALL = (
    Line(3, 16, 16, True, "relu", 2),
    Line(3, 72, 24, False, "relu", 2),
    Line(3, 88, 24, False, "relu", 1),
    Line(5, 96, 40, True, "hard-swish", 2),
    Line(5, 240, 40, True, "hard-swish", 1),
    Line(5, 240, 40, True, "hard-swish", 1),
    Line(5, 120, 48, True, "hard-swish", 1),
    Line(5, 144, 48, True, "hard-swish", 1),
    Line(5, 288, 96, True, "hard-swish", 2),
    Line(5, 576, 96, True, "hard-swish", 1),
    Line(5, 576, 96, True, "hard-swish", 1),
)


def mobilenetv3(name: str, lines: tuple[Line, ...], last: int) -> Architecture:
    """MobileNetV3 from a table's lines; `last` is the width of the linear layer after the pooling."""
    stages: list[Stage] = []
    channels = 16
    for line in lines:
        block = MBConv(
            in_channels=channels,
            hidden=line.hidden,
            out_channels=line.out_channels,
            kernel=line.kernel,
            stride=line.stride,
            squeeze=round_width(line.hidden / 4) if line.squeeze else 0,
            activation=line.activation,
            squeeze_activation="relu",
            gate="hard-sigmoid",
        )
        if stages and stages[-1].block == block:
            stages[-1] = Stage(block, stages[-1].repeats + 1)
        else:
            stages.append(Stage(block))
        channels = line.out_channels
    return Architecture(
        name=name,
        input=(3, 224, 224),
        classes=1000,
        stem=ConvStem(channels=(16,), activation="hard-swish"),
        stages=tuple(stages),
        head=PoolHead(channels=6 * channels, hidden=last, activation="hard-swish"),
        dropout=0.2,
        norm_epsilon=1e-3,
        norm_momentum=0.01,
        source=SOURCE,
    )


NAMED: Mapping[str, Callable[[], Architecture]] = {
    "mobilenetv3-large": partial(mobilenetv3, "mobilenetv3-large", LARGE, 1280),
    "mobilenetv3-small": partial(mobilenetv3, "mobilenetv3-small", SMALL, 1024),
}
