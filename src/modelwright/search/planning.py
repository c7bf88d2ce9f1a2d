"""From what a user says to a whole plan."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from modelwright.errors import SettingError, UnknownNameError
from modelwright.hardware import platform
from modelwright.records import Objective, Plan, Recipe, Space, convert
from modelwright.records.study import Metric
from modelwright.search.objectives import check
from modelwright.search.space import space, with_data, with_precisions
from modelwright.training import Data, recipe_for
from modelwright.training.data.catalogue import sources

Source = Literal["estimate", "calibrated", "measure"]

SMALL_SIDE = 64
"""Up to so many pixels a side, images are searched for in the space of small images."""
FINAL = 2
"""The family is trained for so many times the epochs of a candidate, unless told otherwise."""


def plan_for(
    data: Data,
    *,
    space_name: str = "",
    costs: Sequence[Metric] = ("latency_s",),
    limits: Mapping[Metric, float] | None = None,
    source: Source | None = None,
    epochs: tuple[int, int] = (0, 0),
    training: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Plan:
    """A plan whose space and recipes fit a data set.

    Args:
        data: what is searched for; its name goes into the plan.
        space_name: of a space, or its file; by default EfficientNet-X's, the one for small images up to 64 pixels.
        costs: besides accuracy, what is to be made small (throughput: large).
        limits: metric -> what must be kept; a metric with a limit becomes an objective, if it is none.
        source: of latency and throughput; by default "calibrated" for this machine, and "estimate" for a platform.
        epochs: of a candidate and of the family, 0 for the data's own and twice that.
        training: fields of `Recipe` that differ from the data's own, such as {"precision": "amp-bf16"}.
        fields: further fields of `Plan`: platform, batch, precision, execution (where estimates decide, by default
            what is usual on the platform; where a quantizer times candidates, "engine"), method, trials, evidence,
            family, seed, images, quantizer. And precisions that networks may compute in, such as ("fp32", "int8"): a
            choice that is added to the space.

    Raises:
        SettingError: the objectives or the space do not fit.
        RecordError: a number is out of range; says which.
        UnknownNameError: there is no such space, or no such part of a recipe.
    """
    accelerator = fields.get("platform", "")
    how: Source = source or ("estimate" if accelerator else "calibrated")
    objectives = _objectives(costs, dict(limits or {}), how)
    check(objectives)
    if not accelerator and how == "estimate":
        way_out = "Name a platform, or calibrate or measure on this machine."
        raise SettingError("estimates are for a platform that is named", where="platform", way_out=way_out)
    if how == "estimate":  # what is usual there; what is measured here is measured as a plan has it
        usual = platform(accelerator)
        fields = {"precision": usual.precision, "execution": usual.execution, **fields}
    elif fields.get("quantizer"):
        fields = {"execution": "engine", **fields}
    recipe = _changed(recipe_for(data), training or {})
    first, last = epochs[0] or recipe.epochs, epochs[1] or FINAL * (epochs[0] or recipe.epochs)
    plan = Plan(
        space=_asking(fitted(space_name, data), fields.pop("precisions", ())),
        objectives=objectives,
        data=_data_from_anywhere(data.name),
        platform=_platform_from_anywhere(accelerator),
        recipe=_with(recipe, first, fields.get("seed", 0)),
        final=_with(recipe, last, fields.get("seed", 0)),
        **{name: value for name, value in fields.items() if name != "platform"},
    )
    convert(msgspec.to_builtins(plan), Plan, where="plan")
    for name, number in (("seed", plan.seed), ("images", plan.images)):
        if number < 0:
            raise SettingError(f"{name} must not be negative", where="plan", value=number)
    return plan


def _asking(found: Space, precisions: Sequence[str]) -> Space:
    """The space, with a choice of precision where some are named."""
    return with_precisions(found, precisions) if precisions else found


def fitted(name: str, data: Data) -> Space:
    """A space for the images of a data set; the one that suits their size if none is named."""
    channels, height, width = data.shape
    chosen = name or ("efficientnet-x-small" if max(height, width) <= SMALL_SIDE else "efficientnet-x")
    return with_data(space(chosen), channels, len(data.classes), height)


def _objectives(costs: Sequence[Metric], kept: Mapping[Metric, float], how: Source) -> tuple[Objective, ...]:
    """Accuracy, the costs, and what else has a limit; `how` is where times come from."""
    metrics = [*costs, *(metric for metric in kept if metric not in costs and metric != "accuracy")]
    timed = ("latency_s", "throughput_per_s")
    found = (Objective(metric, kept.get(metric), how if metric in timed else "estimate") for metric in metrics)
    return (Objective("accuracy", kept.get("accuracy"), "training"), *found)


def _data_from_anywhere(name: str) -> str:
    """A data set's name; of a folder its whole path, so that a search goes on from any other folder."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if name not in sources and folder.is_dir() else name


def _platform_from_anywhere(name: str) -> str:
    path = name.endswith(".toml") or os.sep in name
    return str(Path(name).resolve()) if path else name


def _changed(recipe: Recipe, training: Mapping[str, Any]) -> Recipe:
    for name in ("epochs", "seed"):
        if name in training:
            way_out = "They are arguments, and options, of their own."
            raise SettingError("epochs and seed are no part of how to train", value=name, way_out=way_out)
    for name in training:
        if name not in Recipe.__struct_fields__:
            raise UnknownNameError("part of a recipe", name, Recipe.__struct_fields__)
    return convert({**msgspec.to_builtins(recipe), **training}, Recipe, where="recipe")


def _with(recipe: Recipe, epochs: int, seed: int) -> Recipe:
    return msgspec.structs.replace(recipe, epochs=epochs, seed=seed)
