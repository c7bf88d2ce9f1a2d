"""GPT: causal transformers on token numbers (Radford et al., GPT-2, 2019).

`gpt-1b` has the shape of Pythia-1b (Biderman et al., 2023, arXiv 2304.01373: 16 layers, width 2048, untied classifier,
805 736 448 parameters apart from the tables) with GPT-2's learned positions and vocabulary.
"""

from collections.abc import Callable, Mapping
from functools import partial

from modelwright.records.architecture import Architecture, Stage, TokenHead, TokenStem, Transformer

VOCABULARY = 50257

SIZES = {
    "gpt2-small": (768, 12, 12),
    "gpt2-medium": (1024, 16, 24),
    "gpt2-large": (1280, 20, 36),
    "gpt2-xl": (1600, 25, 48),
}


def gpt(
    name: str, width: int, heads: int, depth: int, length: int = 1024, vocabulary: int = VOCABULARY, tied: bool = True
) -> Architecture:
    """A stack of pre-norm causal blocks with learned positions; logits over the vocabulary at every position."""
    block = Transformer(width=width, heads=heads, kv_heads=heads, hidden=4 * width, causal=True, activation="gelu-tanh")
    return Architecture(
        name=name,
        input=(length,),
        classes=vocabulary,
        stem=TokenStem(vocabulary=vocabulary, width=width, positions=length),
        stages=(Stage(block, depth),),
        head=TokenHead(pool="none", tied=tied, bias=False),
        dropout=0.1,
        source="Radford et al., GPT-2, 2019" if tied else "Biderman et al., Pythia, 2023, arXiv 2304.01373",
    )


NAMED: Mapping[str, Callable[[], Architecture]] = {
    **{name: partial(gpt, name, *numbers) for name, numbers in SIZES.items()},
    "gpt-1b": partial(gpt, "gpt-1b", 2048, 16, 16, length=2048, tied=False),
}
