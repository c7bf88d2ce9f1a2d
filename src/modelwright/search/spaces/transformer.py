"""From a point to a stack of transformer blocks, for text and for images.

Sources: GPT-2 (Radford et al., 2019), ViT (Dosovitskiy et al., 2020, arXiv 2010.11929), grouped-query attention
(Ainslie et al., 2023, arXiv 2305.13245). Heads and their width are chosen, so that the tokens' width is always their
product; the heads of keys and values must divide those of the queries, so each number of heads has a choice of its own.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from modelwright.records import Architecture, PatchStem, Stage, TokenHead, TokenStem, Transformer, Value
from modelwright.search.spaces.chosen import Chosen

BLOCK = frozenset({"head_width", "heads", "kv_heads", "layers", "ratio", "stages"})
TEXT = BLOCK | {"dropout", "length", "tied", "vocabulary"}
IMAGE = BLOCK | {"classes", "dropout", "image_channels", "patch", "resolution", "side", "survival"}


def gpt(point: Mapping[str, Value], fixed: Mapping[str, Value], name: str) -> Architecture:
    """A causal transformer on tokens, as GPT-2.

    It reads `layers`, `heads`, `head_width`, `kv_heads.N` where N is the number of heads (all if there is none),
    `ratio` (the perceptron's inner width over the tokens', of the stack or of each block), `length`, `vocabulary`,
    `tied`, `dropout`.

    Raises:
        RecordError: a value is missing, unknown or of the wrong kind.
    """
    chosen = Chosen(point, fixed, TEXT)
    width = chosen.whole("heads") * chosen.whole("head_width")
    length, vocabulary = chosen.whole("length"), chosen.whole("vocabulary")
    return Architecture(
        name=name,
        input=(length,),
        classes=vocabulary,
        stem=TokenStem(vocabulary=vocabulary, width=width, positions=length),
        stages=_stages(chosen, width, causal=True, activation="gelu-tanh"),
        head=TokenHead(pool="none", tied=chosen.flag("tied", default=True), bias=False),
        dropout=chosen.number("dropout", default=0.1),
    )


def vit(point: Mapping[str, Value], fixed: Mapping[str, Value], name: str) -> Architecture:
    """A vision transformer with a class token.

    It reads what `gpt` reads of the blocks, and `patch`, `resolution`, `image_channels`, `classes`, `dropout`,
    `survival`.

    Raises:
        RecordError: a value is missing, unknown or of the wrong kind.
    """
    chosen = Chosen(point, fixed, IMAGE)
    width = chosen.whole("heads") * chosen.whole("head_width")
    resolution = chosen.whole("resolution")
    return Architecture(
        name=name,
        input=(chosen.whole("image_channels", default=3), resolution, resolution),
        classes=chosen.whole("classes", default=1000),
        stem=PatchStem(patch=chosen.whole("patch"), width=width),
        stages=_stages(chosen, width),
        head=TokenHead(),
        dropout=chosen.number("dropout", default=0.0),
        survival=chosen.number("survival", default=1.0),
        norm_epsilon=1e-6,
    )


def _stages(chosen: Chosen, width: int, **more: Any) -> tuple[Stage, ...]:
    """Runs of equal blocks; a block's perceptron may have a ratio of its own."""
    heads = chosen.whole("heads")
    kv_heads = chosen.whole(f"kv_heads.{heads}", default=heads)
    hidden = [int(chosen.number("ratio", 1, block) * width) for block in range(1, chosen.whole("layers") + 1)]
    return tuple(
        Stage(Transformer(width=width, heads=heads, kv_heads=kv_heads, hidden=inner, **more), len(list(run)))
        for inner, run in groupby(hidden)
    )
