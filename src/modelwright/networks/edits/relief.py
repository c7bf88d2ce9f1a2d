"""How much an edit could save at most, told without tracing it: so that of many edits the likeliest are tried first."""

import re

import msgspec

from modelwright.hardware.model import peak_rate
from modelwright.networks.shapes import shapes
from modelwright.records import Estimate, KernelEstimate, Platform
from modelwright.records.architecture import Architecture, Block, Bottleneck, MBConv

Shape = tuple[int, ...]


class Relief(msgspec.Struct, frozen=True):
    """Which kernels an edit could relieve.

    Attributes:
        parts: of the blocks, such as "spatial"; all where empty.
        bound: the resource that it relieves; all where empty.
        share: of the time of those kernels that could go.
        anew: other convolutions take the place of the blocks', which have to be computed too.
    """

    parts: tuple[str, ...] = ()
    bound: str = ""
    share: float = 1.0
    anew: bool = False


def ceiling(
    relief: Relief, stages: tuple[int, ...], outcome: Architecture, estimate: Estimate, platform: Platform
) -> float:
    """Seconds that an edit could save at most.

    Args:
        relief: what it relieves.
        stages: whose blocks change; empty for all of the network.
        outcome: the edited architecture.
        estimate: of the architecture as it is.
        platform: that runs it.
    """
    relieved = sum(_relieved(relief, kernel) for kernel in estimate.kernels if _concerned(relief, stages, kernel))
    work = macs(outcome, stages) if relief.anew else 0.0
    return relieved * relief.share - 2.0 * work * estimate.batch / peak_rate(platform, estimate.precision)


def _concerned(relief: Relief, stages: tuple[int, ...], kernel: KernelEstimate) -> bool:
    found = re.match(r"stages\.(\d+)\.\d+\.?(\w*)", kernel.layer)
    if not found:
        return not stages
    return (not stages or int(found[1]) in stages) and (not relief.parts or found[2] in relief.parts)


def _relieved(relief: Relief, kernel: KernelEstimate) -> float:
    """Seconds of a kernel that would go if the relieved resource took no time for it."""
    if not relief.bound:
        return kernel.latency_s
    needs = {"matrix": kernel.matrix_s, "vector": kernel.vector_s, **kernel.memory_s}
    rest = max(seconds for name, seconds in needs.items() if name != relief.bound)
    return max(0.0, kernel.latency_s - kernel.launch_s - rest) if kernel.bound == relief.bound else 0.0


def macs(architecture: Architecture, stages: tuple[int, ...]) -> float:
    """Multiply-accumulates a sample of the convolutions of some stages, but for squeeze-and-excitation's."""
    sizes = shapes(architecture)
    found = 0.0
    for number in stages:
        stage = architecture.stages[number]
        found += stage.repeats * _macs(stage.block, sizes[number + 1])
    return found


def _macs(block: Block, after: Shape) -> float:
    if isinstance(block, MBConv):
        return _mbconv(block, after[1] * after[2])
    if isinstance(block, Bottleneck):
        inner, within = block.hidden, after[1] * after[2]
        changes = block.in_channels != block.out_channels or block.stride > 1
        shortcut = block.in_channels * block.out_channels if changes else 0
        spatial = block.kernel**2 * inner * inner // block.groups
        return within * (block.in_channels * inner * block.stride**2 + spatial + inner * block.out_channels + shortcut)
    return 0.0


def _mbconv(block: MBConv, within: int) -> float:
    wide, inner, outside = block.merged_channels, block.hidden or block.out_channels, within * block.stride**2
    entry = 16 * block.in_channels**2 * outside if block.reshape == "space-to-depth" else 0
    expand = wide * inner * outside if not block.fused and wide != inner else 0
    spatial = block.kernel**2 * inner * (wide if block.fused else 1) * within
    return entry + expand + spatial + (inner * block.out_channels * within if block.hidden else 0)
