"""The learning rate at each step: a linear rise, then half a cosine to zero.

Sources: warm-up from Goyal et al. (2017, arXiv 1706.02677), cosine from Loshchilov and Hutter (SGDR, 2016, arXiv
1608.03983): rate = peak / 2 (1 + cos(pi t / T)).
"""

import math

from modelwright.records import Recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate at a step of a run.

    The k-th of w steps of warm-up has k / w of the peak; the step after them has the peak, and after the last step the
    rate would be zero.

    Args:
        recipe: its peak and its share of warm-up.
        step: from 0.
        steps: of the whole run.
    """
    warming = round(recipe.warmup * steps)
    if step < warming:
        return recipe.learning_rate * (step + 1) / warming
    done = (step - warming) / max(1, steps - warming)
    return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
