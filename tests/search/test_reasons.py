"""Reasons count the front's votes, and their effects are the costs of the network with that one choice changed."""

import msgspec
import pytest

from modelwright.hardware import platform
from modelwright.records import Choice, Objective, Plan, Point, Reason, Trial
from modelwright.search.costs import Costs
from modelwright.search.reasons import reasons
from modelwright.search.space import Product

LARGEST: Point = {"stages.1.kernel": 5, "stages.2.expansion": 4, "stages.2.width": 24, "resolution": 16}
FRONT = [
    Trial(number, {**LARGEST, "stages.1.kernel": kernel}, "finished", {"accuracy": 0.5})
    for number, kernel in enumerate((3, 5, 3))
]


@pytest.fixture
def costs(plan: Plan) -> Costs:
    """Numbers of parameters, of points that choose the resolution as well."""
    fixed = {name: value for name, value in plan.space.fixed.items() if name != "resolution"}
    choices = (*plan.space.choices, Choice("resolution", (8, 16)))
    space = msgspec.structs.replace(plan.space, choices=choices, fixed=fixed)
    objectives = (plan.objectives[0], Objective("params"))
    return Costs(msgspec.structs.replace(plan, space=space, objectives=objectives), platform("x86"))


@pytest.fixture
def found(costs: Costs) -> dict[str, Reason]:
    """The reasons by their choices."""
    return {one.choice: one for one in reasons(Product(costs.plan.space), costs, FRONT, LARGEST)}


def test_the_majority_of_the_front_has_chosen(found: dict[str, Reason]) -> None:
    assert (found["stages.1.kernel"].chosen, found["stages.1.kernel"].share) == ("3", pytest.approx(2 / 3))
    assert (found["stages.2.width"].chosen, found["stages.2.width"].share) == ("24", 1.0)


def test_effects_are_costs_of_the_largest_member_with_that_choice_changed(
    costs: Costs, found: dict[str, Reason]
) -> None:
    for choice in costs.plan.space.choices:
        points = [{**LARGEST, choice.name: value} for value in choice.values]
        expected = [row["params"] for row in costs.values(points)]
        assert [effect for _, effect in found[choice.name].effects.values()] == expected


def test_a_sentence_tells_what_the_others_would_cost_and_where_cost_decided_nothing(found: dict[str, Reason]) -> None:
    effects = {value: cost for value, (_, cost) in found["stages.2.width"].effects.items()}
    for value in ("8", "16"):
        assert f"{value} {effects[value] / effects['24'] - 1:+.0%}" in found["stages.2.width"].why
    assert found["resolution"].why == "Costs the same within 2%, so accuracy decided."


def test_a_choice_with_one_value_and_one_that_no_member_has_need_no_reason(plan: Plan) -> None:
    space = msgspec.structs.replace(plan.space, choices=(*plan.space.choices, Choice("stages.1.repeats", (1,))))
    costs = Costs(msgspec.structs.replace(plan, space=space), platform("x86"))
    largest = {name: value for name, value in LARGEST.items() if name != "resolution"} | {"stages.1.repeats": 1}
    voters = [msgspec.structs.replace(trial, point=largest) for trial in FRONT]
    found = reasons(Product(space), costs, voters, largest)
    assert "stages.1.repeats" not in {one.choice for one in found}
    assert reasons(Product(space), costs, [], largest) == ()
