"""Near-duplicates: items so like one that is in the queue already that one look will do for both.

Texts are compared by their sets of character shingles (Broder, 1997): a set is told by its MinHash signature, of which
bands of rows lead to the few texts that may be alike, and these are compared exactly. Vectors are compared by cosine.
An item is held against those that are looked at, never against copies, so that likeness does not creep along a chain.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import final

import numpy as np

from modelwright.guard.betting import Floats
from modelwright.guard.hashing import Hashes, mixed, series
from modelwright.records import ReviewItem, ReviewRules

HASHES = 128
"""Length of a signature."""

MISSED = 1e-3
"""Two texts just as alike as asked are overlooked with at most this probability, where the bands allow it."""

MARGIN = 0.18
"""Sets whose signatures agree in a share that much below the likeness asked for are not compared: over four standard
deviations."""

ROUNDING = 1e-9
"""Vectors that are equal but for rounding are of cosine 1."""

_BASE = np.uint64(0x100000001B3)


def shingles(text: str, width: int) -> Hashes:
    """Hashes of all runs of `width` characters of a text, each once, in order; of the text as a whole if it is shorter.

    Case and the amount of white space do not count.
    """
    plain = " ".join(text.casefold().split())
    points = np.frombuffer(plain.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    runs = np.lib.stride_tricks.sliding_window_view(points, min(width, len(points)))
    powers = _BASE ** np.arange(runs.shape[1], dtype=np.uint64)
    return np.unique(mixed((mixed(runs) * powers).sum(1, dtype=np.uint64)))


def jaccard(first: Hashes, second: Hashes) -> float:
    """How many of the elements of two sets are in both."""
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


def signature(elements: Hashes, seed: int) -> Hashes:
    """The least hash of a set under each of many functions; two sets agree in a share of about their Jaccard."""
    salts = mixed(series(0, HASHES, seed))
    least: Hashes = mixed(elements[None, :] ^ salts[:, None]).min(1)
    return least


def rows(likeness: float) -> int:
    """Rows of a band: the most with which sets so alike share a band often enough, 1 - (1 - likeness^rows)^bands."""
    fitting = [n for n in (2, 4, 8, 16, 32) if (1.0 - likeness**n) ** (HASHES // n) <= MISSED]
    return max(fitting, default=1)


@final
@dataclass(frozen=True, eq=False)
class Sketch:
    """What two items are compared by.

    Attributes:
        elements: shingles of the text; none where there is none.
        signature: of these.
        unit: the vector at length 1; empty where there is none, or one of zeros.
    """

    elements: Hashes
    signature: Hashes
    unit: Floats


def sketch(item: ReviewItem, rules: ReviewRules) -> Sketch:
    """What an item is compared by."""
    vector = np.asarray(item.vector, np.float64)
    length = float(np.linalg.norm(vector))
    unit = vector / length if length > 0 else np.empty(0)
    none = np.empty(0, np.uint64)
    elements = shingles(item.text, rules.shingle) if item.text.strip() else none
    return Sketch(elements, signature(elements, rules.seed) if len(elements) else none, unit)


@final
class NearDuplicates:
    """The items that are looked at, as others are held against them.

    Args:
        rules: how alike two items must be.
    """

    def __init__(self, rules: ReviewRules) -> None:
        self._rules = rules
        self._rows = rows(rules.text_likeness)
        self._texts: dict[str, Sketch] = {}
        self._bands: defaultdict[bytes, list[str]] = defaultdict(list)
        self._keys: list[str] = []
        self._vectors = np.empty((0, 0))

    def add(self, key: str, one: Sketch) -> None:
        """One more that others are held against."""
        if len(one.elements):
            self._texts[key] = one
            for band in self._bands_of(one):
                self._bands[band].append(key)
        if len(one.unit):
            self._store(key, one.unit)

    def find(self, one: Sketch) -> str:
        """The key of the item that is most like this one and alike enough; "" where there is none.

        By text, or by vector where this one has no text.
        """
        return self._find_text(one) if len(one.elements) else self._find_vector(one.unit)

    def _find_text(self, one: Sketch) -> str:
        best, most = "", self._rules.text_likeness
        for key in dict.fromkeys(key for band in self._bands_of(one) for key in self._bands.get(band, ())):
            other = self._texts[key]
            if np.count_nonzero(other.signature == one.signature) < (most - MARGIN) * HASHES:
                continue
            found = jaccard(one.elements, other.elements)
            if found > most or (found == most and not best):
                best, most = key, found
        return best

    def _find_vector(self, unit: Floats) -> str:
        if not len(unit) or not self._keys:
            return ""
        cosines = self._vectors[: len(self._keys)] @ unit
        best = int(cosines.argmax())
        return self._keys[best] if cosines[best] >= self._rules.vector_likeness - ROUNDING else ""

    def _bands_of(self, one: Sketch) -> list[bytes]:
        """Each band with its place, as bytes."""
        bands = one.signature.reshape(-1, self._rows)
        return [number.to_bytes(2) + band.tobytes() for number, band in enumerate(bands)]

    def _store(self, key: str, unit: Floats) -> None:
        """Into an array that doubles when it is full."""
        count = len(self._keys)
        if count == len(self._vectors):
            larger = np.zeros((max(16, 2 * count), len(unit)))
            if count:
                larger[:count] = self._vectors
            self._vectors = larger
        self._vectors[count] = unit
        self._keys.append(key)
