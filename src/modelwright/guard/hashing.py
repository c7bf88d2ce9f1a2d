"""Chance that needs no generator's state: whole numbers mixed so well that they pass for random, everywhere alike.

Source: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def mixed(numbers: Hashes) -> Hashes:
    """Each number through SplitMix64's finaliser, a one-to-one map of 64 bits."""
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(numbers: Hashes) -> NDArray[np.float64]:
    """For each number one in [0, 1), of 53 bits."""
    return (mixed(numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def series(start: int, count: int, seed: int) -> Hashes:
    """The numbers from `start` on, `count` of them, of a series of their own for each seed."""
    own = mixed(np.array([seed], np.uint64))
    return np.arange(start, start + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + own


def hashed(names: Iterable[str], seed: int) -> Hashes:
    """A number for each name, BLAKE2b of its UTF-8 bytes, other ones for another seed."""
    key = seed.to_bytes(8)
    digests = (hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in names)
    return np.array([int.from_bytes(digest) for digest in digests], np.uint64)
