"""Where a candidate's weights lie among the shared ones, and which part of them it takes.

Weights are shared where they mean the same: in the same stage and block of the space, counted from the stage's begin;
in one form (fused; expanded and depthwise; depthwise alone; each under its own reshaping); and between the same two
resolutions, relative to the image, for a space-to-depth earlier in the network changes what channels are.

What is taken of a shared tensor are its leading channels (slimmable networks, 2018, arXiv 1812.08928) and, of a kernel,
the taps about its centre: the kernel of 3 is the middle of the kernel of 5, as in BigNAS (2020, arXiv 2003.11142). Own
weights for each kernel would be trained by only those candidates that have it; Once-for-all (2019, arXiv 1908.09791)
learns a matrix between the two, which BigNAS does without.
"""

from collections.abc import Mapping, Sequence

import torch

from modelwright.errors import SettingError
from modelwright.records import Architecture, MBConv, Space, Value
from modelwright.search.spaces.chosen import Chosen
from modelwright.search.spaces.mbconv import KNOWN

Shape = tuple[int, ...]


def repeats(space: Space, point: Mapping[str, Value]) -> tuple[int, ...]:
    """How many blocks each stage of a point has.

    Raises:
        RecordError: the space is not one of stages with repeats.
    """
    chosen = Chosen(point, space.fixed, KNOWN)
    return tuple(chosen.whole("repeats", stage) for stage in range(1, chosen.whole("stages") + 1))


def blocks(architecture: Architecture, repeats: Sequence[int]) -> dict[str, str]:
    """Each block's name in the network -> its name among the shared ones: "stages.2.0" -> "stage2.block1.fused-2to4".

    Raises:
        SettingError: the architecture is not made of as many MBConv blocks.
    """
    records = architecture.blocks
    if len(records) != sum(repeats) or not all(isinstance(block, MBConv) for block in records):
        rule = f"a candidate of this supernet must have {sum(repeats)} MBConv blocks, as its point says"
        way_out = "Give the point that the architecture was made of, from a space of MBConv blocks."
        raise SettingError(rule, where=architecture.name, value=len(records), way_out=way_out)
    own = [f"stages.{row}.{block}" for row, stage in enumerate(architecture.stages) for block in range(stage.repeats)]
    spots = [(stage, block) for stage, count in enumerate(repeats, 1) for block in range(1, count + 1)]
    found, reduced = {}, 1
    for name, record, (stage, block) in zip(own, records, spots, strict=True):
        if isinstance(record, MBConv):
            before, reduced = reduced, reduced * record.stride * (2 if record.reshape == "space-to-depth" else 1)
            found[name] = f"stage{stage}.block{block}.{_form(record)}-{before}to{reduced}"
    return found


def shared_name(name: str, blocks: Mapping[str, str]) -> str:
    """A weight's name among the shared ones: of the stem and the head, its own."""
    if not name.startswith("stages."):
        return name
    *block, role = name.split(".", 3)
    return f"{blocks['.'.join(block)]}.{role}"


def piece(shared: torch.Tensor, shape: Shape) -> torch.Tensor:
    """The part of a shared tensor that a candidate of that shape takes; gradients flow back into it.

    Kernels are aligned by the tap that lies on the pixel itself: the middle one, of even kernels the one before it.
    """
    begins = [0, 0, *(_centre(size) - _centre(own) for size, own in zip(shared.shape[2:], shape[2:], strict=True))]
    taken = tuple(slice(begin, begin + own) for begin, own in zip(begins, shape, strict=False))
    return shared[taken].contiguous()


def _centre(taps: int) -> int:
    return (taps - 1) // 2


def _form(record: MBConv) -> str:
    plain = record.hidden == record.merged_channels
    form = "fused" if record.fused else "depthwise" if plain else "expanded"
    return form if record.reshape == "none" else f"{form}-{record.reshape}"
