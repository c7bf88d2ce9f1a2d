"""What the page of the guard's results says of images is what was found on them."""

import functools
import runpy
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GENERATOR: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "generate_guard.py"))
NEAR, FAR = "held-out classes", ("other images", "noise", "textures")
LOGITS = ("msp", "entropy", "gen", "max-logit", "energy")
LEARNERS = ("hierarchical", "outlier-exposure", "reject")

Row = dict[str, str]


@functools.cache
def read(word: str) -> list[Row]:
    found: list[Row] = GENERATOR["results"](word)
    return found


def rows(word: str, **wanted: str) -> list[Row]:
    return [row for row in read(word) if all(row[key] == value for key, value in wanted.items())]


def auroc(word: str, **wanted: str) -> float:
    (found,) = rows(word, **wanted)
    return 100 * float(found["auroc"])


def detected(detector: str, data: str, outliers: str, seed: str = "0", smoothing: str = "0.1") -> float:
    about = {"data": data, "outliers": outliers, "seed": seed, "smoothing": smoothing}
    return auroc("vision-detectors", detector=detector, library="modelwright", **about)


def of_method(method: str, score: str, data: str, outliers: str = NEAR) -> list[float]:
    about = {"data": data, "outliers": outliers, "method": method, "score": score}
    return [auroc("vision-methods", seed=seed, **about) for seed in ("0", "1")]


def best(data: str, **wanted: str) -> str:
    found = rows("vision-detectors", data=data, library="modelwright", outliers=NEAR, **wanted)
    return max(found, key=lambda row: float(row["auroc"]))["detector"]


def test_classes_are_dealt_out_and_never_shared() -> None:
    for row in rows("vision-methods", method="plain", score="entropy", outliers=NEAR):
        names = [row[key].split(" + ") for key in ("held_out", "chosen_on", "learned_from", "familiar")]
        assert list(map(len, names)) == [2, 1, 2, 5]
        assert len({name for part in names for name in part}) == 10


def test_near_classes_are_hard() -> None:
    cifar = rows("vision-detectors", data="cifar10", outliers=NEAR, library="modelwright")
    assert max(float(row["auroc"]) for row in cifar) < 0.71
    assert min(float(row["fpr95"]) for row in cifar) >= 0.9
    for wanted, name, told in (
        ({"seed": "0", "smoothing": "0.1"}, "knn", 74),
        ({"seed": "0", "smoothing": "0.0"}, "nci", 83),
        ({"seed": "1", "smoothing": "0.1"}, "knn", 89),
    ):
        assert best("fashion_mnist", **wanted) == name
        assert detected(name, "fashion_mnist", NEAR, **wanted) == pytest.approx(told, abs=0.5)


def test_what_is_far_is_told_by_distances_and_on_cifar_10_nothing_has_no_blind_side() -> None:
    fashion = [row for row in rows("vision-detectors", data="fashion_mnist") if row["outliers"] in FAR]
    assert min(float(row["auroc"]) for row in fashion if row["detector"] in ("knn", "vim", "mahalanobis")) > 0.97
    cifar = rows("vision-detectors", data="cifar10", library="modelwright")
    noise = [row for row in cifar if row["outliers"] == "noise"]
    assert max(float(row["auroc"]) for row in noise if row["detector"] in LOGITS) < 0.5
    assert min(float(row["auroc"]) for row in noise if row["detector"] == "mahalanobis") > 0.97
    new = [float(row["auroc"]) for row in cifar if row["detector"] == "mahalanobis" and row["outliers"] == NEAR]
    assert (min(new), max(new)) == (pytest.approx(0.4, abs=0.005), pytest.approx(0.51, abs=0.005))


def test_smoothed_labels_spoil_scores_of_logits_at_the_same_accuracy() -> None:
    def pair(data: str, outliers: str) -> tuple[float, ...]:
        return tuple(detected("energy", data, outliers, smoothing=one) for one in ("0.1", "0.0"))

    assert pair("fashion_mnist", "other images") == pytest.approx((48, 92), abs=0.5)
    assert pair("fashion_mnist", NEAR) == pytest.approx((63, 76), abs=0.5)
    assert pair("cifar10", "other images") == pytest.approx((88, 90), abs=0.5)
    assert pair("cifar10", NEAR) == pytest.approx((62, 62), abs=0.5)
    accuracies = {float(row["accuracy"]) for row in rows("vision-detectors", data="fashion_mnist", seed="0")}
    assert max(accuracies) - min(accuracies) < 0.002


