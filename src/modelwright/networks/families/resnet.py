"""ResNet-50 (He et al., 2015, arXiv 1512.03385), with strides on the 3x3 convolutions as everyone trains it since."""

from collections.abc import Callable, Mapping

from modelwright.networks.families.bottlenecks import bottleneck_stages
from modelwright.records.architecture import Architecture, Bottleneck, ConvStem, PoolHead

SOURCE = "He et al., ResNet, 2015, arXiv 1512.03385"


def resnet_50() -> Architecture:
    """ResNet-50: 3, 4, 6 and 3 bottlenecks behind a 7x7 stem and a pooling."""
    return Architecture(
        name="resnet-50",
        input=(3, 224, 224),
        classes=1000,
        stem=ConvStem(channels=(64,), kernel=7, pool=True),
        stages=bottleneck_stages(
            (
                Bottleneck(in_channels=64, hidden=64, out_channels=256),
                Bottleneck(in_channels=256, hidden=128, out_channels=512, stride=2),
                Bottleneck(in_channels=512, hidden=256, out_channels=1024, stride=2),
                Bottleneck(in_channels=1024, hidden=512, out_channels=2048, stride=2),
            ),
            (3, 4, 6, 3),
        ),
        head=PoolHead(),
        source=SOURCE,
    )


NAMED: Mapping[str, Callable[[], Architecture]] = {"resnet-50": resnet_50}
