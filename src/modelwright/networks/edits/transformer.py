"""What can be done to transformers: heads, keys and values, perceptron, norm, and how an image becomes tokens."""

from collections.abc import Iterator

import msgspec

from modelwright.networks.edits.edit import Edit, edit, sections
from modelwright.networks.edits.grain import rounded, steps
from modelwright.networks.edits.relief import Relief
from modelwright.records import Platform
from modelwright.records.architecture import Architecture, PatchStem, TokenHead, Transformer

_ATTENTION = ("attention",)


def transformer_edits(architecture: Architecture, platform: Platform) -> Iterator[Edit]:
    """Every edit of an architecture's transformers, and of the stem that makes its tokens."""
    blocks = {n: stage.block for n, stage in enumerate(architecture.stages) if isinstance(stage.block, Transformer)}
    if not blocks:
        return
    for section in sections(architecture, Transformer):
        block = blocks[section[0]]
        heads = _heads(block, platform)
        if heads < block.heads:
            fields = {n: {"heads": heads, "kv_heads": min(heads, blocks[n].kv_heads)} for n in section}
            if all(heads % int(field["kv_heads"]) == 0 for field in fields.values()):
                yield edit(architecture, "heads", section, fields, Relief(_ATTENTION, share=0.5))
        shared = max(few for few in range(1, max(1, block.heads // 4) + 1) if block.heads % few == 0)
        if all(blocks[n].kv_heads > shared for n in section):
            few = {n: {"kv_heads": shared} for n in section}
            yield edit(architecture, "kv-heads", section, few, Relief(_ATTENTION, share=0.3))
        hidden = rounded(block.hidden, platform)
        if hidden < block.hidden:
            narrow = {n: {"hidden": hidden} for n in section}
            yield edit(architecture, "hidden", section, narrow, Relief(("perceptron",), share=0.3))
    yield from _norm(architecture, tuple(blocks))
    yield from _narrower(architecture, platform)
    yield from _tokens(architecture)


def _heads(block: Transformer, platform: Platform) -> int:
    """So few heads that each fills the matrix units' next step in width."""
    wide = block.width // block.heads
    for step in sorted(step for step in steps(platform) if 32 < step <= 128):
        if step > wide and block.width % step == 0:
            return block.width // step
    return block.heads


def _norm(architecture: Architecture, stages: tuple[int, ...]) -> Iterator[Edit]:
    """RMS norm for layer norm: no mean to take away, no shift."""
    chosen = tuple(n for n in stages if getattr(architecture.stages[n].block, "norm", "") == "layer")
    if chosen:
        fields = {n: {"norm": "rms"} for n in chosen}
        yield edit(architecture, "norm", chosen, fields, Relief(("attention_norm", "perceptron_norm"), share=0.5))


def _narrower(architecture: Architecture, platform: Platform) -> Iterator[Edit]:
    """The tokens' width rounded down to what the matrix units take, with heads as wide as before."""
    width = architecture.stem.out_channels
    fit, stages = rounded(width, platform), []
    for stage in architecture.stages:
        block = stage.block
        if not isinstance(block, Transformer) or fit == width:
            return
        side, share = block.width // block.heads, block.heads // block.kv_heads
        if fit % side or fit // side % share:
            return
        fields = {
            "width": fit,
            "heads": fit // side,
            "kv_heads": fit // side // share,
            "hidden": block.hidden * fit // width,
        }
        stages.append(msgspec.structs.replace(stage, block=msgspec.structs.replace(block, **fields)))
    stem = msgspec.structs.replace(architecture.stem, width=fit)
    outcome = msgspec.structs.replace(architecture, stem=stem, stages=tuple(stages))
    yield edit(architecture, "width", (), outcome, Relief(share=0.3))


def _tokens(architecture: Architecture) -> Iterator[Edit]:
    """Fewer tokens: larger patches, or their mean in place of a class token."""
    stem, head = architecture.stem, architecture.head
    if not isinstance(stem, PatchStem) or not isinstance(head, TokenHead):
        return
    if all(side % (2 * stem.patch) == 0 for side in architecture.input[1:]):
        larger = msgspec.structs.replace(architecture, stem=msgspec.structs.replace(stem, patch=2 * stem.patch))
        yield edit(architecture, "patch", (), larger, Relief(share=0.8), place="stem")
    if stem.class_token and head.pool != "none":
        without = msgspec.structs.replace(
            architecture,
            stem=msgspec.structs.replace(stem, class_token=False),
            head=msgspec.structs.replace(head, pool="mean"),
        )
        yield edit(architecture, "class-token", (), without, Relief(share=0.1), place="stem and head")
