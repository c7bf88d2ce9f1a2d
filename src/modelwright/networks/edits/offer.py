"""All single edits of an architecture that might suit a platform better; each leads to a valid architecture."""

from collections.abc import Iterator

import msgspec

from modelwright.errors import RecordError, ShapeError
from modelwright.networks.edits.bottleneck import bottleneck_edits
from modelwright.networks.edits.edit import Edit, edit, sections
from modelwright.networks.edits.mbconv import mbconv_edits
from modelwright.networks.edits.relief import Relief
from modelwright.networks.edits.transformer import transformer_edits
from modelwright.networks.shapes import shapes
from modelwright.records import Platform
from modelwright.records.architecture import (
    Activation,
    Architecture,
    Block,
    Bottleneck,
    ConvStem,
    MBConv,
    PoolHead,
    Stage,
    Transformer,
)

_ORDER: tuple[Activation, ...] = ("relu", "hard-swish", "swish", "gelu-tanh", "gelu")
"""From the cheapest to the dearest."""

_ACTIVATION = Relief(bound="vector")
_SQUEEZE = Relief(("squeeze",))
_STEM = Relief(share=0.1)


def edits(architecture: Architecture, platform: Platform) -> tuple[Edit, ...]:
    """Every single edit that is on offer; the platform says which sizes it likes."""
    found = [
        *mbconv_edits(architecture, platform),
        *bottleneck_edits(architecture, platform),
        *transformer_edits(architecture, platform),
        *_activations(architecture),
        *_without_squeeze(architecture),
        *_stem(architecture),
    ]
    return tuple(offered for offered in found if offered.changes and _sound(offered.architecture))


def _sound(architecture: Architecture) -> bool:
    try:
        shapes(architecture)
    except (RecordError, ShapeError):  # such as an odd side that space-to-batch cannot part
        return False
    return True


def _activations(architecture: Architecture) -> Iterator[Edit]:
    """A cheaper activation: ReLU in one section, ReLU everywhere, and a smooth one everywhere."""
    kinds: tuple[type[Block], ...] = (MBConv, Bottleneck, Transformer)
    for section in (section for kind in kinds for section in sections(architecture, kind)):
        if len(section) < len(architecture.stages):
            fields = {n: _cheaper(architecture.stages[n].block, "relu") for n in section}
            yield edit(architecture, "activation", section, fields, _ACTIVATION)
    yield edit(architecture, "activation", (), _activated(architecture, "relu"), _ACTIVATION)
    yield edit(architecture, "hard-swish", (), _activated(architecture, "hard-swish"), _ACTIVATION)


def _cheaper(record: Block | ConvStem | PoolHead, wanted: Activation) -> dict[str, Activation]:
    """The activations of a record that are dearer than the wanted one, replaced by it."""
    names = [name for name in ("activation", "squeeze_activation") if hasattr(record, name)]
    return {name: wanted for name in names if _ORDER.index(getattr(record, name)) > _ORDER.index(wanted)}


def _activated(architecture: Architecture, wanted: Activation) -> Architecture:
    """The architecture with the wanted activation wherever there is a dearer one, in stem and head too."""
    stem, head = architecture.stem, architecture.head
    if isinstance(stem, ConvStem):
        stem = msgspec.structs.replace(stem, **_cheaper(stem, wanted))
    if isinstance(head, PoolHead) and (head.channels or head.hidden):
        head = msgspec.structs.replace(head, **_cheaper(head, wanted))
    blocks = [msgspec.structs.replace(stage.block, **_cheaper(stage.block, wanted)) for stage in architecture.stages]
    stages = tuple(Stage(block, stage.repeats) for block, stage in zip(blocks, architecture.stages, strict=True))
    return msgspec.structs.replace(architecture, stem=stem, head=head, stages=stages)


def _without_squeeze(architecture: Architecture) -> Iterator[Edit]:
    """No squeeze-and-excitation anywhere; split attention needs its own."""
    fields = {
        n: {"squeeze": 0}
        for n, stage in enumerate(architecture.stages)
        if getattr(stage.block, "squeeze", 0) and getattr(stage.block, "radix", 1) == 1
    }
    if len(fields) > 1:
        yield edit(architecture, "squeeze", tuple(fields), fields, _SQUEEZE, place="any stage")


def _stem(architecture: Architecture) -> Iterator[Edit]:
    """A convolutional stem of one convolution, or of 3x3 ones."""
    stem = architecture.stem
    if not isinstance(stem, ConvStem):
        return
    if stem.kernel > 3:
        small = msgspec.structs.replace(architecture, stem=msgspec.structs.replace(stem, kernel=3))
        yield edit(architecture, "kernel", (), small, _STEM, place="stem")
    if len(stem.channels) > 1:
        one = msgspec.structs.replace(architecture, stem=msgspec.structs.replace(stem, channels=stem.channels[-1:]))
        yield edit(architecture, "one-convolution", (), one, _STEM, place="stem")
