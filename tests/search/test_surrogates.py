"""Predictors: a process whose gradients, limits and memory are right, a forest, distances, expected improvement."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from modelwright.records import Choice
from modelwright.search.algorithms.improvement import expected_improvement, gain_below
from modelwright.search.pareto import hypervolume, reference_point
from modelwright.search.space.encoding import encode
from modelwright.search.surrogates import Forest, GaussianProcess, bound_below, distances, unwarped, warped
from modelwright.search.surrogates import gaussian_process as process
from modelwright.search.surrogates.forest import one_hot

CHOICES = (Choice("kind", ("a", "b", "c")), Choice("width", (1, 2, 4, 8)), Choice("depth", (1, 2, 3), {"kind": ("a",)}))
WHOLE = [
    {"kind": kind, "width": width} | ({"depth": depth} if kind == "a" else {})
    for kind in ("a", "b", "c")
    for width in (1, 2, 4, 8)
    for depth in (1, 2, 3)
    if kind == "a" or depth == 1
]
ENCODED = encode(CHOICES, WHOLE)


def seeds() -> st.SearchStrategy[np.random.Generator]:
    return st.integers(0, 2**32).map(np.random.default_rng)


def apart(rows: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    return distances(rows, rows if others is None else others, ENCODED.categorical)


def test_distances_choice_by_choice() -> None:
    rows = encode(
        CHOICES,
        [{"kind": "a", "width": 1, "depth": 3}, {"kind": "a", "width": 8, "depth": 2}, {"kind": "c", "width": 2}],
    )
    found = apart(rows.numbers)
    assert found[0, 1] == pytest.approx([0, 1, 0.5])
    assert found[0, 2] == pytest.approx([1, 1 / 3, 1]), "widths are spaced by their logarithms; one has no depth"
    assert found[2, 2] == pytest.approx([0, 0, 0]), "neither has a depth"
    whole = apart(ENCODED.numbers)
    assert (whole == whole.transpose(1, 0, 2)).all()
    assert ((whole >= 0) & (whole <= 1)).all()
    assert (np.flatnonzero(whole.sum(axis=2) == 0) == np.arange(len(WHOLE)) * (len(WHOLE) + 1)).all()


@settings(max_examples=20)
@given(seeds())
def test_the_gradient_of_the_posterior_is_that_of_finite_differences(rng: np.random.Generator) -> None:
    some = rng.permutation(len(WHOLE))[:9]
    flat = apart(ENCODED.numbers[some]).reshape(-1, 3)
    targets = rng.standard_normal(9)
    at = rng.uniform([-2, -2, -2, -2, -1, -6], [2, 2, 2, 2, 1, -1])
    value = lambda x: process._objective(x, flat, targets)[0]  # noqa: E731
    slope = lambda x: process._objective(x, flat, targets)[1]  # noqa: E731
    assert check_grad(value, slope, at) < 1e-4 * (1 + np.abs(slope(at)).max())


@settings(max_examples=20)
@given(seeds())
def test_without_noise_the_process_runs_through_what_it_saw_and_is_unsure_elsewhere(rng: np.random.Generator) -> None:
    order = rng.permutation(len(WHOLE))
    seen, other = ENCODED.numbers[order[:8]], ENCODED.numbers[order[8:]]
    targets = 5.0 + 3.0 * rng.standard_normal(8)
    quiet = np.array([*rng.uniform(-1, 2, 3), 0.0, 0.0, -14.0])
    fitted = GaussianProcess.fit(apart(seen), targets, quiet, steps=0)
    mean, spread = fitted.predict(apart(seen, seen))
    assert mean == pytest.approx(targets, abs=1e-3)
    assert (spread < 0.01).all()
    _, unsure = fitted.predict(apart(other, seen))
    assert (unsure > spread.max()).all()
    prior = fitted.deviation * np.exp(0.5 * quiet[-2])
    assert (unsure <= prior * (1 + 1e-12)).all()


@settings(max_examples=15)
@given(seeds())
def test_one_more_point_makes_no_prediction_less_sure(rng: np.random.Generator) -> None:
    order = rng.permutation(len(WHOLE))
    numbers = ENCODED.numbers
    parameters = np.array([*rng.uniform(-1, 2, 3), 0.0, 0.0, -5.0])
    targets = rng.standard_normal(10)

    def sure(size: int) -> np.ndarray:
        some = numbers[order[:size]]
        fitted = GaussianProcess.fit(apart(some), targets[:size], parameters, steps=0)
        return fitted.predict(apart(numbers, some))[1] / fitted.deviation

    assert (sure(10) <= sure(9) + 1e-9).all()


def test_covariances_of_all_points_are_positive() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        parameters = rng.uniform([b[0] for b in (process.BOUNDS[0],) * 3 + process.BOUNDS[1:]],
                                 [b[1] for b in (process.BOUNDS[0],) * 3 + process.BOUNDS[1:]])  # fmt: skip
        values = np.linalg.eigvalsh(process._covariance(apart(ENCODED.numbers), parameters))
        assert values.min() > -1e-10 * values.max()


def test_the_process_finds_out_which_choice_matters_and_foretells_the_rest() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([{"a": 0.0, "b": 2.0, "c": -1.0}[point["kind"]] for point in WHOLE])
    order = rng.permutation(len(WHOLE))
    fitted = GaussianProcess.fit(apart(ENCODED.numbers[order[:14]]), truth[order[:14]])
    kind, width, _ = fitted.parameters[:3]
    assert kind > width + 1
    mean, _ = fitted.predict(apart(ENCODED.numbers[order[14:]], ENCODED.numbers[order[:14]]))
    assert mean == pytest.approx(truth[order[14:]], abs=0.3)


def test_targets_that_are_all_the_same_are_foretold() -> None:
    fitted = GaussianProcess.fit(apart(ENCODED.numbers[:6]), np.full(6, 3.0))
    assert fitted.predict(apart(ENCODED.numbers, ENCODED.numbers[:6]))[0] == pytest.approx(np.full(len(WHOLE), 3.0))


def test_a_fit_does_not_mind_the_order_of_points_nor_the_unit_of_targets() -> None:
    rng = np.random.default_rng(2)
    rows, targets = ENCODED.numbers[rng.permutation(len(WHOLE))[:10]], rng.standard_normal(10)
    mixed = rng.permutation(10)
    one = GaussianProcess.fit(apart(rows), targets).predict(apart(ENCODED.numbers, rows))
    other = GaussianProcess.fit(apart(rows[mixed]), 100 + 7 * targets[mixed]).predict(
        apart(ENCODED.numbers, rows[mixed])
    )
    assert other[0] == pytest.approx(100 + 7 * one[0], rel=1e-3)
    assert other[1] == pytest.approx(7 * one[1], rel=1e-2)


def test_one_column_a_value_for_words_and_none_for_what_is_inactive() -> None:
    rows = one_hot(np.array([[0, 0.5], [2, 0.0], [-1, 1.0]]), np.array([True, False]))
    assert rows.tolist() == [[1, 0, 0, 0.5], [0, 0, 1, 0.0], [0, 0, 0, 1.0]]


def test_a_forest_stays_within_what_it_saw_and_repeats_itself() -> None:
    rng = np.random.default_rng(3)
    rows, targets = rng.random((40, 3)), rng.standard_normal(40)
    mean, spread = Forest.fit(rows, targets, 0).predict(rng.random((50, 3)) * 2)
    assert mean.min() >= targets.min()
    assert mean.max() <= targets.max()
    assert (spread <= np.ptp(targets) / 2).all()
    again = Forest.fit(rows, targets, 0)
    assert (again.predict(rows)[0] == Forest.fit(rows, targets, 0).predict(rows)[0]).all()
    signal = 4.0 * (rows[:, 0] > 0.5)
    fitted = Forest.fit(rows, signal, 1)
    assert np.abs(fitted.predict(rows)[0] - signal).mean() < 0.3
    assert fitted.predict(np.array([[0.95, 0.5, 0.5]]))[0] > fitted.predict(np.array([[0.05, 0.5, 0.5]]))[0] + 2


FRONTS = st.integers(1, 2).flatmap(
    lambda objectives: st.lists(
        st.lists(st.floats(0, 1), min_size=objectives, max_size=objectives), min_size=1, max_size=6
    ).map(np.array)
)


@settings(max_examples=15, deadline=None)
@given(FRONTS, seeds())
def test_expected_improvement_is_the_mean_of_improvements(front: np.ndarray, rng: np.random.Generator) -> None:
    objectives = front.shape[1]
    reference = np.full(objectives, 1.2)
    mean, spread = rng.uniform(0, 1.3, (3, objectives)), rng.uniform(0.02, 0.5, (3, objectives))
    spread[0, 0] = 0.0
    found = expected_improvement(front, reference, mean, spread)
    before = hypervolume(front, reference)
    noise = rng.standard_normal((500, objectives))
    for place in range(3):
        draws = mean[place] + spread[place] * noise
        gains = np.array([hypervolume(np.vstack([front, draw]), reference) - before for draw in draws])
        assert found[place] == pytest.approx(gains.mean(), abs=5 * gains.std() / np.sqrt(500) + 5e-3)


@given(FRONTS, seeds())
def test_what_is_known_improves_by_what_it_adds(front: np.ndarray, rng: np.random.Generator) -> None:
    reference = reference_point(front, 0.5)
    sure = rng.uniform(-0.2, 1.5, (8, front.shape[1]))
    found = expected_improvement(front, reference, sure, np.zeros_like(sure))
    before = hypervolume(front, reference)
    gains = [hypervolume(np.vstack([front, row]), reference) - before for row in sure]
    assert found == pytest.approx(gains, abs=1e-9)


def test_what_is_surely_dominated_adds_nothing_and_less_spread_adds_less() -> None:
    front, reference = np.array([[0.2, 0.6], [0.5, 0.3]]), np.array([1.0, 1.0])
    far = expected_improvement(front, reference, np.array([[0.9, 0.9]]), np.full((1, 2), 0.01))
    assert far[0] == pytest.approx(0, abs=1e-12)
    worth = [
        expected_improvement(front, reference, np.array([[0.55, 0.4]]), np.full((1, 2), spread))[0]
        for spread in (0.0, 0.05, 0.1, 0.2)
    ]
    assert worth[0] == 0
    assert worth == sorted(set(worth))


def test_the_gain_below_a_bound_of_a_standard_normal_is_known() -> None:
    zero, one = np.zeros(1), np.ones(1)
    assert gain_below(0.0, zero, one)[0] == pytest.approx(1 / np.sqrt(2 * np.pi))
    assert gain_below(1.0, zero, one)[0] == pytest.approx(1.0833154705876864)
    assert gain_below(2.0, zero, zero)[0] == 2
    assert gain_below(-2.0, zero, zero)[0] == 0


LOSSES = st.lists(st.integers(-1000, 1000), min_size=4, max_size=30, unique=True).map(
    lambda xs: np.array(xs, dtype=float)
)


@given(LOSSES, st.floats(0.1, 100), st.floats(-100, 100))
def test_a_bound_lies_below_all_losses_and_moves_with_their_unit(
    losses: np.ndarray, unit: float, offset: float
) -> None:
    bound = bound_below(losses)
    assert bound < losses.min()
    moved = bound_below(losses * unit + offset)
    near = pytest.approx(bound * unit + offset, abs=1e-9 * (abs(bound) * unit + abs(offset)))  # the sum may be near 0
    assert moved == near if np.isfinite(bound) else moved == -np.inf


def skewness(sample: np.ndarray) -> float:
    return float(((sample - sample.mean()) ** 3).mean() / sample.std() ** 3)


def test_a_long_tail_to_the_bad_side_has_a_bound_and_evenly_spread_losses_have_none() -> None:
    rng = np.random.default_rng(4)
    even, skewed = rng.standard_normal(200), np.exp(rng.standard_normal(200))
    assert bound_below(skewed) > -1, "near 0, where that of the exponential is"
    logs = warped(skewed[:, None], np.array([bound_below(skewed)]))[:, 0]
    assert abs(skewness(logs)) < 0.5 * skewness(skewed)
    assert bound_below(-skewed) == -np.inf, "a tail to the good side is left alone"
    assert bound_below(even) < -3
    assert bound_below(np.ones(9)) == bound_below(even[:3]) == bound_below(even[:0]) == -np.inf


@given(LOSSES)
def test_warping_keeps_the_order_and_can_be_undone(losses: np.ndarray) -> None:
    both, bounds = np.column_stack([losses, losses]), np.array([bound_below(losses), -np.inf])
    seen = warped(both, bounds)
    assert (np.argsort(seen[:, 0]) == np.argsort(losses)).all()
    assert (seen[:, 1] == losses).all()
    assert unwarped(seen, bounds) == pytest.approx(both, abs=1e-9)  # one of them is 0


@settings(max_examples=10, deadline=None)
@given(seeds())
def test_expected_improvement_of_log_normal_losses_is_the_mean_of_improvements(rng: np.random.Generator) -> None:
    front, reference, bounds = rng.random((4, 2)), np.array([1.2, 1.2]), np.array([-0.3, -np.inf])
    mean, spread = rng.uniform(-1, 0.5, (2, 2)), rng.uniform(0.05, 0.5, (2, 2))
    found = expected_improvement(front, reference, mean, spread, bounds)
    before, noise = hypervolume(front, reference), rng.standard_normal((500, 2))
    for place in range(2):
        draws = unwarped(mean[place] + spread[place] * noise, bounds)
        gains = np.array([hypervolume(np.vstack([front, draw]), reference) - before for draw in draws])
        assert found[place] == pytest.approx(gains.mean(), abs=5 * gains.std() / np.sqrt(500) + 5e-3)


def test_nothing_is_gained_below_the_bound() -> None:
    assert gain_below(1.0, np.zeros(2), np.ones(2), above=1.0).tolist() == [0, 0]
    far = gain_below(1e6, np.array([0.5]), np.array([0.3]), above=2.0)[0]
    assert far == pytest.approx(1e6 - 2 - np.exp(0.5 + 0.045)), "the mean of a log-normal"
