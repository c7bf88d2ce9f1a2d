"""Policies: budgets are kept, what pays is reviewed, and the best mix is never worse than what it mixes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.guard.collaborative import errors_caught
from modelwright.guard.mix import Mix, fit_mix
from modelwright.guard.policies import (
    HOUR_S,
    ReviewCosts,
    allowance,
    by_mix,
    by_score,
    by_shift,
    by_uncertainty,
    by_worth,
    least_priority,
    most_urgent,
    within_hours,
)
from modelwright.guard.shift import Shift, fit_shift

UNIT = st.floats(0, 1)
UNITS = st.lists(UNIT, min_size=1, max_size=40).map(np.array)


@given(UNITS, st.integers(0, 50))
def test_nothing_left_out_is_more_urgent_than_what_is_reviewed(priority, reviews) -> None:
    rows = most_urgent(priority, reviews)
    assert len(rows) == len(set(rows.tolist())) == min(reviews, len(priority))
    rest = np.delete(priority, rows)
    if len(rows) and len(rest):
        assert priority[rows].min() >= rest.max()


def test_what_nothing_is_known_of_comes_first() -> None:
    unknown = np.array([0.9, np.nan, 1.0])
    for policy in (by_uncertainty, by_score, most_urgent):
        assert policy(unknown, 2).tolist() == [1, 2]


@given(st.integers(0, 1000), UNIT, st.integers(0, 100), st.floats(0.1, 24))
def test_a_budget_is_a_share_and_so_many_an_hour(count, share, per_hour, hours) -> None:
    allowed = allowance(count, share=share, per_hour=per_hour, hours=hours)
    assert allowed <= share * count + 1e-6
    assert allowed <= per_hour * hours
    assert allowance(count) == count


def test_a_share_of_a_tenth_of_ten_is_one() -> None:
    assert allowance(10, share=0.1) == 1
    assert allowance(100, share=0.29) == 29


@given(UNITS, st.floats(0.1, 10), UNIT, st.floats(0, 0.5), st.integers(0, 40))
def test_only_what_pays_is_reviewed_and_nothing_cheaper_exists(uncertainty, wrong, review, error, reviews) -> None:
    """The expected cost of this choice is the least of all choices within the budget."""
    costs = ReviewCosts(wrong, review, error)
    rows = by_worth(uncertainty, costs, reviews)
    assert (costs.worth(uncertainty)[rows] > 0).all()
    best = np.sort(np.maximum(costs.worth(uncertainty), 0))[::-1][:reviews].sum()
    assert costs.worth(uncertainty)[rows].sum() == pytest.approx(best)


def test_reviewers_who_err_more_than_the_model_are_not_asked() -> None:
    assert len(by_worth(np.array([0.1, 0.2]), ReviewCosts(reviewer_error=0.25), 2)) == 0
    assert by_worth(np.array([0.1, np.nan]), ReviewCosts(reviewer_error=0.25), 2).tolist() == [1]


@pytest.mark.parametrize("bad", [{"wrong": 0}, {"review": -1}, {"reviewer_error": 2}, {"wrong": math.nan}])
def test_costs_that_make_no_sense_are_refused(bad) -> None:
    with pytest.raises(SettingError, match="costs must be finite"):
        ReviewCosts(**bad)


@pytest.mark.parametrize("bad", [{"share": 2}, {"per_hour": -1}, {"hours": 0}, {"per_hour": math.nan}])
def test_budgets_that_make_no_sense_are_refused(bad) -> None:
    with pytest.raises(SettingError, match="a budget"):
        allowance(10, **bad)


# --- streams ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 900), UNIT), max_size=60), UNIT, st.integers(0, 6))
def test_no_hour_has_more_reviews_than_allowed_and_none_is_left_out_for_nothing(stream, least, per_hour) -> None:
    times = np.cumsum([gap for gap, _ in stream]).astype(float) if stream else np.zeros(0)
    priority = np.array([urgent for _, urgent in stream])
    rows = within_hours(times, priority, least, per_hour)
    taken = times[rows]
    for start in taken:
        assert ((taken >= start) & (taken < start + HOUR_S)).sum() <= per_hour
    for row in set(np.flatnonzero(priority >= least).tolist()) - set(rows.tolist()):
        earlier = times[rows[rows < row]]
        assert (earlier > times[row] - HOUR_S).sum() == per_hour


def test_time_runs_forward() -> None:
    with pytest.raises(SettingError, match="rise"):
        within_hours(np.array([2.0, 1.0]), np.zeros(2), 0.0, 1)


@given(UNITS, UNIT)
def test_the_least_priority_asks_for_the_share_and_no_less(priority, share) -> None:
    least = least_priority(priority, share)
    above, wanted = (priority > least).sum(), allowance(len(priority), share=share)
    assert above <= wanted <= (priority >= least).sum()


def test_no_validation_item_teaches_no_priority() -> None:
    with pytest.raises(SettingError, match="validation items"):
        least_priority(np.zeros(0), 0.1)


# --- mixes ------------------------------------------------------------------------------------------------------------

SHARES = (0.05, 0.1, 0.15, 0.2)


@st.composite
def validation(draw):
    rows = draw(st.lists(st.tuples(UNIT, UNIT, st.booleans()), min_size=1, max_size=30))
    first, second, wrong = (np.array(column) for column in zip(*rows, strict=True))
    wrong[0] = True
    return first, second, wrong


@settings(max_examples=30)
@given(validation())
def test_the_best_mix_catches_as_much_as_either_alone(data) -> None:
    uncertainty, score, wrong = data
    mix = fit_mix(uncertainty, score, wrong, SHARES)
    assert errors_caught(wrong, mix.priority(uncertainty, score), SHARES).mean() == pytest.approx(mix.caught)
    for alone in (uncertainty, score, -score):
        assert mix.caught >= errors_caught(wrong, alone, SHARES).mean() - 1e-9


@settings(max_examples=20)
@given(validation())
def test_a_mix_goes_by_ranks_so_units_do_not_count(data) -> None:
    uncertainty, score, wrong = data
    scaled = np.round(score, 6) * 1000 - 7  # keeps ties
    assert fit_mix(uncertainty, np.round(score, 6), wrong).a == fit_mix(uncertainty, scaled, wrong).a


def test_two_that_each_know_half_are_better_together() -> None:
    """Errors are where uncertainty and score add up to much: on fresh data, not the validation's."""
    draw = np.random.default_rng(0)

    def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        uncertainty, score = draw.random(4000), draw.random(4000)
        return uncertainty, score, draw.random(4000) < ((uncertainty + score) / 2) ** 8

    mix = fit_mix(*sample())
    uncertainty, score, wrong = sample()
    mixed = errors_caught(wrong, mix.priority(uncertainty, score), SHARES).mean()
    alone = max(errors_caught(wrong, one, SHARES).mean() for one in (uncertainty, score))
    assert mixed > alone + 0.1
    assert by_mix(uncertainty, score, mix, 5).tolist() == most_urgent(mix.priority(uncertainty, score), 5).tolist()


