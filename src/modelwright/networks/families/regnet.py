"""RegNetY: widths on a quantised line, squeeze-and-excitation (Radosavovic et al., 2020, arXiv 2003.13678)."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from modelwright.networks.families.bottlenecks import bottleneck_stages
from modelwright.records.architecture import Architecture, Bottleneck, ConvStem, PoolHead

SOURCE = "Radosavovic et al., RegNet, 2020, arXiv 2003.13678"
STEM = 32


class Line(msgspec.Struct, frozen=True):
    """The paper's parameters: block j wants width `initial` + `slope` * j, quantised to `initial` * `multiplier`^s."""

    initial: int
    slope: float
    multiplier: float
    group: int
    depth: int


LINES = {
    "200mf": Line(24, 36.44, 2.49, 8, 13),
    "400mf": Line(48, 27.89, 2.09, 8, 16),
    "600mf": Line(48, 32.54, 2.32, 16, 15),
    "800mf": Line(56, 38.84, 2.40, 16, 14),
    "1.6gf": Line(48, 20.71, 2.65, 24, 27),
    "3.2gf": Line(80, 42.63, 2.66, 24, 21),
    "4gf": Line(96, 31.41, 2.24, 64, 22),
    "6.4gf": Line(112, 33.22, 2.27, 72, 25),
    "8gf": Line(192, 76.82, 2.19, 56, 17),
    "12gf": Line(168, 73.36, 2.37, 112, 19),
    "16gf": Line(200, 106.23, 2.48, 112, 18),
    "32gf": Line(232, 115.89, 2.53, 232, 20),
}


def widths_and_depths(line: Line) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels and block count of each stage: widths to multiples of 8, then of the group."""
    counts: Counter[int] = Counter()
    for block in range(line.depth):
        wanted = line.initial + line.slope * block
        exponent = round(math.log(wanted / line.initial) / math.log(line.multiplier))
        counts[round(line.initial * line.multiplier**exponent / 8) * 8] += 1
    groups = [min(line.group, width) for width in counts]
    widths = [round(width / group) * group for width, group in zip(counts, groups, strict=True)]
    return tuple(widths), tuple(counts.values())


def regnety(name: str, line: Line, squeeze_ratio: float = 0.25) -> Architecture:
    """RegNetY on a line: bottlenecks without a bottleneck (ratio 1), grouped 3x3 convolutions, all stages stride 2."""
    widths, depths = widths_and_depths(line)
    firsts = (
        Bottleneck(
            in_channels=before,
            hidden=width,
            out_channels=width,
            stride=2,
            groups=width // min(line.group, width),
            squeeze=round(before * squeeze_ratio),
        )
        for before, width in zip((STEM, *widths), widths, strict=False)
    )
    return Architecture(
        name=name,
        input=(3, 224, 224),
        classes=1000,
        stem=ConvStem(channels=(STEM,)),
        stages=bottleneck_stages(firsts, depths, squeeze_ratio),
        head=PoolHead(),
        source=SOURCE,
    )


NAMED: Mapping[str, Callable[[], Architecture]] = {
    f"regnety-{size}": partial(regnety, f"regnety-{size}", line) for size, line in LINES.items()
}
