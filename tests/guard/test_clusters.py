"""Offers of new classes: what was planted is found again, whatever its order and scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.errors import SettingError
from modelwright.guard.clusters import class_offers, offers_among
from modelwright.records import ReviewItem


def planted(seed: int, sizes: tuple[int, ...], noise: int = 0, width: int = 24) -> tuple[list[str], np.ndarray]:
    """Groups around random directions, and strays; each key begins with its group's number."""
    draw = np.random.default_rng(seed)
    middles = draw.normal(size=(len(sizes), width))
    rows = [middle + 0.25 * draw.normal(size=(size, width)) for middle, size in zip(middles, sizes, strict=True)]
    keys = [f"{group}:{number}" for group, size in enumerate(sizes) for number in range(size)]
    table = np.concatenate([*rows, draw.normal(size=(noise, width))])
    return keys + [f"noise:{number}" for number in range(noise)], table


def groups(offers) -> list[set[str]]:
    return [{key.split(":")[0] for key in offer.members} for offer in offers]


@pytest.mark.parametrize("method", ["auto", "hdbscan", "agglomerative"])
def test_planted_classes_are_offered_and_noise_is_not(method: str) -> None:
    keys, vectors = planted(0, (40, 25, 12), noise=40)
    offers = class_offers(keys, vectors, method=method, least=8)
    assert groups(offers) == [{"0"}, {"1"}, {"2"}]
    assert [offer.size for offer in offers] == [40, 25, 12]
    assert all(offer.cohesion > 0.9 > 0.6 > offer.separation for offer in offers)


def test_one_class_alone_is_offered_as_one() -> None:
    keys, vectors = planted(1, (30,))
    [offer] = class_offers(keys, vectors)
    assert (offer.size, offer.separation) == (30, -1.0)


def test_exemplars_are_the_members_nearest_to_the_middle() -> None:
    keys, vectors = planted(2, (30, 20))
    for offer in class_offers(keys, vectors, exemplars=4):
        assert offer.exemplars == offer.members[:4]
        units = vectors[[keys.index(key) for key in offer.members]]
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        cosines = units @ units.mean(0) / np.linalg.norm(units.mean(0))
        assert (np.diff(cosines) <= 1e-12).all()
        assert offer.cohesion == pytest.approx(cosines.mean())


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_order_and_length_do_not_count(random, scale) -> None:
    keys, vectors = planted(3, (15, 10))
    order = list(range(len(keys)))
    random.shuffle(order)
    found = class_offers([keys[row] for row in order], scale * vectors[order])
    assert [set(offer.members) for offer in found] == [set(offer.members) for offer in class_offers(keys, vectors)]


def test_rows_that_say_nothing_belong_to_no_class() -> None:
    keys, vectors = planted(4, (15, 10))
    spoilt = np.concatenate([vectors, np.full((6, 24), np.nan), np.zeros((6, 24)), np.full((6, 24), np.inf)])
    offers = class_offers([*keys, *(f"bad:{number}" for number in range(18))], spoilt)
    assert groups(offers) == [{"0"}, {"1"}]


def test_a_handful_is_no_class() -> None:
    keys, vectors = planted(5, (4,))
    assert class_offers(keys, vectors, least=5) == ()
    assert class_offers([], np.empty((0, 3))) == ()
    assert offers_among([ReviewItem("a", text="no vector")]) == ()


def test_items_of_a_queue_are_offered_by_their_vectors() -> None:
    keys, vectors = planted(6, (12, 9))
    items = [ReviewItem(key, vector=tuple(row)) for key, row in zip(keys, vectors.tolist(), strict=True)]
    assert offers_among([*items, ReviewItem("text")]) == class_offers(keys, vectors)


def test_what_cannot_be_clustered_is_refused() -> None:
    with pytest.raises(SettingError, match="one vector"):
        class_offers(["a"], np.zeros((2, 3)))
    with pytest.raises(SettingError, match="two members"):
        class_offers(["a"], np.ones((1, 3)), least=1)
    with pytest.raises(SettingError, match="at once"):
        class_offers(["a"] * 20_001, np.ones((20_001, 1)))
