"""What is dealt to several hands is dealt once each, and evenly."""

from hypothesis import given
from hypothesis import strategies as some

from modelwright.search.hands import dealt


@given(some.lists(some.floats(0.1, 100.0), max_size=30), some.integers(1, 8))
def test_each_thing_is_dealt_once_and_no_hand_is_busy_longer_than_grahams_bound(loads: list[float], hands: int) -> None:
    parts = dealt(list(range(len(loads))), loads, hands)
    assert sorted(thing for part in parts for thing in part) == list(range(len(loads)))
    assert len(parts) == max(1, min(hands, len(loads)))
    assert all(parts) or not loads
    longest = max(sum(loads[thing] for thing in part) for part in parts)
    assert longest <= sum(loads) / len(parts) + max(loads, default=0.0) * (1 - 1 / len(parts)) + 1e-6
