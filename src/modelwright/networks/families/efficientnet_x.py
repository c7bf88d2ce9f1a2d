"""EfficientNet-X: EfficientNet rebuilt for datacenter accelerators (Li et al., CVPR 2021, arXiv 2102.05610).

Against EfficientNet it has space-to-depth, fused MBConv and cheap activations where an accelerator gains from them, and
compound scaling that is searched for accuracy and latency together (LACS), one set of coefficients a platform. Numbers
from the paper and the authors' released code (tensorflow/tpu, efficientnet_x_builder.py).
"""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from modelwright.networks.families import efficientnet
from modelwright.networks.families.row import Row
from modelwright.networks.families.scaling import Scaling
from modelwright.records.architecture import Architecture

SOURCE = "Li et al., EfficientNet-X, 2021, arXiv 2102.05610"


def _rows() -> tuple[Row, ...]:
    one, two, three, *late = efficientnet.BASELINE
    return (
        msgspec.structs.replace(one, reshape="space-to-depth", activation="relu"),
        msgspec.structs.replace(two, fused=True),
        msgspec.structs.replace(three, fused=True),
        *(msgspec.structs.replace(row, activation="relu") for row in late),
    )


BASELINE = _rows()
HYBRID = tuple(
    msgspec.structs.replace(row, expansion=4) if 1 <= position <= 3 else row for position, row in enumerate(BASELINE)
)

SINGLE_OBJECTIVE = {
    size: msgspec.structs.replace(scaling, se_coefficient={"b0": 4, "b1": 2}.get(size, 1))
    for size, scaling in efficientnet.SCALINGS.items()
}
LACS_TPU = {
    "b0": Scaling(1.0, 1.0, 224, 0.2, 4),
    "b1": Scaling(1.05, 1.09, 229, 0.2, 2),
    "b2": Scaling(1.13, 1.29, 244, 0.3, 1),
    "b3": Scaling(1.27, 1.62, 263, 0.3, 1),
    "b4": Scaling(1.54, 2.38, 299, 0.4, 1),
    "b5": Scaling(1.96, 2.76, 332, 0.4, 1),
    "b6": Scaling(2.75, 3.01, 328, 0.5, 1),
    "b7": Scaling(3.26, 3.44, 350, 0.5, 1),
}
LACS_GPU = {
    "b0": Scaling(1.0, 1.0, 224, 0.2, 4),
    "b1": Scaling(1.05, 1.09, 229, 0.2, 2),
    "b2": Scaling(1.13, 1.24, 237, 0.3, 1),
    "b3": Scaling(1.31, 1.63, 255, 0.3, 1),
    "b4": Scaling(1.63, 2.40, 282, 0.4, 1),
    "b5": Scaling(1.94, 3.29, 306, 0.4, 1),
    "b6": Scaling(2.25, 4.28, 328, 0.5, 1),
    "b7": Scaling(2.58, 5.46, 350, 0.5, 1),
}
SCALINGS = {"": SINGLE_OBJECTIVE, "-tpu": LACS_TPU, "-gpu": LACS_GPU}


def efficientnet_x(
    width: float = 1.0,
    depth: float = 1.0,
    resolution: int = 224,
    dropout: float = 0.2,
    se_coefficient: float = 1.0,
    hybrid: bool = False,
    name: str = "efficientnet-x",
) -> Architecture:
    """EfficientNet-X at any scale; the published ones are `SCALINGS`.

    Args:
        width: what channels are multiplied by.
        depth: what repeats are multiplied by.
        resolution: side of the square input in pixels.
        dropout: before the classifier, in training.
        se_coefficient: of the squeeze-and-excitation's ratio of 0.25.
        hybrid: the variant H, with expansion 4 in stages 2 to 4.
        name: the record's.
    """
    return scaled(name, Scaling(width, depth, resolution, dropout, se_coefficient), hybrid)


def scaled(name: str, scaling: Scaling, hybrid: bool = False) -> Architecture:
    """The same, with the coefficients as one value."""
    return efficientnet.mbconv_network(name, HYBRID if hybrid else BASELINE, scaling, activation="relu", source=SOURCE)


NAMED: Mapping[str, Callable[[], Architecture]] = {
    name: partial(scaled, name, scaling, hybrid)
    for hybrid in (False, True)
    for target, sizes in SCALINGS.items()
    for size, scaling in sizes.items()
    for name in [f"efficientnet-x-{'h-' if hybrid else ''}{size}{target}"]
}