def test_detectors_score_as_pytorch_ood_does_but_for_gen_without_smoothing() -> None:
    keys = ("data", "seed", "smoothing", "outliers", "detector")
    pairs = GENERATOR["groups"](rows("vision-detectors"), *keys)
    assert len(pairs) == 14 * 4 * 6
    apart = {}
    for names, (ours, *peer) in pairs.items():
        if names[-1] == "fisher":
            assert not peer
            continue
        (theirs,) = peer
        apart[names] = abs(float(ours["auroc"]) - float(theirs["auroc"]))
    far_apart = {names: value for names, value in apart.items() if value > 2e-3}
    assert {(names[0], names[2], names[4]) for names in far_apart} == {("fashion_mnist", "0.0", "gen")}
    told = {names[3]: value for names, value in far_apart.items()}
    assert told == pytest.approx({"noise": 0.015, "textures": 0.003, NEAR: 0.003}, abs=6e-4)


def test_what_learning_from_outliers_gives_depends_on_which() -> None:
    plain = of_method("plain", "entropy", "cifar10")
    assert plain == pytest.approx([57, 54], abs=0.5)
    for method, score in (
        ("hierarchical", "outlier-mass"),
        ("outlier-exposure", "entropy"),
        ("reject", "outlier-mass"),
    ):
        first, second = of_method(method, score, "cifar10")
        assert first == pytest.approx(90, abs=0.8)
        assert 71 <= second <= 74
    plain = of_method("plain", "entropy", "fashion_mnist")
    scores = [(row["method"], row["score"]) for row in rows("vision-methods", data="fashion_mnist", seed="0")]
    for method, score in {one for one in scores if one[0] in LEARNERS}:
        lost = [there - here for there, here in zip(plain, of_method(method, score, "fashion_mnist"), strict=True)]
        assert min(lost) > 0.5
        assert max(lost) < 9.5


def test_neither_outlier_mass_nor_the_greatest_probability_is_always_better() -> None:
    for method in ("hierarchical", "reject"):
        mass, rest = (of_method(method, score, "cifar10") for score in ("outlier-mass", "one-minus-max"))
        assert mass[0] > rest[0]
        mass, rest = (of_method(method, score, "fashion_mnist") for score in ("outlier-mass", "one-minus-max"))
        assert all(one > other for one, other in zip(rest, mass, strict=True))


def test_methods_without_outliers_gain_little_over_detectors_on_the_plain_network() -> None:
    data = "fashion_mnist"
    for gained in map(float.__sub__, of_method("ensemble", "entropy", data), of_method("plain", "entropy", data)):
        assert 0.5 < gained < 2
    data = "cifar10"
    assert mean(of_method("ensemble", "entropy", data)) < mean(of_method("plain", "entropy", data))
    for outliers in FAR:
        means = {(row["method"], row["score"]): mean(of_method(row["method"], row["score"], "fashion_mnist", outliers))
                 for row in rows("vision-methods", data="fashion_mnist") if row["method"] != "detector"}  # fmt: skip
        assert max(means, key=lambda one: means[one])[0] == "sngp"
        assert all(97 < value < 99.5 for (method, _), value in means.items() if method == "sngp")
    free = [row for row in rows("vision-methods", outliers=NEAR) if row["method"] not in (*LEARNERS, "detector")]
    for data, names in (("fashion_mnist", ("react", "energy")), ("cifar10", ("scale",))):
        most = max(mean(of_method(row["method"], row["score"], data)) for row in free if row["data"] == data)
        assert all(mean(of_method("detector", name, data)) > most - 0.5 for name in names)


