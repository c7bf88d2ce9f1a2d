"""What goes with a size besides the three coefficients: dropout, and EfficientNet-X's squeeze-and-excitation.

The authors give both a member, not as a rule. All their 32 members (EfficientNet, 2019, arXiv 1905.11946;
EfficientNet-X with one objective, for TPU and for GPU, 2021, arXiv 2102.05610) keep the rule below: steps at a work of
depth x width^2 x resolution^2, which is what FLOPs grow by. The steps lie half-way, by ratio, between the members that
they part.
"""

import math

STEPS = (1.5, 6.0, 33.0)
"""Work from which dropout is one, two and three tenths above the base's."""


def work(depth: float, width: float, resolution: float) -> float:
    """What FLOPs grow by, but for rounding: depth x width^2 x resolution^2."""
    return depth * width**2 * resolution**2


def dropout(base: float, times: float) -> float:
    """Before the classifier, for a network of so many times the base's work; never above a half, but for the base's."""
    wanted = round(base + 0.1 * sum(times >= step for step in STEPS), 10)
    return max(base, min(wanted, 0.5))


def se_coefficient(times: float) -> float:
    """EfficientNet-X's coefficient of the squeeze-and-excitation's ratio: 4 at the base, 2 near it, 1 beyond."""
    return 4.0 if times <= 1.0 or math.isclose(times, 1.0) else 2.0 if times < STEPS[0] else 1.0
