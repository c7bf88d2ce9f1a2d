"""Numbers dealt out to layers: on costs whose best mix is known, it is found; all is measured once, and in time."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.quantize.allocate import Mix, allocate, front

NAMES = tuple("abcdefgh")
EVEN = dict.fromkeys(NAMES, 1.0)


class Chain:
    """A chain of groups: each takes its time, and each border between whole numbers and floats costs a conversion."""

    def __init__(self, floats: dict[str, float], whole: dict[str, float], border: float) -> None:
        self.floats, self.whole, self.border = floats, whole, border
        self.asked: list[tuple[frozenset[str], str]] = []

    def __call__(self, integer: frozenset[str], floats: str) -> float:
        self.asked.append((integer, floats))
        took = sum((self.whole if name in integer else self.floats)[name] for name in self.floats)
        names = list(self.floats)
        turns = sum((one in integer) != (two in integer) for one, two in itertools.pairwise(names))
        return (took + self.border * turns) * (1.0 if floats == "fp32" else 0.9)


def fastest(mixes: tuple[Mix, ...]) -> Mix:
    return min(mixes, key=lambda mix: mix.latency_s)


def test_a_group_that_whole_numbers_slow_down_is_left_in_float() -> None:
    chain = Chain(EVEN, {**dict.fromkeys(NAMES, 0.4), "d": 3.0}, border=0.1)
    assert fastest(allocate(EVEN, ["fp32"], chain)).integer == frozenset(NAMES) - {"d"}


def test_where_borders_cost_more_than_they_save_all_stays_in_one_kind() -> None:
    """One layer in float would be faster by itself, and is not in the graph: times of layers do not add up."""
    chain = Chain(EVEN, {**dict.fromkeys(NAMES, 0.4), "d": 1.2}, border=0.5)
    assert fastest(allocate(EVEN, ["fp32"], chain)).integer == frozenset(NAMES)


def test_from_the_empty_end_the_one_group_that_pays_is_found() -> None:
    chain = Chain(EVEN, {**dict.fromkeys(NAMES, 1.5), "c": 0.1}, border=0.1)
    assert fastest(allocate(EVEN, ["fp32"], chain)).integer == {"c"}


def test_noise_that_costs_no_time_to_be_rid_of_goes() -> None:
    noise = {**dict.fromkeys(NAMES, 0.01), "b": 5.0}
    chain = Chain(EVEN, {**dict.fromkeys(NAMES, 0.4), "b": 1.0}, border=0.0)
    best = front(allocate(noise, ["fp32"], chain))
    assert best[0].integer == frozenset(NAMES) - {"b"}
    assert best[0].noise == pytest.approx(0.07)


def test_all_floats_are_tried_and_the_noise_of_the_floats_counts() -> None:
    chain = Chain(EVEN, dict.fromkeys(NAMES, 0.95), border=0.5)
    found = allocate(EVEN, ["fp32", "bf16"], chain, floor={"bf16": 0.25})
    corners = {(len(mix.integer), mix.floats): mix for mix in found if len(mix.integer) in (0, 8)}
    assert set(corners) == {(0, "fp32"), (8, "fp32"), (0, "bf16"), (8, "bf16")}
    assert corners[0, "bf16"].noise == 0.25
    assert corners[8, "bf16"].noise == corners[8, "fp32"].noise == 8
    assert fastest(found).floats == "bf16"


times = st.floats(0.05, 2.0)


@given(st.lists(st.tuples(times, times, times), min_size=1, max_size=8), st.floats(0, 0.5))
def test_each_mix_is_measured_once_and_the_front_is_not_beaten(
    drawn: list[tuple[float, float, float]], border: float
) -> None:
    names = NAMES[: len(drawn)]
    chain, noise = (
        Chain(
            {name: one[0] for name, one in zip(names, drawn, strict=True)},
            {name: one[1] for name, one in zip(names, drawn, strict=True)},
            border,
        ),
        {name: one[2] for name, one in zip(names, drawn, strict=True)},
    )
    found = allocate(noise, ["fp32", "bf16"], chain)
    assert len(set(chain.asked)) == len(chain.asked) == len(found) <= 4 + 7 + 4 * len(names)
    best = front(found)
    assert list(best) == sorted(best, key=lambda mix: mix.latency_s)
    for mix in best:
        assert not any(one.latency_s <= mix.latency_s and one.noise < mix.noise for one in found)
        assert not any(one.latency_s < mix.latency_s and one.noise <= mix.noise for one in found)
    for mix in found:
        assert any(one.latency_s <= mix.latency_s and one.noise <= mix.noise for one in best)


@given(st.lists(st.tuples(times, times, times), min_size=2, max_size=8), st.floats(0, 0.5))
def test_no_way_of_leaving_out_the_most_sensitive_layers_is_better_in_both(
    drawn: list[tuple[float, float, float]], border: float
) -> None:
    floats, whole, noise = ({NAMES[place]: one[kind] for place, one in enumerate(drawn)} for kind in range(3))
    best = front(allocate(noise, ["fp32"], Chain(floats, whole, border)))
    asked = Chain(floats, whole, border)
    order = sorted(noise, key=lambda name: -noise[name])
    for step in range(1, 8):
        kept = frozenset(order[len(order) * step // 8 :])
        took, lost = asked(kept, "fp32"), sum(noise[name] for name in kept)
        assert any(mix.latency_s <= took and mix.noise <= lost + 1e-9 for mix in best)


def test_layers_of_one_group_turn_together_and_the_most_sensitive_alone() -> None:
    chain = Chain(EVEN, {**dict.fromkeys(NAMES, 0.4), "c": 2.0, "d": 2.0}, border=0.1)
    together = ["ab", "cd", "efgh"]
    found = allocate(EVEN, ["fp32"], chain, together=together)
    assert fastest(found).integer == frozenset("abefgh")
    cuts = {frozenset(NAMES[step:]) for step in range(9)}
    assert all(
        mix.integer in cuts or all(set(group) <= mix.integer or not set(group) & mix.integer for group in together)
        for mix in found
    )


@pytest.mark.parametrize("budget", [0, 1, 3, 6, 13])
def test_when_there_is_no_time_left_nothing_more_is_measured(budget: int) -> None:
    chain = Chain(EVEN, dict.fromkeys(NAMES, 0.4), border=0.1)
    found = allocate(EVEN, ["fp32"], chain, more=lambda: len(chain.asked) < budget)
    assert len(found) == len(chain.asked) == budget


def test_a_mix_that_cannot_be_made_is_passed_over() -> None:
    chain = Chain(EVEN, dict.fromkeys(NAMES, 0.4), border=0.1)
    found = allocate(EVEN, ["fp32"], lambda integer, floats: math.inf if "e" in integer else chain(integer, floats))
    assert front(found)[0].integer == frozenset(NAMES) - {"e"}
    assert all(mix.latency_s < math.inf for mix in front(found))
    assert front(allocate(EVEN, ["fp32"], lambda *_: math.inf)) == ()
