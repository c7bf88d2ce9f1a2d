"""ResNeSt-50: split attention over two splits (Zhang et al., 2020, arXiv 2004.08955), setting 2s1x64d."""

from collections.abc import Callable, Mapping

from modelwright.networks.families.bottlenecks import bottleneck_stages
from modelwright.records.architecture import Architecture, Bottleneck, ConvStem, PoolHead, Stride

SOURCE = "Zhang et al., ResNeSt, 2020, arXiv 2004.08955"


def _bottleneck(in_channels: int, hidden: int, stride: Stride = 2) -> Bottleneck:
    """Split attention's inner width is half of the hidden channels (radix 2 by a reduction of 4), at least 32."""
    return Bottleneck(
        in_channels=in_channels,
        hidden=hidden,
        out_channels=4 * hidden,
        stride=stride,
        squeeze=max(32, hidden // 2),
        radix=2,
        pooled=True,
    )


def resnest_50() -> Architecture:
    """ResNeSt-50: ResNet-50's stages with split attention, a stem of three 3x3 convolutions, strides by pooling."""
    return Architecture(
        name="resnest-50",
        input=(3, 224, 224),
        classes=1000,
        stem=ConvStem(channels=(32, 32, 64), pool=True),
        stages=bottleneck_stages(
            (_bottleneck(64, 64, 1), _bottleneck(256, 128), _bottleneck(512, 256), _bottleneck(1024, 512)), (3, 4, 6, 3)
        ),
        head=PoolHead(),
        source=SOURCE,
    )


NAMED: Mapping[str, Callable[[], Architecture]] = {"resnest-50": resnest_50}
