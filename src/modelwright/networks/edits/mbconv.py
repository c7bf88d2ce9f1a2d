"""What can be done to inverted bottlenecks (the knowledge of EfficientNet-X: Li et al., 2021, arXiv 2102.05610)."""

from collections.abc import Iterator, Mapping

from modelwright.networks.edits.edit import Edit, Stages, edit, sections
from modelwright.networks.edits.grain import rounded
from modelwright.networks.edits.relief import Relief
from modelwright.records import Platform
from modelwright.records.architecture import Architecture, MBConv

Blocks = Mapping[int, MBConv]

_EXPANSION = 4
"""Of the paper's variant H."""

_ANEW = Relief(anew=True)


def mbconv_edits(architecture: Architecture, platform: Platform) -> Iterator[Edit]:
    """Every edit of an architecture's inverted bottlenecks."""
    for section in sections(architecture, MBConv):
        yield from _fused(architecture, section)
        yield from _merged(architecture, section)
        yield from _split(architecture, section)
        yield from _thinner(architecture, section)
        yield from _fitting(architecture, section, platform)


def _of(architecture: Architecture) -> Blocks:
    """The inverted bottlenecks, by stage."""
    return {n: stage.block for n, stage in enumerate(architecture.stages) if isinstance(stage.block, MBConv)}


def _fused(architecture: Architecture, section: Stages) -> Iterator[Edit]:
    """One full convolution for expansion and depthwise convolution, or the reverse; in the section or a part of it."""
    blocks = _of(architecture)
    for part in dict.fromkeys((section, section[:1], section[1:])):
        for word, fused in (("fuse", True), ("unfuse", False)):
            if part and all(blocks[n].fused != fused and blocks[n].hidden for n in part):
                fields = {n: {"fused": fused} for n in part}
                yield edit(architecture, word, part, fields, _ANEW, rivals=f"{word} {section}")


def _merged(architecture: Architecture, section: Stages) -> Iterator[Edit]:
    """Space-to-depth: a learned 2x2 stride-2 convolution before the section, which has four times the channels then.

    The next stride is left out, because the resolution is halved already, and channels are the old ones behind it. A
    section that strides itself needs no other channels.
    """
    blocks, first = _of(architecture), section[0]
    block = blocks[first]
    if block.reshape != "none" or architecture.stages[first].repeats > 1:
        return
    if block.stride == 2:
        fields: dict[int, dict[str, object]] = {first: {"reshape": "space-to-depth", "stride": 1}}
        yield edit(architecture, "space-to-depth", (first,), fields, _ANEW)
        return
    last = next(
        (n for n in range(first + 1, len(architecture.stages)) if n not in blocks or blocks[n].stride == 2), None
    )
    if last is None or last not in blocks or any(blocks[n].reshape != "none" for n in range(first, last + 1)):
        return
    fields = {n: _quadrupled(blocks[n], first=n == first) for n in range(first, last)}
    fields[last] = {"in_channels": 4 * blocks[last].in_channels, "stride": 1}
    yield edit(architecture, "space-to-depth", tuple(fields), fields, _ANEW)


def _quadrupled(block: MBConv, *, first: bool) -> dict[str, object]:
    """A block between space-to-depth and the next stride; the first one's squeeze-and-excitation stays as it is."""
    fields: dict[str, object] = {
        "hidden": 4 * block.hidden,
        "out_channels": 4 * block.out_channels,
        "kernel": (block.kernel + 1) // 2,
    }
    if first:
        return {**fields, "reshape": "space-to-depth"}
    return {**fields, "in_channels": 4 * block.in_channels, "squeeze": 4 * block.squeeze}


def _split(architecture: Architecture, section: Stages) -> Iterator[Edit]:
    """Space-to-batch: four phases of the image as four images, without parameters."""
    if all(_of(architecture)[n].reshape == "none" for n in section):
        fields = {n: {"reshape": "space-to-batch"} for n in section}
        yield edit(architecture, "space-to-batch", section, fields, Relief(("spatial", "expand"), "matrix", 0.5))


def _thinner(architecture: Architecture, section: Stages) -> Iterator[Edit]:
    """Smaller kernels, less expansion, narrower squeeze-and-excitation or none."""
    blocks = {n: block for n, block in _of(architecture).items() if n in section}
    large = {n: {"kernel": 3} for n, block in blocks.items() if block.kernel > 3}
    if large:
        share = 1 - 9 / max(block.kernel for block in blocks.values()) ** 2
        yield edit(architecture, "kernel", tuple(large), large, Relief(("spatial",), share=share))
    expanded = {
        n: {"hidden": _EXPANSION * b.in_channels} for n, b in blocks.items() if b.hidden > _EXPANSION * b.in_channels
    }
    if expanded:
        yield edit(architecture, "expansion", tuple(expanded), expanded, Relief(share=0.4))
    squeezed = {n: {"squeeze": 0} for n, block in blocks.items() if block.squeeze}
    if squeezed:
        yield edit(architecture, "squeeze", tuple(squeezed), squeezed, Relief(("squeeze",)))
    wide = {n: {"squeeze": block.squeeze // 4} for n, block in blocks.items() if block.squeeze * 8 > block.hidden}
    if wide:
        yield edit(architecture, "narrow-squeeze", tuple(wide), wide, Relief(("squeeze",), share=0.5))


def _fitting(architecture: Architecture, section: Stages, platform: Platform) -> Iterator[Edit]:
    """Hidden channels, and those between blocks, rounded down to what the matrix units take at a time."""
    blocks = {n: block for n, block in _of(architecture).items() if n in section}
    hidden = {
        n: {"hidden": fit} for n, b in blocks.items() if b.hidden and (fit := rounded(b.hidden, platform)) < b.hidden
    }
    if hidden:
        yield edit(architecture, "hidden", tuple(hidden), hidden, Relief(share=0.3))
    after = section[-1] + 1
    follower = _of(architecture).get(after)
    width = blocks[section[0]].out_channels
    fit = rounded(width, platform)
    if fit < width and follower:
        fields: dict[int, dict[str, object]] = {n: {"in_channels": fit, "out_channels": fit} for n in section[1:]}
        fields[section[0]] = {"out_channels": fit}
        fields[after] = {"in_channels": fit}
        yield edit(
            architecture, "width", tuple(sorted(fields)), fields, Relief(share=0.3), place=f"after stage {section[-1]}"
        )
