"""A trained head is kept with its guard: it decides the same again, never accepts what is bad, keeps its promise."""

import copy

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from modelwright.errors import RecordError, SettingError, ShapeError, UnknownNameError
from modelwright.guard import Fold, GuardProfile, Outliers, Sample, evaluate, fit, load
from modelwright.guard.decisions import REASONS
from modelwright.guard.profile import NUMBERS, RECORD
from modelwright.guard.training import METHODS
from modelwright.guard.training.plain import Plain
from modelwright.guard.training.samples import Course, Samples
from modelwright.guard.training.train import train
from modelwright.guard.training.trained import restored
from modelwright.records import GuardPlan, Recipe
from modelwright.registry import load as part

K, D, DIGEST = 5, 8, "b" * 64
MEANS = np.random.default_rng(3).normal(size=(K + 7, D)) * 1.6
"""Five familiar classes, three outliers to learn from, two to choose by, two for the test."""
SMALL = {"mc-dropout": {"draws": 4}, "ensemble": {"size": 2}, "sngp": {"features": 64}}


def drawn(seed, count, classes=range(K)):
    random = np.random.default_rng(seed)
    labels = random.permutation(np.resize(np.array(classes), count))
    return (MEANS[labels] + random.normal(size=(count, D))).astype(np.float32), labels


def samples(seed, count, classes=range(K)):
    features, labels = drawn(seed, count, classes)
    return Samples(torch.from_numpy(features), torch.from_numpy(labels))


COURSE = Course(samples(0, 600), samples(1, 200), samples(2, 100, (8, 9)), samples(3, 200, (5, 6, 7)))
STRANGE = drawn(4, 400, (10, 11))[0]


@pytest.fixture(scope="module")
def heads():
    recipe = Recipe(epochs=4, batch=32, learning_rate=5e-3)
    return {name: train(part(METHODS[name])(**SMALL.get(name, {})), COURSE, recipe) for name in METHODS}


@pytest.fixture(scope="module")
def profiles(heads):
    features, labels = drawn(5, 400)
    plan = GuardPlan(quantile=0.9, least_probability=0.4)
    return {name: fit(features, None, labels, detector=head, plan=plan) for name, head in heads.items()}


@pytest.mark.parametrize("name", METHODS)
def test_a_head_that_comes_back_decides_the_same(name, heads, profiles, tmp_path):
    profiles[name].save(tmp_path / "guard")
    again = load(tmp_path / "guard", "")
    features = np.concatenate([drawn(6, 100)[0], STRANGE])
    assert again.record == profiles[name].record
    assert (again.record.detector, again.record.head.score) == (name, heads[name].score)
    assert list(again.decide(features)) == list(profiles[name].decide(features))
    assert again.fitted.epochs == heads[name].epochs
    assert again.fitted.seen == heads[name].seen
    again.save(tmp_path / "guard")
    assert load(tmp_path / "guard", "").record == again.record


@pytest.mark.parametrize("name", METHODS)
def test_decisions_are_the_methods_verdict_under_the_rule(name, heads, profiles):
    features = np.concatenate([drawn(7, 200)[0], STRANGE])
    verdict, found = heads[name].verdict(torch.from_numpy(features)), profiles[name].decide(features)
    chances = verdict.probabilities.double().numpy()
    assert found.label.tolist() == chances.argmax(1).tolist()
    np.testing.assert_allclose(found.score, verdict.scores[heads[name].score].numpy(), rtol=1e-6)
    warmed = chances ** (1 / profiles[name].record.temperature)
    np.testing.assert_allclose(found.probability, (warmed / warmed.sum(1, keepdims=True)).max(1), rtol=1e-5)
    record = profiles[name].record
    rule = (found.score <= record.threshold) & (found.probability >= record.least_probability)
    assert found.accepted.tolist() == rule.tolist()
    assert found.accepted[:200].mean() > found.accepted[200:].mean()


def test_logits_of_another_classifier_are_not_looked_at(profiles):
    features, labels = drawn(8, 50)
    profile = profiles["reject"]
    alone = list(profile.decide(features))
    assert list(profile.decide(features, np.full((50, K), np.nan))) == alone
    first, second = (
        evaluate(profile, Sample(features, logits, labels))
        for logits in (np.zeros((50, K)), np.random.default_rng(0).normal(size=(50, K)))
    )
    assert first == second


@given(st.integers(0, 10**6), st.sampled_from([np.nan, np.inf, -np.inf, 1e300]), st.sampled_from(sorted(METHODS)))
def test_a_bad_number_defers_its_row_and_no_other(profiles, seed, bad, name):
    features = drawn(9, 20)[0].astype(np.float64)
    before = profiles[name].decide(features)
    row, column = divmod(seed % (20 * D), D)
    features[row, column] = bad
    after = profiles[name].decide(features)
    assert (after[row].outcome, after[row].reason, after[row].label) == ("defer", REASONS[3], None)
    others = np.arange(20) != row
    np.testing.assert_array_equal(after.reason[others], before.reason[others])


def test_a_head_that_fails_defers_all(profiles):
    profile = profiles["plain"]
    broken = copy.deepcopy(profile.fitted.networks[0])
    broken[1] = nn.Linear(3, K)
    fitted = type(profile.fitted)(**{**vars(profile.fitted), "networks": (broken,)})
    found = GuardProfile(profile.record, fitted).decide(drawn(10, 5)[0])
    assert [(one.reason, one.label) for one in found] == [("score unavailable", None)] * 5


def test_another_width_is_refused_and_no_rows_are_no_decisions(profiles):
    for name in METHODS:
        assert len(profiles[name].decide(np.empty((0, D)))) == 0
        with pytest.raises(ShapeError, match="features must be"):
            profiles[name].decide(np.ones((3, D + 1)))
    with pytest.raises(ShapeError):
        profiles["plain"].decide(np.array([["a"] * D]))


