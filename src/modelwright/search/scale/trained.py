"""Observations from real training: a base at several scales, on a data set of one's own."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelwright.records import Recipe
from modelwright.records.scaling import Coefficients, Observation
from modelwright.search.scale.base import Base

if TYPE_CHECKING:
    from modelwright.training import Data, Run

DESIGN = (
    Coefficients(1.0, 1.0, 1.0),
    Coefficients(2.0, 1.0, 1.0),
    Coefficients(1.0, 1.5, 1.0),
    Coefficients(1.0, 1.0, 1.5),
    Coefficients(1.4, 1.2, 1.2),
    Coefficients(2.0, 1.5, 1.5),
    Coefficients(3.0, 1.0, 1.0),
    Coefficients(1.0, 2.0, 1.0),
)
"""Scales to begin with: each coefficient alone, twice where that is cheap, and all three together, twice."""


def trained_accuracy(
    base: Base,
    data: "Data",
    scales: Sequence[Coefficients] = DESIGN,
    recipe: Recipe | None = None,
    run: "Run | None" = None,
) -> tuple[Observation, ...]:
    """Train the base at each scale, and say how accurate each is on the validation split.

    Args:
        base: its images' side is that at resolution 1; channels and classes are made the data's.
        data: trained on `train`, judged on `validation`; its test split is not looked at.
        scales: multipliers.
        recipe: how; `recipe_for(data)` if None.
        run: where; on this CPU if None.

    Raises:
        SettingError, ShapeError, CapacityError, TrainingError: as `training.train` does.
    """
    return tuple(_trained(base, data, scales, recipe, run))


def _trained(
    base: Base, data: "Data", scales: Sequence[Coefficients], recipe: Recipe | None, run: "Run | None"
) -> Iterator[Observation]:
    from modelwright.training import adapt, train

    for one in scales:
        name = f"{base.name}-d{one.depth:g}-w{one.width:g}-r{one.resolution:g}"
        network = adapt(base.member(name, one.depth, one.width, max(1, round(base.side * one.resolution))), data)
        learning = train(network, data, recipe, run).learning
        source = f"trained on {data.name}: {len(learning.epochs)} epochs, seed {learning.recipe.seed}"
        yield Observation(one.depth, one.width, one.resolution, learning.accuracy, source)
