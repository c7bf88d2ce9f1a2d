"""All networks of a space of MBConv blocks in one set of shared weights; a step trains one of them.

Each step draws a network with equal chances of all in the space and trains the weights that it takes, all others rest
(single-path one-shot: Guo et al., 2019, arXiv 1904.00420). The sandwich rule (arXiv 1903.05134, 2003.11142) trains the
largest, the smallest and two others in one step: four times the work a step, for networks that are to be used without
being trained again. Here the supernet only ranks, and the winners are trained by themselves.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import final

import msgspec
import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from modelwright.errors import SettingError, ShapeError
from modelwright.networks.blocks.initialise import fan_out, uniform
from modelwright.networks.build import Network, build
from modelwright.networks.shapes import shapes
from modelwright.records import Architecture, Point, Space
from modelwright.search.evaluate.supernet.corners import corners
from modelwright.search.evaluate.supernet.places import Shape, blocks, piece, repeats, shared_name
from modelwright.search.space import Product, make
from modelwright.training.average import NORMS

_TRIES = 100
_NAME = "candidate"


@final
class Supernet(nn.Module):
    """Weights of every network of a space; called, it runs one of them on normalised images of any size.

    In training that is a network drawn anew for each call, by torch's generator; in evaluation the largest. Images are
    resized to what the network reads. Batch normalisation goes by the batch in both: no statistics are kept, for each
    network has its own. For use by one thread at a time.

    Args:
        space: of MBConv blocks, fitted to the data; weights are drawn from torch's generator.

    Raises:
        RecordError, SettingError: the space is not one of stages of MBConv blocks.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.domain = Product(space)
        self.weights = nn.Module()
        sizes: dict[str, Shape] = {}
        self.largest, most = Point(), -1
        for point in corners(space):
            wanted = self._weights(self.architecture(point), point)
            for name, shape in wanted.values():
                before = sizes.get(name, shape)
                sizes[name] = tuple(max(pair) for pair in zip(before, shape, strict=True))
            numbers = sum(int(np.prod(shape)) for _, shape in wanted.values())
            if numbers > most:
                self.largest, most = point, numbers
        for name, shape in sizes.items():
            _plant(self.weights, name, _drawn(name, shape))

    def architecture(self, point: Point) -> Architecture:
        """The network that a point stands for."""
        return make(self.space, point, _NAME)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the network whose turn it is: (N, C, h, w) -> (N, classes)."""
        point = self._draw() if self.training else self.largest
        architecture = self.architecture(point)
        return self.run(architecture, point, _resized(x, architecture.input[1:]))

    def run(self, architecture: Architecture, point: Point, x: torch.Tensor) -> torch.Tensor:
        """Logits of one network with its part of the weights: (N, *input) -> (N, classes).

        Gradients flow into that part.

        Raises:
            SettingError: the network is none of this space.
        """
        module = _hollow(msgspec.structs.replace(architecture, name=_NAME)).train(self.training)
        logits: torch.Tensor = functional_call(module, self.pieces(architecture, point), (x,))
        return logits

    def pieces(self, architecture: Architecture, point: Point) -> dict[str, torch.Tensor]:
        """Each weight's name in the network -> its part of the shared weights.

        Raises:
            SettingError: the network is none of this space.
        """
        found = {}
        for own, (name, shape) in self._weights(architecture, point).items():
            try:
                shared = self.weights.get_parameter(name)
            except AttributeError:
                shared = None
            if shared is None or any(size < wanted for size, wanted in zip(shared.shape, shape, strict=True)):
                rule = f"a candidate's weights must be a part of the supernet's, as those of {self.space.name} are"
                raise SettingError(rule, where=f"{architecture.name}, {own}", value=shape)
            found[own] = piece(shared, shape)
        return found

    def extract(self, architecture: Architecture, point: Point) -> dict[str, torch.Tensor]:
        """A network's part of the weights, copied, as its own state: `build(architecture)` loads it and trains on.

        Statistics of batch normalisation are those of a new network: see `settle_batch_norm`.

        Raises:
            SettingError: the network is none of this space.
        """
        return self.network(architecture, point).state_dict()

    def network(self, architecture: Architecture, point: Point) -> Network:
        """A network of its own with a copy of its part of the weights; the rest as of `extract`."""
        with torch.device("meta"):
            network = build(architecture)
        network.to_empty(device=next(self.parameters()).device)
        for part in network.modules():
            if isinstance(part, NORMS):
                part.reset_running_stats()
        with torch.no_grad():
            pieces = self.pieces(architecture, point)
            for name, value in network.named_parameters():
                value.copy_(pieces[name])
        return network

    def _weights(self, architecture: Architecture, point: Point) -> dict[str, tuple[str, Shape]]:
        """Each weight's name in the network -> its name among the shared ones, and its shape."""
        where = blocks(architecture, repeats(self.space, point))
        module = _hollow(msgspec.structs.replace(architecture, name=_NAME))
        return {name: (shared_name(name, where), tuple(value.shape)) for name, value in module.named_parameters()}

    def _draw(self) -> Point:
        """A point of the space whose network can be built."""
        rng = np.random.default_rng(int(torch.randint(1 << 62, ())))
        for _ in range(_TRIES):
            [point] = self.domain.sample(rng, 1)
            try:
                shapes(self.architecture(point))
            except ShapeError:
                continue
            return point
        rule, way_out = "some networks of the space must be able to read its images", "Enlarge its resolutions."
        raise SettingError(rule, where=self.space.name, value=f"none of {_TRIES}", way_out=way_out)


@lru_cache(maxsize=64)
def _hollow(architecture: Architecture) -> Network:
    """A network without weights or statistics of its own."""
    with torch.inference_mode(False), torch.device("meta"):
        network = build(architecture)
    for part in network.modules():
        if isinstance(part, NORMS):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
    return network


def _resized(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Images of that height and width, as `Preprocess` makes them."""
    given = x.shape[2:]
    if tuple(given) == tuple(size):
        return x
    shrinks = size[0] < given[0] or size[1] < given[1]
    return functional.interpolate(x, tuple(size), mode="bilinear", antialias=shrinks)


def _drawn(name: str, shape: Shape) -> torch.Tensor:
    """Initial weights, as the blocks of a network of its own draw theirs."""
    if len(shape) == 4:
        groups = shape[0] if "spatial.conv" in name and "fused" not in name else 1
        return fan_out(nn.Conv2d(shape[1] * groups, shape[0], shape[2:], groups=groups, bias=False)).weight
    if len(shape) == 2:
        return uniform(nn.Linear(shape[1], shape[0])).weight
    return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)


def _plant(root: nn.Module, path: str, value: torch.Tensor) -> None:
    """Hang a weight into a tree of modules, at its dotted path."""
    *way, last = path.split(".")
    for step in way:
        if step not in root._modules:
            root.add_module(step, nn.Module())
        root = root.get_submodule(step)
    root.register_parameter(last, nn.Parameter(value.detach()))
