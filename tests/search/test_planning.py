"""A plan fits the data, counts costs as is usual where they are counted, and refuses what cannot be meant."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelwright.errors import ModelwrightError
from modelwright.records import Recipe
from modelwright.search import plan_for
from modelwright.search.planning import FINAL, SMALL_SIDE
from modelwright.training import Data, dataset, recipe_for


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset("digits")


@pytest.fixture
def photos(tmp_path: Path) -> Data:
    """A folder of large photos."""
    draw = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                pixels = draw.integers(0, 256, (SMALL_SIDE + 16, SMALL_SIDE + 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return dataset(str(tmp_path / "photos"))


def test_small_images_get_the_space_for_small_images_and_large_ones_the_other(digits: Data, photos: Data) -> None:
    assert plan_for(digits).space.name == "efficientnet-x-small"
    assert plan_for(photos).space.name == "efficientnet-x"
    fixed = plan_for(photos).space.fixed
    assert (fixed["image_channels"], fixed["classes"]) == (3, 2)


def test_a_folder_is_found_again_from_any_other_folder(
    photos: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan_for(dataset("photos")).data == str(tmp_path / "photos")


def test_what_has_a_limit_is_an_objective_too(digits: Data) -> None:
    plan = plan_for(digits, limits={"params": 1e5, "accuracy": 0.9, "latency_s": 1e-3}, platform="tpu-v4i")
    assert [(one.metric, one.limit) for one in plan.objectives] == [
        ("accuracy", 0.9),
        ("latency_s", 1e-3),
        ("params", 1e5),
    ]


def test_time_is_estimated_for_a_platform_and_calibrated_here_and_sizes_are_always_counted(digits: Data) -> None:
    for fields, source in (({}, "calibrated"), ({"platform": "x86"}, "estimate"), ({"source": "measure"}, "measure")):
        plan = plan_for(digits, costs=("latency_s", "throughput_per_s", "params"), **fields)  # type: ignore[arg-type]
        assert [one.source for one in plan.objectives] == ["training", source, source, "estimate"]


def test_costs_are_counted_as_is_usual_on_the_platform_unless_told_otherwise(digits: Data) -> None:
    def setting(**fields: Any) -> tuple[str, str]:
        plan = plan_for(digits, **fields)
        return plan.precision, plan.execution

    assert setting() == ("fp32", "eager")
    assert setting(platform="tpu-v4i") == ("bf16", "engine")
    assert setting(platform="tpu-v4i", precision="int8") == ("int8", "engine")
    assert setting(platform="v100-sxm", source="calibrated") == ("fp32", "eager")  # that is measured here, by torch


def test_epochs_and_recipe_are_the_datas_own_unless_told_otherwise(digits: Data) -> None:
    usual = recipe_for(digits)
    plan = plan_for(digits, seed=3)
    assert (plan.recipe.epochs, plan.final.epochs) == (usual.epochs, FINAL * usual.epochs)
    assert plan.recipe.seed == plan.final.seed == plan.seed == 3
    plan = plan_for(digits, epochs=(5, 0), training={"mixup": 0.2, "batch": 32})
    assert (plan.recipe.epochs, plan.final.epochs) == (5, 10)
    assert (plan.recipe.mixup, plan.recipe.batch, plan.final.mixup) == (0.2, 32, 0.2)
    assert plan.recipe.learning_rate == usual.learning_rate


def test_a_platform_file_is_found_again_from_any_other_folder(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan_for(digits, platform="mine.toml", source="calibrated").platform == str(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"source": "estimate"}, "Name a platform"),
        ({"platform": "tpu-v44"}, "Did you mean"),
        ({"space_name": "efficientnet-y"}, "Did you mean"),
        ({"costs": ()}, "one cost or several"),
        ({"costs": ("params", "params")}, "each once"),
        ({"limits": {"latency_s": -1.0}}, "a limit must be a number above zero"),
        ({"trials": 0}, "'trials'"),
        ({"seed": -1}, "seed must not be negative"),
        ({"images": -1}, "images must not be negative"),
        ({"evidence": "magic"}, "'evidence'"),
        ({"training": {"epochs": 3}}, "options, of their own"),
        ({"training": {"mixpu": 0.2}}, "Did you mean 'mixup'?"),
        ({"training": {"batch": 0}}, "batch"),
    ],
)
def test_what_cannot_be_meant_is_refused(digits: Data, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelwrightError, match=told.replace("?", r"\?")):
        plan_for(digits, **fields)


def test_every_part_of_a_recipe_but_epochs_and_seed_can_be_told(digits: Data) -> None:
    other = {"optimizer": "sgd", "precision": "amp-bf16", "flip": True, "randaugment": 2}
    usual = {name: getattr(recipe_for(digits), name) for name in Recipe.__struct_fields__} | other
    training = {name: value for name, value in usual.items() if name not in ("epochs", "seed")}
    plan = plan_for(digits, training=training)
    assert {name: getattr(plan.recipe, name) for name in training} == training
