"""What is scaled: a base network, and how three multipliers make another one of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import final

import msgspec
import numpy as np

from modelwright.errors import SettingError
from modelwright.networks.catalogue import architecture
from modelwright.networks.families import efficientnet, efficientnet_x
from modelwright.networks.families.efficientnet import mbconv_network
from modelwright.networks.families.scaling import Scaling
from modelwright.records.architecture import Architecture
from modelwright.records.scaling import Coefficients, Observation
from modelwright.search.scale.multiply import channels, repeats, scaled
from modelwright.search.scale.rules import dropout, se_coefficient, work

Published = Mapping[str, Mapping[str, Scaling]]


@final
@dataclass(frozen=True)
class Base:
    """A base network and its rule.

    Attributes:
        name: the word for it on the command line.
        network: the base itself.
        make: from (depth, width, side of the image in pixels) to the network at that scale; its name does not count.
        published: rule -> member -> coefficients, where its authors published families.
        source: of those.
    """

    name: str
    network: Architecture
    make: Callable[[float, float, int], Architecture]
    published: Published
    source: str = ""

    @property
    def side(self) -> int:
        """Of the base's images, in pixels."""
        return self.network.input[1]

    def member(self, name: str, depth: float, width: float, pixels: int) -> Architecture:
        """The network at a scale, under a name of its own."""
        return msgspec.structs.replace(self.make(depth, width, pixels), name=name)

    def real(self, found: Architecture) -> Coefficients:
        """What a network of this base really is over it: blocks, mean width of the rows, side of the image.

        Two multipliers that round to one network have one accuracy, so a law is drawn of these.
        """
        before, after = np.array(channels(self.network)), np.array(channels(found))
        return Coefficients(
            depth=found.depth / self.network.depth,
            width=float(np.mean(after / before)),
            resolution=found.input[1] / self.side,
        )


def base(name_or_path: str) -> Base:
    """A base by name: a family with rows of its own, or any architecture of MBConv blocks, by name or file.

    Raises:
        UnknownNameError: nothing has that name.
        RecordError: a file cannot be read or breaks a rule.
        SettingError: the architecture is not one that can be scaled.
    """
    return BASES[name_or_path] if name_or_path in BASES else base_of(architecture(name_or_path))


def base_of(network: Architecture) -> Base:
    """An architecture as a base, scaled block by block.

    Raises:
        SettingError: a stem, block or head is not convolutional, or images are not square.
    """
    if len(network.input) == 3 and network.input[1] != network.input[2]:
        rule, way_out = "a base must read square images", "Give it as many rows as columns."
        raise SettingError(rule, where=f"{network.name}, input", value=network.input, way_out=way_out)
    repeats(scaled(network))  # refuses what cannot be scaled
    return Base(network.name, network, partial(_multiplied, network), {})


def real(observations: Iterable[Observation], found: Base) -> tuple[Observation, ...]:
    """Observations with the coefficients that the base's networks really have, in place of the multipliers."""
    return tuple(_real(observation, found) for observation in observations)


def _real(observation: Observation, found: Base) -> Observation:
    pixels = max(1, round(observation.resolution * found.side))
    had = found.real(found.make(observation.depth, observation.width, pixels))
    return msgspec.structs.replace(observation, depth=had.depth, width=had.width, resolution=observation.resolution)


def _multiplied(network: Architecture, depth: float, width: float, pixels: int) -> Architecture:
    resolution = pixels / network.input[1]
    found = scaled(network, depth, width, resolution)
    rate = dropout(network.dropout, work(depth, width, resolution))
    return msgspec.structs.replace(found, dropout=rate)


def _efficientnet(depth: float, width: float, pixels: int) -> Architecture:
    rate = dropout(0.2, work(depth, width, pixels / 224))
    return efficientnet.efficientnet(width, depth, pixels, rate)


def _efficientnet_x(hybrid: bool, depth: float, width: float, pixels: int) -> Architecture:
    times = work(depth, width, pixels / 224)
    scaling = Scaling(width, depth, pixels, dropout(0.2, times), se_coefficient(times))
    return efficientnet_x.scaled("efficientnet-x", scaling, hybrid)


_SINGLE, _TPU, _GPU = "single-objective", "LACS for TPU", "LACS for GPU"
_X_PUBLISHED = {
    _SINGLE: efficientnet_x.SINGLE_OBJECTIVE,
    _TPU: efficientnet_x.LACS_TPU,
    _GPU: efficientnet_x.LACS_GPU,
}

BASES: Mapping[str, Base] = {
    "efficientnet": Base(
        "efficientnet",
        mbconv_network("efficientnet", efficientnet.BASELINE, Scaling()),
        _efficientnet,
        {_SINGLE: efficientnet.SCALINGS},
        efficientnet.SOURCE,
    ),
    **{
        name: Base(name, _efficientnet_x(hybrid, 1.0, 1.0, 224), partial(_efficientnet_x, hybrid), _X_PUBLISHED,
                   efficientnet_x.SOURCE)
        for name, hybrid in (("efficientnet-x", False), ("efficientnet-x-h", True))
    },
}  # fmt: skip
"""Families with rows of their own, by which published members come out to the last number."""
