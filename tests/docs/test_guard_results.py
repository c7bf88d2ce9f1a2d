"""The page of the guard's results is made from them, and what its prose says of them is so."""

import runpy
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guard-results.md"
GENERATOR: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "generate_guard.py"))

Row = dict[str, str]


def rows(word: str, **wanted: str) -> list[Row]:
    return [row for row in GENERATOR["results"](word) if all(row[key] == value for key, value in wanted.items())]


def average(found: list[Row], key: str) -> float:
    return mean(float(row[key]) for row in found)


def gains(name: str, strength: str, policy: str) -> list[float]:
    found: list[float] = GENERATOR["gains"](rows("moderation", set=name, strength=strength, policy=policy), "caught")
    return found


def test_the_page_is_made_from_the_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert GENERATOR["page"](text) == text, "run python docs/generate_guard.py"
    assert all(f"<!-- {part} -->" in text for part in GENERATOR["PARTS"])


def test_detectors_score_as_pytorch_ood_does_but_for_neighbours_in_lists() -> None:
    pairs = GENERATOR["groups"](rows("detectors"), "features", "strength", "detector")
    assert {name for _, _, name in pairs} == {row["detector"] for row in rows("choice")}
    compared = {names: pair for names, pair in pairs.items() if len(pair) == 2}
    assert len(compared) >= 48
    for (*_, name), (ours, theirs) in compared.items():
        assert float(ours["auroc"]) == pytest.approx(float(theirs["auroc"]), abs=0.01 if name == "knn" else 1.1e-3)


def test_scale_makes_the_energy_of_embeddings_and_ash_little() -> None:
    def told(name: str, strength: str) -> float:
        found = rows("detectors", library="modelwright", features="minilm", strength=strength, detector=name)
        return average(found, "auroc")

    for strength in ("1", "10"):
        assert told("scale", strength) == pytest.approx(told("energy", strength), abs=0.001)
        assert told("ash", strength) < 0.67


def test_only_rows_of_zeros_lack_a_score() -> None:
    lacking = {
        (row["features"], row["detector"])
        for row in rows("detectors", library="modelwright")
        if float(row["unavailable"]) > 0
    }
    assert lacking <= {("tf-idf", "ash"), ("tf-idf", "scale")}  # queries without a word that is known
    assert all(float(row["unavailable"]) < 0.002 for row in rows("detectors", library="modelwright"))


def test_neighbours_in_lists_are_found_in_less_than_a_fifth_of_the_time_and_outliers_are_told_as_well() -> None:
    for features in ("gaussian", "grouped"):
        (lists,) = rows("knn", features=features, way="modelwright", batch="1")
        (exact,) = rows("knn", features=features, way="modelwright, exact", batch="1")
        assert float(lists["cpu_ms"]) < 0.2 * float(exact["cpu_ms"])
        assert float(lists["excess"]) < 0.01
        assert float(lists["auroc"]) == pytest.approx(float(exact["auroc"]), abs=0.001)
        assert float(lists["fastest_ms"]) < 1


def test_accuracy_with_perfect_reviewers_is_that_of_the_model_and_the_errors_that_they_meet() -> None:
    for row in rows("moderation"):
        told = float(row["alone_accuracy"]) + float(row["share"]) * float(row["efficiency"])
        assert float(row["accuracy"]) == pytest.approx(told, abs=2e-5)
        assert float(row["accuracy_fallible"]) <= float(row["accuracy"])


@pytest.mark.parametrize("policy", ["mix with toxicity", "shift"])
@pytest.mark.parametrize("strength", ["1", "10"])
@pytest.mark.parametrize("name", ["open", "aside"])
def test_mixing_uncertainty_with_toxicity_beats_either_alone(name: str, strength: str, policy: str) -> None:
    found = gains(name, strength, policy)
    assert mean(found) > 4 * GENERATOR["error"](found)
    assert mean(gains(name, strength, "toxicity")) < -0.5


@pytest.mark.parametrize("name", ["open", "aside"])
def test_with_the_better_classifier_nothing_is_gained_at_a_fifth_reviewed(name: str) -> None:
    def caught(policy: str) -> float:
        return average(rows("moderation", set=name, strength="10", policy=policy, share="0.2"), "caught")

    assert abs(caught("shift") - caught("uncertainty")) < 0.01


@pytest.mark.parametrize("name", ["open", "aside"])
def test_reviewers_who_err_lower_the_auroc_of_a_good_model_and_raise_its_accuracy(name: str) -> None:
    found = rows("moderation", set=name, strength="10", policy="uncertainty", share="0.1")
    assert average(found, "auroc_fallible") < average(found, "alone_auroc") < average(found, "auroc")
    assert average(found, "alone_accuracy") < average(found, "accuracy_fallible") < average(found, "accuracy")


