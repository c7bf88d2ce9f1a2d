"""The alarm on scores: not false too often, however often one looks; fast at a change; the same when resumed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binomtest

from modelwright.errors import SettingError
from modelwright.guard.drift import GAMBLERS, begin_watch, bets, drift, watch
from modelwright.records import DriftMemory, from_json, to_json


def raised(calibration: np.ndarray, stream: np.ndarray, alpha: float, seed: int) -> int:
    return watch(begin_watch(calibration, alpha, seed), stream).raised_at


# --- no false alarm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(len(GAMBLERS)))
def test_every_gambler_wins_nothing_on_average(place: int) -> None:
    mean, _ = quad(lambda p: bets(p)[place], 0, 1, points=[1e-9, 1e-3, 0.999, 1 - 1e-9], limit=200)
    assert mean == pytest.approx(1.0, abs=1e-3)
    assert all(bets(p)[place] >= 0 for p in np.linspace(0, 1, 101))


def test_all_gamblers_together_own_one_on_average() -> None:
    draw = np.random.default_rng(12)
    rows = draw.normal(size=(3000, 8))
    owned = [watch(begin_watch(row[:3], seed=number), row[3:]).evidence for number, row in enumerate(rows)]
    assert np.mean(owned) == pytest.approx(1.0, abs=4 * np.std(owned) / 3000**0.5)
    assert np.std(owned) < 1


@pytest.mark.parametrize("ties", [False, True])
def test_an_alarm_is_false_in_at_most_alpha_of_all_streams_that_are_watched_all_along(ties: bool) -> None:
    """It is looked at after every score of each stream, and stays raised once it was."""
    draw = np.random.default_rng(11)
    alarms = 0
    for number in range(250):
        scores = draw.normal(size=230)
        scores = np.round(scores) if ties else scores
        alarms += raised(scores[:30], scores[30:], 0.2, number) > 0
    assert binomtest(alarms, 250, 0.2, "greater").pvalue > 0.01
    assert alarms > 0  # the bound is not kept by never ringing


def test_scores_that_are_all_alike_raise_no_alarm() -> None:
    assert drift(watch(begin_watch([1.0] * 50), [1.0] * 500)).alarm is False


# --- alarm ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mean", "spread", "within"),
    [("rose", 1, 1, 60), ("fell", -1, 1, 80), ("spread", 0, 2, 80), ("narrowed", 0, 0.4, 80)],
)
def test_a_change_is_noticed_soon_and_called_by_its_name(kind: str, mean: float, spread: float, within: int) -> None:
    draw = np.random.default_rng(5)
    memory = begin_watch(draw.normal(size=500), alpha=0.01)
    found = drift(watch(memory, draw.normal(mean, spread, size=300)))
    assert found.alarm
    assert 0 < found.raised_at <= within
    assert found.kind == kind


def test_a_change_that_comes_late_is_noticed_as_well() -> None:
    draw = np.random.default_rng(6)
    before = watch(begin_watch(draw.normal(size=500)), draw.normal(size=5000))
    assert not drift(before).alarm
    after = drift(watch(before, draw.normal(1.0, 1.0, size=200)))
    assert 5000 < after.raised_at <= 5100


def test_a_tenth_of_strangers_in_the_traffic_is_noticed() -> None:
    draw = np.random.default_rng(8)
    stream = draw.normal(size=600) + 5.0 * (draw.random(600) < 0.1)
    assert 0 < raised(draw.normal(size=1000), stream, 0.01, 0) <= 400


def test_scores_that_become_unavailable_are_drift() -> None:
    draw = np.random.default_rng(9)
    stream = np.where(draw.random(300) < 0.3, np.nan, draw.normal(size=300))
    found = drift(watch(begin_watch(draw.normal(size=500)), stream))
    assert found.alarm
    assert found.kind == "rose"


def test_an_alarm_stays() -> None:
    memory = watch(begin_watch(np.arange(100.0)), [1000.0] * 50)
    at = memory.raised_at
    assert at > 0
    again = watch(memory, np.arange(100.0).tolist() * 5)
    assert (again.raised_at, drift(again).alarm, drift(again).kind) == (at, True, drift(memory).kind)


# --- the same however it is looked at ---------------------------------------------------------------------------------

SCORES = st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.integers(0, 3).map(float), max_size=30)


@settings(max_examples=60)
@given(SCORES, SCORES, st.integers(0, 30))
def test_calls_and_restarts_change_nothing(calibration, stream, cut) -> None:
    begun = begin_watch([0.0, *calibration], 0.05, seed=3)
    resumed = from_json(to_json(watch(begun, stream[:cut])), DriftMemory)
    assert watch(resumed, stream[cut:]) == watch(begun, stream)


@settings(max_examples=60)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=20), st.lists(st.integers(-50, 50), max_size=20))
def test_only_the_order_of_scores_counts(calibration, stream) -> None:
    def evidence(change) -> float:
        return watch(begin_watch(map(change, calibration)), map(change, stream)).evidence

    assert evidence(float) == evidence(lambda score: np.exp(score / 10.0))


def test_a_watch_needs_something_to_begin_with() -> None:
    with pytest.raises(SettingError, match="calibration"):
        begin_watch([])
    with pytest.raises(SettingError, match="between 0 and 1"):
        begin_watch([1.0], alpha=1.0)
    fresh = drift(begin_watch([1.0]))
    assert (fresh.alarm, fresh.seen, fresh.evidence, fresh.kind) == (False, 0, 1.0, "")