def test_a_detector_cannot_do_without_logits():
    features, labels = drawn(11, 100)
    with pytest.raises(SettingError, match="logits"):
        fit(features, None, labels, detector="energy")
    profile = fit(features, np.eye(K)[labels], labels, detector="energy", plan=GuardPlan(quantile=0.9))
    with pytest.raises(ShapeError, match="needs logits"):
        profile.decide(features)


@pytest.mark.parametrize("name", [RECORD, NUMBERS])
@pytest.mark.parametrize("where", [0.0, 0.4, 0.8])
def test_one_changed_byte_is_found(profiles, tmp_path, name, where):
    profiles["hierarchical"].save(tmp_path / "guard")
    path = tmp_path / "guard" / name
    content, place = path.read_bytes(), int(where * path.stat().st_size)
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(RecordError):
        load(tmp_path / "guard", "")


def test_a_head_for_another_artifact_is_refused(heads, tmp_path):
    features, labels = drawn(12, 100)
    profile = fit(features, None, labels, detector=heads["reject"], artifact=DIGEST, plan=GuardPlan(quantile=0.9))
    profile.save(tmp_path / "guard")
    assert load(tmp_path / "guard", DIGEST).record == profile.record
    with pytest.raises(RecordError, match="fitted for this artifact"):
        load(tmp_path / "guard", "")


def test_arrays_of_another_head_are_refused(profiles):
    plain, reject = profiles["plain"], profiles["reject"]
    with pytest.raises(RecordError, match="those of the head"):
        restored(reject.record, plain.fitted.arrays())
    with pytest.raises(RecordError, match="those of the head"):
        restored(plain.record, {})


def test_a_method_that_is_not_known_here_is_refused(heads):
    features, labels = drawn(13, 100)

    class Own(Plain):
        pass

    own = type(heads["plain"])(**{**vars(heads["plain"]), "method": Own()})
    with pytest.raises(SettingError, match="one of METHODS"):
        fit(features, None, labels, detector=own, plan=GuardPlan(quantile=0.9))
    record = fit(features, None, labels, detector=heads["plain"], plan=GuardPlan(quantile=0.9)).record
    with pytest.raises(UnknownNameError):
        restored(msgspec.structs.replace(record, detector="oracle"), {})
    with pytest.raises(SettingError, match="the setting"):
        restored(msgspec.structs.replace(record, settings={"wit": 1}), {})


def test_whole_networks_are_not_kept():
    def pictures(found):
        return Samples(found.inputs.view(-1, 1, 2, 4), found.labels)

    course = Course(*(pictures(one) for one in (COURSE.train, COURSE.validation, COURSE.validation_outliers)))
    trained = train(Plain(), course, Recipe(epochs=1, batch=64), lambda: nn.Sequential(nn.Flatten(), nn.Linear(D, 4)))
    with pytest.raises(SettingError, match="trained on features"):
        fit(*drawn(14, 60)[:1], None, drawn(14, 60)[1], detector=trained)


@pytest.mark.parametrize("name", METHODS)
def test_of_a_head_without_a_class_the_others_probabilities_add_up_to_one_again(name, heads):
    """Of one softmax over familiar classes alone that is a division by what is left."""
    features, kept = torch.from_numpy(drawn(15, 100)[0]), np.array([0, 2, 3])
    whole, less = heads[name].verdict(features), heads[name].only(kept).verdict(features)
    assert less.probabilities.shape == (100, 3)
    left = less.probabilities.sum(1) + less.scores.get("outlier-mass", torch.zeros(100))
    torch.testing.assert_close(left, torch.ones(100), atol=1e-5, rtol=0)
    if name in ("plain", "outlier-exposure", "hierarchical", "reject"):
        rest = 1 - whole.probabilities[:, [1, 4]].sum(1, keepdim=True)
        torch.testing.assert_close(less.probabilities * rest, whole.probabilities[:, kept], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", ["hierarchical", "ensemble", "sngp"])
def test_a_heads_promise_from_outliers_is_kept_and_from_classes_that_it_learned_none_is_given(name, heads):
    """At a confidence of 90 % two of twenty calibrations may break it."""
    plan, broken, given = GuardPlan(risk=0.15, ood_share=0.1, confidence=0.9), 0, 0
    traffic, truth = drawn(100, 4000)
    for seed in range(20):
        features, labels = drawn(200 + seed, 600)
        others = Outliers(drawn(300 + seed, 300, (10, 11))[0])
        profile = fit(features, None, labels, detector=heads[name], plan=plan, strange=others)
        if profile.record.promise.holds:
            here, there = profile.decide(traffic), profile.decide(STRANGE)
            accepted = 0.9 * here.accepted.mean() + 0.1 * there.accepted.mean()
            wrong = 0.9 * (here.accepted & (here.label != truth)).mean() + 0.1 * there.accepted.mean()
            given += 1
            broken += wrong > 0.15 * accepted
    assert given >= 10
    assert broken <= 2
    bare = fit(features, None, labels, detector=heads[name], plan=plan).record.promise
    assert (bare.holds, bare.basis) == (False, "none")
    assert "trained on a class" in bare.why
    with pytest.raises(SettingError, match="not for trained heads"):
        fit(features, None, labels, detector=heads[name], plan=plan, strange=[Fold((0,), features, features)])


def test_what_a_head_was_trained_on_is_told(heads):
    assert heads["reject"].groups == 3
    assert heads["plain"].groups == 0
    assert heads["reject"].rows == len(COURSE.train)