def test_a_stronger_fit_costs_msp_two_points_nci_one_and_relative_mahalanobis_none() -> None:
    def lost(name: str) -> float:
        strengths = [
            average(rows("detectors", library="modelwright", features="minilm", strength=one, detector=name), "auroc")
            for one in ("1", "10")
        ]
        return 100 * (strengths[0] - strengths[1])

    assert lost("msp") == pytest.approx(2, abs=0.3)
    assert lost("nci") == pytest.approx(1, abs=0.3)
    assert lost("relative-mahalanobis") == 0
    best = max(rows("detectors", features="minilm", strength="10"), key=lambda row: float(row["auroc"]))
    assert best["detector"] == "relative-mahalanobis"


def test_outlier_mass_is_worse_than_the_greatest_familiar_probability() -> None:
    def told(method: str, score: str) -> float:
        return 100 * average(rows("intents", method=method, score=score), "auroc")

    assert told("hierarchical", "one-minus-max") - told("hierarchical", "outlier-mass") == pytest.approx(4, abs=0.5)
    assert told("reject", "one-minus-max") - told("reject", "outlier-mass") == pytest.approx(6, abs=0.5)
    plain, learned = told("plain", "entropy"), ("hierarchical", "reject", "outlier-exposure")
    assert all(told(one, "one-minus-max") < plain for one in learned)
    assert told("ensemble", "entropy") - plain == pytest.approx(1, abs=0.3)


def test_the_choice_covers_nearly_what_the_best_does_and_may_be_behind_in_auroc() -> None:
    found = GENERATOR["regrets"]()
    (far,) = (one for one in found if "tf-idf" in one["data"])
    near = [one for one in found if one is not far]
    assert len(near) == 4
    assert {one["chosen"] for one in near} == {"relative-mahalanobis"}
    assert sorted(round(100 * one["coverage regret"], 1) for one in near) == [0, 0, 0, 1.1]
    assert all(one["coverage"] >= one["coverage median"] for one in found)
    assert max(one["auroc regret"] for one in near) == pytest.approx(0.008, abs=0.0005)
    assert (far["chosen"], far["coverage regret"]) == ("fisher", 0)
    assert far["auroc"] < far["auroc median"]
    assert far["auroc regret"] == pytest.approx(0.055, abs=0.0005)
    behind = [float(row["behind"]) for row in rows("choice", detector="fisher") if "minilm" in row["data"]]
    assert (min(behind), max(behind)) == (pytest.approx(0.011, abs=5e-4), pytest.approx(0.0175, abs=5e-4))


def test_on_tf_idf_all_detectors_allow_the_same() -> None:
    found = {row["detector"]: row for row in rows("choice", data="out-of-scope queries, tf-idf")}
    assert len({row["coverage"] for row in found.values()}) == 1
    assert len(found) == 14
    told = {name: float(row["auroc"]) for name, row in found.items()}
    assert max(told, key=lambda name: told[name]) == "nci"
    assert told["nci"] - told["relative-mahalanobis"] == pytest.approx(0.082, abs=5e-4)
    expected = float(found["mahalanobis"]["expected_auroc"])
    assert (expected, told["mahalanobis"]) == pytest.approx((0.88, 0.66), abs=0.005)


def broken(guard: str, share: str, given: int = 100) -> int:
    """Times that it was, of those that it was given."""
    found = rows("guarantee", guard=guard, share=share)
    assert len(found) == 100
    held = [row for row in found if row["holds"] == "1"]
    assert len(held) == given
    return sum(float(row["risk"]) > float(row["promised_risk"]) for row in held)


def test_held_out_classes_keep_the_promise_that_familiar_rows_alone_break() -> None:
    shares = ("0.0", "0.05", "0.1", "0.2")
    given = (100, 100, 100, 61)
    assert [broken("held-out classes", *one) for one in zip(shares, given, strict=True)] == [0, 0, 0, 0]
    assert all(3 <= broken("real outliers", share) <= 4 for share in shares)
    assert all(broken("familiar rows alone", share) > 50 for share in shares[1:])
    assert broken("familiar rows alone", "0.2") == 100
    for share, cost in (("0.1", 0.15), ("0.2", 0.33)):
        kept, known = (
            average(rows("guarantee", guard=one, share=share), "coverage")
            for one in ("held-out classes", "real outliers")
        )
        assert known - kept == pytest.approx(cost, abs=0.005)
