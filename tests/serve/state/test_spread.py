"""Percentiles are within 1 % of the true ones, however values are dealt out over minutes, servers and commits."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.clock import ManualClock
from modelwright.records import Sample
from modelwright.serve.state import OURS, Gathered, State, Unit, dimensions_of, measure, percentile, put, series
from modelwright.serve.state.spread import ACCURACY, bucket_of, middle_of, packed, unpacked
from modelwright.serve.state.tally import Counted, Tally

AWS = "AWS/SageMaker"
ALWAYS = (0.0, 1e12)
doubles = st.floats(allow_nan=False, allow_infinity=False)
values = st.lists(doubles.filter(lambda value: abs(value) > 1e-300 or value == 0), min_size=1, max_size=60)


def true_percentile(found: list[float], share: float) -> float:
    """The least value of a rank above share x (n - 1), counted from 1: the lower empirical quantile."""
    return sorted(found)[math.floor(share * (len(found) - 1))]


def gathered(found: list[float]) -> Gathered:
    first, *rest = (Gathered.one(value) for value in found)
    for one in rest:
        first.take(one)
    return first


def sample(one: Gathered) -> Sample:
    return Sample(0.0, one.count, one.total, one.least, one.most, tuple(sorted(one.spread.items())))


@given(values, st.floats(0, 1))
def test_a_percentile_is_within_its_accuracy_of_the_true_one(found: list[float], share: float) -> None:
    one = gathered(found)
    told = percentile(sample(one), share)
    true = true_percentile(found, share)
    assert told is not None
    assert abs(told - true) <= ACCURACY * abs(true) * (1 + 1e-9)


@given(doubles, doubles)
def test_buckets_are_in_the_order_of_values(one: float, other: float) -> None:
    assert bucket_of(min(one, other)) <= bucket_of(max(one, other))
    assert bucket_of(-one) == -bucket_of(one)
    assert math.isfinite(middle_of(bucket_of(one)))


@given(
    st.dictionaries(st.integers(-80_000, 80_000), st.integers(1, 10**9).map(float) | st.floats(0.1, 10), max_size=20)
)
def test_a_spread_comes_back_from_its_bytes(spread: dict[int, float]) -> None:
    assert unpacked(packed(spread)) == spread


@pytest.mark.parametrize("missing", [1.0, 7.0])
def test_where_values_came_as_sums_no_percentile_is_told_but_of_equal_ones(missing: float) -> None:
    one = gathered([1.0, 2.0])
    one.take(Gathered(missing, 9.0, 1.0, 2.0, {}))
    assert percentile(sample(one), 0.5) is None
    assert percentile(Sample(0.0, 5.0, 15.0, 3.0, 3.0), 0.99) == 3.0


def test_counts_of_a_commit_that_failed_are_in_no_total() -> None:
    counted, tally = Counted([OURS]), Tally()
    tally.add((OURS, "Speed", "{}", 60.0), Gathered.one(4.0))
    assert counted.spread((OURS, "Speed", "{}", 60.0), {bucket_of(4.0): 1.0}) == {bucket_of(4.0): 1.0}
    assert counted.totals() == []
    tally.add(("Theirs", "Speed", "{}", 60.0), Gathered.one(4.0))
    counted.keep(tally, at=61.0)
    counted.keep(tally, at=3600.0)
    [total] = counted.totals()
    assert (total.name, total.gathered.count, total.gathered.spread) == ("Speed", 2.0, {bucket_of(4.0): 2.0})
    assert counted.spread((OURS, "Speed", "{}", 60.0), {}) == {}, "an old minute is not kept at hand"


def refuse(unit: Unit, value: float) -> None:
    measure(unit, "ModelLatency", "{}", value)
    raise ValueError("no")


def test_a_minute_of_many_commits_and_runs_tells_the_percentiles_of_all(new_database: Any, clock: ManualClock) -> None:
    address, latencies = new_database(), [float(number**2) for number in range(1, 101)]
    for run in range(2):
        state = State.open(address, clock)
        for value in latencies[run::2]:
            state.submit(measure, "ModelLatency", "{}", value).result()
        with pytest.raises(ValueError, match="no"):
            state.submit(refuse, 1e9).result()
        [total] = state.totals()
        assert (total.gathered.count, total.gathered.total) == (50, sum(latencies[run::2]))
        state.close()
    state = State.open(address, clock)
    assert state.totals() == [], "a run tells its own counts"
    [plain] = state.read(series, AWS, "ModelLatency", "{}", ALWAYS)
    assert (plain.count, plain.spread) == (100, ())
    [found] = state.read(series, AWS, "ModelLatency", "{}", ALWAYS, spread=True)
    for share in (0.0, 0.5, 0.9, 0.99, 1.0):
        assert percentile(found, share) == pytest.approx(true_percentile(latencies, share), rel=ACCURACY)
    where = dimensions_of({})
    for value in (5.0, 7.0):  # of an hour ago, one by one
        state.submit(put, "Mine", "Speed", where, clock.now().timestamp() - 3600.0, Gathered.one(value)).result()
    [late] = state.read(series, "Mine", "Speed", where, ALWAYS, spread=True)
    assert (late.count, percentile(late, 0.5)) == (2.0, None), "no percentile rather than a wrong one"
    state.close()
