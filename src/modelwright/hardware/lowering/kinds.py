"""Distinct stems, blocks and heads of many architectures, their fields as columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelwright.hardware.lowering import parts
from modelwright.hardware.lowering.draft import CODES
from modelwright.hardware.table import Index
from modelwright.records.architecture import ConvStem, MBConv, PoolHead

RESHAPES = {"none": parts.NONE, "space-to-depth": parts.MERGE, "space-to-batch": parts.SPLIT}
STEM, BLOCK, HEAD = range(3)

Columns = Mapping[str, Index]


@dataclass(frozen=True)
class Kinds:
    """Stems, blocks and heads, one after another.

    Attributes:
        stems, blocks, heads: the fields of each as columns.
        kind: STEM, BLOCK or HEAD, a number a row of the three together; so are all that follow.
        entering, leaving: channels.
        shift: how often the image is halved.
        ending, beginning: how it ends and begins, in the words of `parts`.
        padding: rows and columns that its beginning adds.
        merges: whether it begins by padding odd images to even ones.
        adds: whether it adds what arrives to what leaves.
    """

    stems: Columns
    blocks: Columns
    heads: Columns
    kind: Index
    entering: Index
    leaving: Index
    shift: Index
    ending: Index
    beginning: Index
    padding: Index
    merges: Index
    adds: Index


def kinds(
    stems: Sequence[tuple[ConvStem, tuple[int, ...]]],
    blocks: Sequence[MBConv],
    heads: Sequence[tuple[PoolHead, int, int]],
) -> Kinds:
    """Columns of stems (with the inputs they read), blocks, heads (with their classes and the channels that arrive)."""
    s, b, h = _stems(stems), _blocks(blocks), _heads(heads)
    no_stem, no_head = np.zeros(len(stems), dtype=np.int64), np.zeros(len(heads), dtype=np.int64)
    merge, split = b["reshape"] == parts.MERGE, b["reshape"] == parts.SPLIT
    padded = ~merge & ~split & (b["expands"] == 0) & (b["kernel"] % 2 == 0)
    ending = parts.ACTIVATED * (b["hidden"] == 0) + parts.SPLITTED * split + parts.ADDED * b["residual"]
    beginning = np.select([split, padded], [parts.PHASES, parts.PADDED], parts.PLAIN)
    return Kinds(
        stems=s,
        blocks=b,
        heads=h,
        kind=np.repeat([STEM, BLOCK, HEAD], [len(stems), len(blocks), len(heads)]),
        entering=np.concatenate([s["in_channels"], b["in_channels"], h["in_channels"]]),
        leaving=np.concatenate([s["out_channels"], b["out_channels"], h["classes"]]),
        shift=np.concatenate([1 + s["pool"], b["stride"] - 1 + merge, no_head]),
        ending=np.concatenate([parts.ACTIVATED + parts.POOLED * s["pool"], ending, no_head]),
        beginning=np.concatenate([no_stem, beginning, np.where(h["channels"] > 0, parts.PLAIN, parts.MEAN)]),
        padding=np.concatenate([no_stem, np.where(padded, b["kernel"] - 1, 0), no_head]),
        merges=np.concatenate([no_stem, merge, no_head]).astype(bool),
        adds=np.concatenate([no_stem, b["residual"] * ~merge, no_head]),
    )


def _table(rows: Iterable[tuple[object, ...]], names: str) -> dict[str, Index]:
    words = names.split()
    return dict(zip(words, np.array(list(rows), dtype=np.int64).reshape(-1, len(words)).T.copy(), strict=True))


def _stems(stems: Sequence[tuple[ConvStem, tuple[int, ...]]]) -> dict[str, Index]:
    longest = max(len(stem.channels) for stem, _ in stems)
    channels = _table(
        ((*stem.channels, *[0] * (longest - len(stem.channels))) for stem, _ in stems),
        " ".join(f"channels{position}" for position in range(longest)),
    )
    rest = _table(
        (
            (*size, stem.out_channels, len(stem.channels), stem.kernel, stem.pool, CODES[stem.activation])
            for stem, size in stems
        ),
        "in_channels height width out_channels convolutions kernel pool activation",
    )
    return channels | rest


def _blocks(blocks: Sequence[MBConv]) -> dict[str, Index]:
    c = _table(
        (
            (b.in_channels, b.hidden, b.out_channels, b.kernel, b.stride, b.fused, b.squeeze, CODES[b.activation],
             CODES[b.squeeze_activation], CODES[b.gate], RESHAPES[b.reshape])
            for b in blocks
        ),
        "in_channels hidden out_channels kernel stride fused squeeze activation squeeze_activation gate reshape",
    )  # fmt: skip
    c["merged"] = np.where(c["reshape"] == parts.MERGE, 4, 1) * c["in_channels"]
    c["inner"] = np.where(c["hidden"] > 0, c["hidden"], c["out_channels"])
    c["expands"] = (c["fused"] == 0) & (c["merged"] != c["inner"])
    c["residual"] = (c["stride"] == 1) & (c["merged"] == c["out_channels"])
    return c


def _heads(heads: Sequence[tuple[PoolHead, int, int]]) -> dict[str, Index]:
    return _table(
        ((width, head.channels, head.hidden, CODES[head.activation], classes) for head, classes, width in heads),
        "in_channels channels hidden activation classes",
    )
