"""Every search algorithm keeps the contract, and finds what a small problem hides."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.records import Choice, Point, Space
from modelwright.search.algorithms import Searcher, searchers
from modelwright.search.algorithms.auto import Auto
from modelwright.search.algorithms.bayesian import Bayesian
from modelwright.search.algorithms.evolution import RegularisedEvolution
from modelwright.search.algorithms.local import LocalSearch
from modelwright.search.algorithms.nsga2 import NSGA2, fitness
from modelwright.search.algorithms.random import Random
from modelwright.search.algorithms.reinforce import Reinforce
from modelwright.search.history import History, key
from modelwright.search.pareto import hypervolume, reference_point
from modelwright.search.space import Domain, Listed, Product

WORDS = ("a", "b", "c", "d")
SPACE = Space(
    "small",
    (
        Choice("kind", ("plain", "gated")),
        Choice("gate", ("relu", "swish", "tanh"), {"kind": ("gated",)}),
        Choice("width", (8, 16, 32, 64)),
        Choice("depth", (1, 2, 3)),
    ),
)
PRODUCT = Product(SPACE)
"""48 points."""
TABLE = Listed(SPACE.choices, tuple(point for place, point in enumerate(PRODUCT.enumerate(48) or ()) if place % 3))
"""Two thirds of them."""
DOMAINS: dict[str, Domain] = {"product": PRODUCT, "table": TABLE}
OWN: dict[str, Callable[[], Searcher]] = {
    "auto": lambda: Auto(first=4),
    "bayesian": lambda: Bayesian(first=4),
    "evolution": lambda: RegularisedEvolution(population=6, sample=3),
    "local": lambda: LocalSearch(first=3),
    "nsga2": lambda: NSGA2(population=5),
    "random": Random,
    "reinforce": Reinforce,
}
each_domain = pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS.keys())
each_method = pytest.mark.parametrize("method", OWN)


def outcome(point: Point, objectives: int = 2) -> list[float]:
    """Error, latency, memory: error falls with width and gates, latency rises with width and depth."""
    width, depth, gated = float(point["width"]), float(point["depth"]), point["kind"] == "gated"
    error = 1 / width + 0.02 * abs(depth - 2) - 0.01 * gated * (point.get("gate") == "swish")
    return [error, width * depth / 64, width + 5.0 * gated][:objectives]


def told(points: Sequence[Point], objectives: int = 2, **more: object) -> History:
    rows = np.array([outcome(point, objectives) for point in points]).reshape(-1, objectives)
    return History(tuple(points), rows, **more)  # type: ignore[arg-type]


def latency(points: Sequence[Point]) -> np.ndarray:
    return np.array([[np.nan, outcome(point)[1]] for point in points])


def search(method: str, domain: Domain, count: int, seed: int, history: History | None = None) -> list[Point]:
    return OWN[method]().suggest(domain, history or told([]), np.random.default_rng(seed), count)


@each_domain
@each_method
@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 20), st.integers(1, 3), st.integers(1, 5))
def test_suggestions_are_new_points_of_the_domain_as_many_as_asked_for(
    method: str, domain: Domain, seed: int, size: int, objectives: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    some = [(domain.enumerate(48) or [])[place] for place in rng.permutation(domain.size)[: size + 4].tolist()]
    history = told(some[:size], objectives, pending=tuple(some[size : size + 2]), failed=tuple(some[size + 2 :]))
    found = search(method, domain, count, seed, history)
    assert len(found) == count == len({key(point) for point in found})
    assert not history.taken & {key(point) for point in found}
    for point in found:
        domain.check(point)
    assert found == search(method, domain, count, seed, history), "one seed, one answer"


@each_domain
@each_method
def test_the_whole_domain_is_found_and_then_nothing(method: str, domain: Domain) -> None:
    points = domain.sample(np.random.default_rng(0), 1)
    while new := search(method, domain, 7, len(points), told(points)):
        assert len(new) == min(7, domain.size - len({key(point) for point in points}))
        points += new
    assert {key(point) for point in points} == {key(point) for point in domain.enumerate(48) or ()}


@each_domain
@each_method
def test_a_search_begins_with_as_many_as_asked_for_even_if_none_has_ended(method: str, domain: Domain) -> None:
    assert len({key(point) for point in search(method, domain, 15, 0)}) == 15
    waiting = History(pending=tuple((domain.enumerate(48) or [])[:12]))
    assert len({key(point) for point in search(method, domain, 3, 0, waiting)} - waiting.taken) == 3


@each_domain
@each_method
@pytest.mark.parametrize("size", [0, 6])
def test_no_limit_that_costs_nothing_to_know_is_broken(method: str, domain: Domain, size: int) -> None:
    limits = np.array([np.inf, 0.5])
    kept = [point for point in domain.enumerate(48) or () if outcome(point)[1] <= 0.5]
    history = told(kept[:size], known=latency, limits=limits)
    found = search(method, domain, 5, 3, history)
    assert len(found) == 5
    assert all(outcome(point)[1] <= 0.5 for point in found)
    rest = search(method, domain, 48, 3, history)
    assert len(rest) == len(kept) - size, "all that keep it are found, and no others"


@each_method
def test_a_resumed_search_goes_on_as_if_it_had_not_stopped(method: str) -> None:
    searcher, points = OWN[method](), list[Point]()
    for step in range(7):
        history = told(points, known=latency)
        new = searcher.suggest(PRODUCT, history, np.random.default_rng(step), 1)
        assert new == OWN[method]().suggest(PRODUCT, history, np.random.default_rng(step), 1)
        points += new


@each_method
def test_the_history_is_left_as_it_is(method: str) -> None:
    points = PRODUCT.sample(np.random.default_rng(0), 8)
    copies, history = [dict(point) for point in points], told(points, known=latency)
    losses = history.losses.copy()
    search(method, PRODUCT, 3, 0, history)
    assert points == copies
    assert (history.losses == losses).all()


def test_every_algorithm_on_the_list_is_one() -> None:
    assert set(OWN) <= set(searchers)
    assert all(isinstance(searchers[name](), Searcher) for name in searchers)


# --- what each is known for -------------------------------------------------------------------------------------------

WORDY = Product(Space("words", tuple(Choice(f"word{place}", WORDS) for place in range(6))))
"""4,096 points; the best is known, as each choice adds its own part."""


def separable(point: Point) -> float:
    return sum((place + 1) * (WORDS.index(str(point[f"word{place}"])) + place) % 4 for place in range(6)) / 10.0


def conditional(point: Point) -> float:
    """Only gated networks are good, and only with swish."""
    good = {"relu": 0.3, "swish": 0.0, "tanh": 0.5}
    kind = good[str(point["gate"])] if point["kind"] == "gated" else 1.0
    return kind + abs(float(point["width"]) - 32) / 64 + abs(float(point["depth"]) - 3) / 3


def evaluations(searcher: Searcher, domain: Domain, loss: Callable[[Point], float], seed: int, most: int) -> int:
    """How many it takes to find the best, `most` if that many do not."""
    best = min(loss(point) for point in domain.enumerate(5000) or ())
    rng, points = np.random.default_rng(seed), list[Point]()
    while len(points) < most:
        history = History(tuple(points), np.array([[loss(point)] for point in points]).reshape(-1, 1))
        points += searcher.suggest(domain, history, rng, 1)
        if loss(points[-1]) <= best + 1e-12:
            break
    return len(points)


@pytest.mark.parametrize(("domain", "loss"), [(WORDY, separable), (PRODUCT, conditional)], ids=["words", "conditions"])
def test_auto_finds_the_best_in_a_fraction_of_what_chance_needs(domain: Domain, loss: Callable[[Point], float]) -> None:
    best = min(loss(point) for point in domain.enumerate(5000) or ())
    winners = sum(loss(point) <= best + 1e-12 for point in domain.enumerate(5000) or ())
    by_chance = (domain.size + 1) / (winners + 1)
    needed = [evaluations(Auto(first=8), domain, loss, seed, 60) for seed in range(3)]
    assert np.mean(needed) < (0.1 if domain.size > 1000 else 0.75) * by_chance


@pytest.mark.parametrize("known", [None, latency], ids=["paid", "free"])
def test_auto_comes_near_the_whole_front_in_a_third_of_the_evaluations(known: object) -> None:
    every = told(PRODUCT.enumerate(48) or [])
    reference = reference_point(every.losses)
    ratios = []
    for seed in range(3):
        rng, points = np.random.default_rng(seed), list[Point]()
        while len(points) < 16:
            points += Auto(first=6).suggest(PRODUCT, told(points, known=known), rng, 1)
        ratios.append(hypervolume(told(points).losses, reference) / hypervolume(every.losses, reference))
    assert np.mean(ratios) > 0.95


def test_auto_starts_with_all_latencies_where_they_cost_nothing() -> None:
    found = Auto(first=8).suggest(WORDY, told_words([]), np.random.default_rng(0), 8)
    known = sorted(told_words(found).free(found)[:, 1])  # type: ignore[index]  # something is known
    apart = np.array([separable(point) for point in WORDY.enumerate(5000) or ()])
    assert known[0] < np.quantile(apart, 0.2)
    assert known[-1] > np.quantile(apart, 0.8)


def told_words(points: Sequence[Point]) -> History:
    def free(some: Sequence[Point]) -> np.ndarray:
        return np.array([[np.nan, separable(point)] for point in some])

    return History(tuple(points), np.zeros((len(points), 2)), known=free)


def test_the_fitness_of_nsga2_puts_rank_before_loneliness() -> None:
    losses = np.array([[0.0, 4.0], [1.0, 2.9], [2.0, 2.0], [4.0, 0.0], [2.5, 2.5], [5.0, 5.0]])
    order = np.argsort(fitness(losses)).tolist()
    assert set(order[:2]) == {0, 3}, "the ends of the best front"
    assert order[2:4] == [2, 1], "the lonelier of the two between"
    assert order[4:] == [4, 5], "what is dominated comes last"


def test_evolution_breeds_from_the_best_of_those_that_are_young() -> None:
    """The parent is one mutation away: here the best of the young, never the old one that is better than all."""
    old = {"word0": "a", **{f"word{place}": "a" for place in range(1, 6)}}
    young = [{f"word{place}": word for place in range(6)} for word in ("b", "c", "d")]
    history = History((old, *young), np.array([[0.0], [1.0], [2.0], [3.0]]))
    searcher = RegularisedEvolution(population=3, sample=40)
    for seed in range(10):
        [child] = searcher.suggest(WORDY, history, np.random.default_rng(seed), 1)
        assert sum(child[name] == "b" for name in child) == 5


def test_local_search_looks_next_to_the_front_only() -> None:
    points = [{f"word{place}": word for place in range(6)} for word in WORDS]
    history = History(tuple(points), np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 3.0]]))
    near = LocalSearch(first=2).suggest(WORDY, history, np.random.default_rng(0), 36)
    for point in near:
        assert max(sum(point[name] == word for name in point) for word in ("a", "b")) == 5
    assert len({key(point) for point in near}) == 36, "all neighbours of the two, each once"


def test_random_search_favours_nothing() -> None:
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(WORDS, 0)
    for point in Random().suggest(WORDY, told_words([]), rng, 800):
        counts[str(point["word3"])] += 1
    assert all(150 < count < 250 for count in counts.values())


def test_a_policy_moves_by_the_gradient_of_the_logarithm() -> None:
    """One choice of two values, rewards +1 and -1: the logits are those of the formula, by hand."""
    domain = Product(Space("coin", (Choice("side", ("heads", "tails")),)))
    history = History(({"side": "heads"}, {"side": "tails"}), np.zeros((2, 2)), rewards=np.array([5.0, 3.0]))
    [policy] = Reinforce(rate=0.3, baseline=0.9).policy(domain, history)
    first = 0.3 * 1.0 * np.array([0.5, -0.5])  # reward 1, baseline 0
    chance = np.exp(first) / np.exp(first).sum()
    second = first + 0.3 * (-1.0 - 0.1) * (np.array([0.0, 1.0]) - chance)  # reward -1, baseline 0.1
    assert policy == pytest.approx(np.exp(second) / np.exp(second).sum())
    assert policy[0] > 0.5


def test_a_policy_knows_nothing_before_rewards_differ_and_comes_to_draw_what_is_rewarded() -> None:
    points = WORDY.sample(np.random.default_rng(0), 300)
    equal = History(tuple(points[:5]), np.ones((5, 2)))
    assert all(chance == pytest.approx(np.full(4, 0.25)) for chance in Reinforce().policy(WORDY, equal))
    rewards = np.array([float(point["word2"] == "c") for point in points])
    policy = Reinforce().policy(WORDY, History(tuple(points), np.zeros((300, 2)), rewards=rewards))
    assert policy[2][2] > 0.9
    by_losses = Reinforce(weights=(1.0, 0.0)).policy(
        WORDY, History(tuple(points), np.column_stack([-rewards, rewards * 100]))
    )
    assert by_losses[2][2] == pytest.approx(policy[2][2]), "a loss is a reward turned round"


def test_words_in_all_combinations_are_4096() -> None:
    assert WORDY.size == len(list(product(WORDS, repeat=6))) == 4096
