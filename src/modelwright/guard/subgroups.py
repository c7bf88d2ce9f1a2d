"""What a guard did with each class or subgroup: how sure that is, and where more is wrong than was promised.

Shares of so many rows have the interval of Clopper and Pearson, 1934, which holds 95 % or more of the time. Where the
risk of a group is above the promise, chance may have done it: P(Bin(accepted, promise) >= errors) tells. Of m groups
one is said to be beyond chance where that is at most 5 % / m (Bonferroni), so that of groups that all keep the
promise hardly ever one is accused.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from modelwright.guard.calibration import ece
from modelwright.guard.decisions import Decisions
from modelwright.guard.rows import Flags
from modelwright.records.evaluation import Above, GroupResult, Within

LEVEL = 0.05
"""Of the intervals, and of the accusations of one kind altogether."""


def group_results(
    found: Decisions,
    wrong: Flags,
    group: NDArray[Any],
    kind: Literal["class", "subgroup"],
    names: Sequence[str],
    promised: float | None,
) -> tuple[GroupResult, ...]:
    """A result for each group with rows, in the order of their names.

    Args:
        found: decisions on all rows.
        wrong: (n,) whether the prediction is.
        group: (n,) the name of each row's.
        kind: what they are.
        names: of all groups.
        promised: risk among the accepted, at most; None where nothing was promised.
    """
    inside = {name: group == name for name in names}
    some = {name: rows for name, rows in inside.items() if rows.any()}
    return tuple(_result(found, wrong, rows, (name, kind), (promised, len(some))) for name, rows in some.items())


def _result(
    found: Decisions,
    wrong: Flags,
    rows: Flags,
    about: tuple[str, Literal["class", "subgroup"]],
    judge: tuple[float | None, int],
) -> GroupResult:
    accepted, known = rows & found.accepted, rows & np.isfinite(found.probability)
    count, taken, errors = int(rows.sum()), int(accepted.sum()), int((accepted & wrong).sum())
    right = int((rows & ~wrong).sum())
    return GroupResult(
        *about,
        rows=count,
        accuracy=right / count,
        coverage=taken / count,
        risk=errors / taken if taken else None,
        accuracy_within=within(right, count),
        coverage_within=within(taken, count),
        risk_within=within(errors, taken) if taken else None,
        probability=float(found.probability[known].mean()) if known.any() else None,
        ece=ece(found.probability[known], ~wrong[known]),
        above=above(errors, taken, *judge),
    )


def within(count: int, rows: int) -> Within:
    """The interval of a share of which `count` of one or more rows were seen."""
    found = binomtest(count, rows).proportion_ci(1.0 - LEVEL, method="exact")
    return Within(float(found.low), float(found.high))


def above(errors: int, accepted: int, promised: float | None, groups: int) -> Above:
    """Whether there are more errors among the accepted than was promised, and whether chance explains that.

    Args:
        errors: among the accepted.
        accepted: rows.
        promised: share of errors, at most; None for no promise.
        groups: that are looked at.
    """
    if promised is None or errors <= promised * accepted:
        return "no"
    return "beyond chance" if float(binom.sf(errors - 1, accepted, promised)) <= LEVEL / groups else "perhaps"