def test_what_is_far_is_told_little_better_for_outliers_that_were_learned_from() -> None:
    def most(methods: tuple[str, ...], outliers: str) -> float:
        found = [row for row in rows("vision-methods", data="cifar10", seed="0") if row["method"] in methods]
        return max(mean(of_method(row["method"], row["score"], "cifar10", outliers)) for row in found)

    assert (most(LEARNERS, "other images"), most(LEARNERS, "noise")) == pytest.approx((70, 60), abs=0.6)
    assert (most(("plain",), "other images"), most(("plain",), "noise")) == pytest.approx((51, 30), abs=0.6)
    (chosen,) = rows("vision-methods", data="fashion_mnist", seed="1", method="sngp", outliers=NEAR, chosen="1")
    assert (chosen["score"], 100 * float(chosen["auroc"])) == ("variance", pytest.approx(66, abs=0.5))
    assert of_method("sngp", "one-minus-max", "fashion_mnist")[1] == pytest.approx(88, abs=0.5)


def regret(found: list[Row], detector: str | None = None) -> float:
    """Of the chosen one, or of a detector; "" for the median."""
    most = max(float(row["coverage"]) for row in found)
    if detector == "":
        return most - median(float(row["coverage"]) for row in found)
    (one,) = (row for row in found if (row["detector"] == detector if detector else row["chosen"] == "1"))
    return most - float(one["coverage"])


def test_on_images_the_choice_is_not_good() -> None:
    found = GENERATOR["groups"](rows("vision-choice", smoothing="0.1", left_out_of=""), "data", "risk", "seed")
    assert mean(map(regret, found.values())) == pytest.approx(0.17, abs=0.005)
    assert mean(regret(group, "") for group in found.values()) == pytest.approx(0.07, abs=0.005)
    earlier = {names: "msp" if "fashion" in names[0] and names[2] == "0" else "nci" for names in found}
    assert mean(regret(group, earlier[names]) for names, group in found.items()) == pytest.approx(0.12, abs=0.005)
    near = {names: regret(group) for names, group in found.items() if NEAR in names[0]}
    clothes = near.pop((f"fashion_mnist, {NEAR}", "0.05", "0"))
    assert clothes == pytest.approx(0.19, abs=0.005)
    assert clothes == pytest.approx(regret(found[f"fashion_mnist, {NEAR}", "0.05", "0"], ""), abs=1e-9)
    assert max(near.values()) < 0.0225
    for kind in ("other images", "textures"):
        group = found[f"fashion_mnist, {kind}", "0.05", "0"]
        by = {row["detector"]: row for row in group}
        assert (by["msp"]["chosen"], float(by["msp"]["coverage"])) == ("1", 0.0)
        assert float(by["knn"]["coverage"]) == pytest.approx(0.87, abs=0.012)
        assert min(float(by["msp"][f"expected_auroc_{one}"]) for one in ("held-out", "between", "shuffled")) > 0.98


def test_without_smoothing_it_takes_knn_and_react() -> None:
    found = GENERATOR["groups"](rows("vision-choice", smoothing="0.0", left_out_of=""), "data", "risk")
    for (data, _), group in found.items():
        (chosen,) = (row["detector"] for row in group if row["chosen"] == "1")
        assert chosen == ("knn" if "fashion" in data else "react")
        if "fashion" in data:
            assert regret(group) == pytest.approx(0.15, abs=0.005) if NEAR in data else regret(group) < 0.03


def promised(guard: str, **wanted: str) -> list[Row]:
    return rows("vision-guarantee", guard=guard, share="0.1", **wanted)


def test_held_out_classes_do_not_keep_the_promise_of_networks_that_know_them() -> None:
    found = promised("held-out classes")
    broken = sorted(int(row["broken"]) for row in found)
    assert all(row["given"] == row["repetitions"] == "100" for row in found)
    assert (len(broken), broken[0], broken[1], broken[-1]) == (6, 11, 61, 100)
    risks = [float(row["risk_mean"]) for row in found if row["data"] == "fashion_mnist"]
    assert (min(risks), max(risks)) == pytest.approx((0.076, 0.122), abs=6e-4)
    for row, alone in zip(found, promised("familiar rows alone"), strict=True):
        gained = float(alone["risk_mean"]) - float(row["risk_mean"])
        assert gained > (0.04 if row["data"] == "cifar10" else 0.0)


