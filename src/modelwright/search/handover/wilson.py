"""How far a share that was counted can be off by chance."""

import math

_Z = 1.959963984540054
"""The normal distribution's 97.5 % point."""


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927, Journal of the American Statistical Association 22, 209-212).

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) with p = right / total, n = total. Unlike the
    textbook's p -+ z sqrt(p (1 - p) / n) it stays within 0 to 1 and holds for small counts and shares near either end.

    Args:
        right: how many of them.
        total: at least one.
    """
    share, square = right / total, _Z**2 / total
    middle = share + square / 2
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4)
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))
