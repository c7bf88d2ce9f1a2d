"""EfficientNetV2-S: fused MBConv early, depthwise MBConv late (Tan and Le, 2021, arXiv 2104.00298)."""

from collections.abc import Callable, Mapping

from modelwright.networks.families.efficientnet import mbconv_network
from modelwright.networks.families.row import Row
from modelwright.networks.families.scaling import Scaling
from modelwright.records.architecture import Architecture

SOURCE = "Tan and Le, EfficientNetV2, 2021, arXiv 2104.00298"

SMALL = (
    Row(2, 3, 1, expansion=0, in_channels=24, out_channels=24, squeeze_ratio=0, fused=True),
    Row(4, 3, 2, expansion=4, in_channels=24, out_channels=48, squeeze_ratio=0, fused=True),
    Row(4, 3, 2, expansion=4, in_channels=48, out_channels=64, squeeze_ratio=0, fused=True),
    Row(6, 3, 2, expansion=4, in_channels=64, out_channels=128),
    Row(9, 3, 1, expansion=6, in_channels=128, out_channels=160),
    Row(15, 3, 2, expansion=6, in_channels=160, out_channels=256),
)


def efficientnetv2_s(resolution: int = 384) -> Architecture:
    """EfficientNetV2-S at its test resolution; it is trained at up to 300 pixels.

    The blocks without expansion in the first row are one 3x3 convolution each (expansion 0 in a fused row).
    """
    return mbconv_network("efficientnetv2-s", SMALL, Scaling(resolution=resolution), source=SOURCE)


NAMED: Mapping[str, Callable[[], Architecture]] = {"efficientnetv2-s": efficientnetv2_s}