def test_real_outliers_keep_it_or_it_is_not_given() -> None:
    found = promised("real outliers")
    assert (min(int(row["broken"]) for row in found), max(int(row["broken"]) for row in found)) == (1, 8)
    assert sorted(int(row["given"]) for row in found) == [32, 100, 100, 100, 100, 100]
    (rare,) = promised("real outliers", given="32")
    assert (rare["data"], rare["deal"], rare["smoothing"]) == ("fashion_mnist", "0", "0.1")


def of_folds(guard: str, share: str, risk: str) -> tuple[int, int]:
    """Times that a promise was given for coats and shirts, and of these broken."""
    wanted = {"data": "fashion_mnist", "deal": "0", "guard": guard, "share": share, "promised_risk": risk}
    (row,) = rows("vision-folds", **wanted)
    return int(row["given"]), int(row["broken"])


def test_networks_without_classes_keep_what_they_promise_and_those_that_know_them_promise_nothing() -> None:
    assert all(of_folds("held-out classes", share, risk) == (0, 0) for share in ("0.05", "0.1", "0.2")
               for risk in ("0.05", "0.1"))  # fmt: skip
    assert of_folds("networks without classes", "0.1", "0.1") == (100, 0)
    assert of_folds("networks without classes", "0.05", "0.05") == (69, 0)
    assert of_folds("networks without classes", "0.1", "0.05") == (0, 0)
    assert of_folds("real outliers", "0.1", "0.05") == (32, 1)
    assert of_folds("real outliers", "0.1", "0.1") == (100, 8)
    for guard in ("networks without classes", "real outliers"):
        wanted = {"data": "fashion_mnist", "deal": "0", "guard": guard, "share": "0.1", "promised_risk": "0.1"}
        (row,) = rows("vision-folds", **wanted)
        assert float(row["coverage_mean"]) == pytest.approx(0.85, abs=0.005)


def test_a_class_that_a_network_learned_is_told_far_better_held_out_than_one_that_was_left_out() -> None:
    told = {
        where: float(rows("vision-choice", data=f"fashion_mnist, {NEAR}", detector="energy", left_out_of=where)[0][key])
        for where, key in (("features", "expected_auroc"), ("networks", "expected_auroc"))
    }
    assert told["features"] > 0.99
    assert told["networks"] == pytest.approx(0.85, abs=0.005)
    assert detected("energy", "fashion_mnist", NEAR) == pytest.approx(63, abs=0.5)


def test_the_combination_is_chosen_and_has_little_regret_on_what_is_far() -> None:
    for where in ("features", "networks"):
        found = GENERATOR["groups"](rows("vision-choice", left_out_of=where, seed="0", smoothing="0.1"), "data", "risk")
        fashion = {names[0].split(", ")[1]: group for names, group in found.items() if "fashion" in names[0]}
        assert all(row["detector"] == "fisher" for group in fashion.values() for row in group if row["chosen"] == "1")
        assert all(regret(fashion[kind]) < 0.005 for kind in FAR)
        assert regret(fashion[NEAR]) == pytest.approx(0.12, abs=0.005)


def test_over_the_first_deal_the_mean_regret_fell_whatever_classes_are_held_out_of() -> None:
    means = {}
    for where in ("", "features", "networks"):
        found = GENERATOR["groups"](rows("vision-choice", left_out_of=where, seed="0", smoothing="0.1"), "data", "risk")
        assert len(found) == 12
        means[where] = mean(map(regret, found.values()))
        if where == "features":
            assert mean(regret(group, "") for group in found.values()) == pytest.approx(0.07, abs=0.005)
            assert max(regret(group) for (data, _), group in found.items() if "cifar" in data) < 0.036
    assert means == pytest.approx({"": 0.24, "features": 0.016, "networks": 0.016}, abs=0.005)


def means(seed: str, smoothing: str = "0.1") -> list[float]:
    """Mean regret of a deal: of the present rule, of it without the premium, of the median detector."""
    found = GENERATOR["groups"](rows("vision-choice", left_out_of="features", seed=seed, smoothing=smoothing), "data",
                                "risk")  # fmt: skip
    assert len(found) == 12
    regrets = [(regret(group), regret(group, without_premium(group)), regret(group, "")) for group in found.values()]
    return [100 * mean(kind) for kind in zip(*regrets, strict=True)]


