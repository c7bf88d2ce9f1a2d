"""Kernels gathered by the layer that called them, so that a network's time can be read along its depth."""

from collections.abc import Iterable

import msgspec

from modelwright.records import Estimate, KernelEstimate

_DEEPEST = 4
_MOST = 60


class Layer(msgspec.Struct, frozen=True):
    """The kernels of one layer, added up.

    Attributes:
        path: of the module, as deep as the layers were gathered.
        latency_s: seconds of all its kernels.
        bound: the resource under which most of them are spent.
        bound_s: seconds under each bound.
        flops, bytes: as in `KernelEstimate`.
        kernels: how many there are.
    """

    path: str
    latency_s: float
    bound: str
    bound_s: dict[str, float]
    flops: float
    bytes: float
    kernels: int

    @property
    def intensity(self) -> float:
        """FLOPs a byte of main memory; 0 where nothing is moved."""
        return self.flops / self.bytes if self.bytes else 0.0


def layers(estimate: Estimate, depth: int | None = None) -> tuple[Layer, ...]:
    """The layers of an estimate in the order in which they first run.

    Args:
        estimate: with its kernels.
        depth: how many parts of a module's path tell layers apart; None for the most at which a chart stays legible.
    """
    depth = legible_depth([estimate]) if depth is None else depth
    gathered: dict[str, list[KernelEstimate]] = {}
    for kernel in estimate.kernels:
        gathered.setdefault(_cut(kernel.layer, depth), []).append(kernel)
    return tuple(_layer(path, kernels) for path, kernels in gathered.items())


def legible_depth(estimates: Iterable[Estimate]) -> int:
    """The deepest cut that leaves each of the estimates no more layers than a chart can show side by side."""
    paths = [{kernel.layer for kernel in estimate.kernels} for estimate in estimates]
    for depth in range(_DEEPEST, 1, -1):
        if all(len({_cut(path, depth) for path in found}) <= _MOST for found in paths):
            return depth
    return 1


def _cut(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth]) or "(whole)"


def _layer(path: str, kernels: list[KernelEstimate]) -> Layer:
    bound_s: dict[str, float] = {}
    for kernel in kernels:
        bound_s[kernel.bound] = bound_s.get(kernel.bound, 0.0) + kernel.latency_s
    return Layer(
        path=path,
        latency_s=sum(kernel.latency_s for kernel in kernels),
        bound=max(bound_s, key=lambda name: bound_s[name]),
        bound_s=bound_s,
        flops=sum(kernel.flops for kernel in kernels),
        bytes=sum(kernel.bytes for kernel in kernels),
        kernels=len(kernels),
    )
