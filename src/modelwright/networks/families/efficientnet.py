"""EfficientNet: MBConv networks by compound scaling (Tan and Le, 2019, arXiv 1905.11946)."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from modelwright.networks.families.row import Row, stages_of
from modelwright.networks.families.scaling import Scaling, round_width
from modelwright.records.architecture import Activation, Architecture, ConvStem, PoolHead

SOURCE = "Tan and Le, EfficientNet, 2019, arXiv 1905.11946"

BASELINE = (
    Row(repeats=1, kernel=3, stride=1, expansion=1, in_channels=32, out_channels=16),
    Row(repeats=2, kernel=3, stride=2, expansion=6, in_channels=16, out_channels=24),
    Row(repeats=2, kernel=5, stride=2, expansion=6, in_channels=24, out_channels=40),
    Row(repeats=3, kernel=3, stride=2, expansion=6, in_channels=40, out_channels=80),
    Row(repeats=3, kernel=5, stride=1, expansion=6, in_channels=80, out_channels=112),
    Row(repeats=4, kernel=5, stride=2, expansion=6, in_channels=112, out_channels=192),
    Row(repeats=1, kernel=3, stride=1, expansion=6, in_channels=192, out_channels=320),
)

SCALINGS = {
    "b0": Scaling(1.0, 1.0, 224, 0.2),
    "b1": Scaling(1.0, 1.1, 240, 0.2),
    "b2": Scaling(1.1, 1.2, 260, 0.3),
    "b3": Scaling(1.2, 1.4, 300, 0.3),
    "b4": Scaling(1.4, 1.8, 380, 0.4),
    "b5": Scaling(1.6, 2.2, 456, 0.4),
    "b6": Scaling(1.8, 2.6, 528, 0.5),
    "b7": Scaling(2.0, 3.1, 600, 0.5),
}


def mbconv_network(
    name: str,
    rows: Iterable[Row],
    scaling: Scaling,
    *,
    activation: Activation = "swish",
    head_channels: int = 1280,
    source: str = SOURCE,
) -> Architecture:
    """A network of the EfficientNet form: 3x3 stride-2 stem, the rows, 1x1 head, pooling, classifier.

    The stem's channels are those that the first row reads. `activation` is the stem's and the head's. A search changes
    rows and scaling and calls this.
    """
    rows = tuple(rows)
    return Architecture(
        name=name,
        input=(3, scaling.resolution, scaling.resolution),
        classes=1000,
        stem=ConvStem(channels=(round_width(rows[0].in_channels, scaling.width),), activation=activation),
        stages=stages_of(rows, scaling),
        head=PoolHead(channels=round_width(head_channels, scaling.width), activation=activation),
        dropout=scaling.dropout,
        survival=0.8,
        norm_epsilon=1e-3,
        norm_momentum=0.01,
        source=source,
    )


def efficientnet(
    width: float = 1.0, depth: float = 1.0, resolution: int = 224, dropout: float = 0.2, *, name: str = "efficientnet"
) -> Architecture:
    """EfficientNet at any scale; the published ones are `SCALINGS`."""
    return mbconv_network(name, BASELINE, Scaling(width, depth, resolution, dropout))


NAMED: Mapping[str, Callable[[], Architecture]] = {
    f"efficientnet-{size}": partial(mbconv_network, f"efficientnet-{size}", BASELINE, scaling)
    for size, scaling in SCALINGS.items()
}
