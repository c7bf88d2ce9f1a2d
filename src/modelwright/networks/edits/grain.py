"""The sizes that an accelerator likes: multiples of what its matrix units take at a time."""

from modelwright.records import Platform

WORTH_KEEPING = 0.8
"""Rounding never takes more than a fifth away: beyond, it would be another network rather than one that fits better."""


def steps(platform: Platform) -> tuple[int, ...]:
    """The sizes of tiles, inner dimensions and aligned channels, the largest first."""
    units = platform.matrix
    found = {units.channels, units.depth, *(columns for _, columns in units.tiles)}
    return tuple(sorted((step for step in found if step >= 8), reverse=True))


def rounded(size: int, platform: Platform) -> int:
    """A size rounded down to the coarsest multiple that takes no more than a fifth away; itself if none does."""
    for step in steps(platform):
        below = size // step * step
        if below >= WORTH_KEEPING * size:
            return below
    return size
