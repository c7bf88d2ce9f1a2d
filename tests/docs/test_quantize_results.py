"""The page of quantization's results is made from them, and what its prose says of them is so."""

import csv
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quantize-results.md"
PER_CHANNEL = "channel symmetric, affine, 8/8"
FOUR = "channel symmetric, affine, 4/4"

Row = dict[str, str]


def rows(part: str) -> list[Row]:
    with (ROOT / "benchmarks" / "results" / "quantized-accuracy-amd-epyc.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["part"] == part]


def drops(part: str, candidate: str) -> dict[tuple[str, str], float]:
    return {(r["data"], r["network"]): float(r["drop"]) for r in rows(part) if r["candidate"] == candidate}


def test_the_page_is_made_from_the_results() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_quantize.py"))
    text = PAGE.read_text(encoding="utf-8")
    assert generator["page"](text) == text, "run python docs/generate_quantize.py"
    assert all(f"<!-- {part} -->" in text for part in generator["PARTS"])


def test_each_data_set_has_a_residual_a_depthwise_and_a_rescaled_network() -> None:
    found = {(row["data"], row["network"]) for row in rows("float")}
    names = ("residual", "depthwise", "rescaled")
    assert found == {(data, name) for data in ("cifar10", "fashion_mnist") for name in names}


def test_rescaling_changes_nothing_in_float() -> None:
    plain = {(row["data"], row["network"]): float(row["accuracy"]) for row in rows("float")}
    for data in ("cifar10", "fashion_mnist"):
        assert plain[data, "rescaled"] == pytest.approx(plain[data, "depthwise"], abs=2e-4)


def test_one_scale_a_tensor_collapses_on_rescaled_channels_and_one_a_channel_does_not() -> None:
    for scheme in ("tensor symmetric, affine, 8/8", "tensor affine, affine, 8/8"):
        lost = drops("scheme", scheme)
        assert all(0.225 < drop < 0.575 for network, drop in lost.items() if network[1] == "rescaled")
        assert max(drop for network, drop in lost.items() if network[1] != "rescaled") < 0.006


def test_eight_bits_a_channel_keep_within_half_a_point() -> None:
    kept = drops("scheme", PER_CHANNEL)
    assert len(kept) == 6
    assert max(kept.values()) < 0.0035


def test_four_bits_of_weights_cost_depthwise_networks_and_training_brings_more_than_half_back() -> None:
    lost, trained = (drops(part, "channel symmetric, affine, 4/8") for part in ("scheme", "qat"))
    whole = drops("scheme", "tensor symmetric, affine, 4/8")
    for network, drop in lost.items():
        if network[1] == "depthwise":
            assert 0.015 < drop < 0.05
            assert 0.145 < whole[network] < 0.285
        if network[1] != "residual":
            assert trained[network] < drop / 2


def test_learned_scales_lose_less_than_half_as_much_where_activations_have_four_bits() -> None:
    follow, learned = drops("qat", FOUR), drops("qat", f"{FOUR}, scales learned")
    assert len(learned) == 4
    assert all(drop < follow[network] / 2 for network, drop in learned.items() if network[1] == "depthwise")
    assert max(learned.values()) < 0.022


def test_least_squared_error_is_the_range_for_four_bits_but_on_one_network() -> None:
    names = ("minmax", "moving-average", "histogram", "percentile", "entropy", "mse")
    found = {name: drops("calibration", f"{name}, 4 bits") for name in names}
    networks = found["mse"]
    best = [min(found[name][network] for name in names) == networks[network] for network in networks]
    assert sum(best) == len(networks) - 1
    assert drops("calibration", "auto, 4 bits") == networks
    assert max(drop for name in names for drop in drops("calibration", f"{name}, 8 bits").values()) < 0.003


def test_equalization_undoes_the_rescaling_and_training_does_not() -> None:
    saved = drops("technique", "equalization; tensor symmetric, affine, 8/8")
    trained = drops("qat", "tensor symmetric, affine, 8/8")
    assert max(saved.values()) < 0.003
    assert all(drop > 0.5 for network, drop in trained.items() if network[1] == "rescaled")


def test_the_target_runs_what_was_simulated() -> None:
    run = [row for part in ("scheme", "calibration", "qat") for row in rows(part) if row["target_images"]]
    assert len(run) > 20
    for row in run:
        assert row["images"] == row["target_images"]
        assert abs(float(row["accuracy"]) - float(row["target_accuracy"])) <= 0.0005
        assert abs(float(row["sqnr_db"]) - float(row["target_sqnr_db"])) < 0.1


def test_what_is_chosen_is_the_fastest_that_keeps_the_accuracy() -> None:
    by_network: dict[tuple[str, str], list[Row]] = {}
    for row in rows("flow"):
        by_network.setdefault((row["data"], row["network"]), []).append(row)
    for tried in by_network.values():
        (chosen,) = (row for row in tried if row["chosen"] == "True")
        able = [float(row["latency_s"]) for row in tried if float(row["drop"]) <= 0.005]
        assert float(chosen["drop"]) <= 0.005
        assert float(chosen["latency_s"]) <= 1.02 * min(able)
