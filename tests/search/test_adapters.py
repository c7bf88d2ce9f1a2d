"""Other libraries' samplers keep our contract, and what is known costs them nothing."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from modelwright.records import Choice, Point, Space
from modelwright.search.adapters import optuna, pymoo
from modelwright.search.adapters.translation import Translation
from modelwright.search.algorithms import Searcher
from modelwright.search.history import History, key
from modelwright.search.pareto import ranks
from modelwright.search.space import Domain, Listed, Product

SPACE = Space(
    "small",
    (
        Choice("kind", ("plain", "gated")),
        Choice("gate", ("relu", "swish", "tanh"), {"kind": ("gated",)}),
        Choice("width", (8, 16, 32)),
        Choice("depth", (1, 2)),
    ),
)
PRODUCT = Product(SPACE)
"""24 points."""
LEFT = tuple(point for place, point in enumerate(PRODUCT.enumerate(24) or ()) if place % 3)
TABLE = Listed(tuple(Choice(choice.name, choice.values) for choice in SPACE.choices), LEFT)
"""Two thirds of them, as a table whose conditions nobody wrote down."""
PEERS: dict[str, Callable[[], Searcher]] = {
    "optuna-nsga2": optuna.nsga2,
    "optuna-tpe": optuna.tpe,
    "pymoo-nsga2": pymoo.nsga2,
}
each_domain = pytest.mark.parametrize("domain", [PRODUCT, TABLE], ids=["product", "table"])
each_peer = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS.keys())


def outcome(point: Point) -> list[float]:
    width, depth = float(point["width"]), float(point["depth"])
    return [1 / width + 0.02 * depth + 0.1 * (point.get("gate") == "tanh"), width * depth]


def told(points: Sequence[Point], **more: object) -> History:
    return History(tuple(points), np.array([outcome(p) for p in points]).reshape(-1, 2), **more)  # type: ignore[arg-type]


def search(searcher: Searcher, domain: Domain, count: int, seed: int, begun: Sequence[Point] = ()) -> list[Point]:
    rng, points = np.random.default_rng(seed), list(begun)
    while len(points) < count and (new := searcher.suggest(domain, told(points), rng, min(3, count - len(points)))):
        points += new
    return points


@each_domain
@each_peer
def test_a_peer_finds_the_whole_domain_each_point_once_and_then_nothing(
    peer: Callable[[], Searcher], domain: Domain
) -> None:
    points = search(peer(), domain, 1000, 0)
    for point in points:
        domain.check(point)
    assert len(points) == len({key(point) for point in points}) == domain.size


@each_domain
@each_peer
def test_two_runs_from_one_seed_agree(peer: Callable[[], Searcher], domain: Domain) -> None:
    assert search(peer(), domain, 13, 7) == search(peer(), domain, 13, 7)
    assert search(peer(), domain, 13, 7) != search(peer(), domain, 13, 8)


@each_domain
@each_peer
def test_a_run_goes_on_from_a_history_that_is_not_its_own(peer: Callable[[], Searcher], domain: Domain) -> None:
    begun = list(domain.enumerate(24) or [])[:8]
    searcher = peer()
    search(searcher, domain, 5, 0)
    new = search(searcher, domain, 14, 1, begun)[8:]
    assert len(new) == 6
    assert not {key(point) for point in new} & {key(point) for point in begun}
    assert new == search(peer(), domain, 14, 1, begun)[8:], "what another history had taught it is forgotten"


@each_domain
@each_peer
def test_pending_and_failed_points_and_those_beyond_a_limit_are_passed_over(
    peer: Callable[[], Searcher], domain: Domain
) -> None:
    def latency(points: Sequence[Point]) -> np.ndarray:
        return np.array([[np.nan, outcome(point)[1]] for point in points])

    kept = [point for point in domain.enumerate(24) or () if outcome(point)[1] <= 32]
    more = {"pending": tuple(kept[:2]), "failed": tuple(kept[2:4])}
    searcher, points, rng = peer(), kept[4:8], np.random.default_rng(0)
    while new := searcher.suggest(domain, told(points, known=latency, limits=np.array([np.inf, 32.0]), **more), rng, 2):
        points += new
    assert {key(point) for point in points} == {key(point) for point in kept[4:]}


def test_optuna_is_told_of_what_it_proposes_again_instead_of_asking_for_it() -> None:
    searcher = optuna.tpe()
    search(searcher, PRODUCT, 20, 0)
    trials = searcher._study.get_trials(deepcopy=False)
    finished = [trial for trial in trials if trial.values]
    assert len(finished) > 20, "repeats among its proposals were answered from the history"
    for trial in finished:
        point = searcher._translation.point(searcher._values(_Replay(trial.params)))
        assert list(trial.values) == outcome(point)


class _Replay:
    """Suggests what a trial had."""

    def __init__(self, params: dict[str, int]) -> None:
        self.params = params

    def suggest_int(self, name: str, *_: object) -> int:
        return self.params[name]

    def suggest_categorical(self, name: str, *_: object) -> int:
        return self.params[name]


def test_pymoo_keeps_the_best_of_what_it_was_told() -> None:
    searcher = pymoo.PymooSearcher(population=8)
    points = search(searcher, PRODUCT, 21, 0)
    alive = searcher._run.pop.get("F")
    assert len(alive) == 8
    known = [outcome(point) for point in points]
    assert all(row in known for row in alive.tolist())
    assert ranks(np.array(alive)).max() <= 1


def test_a_point_becomes_places_of_values_and_the_same_point_again() -> None:
    for domain in (PRODUCT, TABLE):
        translation = Translation(domain)
        for point in domain.enumerate(24) or ():
            assert translation.numbered(translation.places(point)) == point
            assert translation.point({"gate": "relu", **point}) == point, "an inactive choice is passed over"


def test_the_conditions_of_a_table_are_those_that_hold_in_all_of_its_rows() -> None:
    choices = {choice.name: choice for choice in Translation(TABLE).choices}
    assert choices["gate"].when == {"kind": ("gated",)}
    assert not choices["width"].when
    torn = Listed(TABLE.columns, (*LEFT, {"kind": "gated", "width": 8, "depth": 1}))
    assert not {choice.name: choice for choice in Translation(torn).choices}["gate"].when


def test_what_a_table_does_not_hold_becomes_the_nearest_row() -> None:
    gone = next(point for place, point in enumerate(PRODUCT.enumerate(24) or ()) if place % 3 == 0 and place)
    near = Translation(TABLE).point(gone)
    assert near in TABLE
    assert sum(near.get(name) != gone.get(name) for name in {**near, **gone}) == 1
