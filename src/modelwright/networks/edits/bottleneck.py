"""What can be done to residual bottlenecks: groups, split attention, squeeze-and-excitation, and sizes that fit."""

from collections.abc import Iterator, Mapping

from modelwright.networks.edits.edit import Edit, Stages, edit, sections
from modelwright.networks.edits.grain import rounded
from modelwright.networks.edits.relief import Relief
from modelwright.records import Platform
from modelwright.records.architecture import Architecture, Bottleneck

Blocks = Mapping[int, Bottleneck]

_SPATIAL = Relief(("spatial",))


def bottleneck_edits(architecture: Architecture, platform: Platform) -> Iterator[Edit]:
    """Every edit of an architecture's residual bottlenecks."""
    found = {n: stage.block for n, stage in enumerate(architecture.stages) if isinstance(stage.block, Bottleneck)}
    for section in sections(architecture, Bottleneck):
        blocks = {n: block for n, block in found.items() if n in section}
        yield from _grouped(architecture, section, blocks, platform)
        yield from _plainer(architecture, blocks)
        fits = {n: {"hidden": fit} for n, b in blocks.items() if (fit := _fit(b, platform)) < b.hidden}
        if fits:
            yield edit(architecture, "hidden", tuple(fits), fits, Relief(share=0.3))


def _grouped(architecture: Architecture, section: Stages, blocks: Blocks, platform: Platform) -> Iterator[Edit]:
    """Groups as wide as the matrix units are deep, or none."""
    grouped = {n: block for n, block in blocks.items() if block.groups > 1}
    wider = {
        n: {"groups": groups} for n, block in grouped.items() if (groups := _groups(block, platform)) < block.groups
    }
    if wider and any(fields["groups"] > 1 for fields in wider.values()):
        yield edit(architecture, "wider-groups", tuple(wider), wider, _SPATIAL, rivals=f"groups {section}")
    if grouped:
        one = {n: {"groups": 1} for n in grouped}
        yield edit(architecture, "no-groups", tuple(one), one, _SPATIAL, rivals=f"groups {section}")


def _groups(block: Bottleneck, platform: Platform) -> int:
    """The most groups that are still as wide as the matrix units are deep and divide the channels."""
    deep = platform.matrix.depth
    wide = [
        groups for groups in range(1, block.groups) if block.hidden % groups == 0 and block.hidden // groups >= deep
    ]
    narrow = block.hidden // block.groups < deep
    return max(wide, default=1) if narrow else block.groups


def _plainer(architecture: Architecture, blocks: Blocks) -> Iterator[Edit]:
    """No split attention, strides in place of pooling, smaller kernels, no squeeze-and-excitation."""
    split = {n: {"radix": 1} for n, block in blocks.items() if block.radix > 1}
    if split:
        yield edit(architecture, "no-split-attention", tuple(split), split, _SPATIAL)
    pooled = {n: {"pooled": False} for n, block in blocks.items() if block.pooled and block.stride > 1}
    if pooled:
        yield edit(architecture, "stride", tuple(pooled), pooled, Relief(("pool", "spatial", "shortcut"), share=0.7))
    large = {n: {"kernel": 3} for n, block in blocks.items() if block.kernel > 3}
    if large:
        yield edit(architecture, "kernel", tuple(large), large, Relief(("spatial",), share=0.7))
    squeezed = {n: {"squeeze": 0} for n, block in blocks.items() if block.squeeze and block.radix == 1}
    if squeezed:
        yield edit(architecture, "squeeze", tuple(squeezed), squeezed, Relief(("squeeze",)))


def _fit(block: Bottleneck, platform: Platform) -> int:
    """Hidden channels rounded down to what the matrix units take, where groups and splits allow it."""
    fit = rounded(block.hidden, platform)
    return fit if fit % block.groups == 0 and fit % block.radix == 0 else block.hidden