def without_premium(found: list[Row]) -> str:
    """What is taken where the combination must be within a standard error."""
    near = [row for row in found if row["near"] == "1"]
    if any(row["detector"] == "fisher" for row in near):
        return "fisher"
    kinds = ("held-out", "between", "shuffled")
    return max(near, key=lambda row: min(float(row[f"expected_auroc_{kind}"]) for kind in kinds))["detector"]


def test_deals_that_were_drawn_after_the_rule_was_fixed_bear_it_out() -> None:
    deals = [means(seed) for seed in "0123"]
    assert deals[1] == pytest.approx([0.5, 5.5, 6.0], abs=0.06)
    assert deals[2] == pytest.approx([0.9, 21.6, 8.6], abs=0.06)
    assert deals[3] == pytest.approx([2.9, 2.9, 3.2], abs=0.06)
    assert [mean(kind) for kind in zip(*deals, strict=True)] == pytest.approx([1.5, 7.9, 6.1], abs=0.06)
    for kind, lost in (("noise", 0.12), ("textures", 0.16)):
        last = rows("vision-choice", data=f"cifar10, {kind}", risk="0.05", seed="3", left_out_of="features")
        assert [row["detector"] for row in last if row["chosen"] == "1"] == ["gen"]
        assert regret(last) == pytest.approx(lost, abs=0.005)
    (behind,) = (float(row["behind"]) for row in last if row["detector"] == "fisher")
    assert behind == pytest.approx(0.013, abs=5e-4)


def test_without_smoothing_the_combination_is_taken_but_where_it_is_too_dear() -> None:
    assert means("0", "0.0")[::2] == pytest.approx([3.8, 5.9], abs=0.06)
    found = GENERATOR["groups"](rows("vision-choice", smoothing="0.0", left_out_of="features"), "data", "risk")
    for (data, risk), group in found.items():
        (chosen,) = (row["detector"] for row in group if row["chosen"] == "1")
        assert chosen == ("react" if "cifar10" in data and risk == "0.05" else "fisher")
    dear = found["cifar10, noise", "0.05"]
    assert regret(dear) == pytest.approx(0.17, abs=0.005)
    (behind,) = (float(row["behind"]) for row in dear if row["detector"] == "fisher")
    assert behind == pytest.approx(0.029, abs=5e-4)
    assert regret(found[f"fashion_mnist, {NEAR}", "0.05"]) == pytest.approx(0.165, abs=0.005)


def test_on_cifar_10_networks_without_classes_keep_their_promise_too() -> None:
    found = {(row["share"], row["promised_risk"]): (row["given"], row["broken"], float(row["coverage_mean"]))
             for row in rows("vision-folds", data="cifar10", deal="0", guard="networks without classes")}  # fmt: skip
    for names in (("0.1", "0.3"), ("0.05", "0.3"), ("0.05", "0.2")):
        assert found[names][:2] == ("100", "0")
    assert found["0.1", "0.2"][0] == "0"
    where = {"data": "cifar10", "deal": "0", "guard": "real outliers"}
    (known,) = rows("vision-folds", share="0.1", promised_risk="0.3", **where)
    assert float(known["coverage_mean"]) - found["0.1", "0.3"][2] == pytest.approx(0.18, abs=0.005)


def test_in_the_second_deal_no_promise_of_networks_without_classes_is_broken_either() -> None:
    second = rows("vision-folds", deal="1", guard="networks without classes")
    with_outliers = {(row["data"], row["share"], row["promised_risk"]): row for row in second if row["share"] != "0.0"}
    assert all(row["broken"] == "0" for row in with_outliers.values())
    assert {names: int(row["given"]) for names, row in with_outliers.items() if row["given"] != "0"} == {
        ("fashion_mnist", "0.05", "0.1"): 100,
        ("cifar10", "0.05", "0.2"): 99,
        ("cifar10", "0.05", "0.3"): 100,
        ("cifar10", "0.1", "0.3"): 100,
    }
    (row,) = (row for row in second if row["share"] == "0.0" and row["promised_risk"] == "0.05")
    assert row["broken"] == "4"
    for key, kept in ((("fashion_mnist", "0.05", "0.1"), 0.84), (("cifar10", "0.1", "0.3"), 0.60)):
        assert float(with_outliers[key]["coverage_mean"]) == pytest.approx(kept, abs=0.005)
