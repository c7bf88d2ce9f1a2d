"""Vision transformers on patches of 16 pixels (Dosovitskiy et al., 2020, arXiv 2010.11929).

The sizes Ti and S come from DeiT (Touvron et al., 2020, arXiv 2012.12877).
"""

from collections.abc import Callable, Mapping
from functools import partial

from modelwright.records.architecture import Architecture, PatchStem, Stage, TokenHead, Transformer

SOURCE = "Dosovitskiy et al., ViT, 2020, arXiv 2010.11929"

SIZES = {"ti": (192, 3, 12), "s": (384, 6, 12), "b": (768, 12, 12), "l": (1024, 16, 24)}


def vit(name: str, width: int, heads: int, depth: int, resolution: int = 224) -> Architecture:
    """A vision transformer with a class token, learned positions and a perceptron four times as wide."""
    block = Transformer(width=width, heads=heads, kv_heads=heads, hidden=4 * width)
    return Architecture(
        name=name,
        input=(3, resolution, resolution),
        classes=1000,
        stem=PatchStem(patch=16, width=width),
        stages=(Stage(block, depth),),
        head=TokenHead(),
        norm_epsilon=1e-6,
        source=SOURCE,
    )


NAMED: Mapping[str, Callable[[], Architecture]] = {
    f"vit-{size}-16": partial(vit, f"vit-{size}-16", *numbers) for size, numbers in SIZES.items()
}
