"""What a search cares about, as losses: each the better the smaller, costs on a logarithmic scale."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import SettingError
from modelwright.records import Objective

Numbers = NDArray[np.float64]


def check(objectives: Sequence[Objective]) -> None:
    """Refuse objectives that cannot be searched for.

    Raises:
        SettingError: says which rule is broken.
    """
    metrics = [objective.metric for objective in objectives]
    if not metrics or metrics[0] != "accuracy" or len(metrics) < 2 or len(set(metrics)) < len(metrics):
        rule = "objectives must be accuracy, then one cost or several, each once"
        raise SettingError(rule, where="objectives", value=metrics, way_out="Such as accuracy and latency_s.")
    for objective in objectives:
        for word, number in (("limit", objective.limit), ("target", objective.target)):
            if number is not None and not (math.isfinite(number) and number > 0):
                raise SettingError(f"a {word} must be a number above zero", where=objective.metric, value=number)
        if objective.weight and objective.target is None:
            way_out = "Name the target that the cost is divided by."
            raise SettingError("a weight needs a target", where=objective.metric, way_out=way_out)


def loss(objective: Objective, value: float) -> float:
    """1 - accuracy; the logarithm of a cost; of a throughput minus that."""
    if objective.metric == "accuracy":
        return 1.0 - value
    return -math.log(value) if objective.maximise else math.log(value)


def losses(objectives: Sequence[Objective], rows: Iterable[Mapping[str, float]]) -> Numbers:
    """The losses of values, (rows, objectives); nan where a value is missing."""
    found = [
        [loss(objective, row[objective.metric]) if objective.metric in row else math.nan for objective in objectives]
        for row in rows
    ]
    return np.array(found, dtype=np.float64).reshape(-1, len(objectives))


def limits(objectives: Sequence[Objective]) -> Numbers | None:
    """The largest loss that each may have, (objectives,), infinite for no limit; None where none has one."""
    if all(objective.limit is None for objective in objectives):
        return None
    return np.array([math.inf if one.limit is None else loss(one, one.limit) for one in objectives])


def rewards(objectives: Sequence[Objective], rows: Iterable[Mapping[str, float]]) -> Numbers | None:
    """accuracy * product of (cost / target) ^ weight of each row, (rows,); None where no objective has a weight.

    Source: MnasNet (2018, arXiv 1807.11626), equation 2; a weight below zero punishes what is above the target.
    """
    weighted = [objective for objective in objectives if objective.weight and objective.target]
    if not weighted:
        return None
    return np.array(
        [
            row["accuracy"] * math.prod((row[one.metric] / (one.target or 1.0)) ** one.weight for one in weighted)
            for row in rows
        ]
    )


def keeps(objectives: Sequence[Objective], values: Mapping[str, float]) -> bool:
    """Whether values keep all limits, as far as they are known."""
    return all(
        one.limit is None or one.metric not in values or loss(one, values[one.metric]) <= loss(one, one.limit)
        for one in objectives
    )
