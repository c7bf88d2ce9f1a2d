"""How well one number stands for another: in rank, in proportion, and one by one."""

import math
import statistics
from collections.abc import Sequence

Pair = tuple[float, float]


def kendall(pairs: Sequence[Pair]) -> float | None:
    """Rank correlation tau-b of two numbers (Kendall, The treatment of ties in ranking problems, Biometrika 33, 1945).

    Returns:
        From -1, the reverse order, to 1, the same; None where either number is the same everywhere.
    """
    agree, untied_first, untied_second = 0, 0, 0
    for place, (x, y) in enumerate(pairs):
        for other_x, other_y in pairs[:place]:
            first, second = (x > other_x) - (x < other_x), (y > other_y) - (y < other_y)
            agree += first * second
            untied_first += abs(first)
            untied_second += abs(second)
    return agree / math.sqrt(untied_first * untied_second) if untied_first and untied_second else None


def proportion(pairs: Sequence[Pair]) -> float:
    """The factor of the best proportional line second = factor x first, in the sense of the median.

    Args:
        pairs: at least one; the first numbers are not 0.
    """
    return statistics.median(second / first for first, second in pairs)


def errors(pairs: Sequence[Pair]) -> list[float]:
    """The relative error |predicted / true - 1| of each (predicted, true) pair; the true numbers are not 0."""
    return [abs(predicted / true - 1.0) for predicted, true in pairs]
