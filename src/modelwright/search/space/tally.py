"""How many points a space has, and equal chances for all of them, without listing them.

A choice under conditions depends on the choices that these name. Counting goes from the last choice to the first, as
variable elimination does: what all later choices add depends only on the few earlier ones that they name, and is summed
once for each combination of those. Of an earlier choice it matters only which conditions its value meets, one bit each.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import final

import numpy as np

from modelwright.records import Choice, Point, Value

Bits = int
"""Which of the conditions on a choice its value meets; none where the choice is inactive."""


@final
class Tally:
    """Counts the points of a space.

    Args:
        choices: sound, in order.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = tuple(choices)
        place = {choice.name: position for position, choice in enumerate(choices)}
        conditions: list[list[frozenset[Value]]] = [[] for _ in choices]
        self._needs: list[list[tuple[int, int]]] = []
        for choice in choices:
            needs = []
            for name, values in choice.when.items():
                known, wanted = conditions[place[name]], frozenset(values)
                if wanted not in known:
                    known.append(wanted)
                needs.append((place[name], known.index(wanted)))
            self._needs.append(needs)
        self._bits = [
            [sum((value in wanted) << bit for bit, wanted in enumerate(conditions[i])) for value in choice.values]
            for i, choice in enumerate(choices)
        ]
        self._kinds = [Counter(bits) for bits in self._bits]
        self._later, self._scope, self._free = self._order()
        self._counts: dict[tuple[int, tuple[Bits, ...]], int] = {}
        self._chances: dict[tuple[int, tuple[Bits, ...]], list[float]] = {}
        self.size = 1
        for choice_without_scope in self._free:
            self.size *= self._count(choice_without_scope, {})

    def _order(self) -> tuple[list[list[int]], list[tuple[int, ...]], list[int]]:
        """Of each choice: the later ones that are summed under it, and the earlier ones on which its sum depends.

        Last, the choices whose sum depends on nothing.
        """
        later: list[list[int]] = [[] for _ in self._choices]
        scope: list[tuple[int, ...]] = [() for _ in self._choices]
        free = []
        for i in reversed(range(len(self._choices))):
            before = {parent for parent, _ in self._needs[i]}.union(*(scope[k] for k in later[i])) - {i}
            scope[i] = tuple(sorted(before))
            if before:
                later[max(before)].append(i)
            else:
                free.append(i)
        return later, scope, free

    def _active(self, i: int, state: dict[int, Bits]) -> bool:
        return all(state[parent] >> bit & 1 for parent, bit in self._needs[i])

    def _count(self, i: int, state: dict[int, Bits]) -> int:
        """Ways to decide choice i and all that is summed under it, given the conditions met by earlier ones."""
        key = (i, tuple(state[j] for j in self._scope[i]))
        if key not in self._counts:
            kinds = self._kinds[i] if self._active(i, state) else {0: 1}
            self._counts[key] = sum(times * self._under(i, bits, state) for bits, times in kinds.items())
        return self._counts[key]

    def _under(self, i: int, bits: Bits, state: dict[int, Bits]) -> int:
        """Ways to decide all that is summed under choice i, given what its value meets."""
        product = 1
        inner = {**state, i: bits}
        for k in self._later[i]:
            product *= self._count(k, inner)
        return product

    def draw(self, rng: np.random.Generator) -> Point:
        """One point, each with equal chance (as nearly as 64-bit floats hold the chances)."""
        point: Point = {}
        state: dict[int, Bits] = {}
        for i, (choice, luck) in enumerate(zip(self._choices, rng.random(len(self._choices)).tolist(), strict=True)):
            if not self._active(i, state):
                state[i] = 0
                continue
            number = int(luck * len(choice.values)) if not self._later[i] else bisect_right(self._upto(i, state), luck)
            number = min(number, len(choice.values) - 1)
            point[choice.name], state[i] = choice.values[number], self._bits[i][number]
        return point

    def _upto(self, i: int, state: dict[int, Bits]) -> list[float]:
        """The chance that an active choice i takes one of its first values, for 1, 2, ... of them."""
        key = (i, tuple(state[j] for j in self._scope[i]))
        if key not in self._chances:
            weights = [self._under(i, bits, state) for bits in self._bits[i]]
            total = sum(weights)
            self._chances[key] = [upto / total for upto in accumulate(weights)]
        return self._chances[key]
