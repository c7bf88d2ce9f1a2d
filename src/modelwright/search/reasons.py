"""What a search chose, choice by choice, and what the other values would have cost."""

from collections import Counter
from collections.abc import Sequence

from modelwright.records import Choice, Objective, Point, Reason, Trial, Value
from modelwright.search.costs import Costs
from modelwright.search.space import Product

NEGLIGIBLE = 0.02


def reasons(domain: Product, costs: Costs, front: Sequence[Trial], largest: Point) -> tuple[Reason, ...]:
    """One reason for each choice that the front has an opinion on.

    Args:
        domain: of the search.
        costs: of points.
        front: trials on it.
        largest: the point of the family's largest member, in which one choice at a time is changed.
    """
    cost = next(objective for objective in costs.plan.objectives if objective.metric != "accuracy")
    found = [_reason(domain, costs, cost, choice, front, largest) for choice in domain.choices]
    return tuple(reason for reason in found if reason is not None)


def _reason(
    domain: Product, costs: Costs, cost: Objective, choice: Choice, front: Sequence[Trial], largest: Point
) -> Reason | None:
    votes = Counter(trial.point[choice.name] for trial in front if choice.name in trial.point)
    if not votes or len(choice.values) < 2:
        return None
    chosen, count = votes.most_common(1)[0]
    effects: dict[str, tuple[float | None, float]] = {}
    if choice.name in largest:
        points = {value: _changed(domain, largest, choice, value) for value in choice.values}
        kept = {value: point for value, point in points.items() if point is not None}
        rows = costs.values(list(kept.values()))
        effects = {
            _word(value): (None, row[cost.metric]) for value, row in zip(kept, rows, strict=True) if cost.metric in row
        }
    share = count / sum(votes.values())
    return Reason(choice.name, _word(chosen), share, effects, _why(_word(chosen), effects, cost))


def _changed(domain: Product, point: Point, choice: Choice, value: Value) -> Point | None:
    """The point with that one value, where the domain has such a neighbour."""
    if point[choice.name] == value:
        return point
    near = (found for found in domain.neighbours(point) if found.get(choice.name) == value)
    return next((found for found in near if _others(found, choice) == _others(point, choice)), None)


def _others(point: Point, choice: Choice) -> set[str]:
    """The other choices that are active, apart from those which the choice itself decides about."""
    return {name for name in point if name != choice.name}


def _why(chosen: str, effects: dict[str, tuple[float | None, float]], cost: Objective) -> str:
    """In one sentence: what the next value would change in the cost."""
    if chosen not in effects or len(effects) < 2:
        return ""
    own = effects[chosen][1]
    changes = {value: found / own - 1.0 for value, (_, found) in effects.items() if value != chosen}
    if all(abs(change) < NEGLIGIBLE for change in changes.values()):
        return f"Costs the same within {NEGLIGIBLE:.0%}, so accuracy decided."
    words = {"latency_s": "time", "throughput_per_s": "throughput", "peak_memory_bytes": "memory"}
    told = ", ".join(f"{value} {change:+.0%}" for value, change in changes.items())
    return f"Against {chosen}, {words.get(cost.metric, cost.metric)}: {told}."


def _word(value: Value) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
