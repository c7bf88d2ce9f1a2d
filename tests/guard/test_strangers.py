"""Outliers out of one's own rows: what they are made of, what gives nothing away, and whom they catch out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.guard.choosing import choose
from modelwright.guard.detectors.catalogue import detector
from modelwright.guard.rows import Head, Rows
from modelwright.guard.strangers import between, of_length, shuffled, strangers
from modelwright.records import GuardPlan


def drawn(
    classes: int, width: int, seed: int, count: int = 40, spread: float = 3.0, far: float = 0.0
) -> tuple[Rows, Head]:
    random = np.random.default_rng(seed)
    means = np.random.default_rng(width).normal(size=(classes, width)) * spread + far
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, count - classes)])
    features = means[labels] + random.normal(size=(count, width))
    head = Head(means, -0.5 * (means**2).sum(1))
    return Rows(features, head.logits(features), labels), head


@given(st.integers(2, 9), st.integers(2, 6), st.integers(0, 99))
def test_what_is_between_has_parents_of_two_classes(classes, width, seed):
    """Some row of another class has the direction of (row + it), and the length is the mean of both."""
    rows, _ = drawn(classes, width, seed)
    found = between(rows, np.random.default_rng(seed))
    lengths = np.linalg.norm(rows.features, axis=1)
    for number, made in enumerate(found):
        others = np.flatnonzero(rows.labels != rows.labels[number])
        middles = of_length(rows.features[number] + rows.features[others], (lengths[number] + lengths[others]) / 2)
        assert np.abs(middles - made).max(1).min() < 1e-9


def test_every_row_of_another_class_may_be_the_partner():
    rows, _ = drawn(4, 3, 0, count=12)
    lengths = np.linalg.norm(rows.features, axis=1)
    met = set()
    for seed in range(300):
        made = between(rows, np.random.default_rng(seed))[0]
        middles = of_length(rows.features[0] + rows.features, (lengths[0] + lengths) / 2)
        met.add(int(np.abs(middles - made).max(1).argmin()))
    assert met == set(np.flatnonzero(rows.labels != rows.labels[0]).tolist())


@given(st.integers(0, 99))
def test_shuffled_rows_keep_lengths_and_the_order_of_each_feature(seed):
    rows, _ = drawn(3, 5, seed)
    made = shuffled(rows.features, np.random.default_rng(seed))
    lengths = np.linalg.norm(rows.features, axis=1)
    assert np.linalg.norm(made, axis=1) == pytest.approx(lengths)
    again = np.random.default_rng(seed).permuted(rows.features, axis=0)
    assert np.sort(again, axis=0).tolist() == np.sort(rows.features, axis=0).tolist()
    assert made == pytest.approx(of_length(again, lengths))


def test_shuffling_parts_what_goes_together():
    """Two features that are equal in every row are strangers afterwards; each keeps its mean and spread."""
    one = np.random.default_rng(0).normal(5, 1, size=2000)
    made = np.random.default_rng(1).permuted(np.stack([one, one], axis=1), axis=0)
    assert abs(np.corrcoef(made.T)[0, 1]) < 0.1
    assert made.mean(0) == pytest.approx([one.mean()] * 2)


def test_logits_are_the_heads_and_without_a_head_there_are_no_strangers():
    rows, head = drawn(3, 4, 0)
    made = strangers(rows, head, np.random.default_rng(0))
    assert list(made) == ["between", "shuffled"]
    for one in made.values():
        assert one.logits == pytest.approx(one.features @ head.weight.T + head.bias)
    assert strangers(rows, None, np.random.default_rng(0)) == {}


def test_a_row_of_zeros_has_no_direction_to_scale():
    assert of_length(np.zeros((1, 3)), np.ones(1)).tolist() == [[0, 0, 0]]


def test_distances_to_the_nearest_class_do_not_see_what_is_between():
    """The middle of two rows has half their noise: in many dimensions it is nearer to a mean than the rows are.

    So it is where features are far from the origin, as pixels are, so that the length is the same all over. A detector
    that goes by such distances, however well it does with held-out classes, is not picked where others accept as much.
    """
    rows, head = drawn(8, 120, 1, count=900, spread=0.7, far=10.0)
    parts = rows.take(np.arange(450)), rows.take(np.arange(450, 900))
    tried = [detector(name) for name in ("mahalanobis", "entropy")]
    chosen, other = choose(tried, *parts, head=head, plan=GuardPlan(risk=0.1, ood_share=0.1))
    assert (chosen.detector, other.detector, other.near) == ("entropy", "mahalanobis", True)
    told = {one.kind: one.auroc for one in other.kinds}
    assert min(told["held-out"], told["shuffled"]) > 0.95
    assert told["between"] < 0.1
    assert other.weakest.kind == "between" in other.why
