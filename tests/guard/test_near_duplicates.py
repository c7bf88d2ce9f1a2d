"""Near-duplicates: what is alike is found, what is not never is, and no chain leads astray."""

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.guard.hashing import hashed, mixed, series, uniform
from modelwright.guard.near_duplicates import HASHES, NearDuplicates, jaccard, rows, shingles, signature, sketch
from modelwright.records import ReviewItem, ReviewRules

RULES = ReviewRules()
WORDS = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8), min_size=1, max_size=12)


def found(items: list[ReviewItem], new: ReviewItem, rules: ReviewRules = RULES) -> str:
    near = NearDuplicates(rules)
    for one in items:
        near.add(one.key, sketch(one, rules))
    return near.find(sketch(new, rules))


def runs(text: str, width: int = 5) -> set[str]:
    """Shingles, from the definition."""
    plain = " ".join(text.casefold().split())
    return {plain[place : place + width] for place in range(max(1, len(plain) - width + 1))}


@given(WORDS, WORDS)
def test_jaccard_is_that_of_the_sets_of_shingles(first, second) -> None:
    one, other = " ".join(first), " ".join(second)
    true = len(runs(one) & runs(other)) / len(runs(one) | runs(other))
    assert jaccard(shingles(one, 5), shingles(other, 5)) == pytest.approx(true)


@settings(max_examples=50)
@given(WORDS, st.integers(0, 3))
def test_case_and_white_space_do_not_count(words, spaces) -> None:
    text, loud = " ".join(words), f"  {(' ' * (spaces + 1)).join(words).upper()}\n"
    assert found([ReviewItem("a", text=text)], ReviewItem("b", text=loud)) == "a"


def altered(text: str, places: list[int]) -> str:
    return "".join("*" if place in places else letter for place, letter in enumerate(text))


@given(st.text(string.ascii_letters, min_size=60, max_size=120), st.lists(st.integers(0, 119), max_size=6))
def test_nothing_is_called_alike_that_is_not(text, places) -> None:
    new = altered(text, places)
    alike = jaccard(shingles(text, 5), shingles(new, 5))
    if found([ReviewItem("a", text=text)], ReviewItem("b", text=new)):
        assert alike >= RULES.text_likeness
    else:
        assert alike < 0.85  # more is overlooked with a probability of less than one in a million


def test_what_is_just_alike_enough_is_hardly_ever_overlooked() -> None:
    """Texts of 104 letters with one of them changed have 95 of 105 shingles in common: a likeness above 0.9."""
    draw = np.random.default_rng(0)
    rules = ReviewRules(text_likeness=0.9)
    missed = 0
    for number in range(200):
        text = "".join(draw.choice(list(string.ascii_lowercase), 104))
        new = altered(text, [50])
        assert 0.9 <= jaccard(shingles(text, 5), shingles(new, 5)) < 0.92
        rules = ReviewRules(text_likeness=0.9, seed=number)
        missed += not found([ReviewItem("a", text=text)], ReviewItem("b", text=new), rules)
    assert missed <= 1


@pytest.mark.parametrize("likeness", [0.5, 0.6, 0.8, 0.9, 1.0])
def test_bands_lead_to_what_is_alike(likeness: float) -> None:
    band = rows(likeness)
    assert HASHES % band == 0
    assert (1 - likeness**band) ** (HASHES // band) <= 1e-3


def test_signatures_agree_in_a_share_that_is_the_jaccard() -> None:
    one, other = mixed(series(0, 300, 1)), mixed(series(100, 300, 1))  # 200 of 400 in common
    agree = [np.mean(signature(one, seed) == signature(other, seed)) for seed in range(30)]
    assert np.mean(agree) == pytest.approx(0.5, abs=0.03)  # three standard errors are 0.024


def test_the_most_alike_is_chosen() -> None:
    text = "it was a dark and stormy night; the rain fell in torrents, except at occasional intervals"
    items = [ReviewItem("far", text=altered(text, [3, 60])), ReviewItem("near", text=altered(text, [3]))]
    assert found(items, ReviewItem("b", text=text)) == "near"


def test_short_texts_are_alike_only_when_equal() -> None:
    items = [ReviewItem("a", text="ok"), ReviewItem("b", text="no")]
    assert found(items, ReviewItem("c", text="OK ")) == "a"
    assert found(items, ReviewItem("c", text="oh")) == ""
    assert found(items, ReviewItem("c", text="  ")) == ""


@given(st.floats(0, np.pi), st.floats(0.1, 100))
def test_vectors_are_held_against_one_another_by_their_angle(angle, length) -> None:
    new = ReviewItem("b", vector=(length * np.cos(angle), length * np.sin(angle)))
    alike = found([ReviewItem("a", vector=(3.0, 0.0)), ReviewItem("z", vector=(-1.0, 0.0))], new)
    if abs(np.cos(angle)) > 0.98 + 1e-6:
        assert alike == ("a" if np.cos(angle) > 0 else "z")
    elif abs(np.cos(angle)) < 0.98 - 1e-6:
        assert alike == ""


def test_a_vector_of_zeros_is_like_nothing() -> None:
    assert found([ReviewItem("a", vector=(0.0, 0.0))], ReviewItem("b", vector=(0.0, 0.0))) == ""
    many = [ReviewItem(str(n), vector=tuple(np.eye(40)[n].tolist())) for n in range(40)]
    assert found(many, ReviewItem("b", vector=many[33].vector)) == "33"


# --- chance -----------------------------------------------------------------------------------------------------------


def test_splitmix64_is_the_published_one() -> None:
    """The first outputs for seed 1234567, as in the reference code's listings."""
    golden = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + step * golden) % 2**64 for step in range(3)], np.uint64)
    assert mixed(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_uniform_and_those_of_one_seed_are_none_of_anothers() -> None:
    draws = uniform(series(0, 20_000, 3))
    assert ((draws >= 0) & (draws < 1)).all()
    assert np.abs(np.sort(draws) - np.linspace(0, 1, 20_000)).max() < 0.0115  # Kolmogorov-Smirnov at 1 %
    assert abs(np.corrcoef(draws, uniform(series(0, 20_000, 4)))[0, 1]) < 0.03
    assert len(set(hashed(["a", "b", ""], 0).tolist()) | set(hashed(["a", "b", ""], 1).tolist())) == 6
    assert uniform(series(5, 7, 3)).tolist() == draws[5:12].tolist()
