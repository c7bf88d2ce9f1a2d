"""The networks that accuracies of quantization are measured on: a residual one, a depthwise one, and that one rescaled.

Both are small enough to be trained on one core in some ten minutes. The rescaled one computes the same numbers: in each
block, one channel is made smaller by the normalisation before the ReLU, and larger by the depthwise convolution after
it. So one channel's weights are far larger than all others, as they are in MobileNets where normalisation has met
channels of little variance, and one scale a tensor cannot serve them all (Krishnamoorthi, 2018, arXiv 1806.08342,
section 3.1.1; Nagel et al., 2019, arXiv 1906.04721, figure 2). A quiet channel is taken, as those are in MobileNets, so
that the scale of its activations, which is one a tensor in any case, matters little.
"""

import copy
from pathlib import Path

import msgspec
import torch
from torch import nn

from modelwright.networks.blocks.mbconv import MBConvBlock
from modelwright.networks.build import build
from modelwright.records import Architecture, Bottleneck, ConvStem, Epoch, MBConv, PoolHead, Recipe, Stage
from modelwright.training import Data, Run, adapt, recipe_for, train

FACTOR = 256.0
"""By which one channel of each block of the rescaled network is out of proportion."""


def residual() -> Architecture:
    """Bottlenecks with shortcuts, as in ResNet-50, 1 / 10 as wide."""
    return Architecture(
        name="residual",
        input=(3, 32, 32),
        classes=10,
        stem=ConvStem(channels=(24,)),
        stages=(
            Stage(Bottleneck(in_channels=24, hidden=24, out_channels=48)),
            Stage(Bottleneck(in_channels=48, hidden=24, out_channels=48)),
            Stage(Bottleneck(in_channels=48, hidden=48, out_channels=96, stride=2)),
            Stage(Bottleneck(in_channels=96, hidden=48, out_channels=96)),
            Stage(Bottleneck(in_channels=96, hidden=64, out_channels=128, stride=2)),
        ),
        head=PoolHead(),
    )


def depthwise() -> Architecture:
    """Inverted bottlenecks with depthwise convolutions and ReLU, as in MobileNetV2."""

    def block(given: int, hidden: int, made: int, stride: int = 1) -> Stage:
        return Stage(MBConv(given, hidden, made, stride=stride, activation="relu"))  # type: ignore[arg-type]

    return Architecture(
        name="depthwise",
        input=(3, 32, 32),
        classes=10,
        stem=ConvStem(channels=(16,)),
        stages=(
            block(16, 64, 24),
            block(24, 96, 24),
            block(24, 96, 48, 2),
            block(48, 192, 48),
            block(48, 192, 96, 2),
            block(96, 384, 96),
        ),
        head=PoolHead(),
    )


NETWORKS = {"residual": residual, "depthwise": depthwise}


def recipe(data: Data, epochs: int) -> Recipe:
    """The usual one for the data, in so many epochs."""
    return msgspec.structs.replace(recipe_for(data), epochs=epochs, learning_rate=5e-3)


def trained(name: str, data: Data, how: Recipe, folder: Path) -> tuple[Architecture, nn.Module]:
    """A network with its architecture, trained as far as its checkpoint in the folder is not."""
    made = adapt(NETWORKS[name](), data, data.shape[1])

    def report(epoch: Epoch) -> bool:
        print(f"{word}, {name}: epoch {epoch.number}: {epoch.accuracy:.2%}, {epoch.seconds:.0f} s", flush=True)
        return True

    word = Path(data.name).name  # it may be a path
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(threads=torch.get_num_threads(), checkpoint=folder / f"{word}-{name}.checkpoint", report=report)
    torch.manual_seed(how.seed)
    begun = build(made).to(memory_format=torch.channels_last)  # twice as fast here for depthwise convolutions
    network = train(made, data, how, run, begun).network
    return made, network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]


@torch.no_grad()
def rescaled(network: nn.Module, factor: float = FACTOR) -> nn.Module:
    """A copy that computes the same, in each expanding block one channel scaled down before the depthwise convolution.

    It is the one that says least: by what its normalisation makes of it, and by the weights that read it from there on.
    """
    made = copy.deepcopy(network)
    for block in made.modules():
        if isinstance(block, MBConvBlock) and not isinstance(block.expand, nn.Identity):
            norm, after, taps = block.expand.norm, block.spatial.norm, block.spatial.conv.weight
            said = norm.weight.abs() + norm.bias.clamp(min=0)
            read = taps.flatten(1).norm(dim=1) * after.weight.abs() / (after.running_var + after.eps).sqrt()
            least = int((said * read * block.project.conv.weight.flatten(1).norm(dim=0)).argmin())
            norm.weight[least] /= factor
            norm.bias[least] /= factor
            taps[least] *= factor
    return made