def test_what_is_unknown_to_a_mix_is_looked_at() -> None:
    mix = Mix(0.5, np.array([0.1, 0.2]), np.array([1.0, 2.0]), 0.0)
    assert np.isnan(mix.priority(np.array([np.nan, 0.1]), np.array([1.0, np.nan]))).all()


@settings(max_examples=30)
@given(validation())
def test_the_best_middle_catches_as_much_as_either_end(data) -> None:
    probability, _, wrong = data
    probability = probability.clip(1e-6, 1 - 1e-6)
    shift = fit_shift(probability, wrong, SHARES)
    logit = np.log(probability / (1 - probability))
    for alone in (-np.abs(logit), probability, -probability):
        assert shift.caught >= errors_caught(wrong, alone, SHARES).mean() - 1e-9


def test_the_middle_goes_to_where_errors_cost_most() -> None:
    """Calibrated, decided at 1/2, and a miss costs ten times a false alarm: what is just below 1/2 comes first."""
    draw = np.random.default_rng(1)
    probability = draw.random(6000)
    positive = draw.random(6000) < probability
    wrong = positive != (probability > 0.5)
    assert abs(fit_shift(probability, wrong).middle) <= 0.5
    dear = fit_shift(probability, wrong * np.where(positive, 10.0, 1.0))
    assert dear.middle < -0.2
    assert (probability[by_shift(probability, dear, 100)] < 0.5).all()


def test_the_ends_of_a_shift_are_the_score() -> None:
    probability = np.array([0.2, 0.9, 0.0, 1.0])
    assert by_shift(probability, Shift(math.inf), 4).tolist() == by_score(probability, 4).tolist()
    assert by_shift(probability, Shift(-math.inf), 4).tolist() == by_score(-probability, 4).tolist()
    assert by_shift(probability, Shift(0.0), 4).tolist()[:2] == [0, 1]


def test_nothing_is_learnt_where_nothing_is_wrong() -> None:
    with pytest.raises(SettingError, match="some of them be wrong"):
        fit_mix(np.zeros(3), np.zeros(3), np.zeros(3, bool))
    with pytest.raises(SettingError, match="some of them be wrong"):
        fit_shift(np.array([0.5, np.nan]), np.ones(2, bool))
