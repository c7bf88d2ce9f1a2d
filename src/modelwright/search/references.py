"""What a family is held against: EfficientNet and EfficientNet-X, brought to small images by their own scaling rule."""

import numpy as np

from modelwright.networks.families import efficientnet, efficientnet_x
from modelwright.networks.families.scaling import Scaling
from modelwright.records import Architecture
from modelwright.search.costs import Costs
from modelwright.training import Data, adapt

DEPTH, WIDTH, RESOLUTION = 1.2, 1.1, 1.15
"""EfficientNet's compound coefficients (2019, arXiv 1905.11946, section 4): what one step of scale multiplies by."""
BASE_SIDE = 4
"""B0 reads images of four times the data's side: the resolution that its five strides leave something of."""
STEPS = tuple(step / 2 for step in range(-30, 1))
LEAST_SIDE = 32
"""The product of the strides of both families; smaller images are enlarged to it."""
BEYOND = 2.5
"""References reach up to so many times the family's largest cost, to find where they are as accurate."""


def references(costs: Costs, data: Data, members: list[float], count: int = 3) -> list[Architecture]:
    """Both families at `count` sizes each, estimated to take from the family's least time to beyond its largest.

    Scaled down from B0 by the compound rule (step s: width 1.1^s, depth 1.2^s, resolution 1.15^s), at four times the
    images' side for B0 itself.

    Args:
        costs: estimates them.
        data: whose channels and classes they get.
        members: latencies of the family, in seconds.
        count: sizes of each family.
    """
    found: list[Architecture] = []
    for make in (_efficientnet, _efficientnet_x):
        sizes = list({_shape(made): made for made in (make(data, step) for step in STEPS)}.values())
        latency = np.array([row["latency_s"] for row in costs.of(sizes)])
        wanted = np.geomspace(min(members), max(members) * BEYOND, count)
        places = {int(np.abs(np.log(latency / target)).argmin()) for target in wanted}
        found += [sizes[place] for place in sorted(places, key=lambda place: latency[place])]
    return found


def _efficientnet(data: Data, step: float) -> Architecture:
    scaling = _scaling(data, step)
    name = _named("efficientnet", scaling)
    return adapt(efficientnet.mbconv_network(name, efficientnet.BASELINE, scaling), data)


def _efficientnet_x(data: Data, step: float) -> Architecture:
    scaling = _scaling(data, step)
    return adapt(efficientnet_x.scaled(_named("efficientnet-x", scaling), scaling), data)


def _scaling(data: Data, step: float) -> Scaling:
    side = max(LEAST_SIDE, round(BASE_SIDE * data.shape[1] * RESOLUTION**step))
    return Scaling(width=WIDTH**step, depth=DEPTH**step, resolution=side, dropout=0.2)


def _named(name: str, scaling: Scaling) -> str:
    return f"{name}-w{scaling.width:.2f}d{scaling.depth:.2f}r{scaling.resolution}"


def _shape(made: Architecture) -> tuple[object, ...]:
    return made.input, made.stem, made.stages, made.head
