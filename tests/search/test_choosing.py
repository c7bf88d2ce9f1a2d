"""Which of the candidates become a family."""

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from modelwright.records import Objective, Plan, Space, Trial
from modelwright.search.choosing import APART, members, worth_measuring
from modelwright.search.objectives import keeps
from modelwright.search.standing import spread

OBJECTIVES = (Objective("accuracy", None, "training"), Objective("latency_s"))
PLAN = Plan(Space("any", (), "", {}), OBJECTIVES, "", "x86", family=3)
ROW = st.fixed_dictionaries(
    {"accuracy": st.integers(0, 100).map(lambda share: share / 100), "latency_s": st.floats(1e-4, 1e-2)}
)
ROWS = st.lists(ROW, max_size=12)


def rows(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"accuracy": accuracy, "latency_s": seconds} for accuracy, seconds in pairs]


@given(ROWS, st.integers(1, 5), st.floats(0, 0.2))
def test_a_family_is_as_large_as_was_wanted_and_has_the_most_accurate(
    found: list[dict[str, float]], count: int, noise: float
) -> None:
    chosen = members(msgspec.structs.replace(PLAN, family=count), found, noise)
    assert len(set(chosen)) == len(chosen) == min(count, len(found))
    assert not found or max(row["accuracy"] for row in found) == found[chosen[0]]["accuracy"]


def test_a_front_narrower_than_measuring_tells_gives_one_member_and_slower_ones_follow() -> None:
    found = rows((0.97, 1.0e-3), (0.98, 1.01e-3), (0.99, 1.02e-3), (0.985, 2e-3), (0.98, 4e-3))
    assert sorted(members(PLAN, found, noise=0.015)) == [2, 3, 4]


def test_what_is_slower_and_less_accurate_by_more_than_chance_is_no_member_while_others_are_left() -> None:
    found = rows((0.97, 1.0e-3), (0.98, 1.01e-3), (0.99, 1.02e-3), (0.90, 2e-3), (0.80, 4e-3))
    assert sorted(members(PLAN, found, noise=0.015)) == [0, 1, 2]
    assert sorted(members(PLAN, found, noise=0.5)) == [2, 3, 4]


def test_a_wide_front_is_taken_for_what_it_dominates() -> None:
    found = rows((0.80, 1e-3), (0.90, 2e-3), (0.95, 4e-3), (0.949, 2.6e-3), (0.5, 1e-3))
    assert members(PLAN, found) == spread(PLAN, found, 3)


@given(
    st.lists(st.integers(0, 100).map(lambda share: share / 100), min_size=3, max_size=20, unique=True),
    st.floats(APART + 0.01, 3),
)
def test_members_differ_by_what_can_be_measured_wherever_the_front_does(accuracies: list[float], step: float) -> None:
    wide = rows(*((accuracy, 1e-3 * step**place) for place, accuracy in enumerate(sorted(accuracies))))
    fine = [row for each in wide for row in (each, {**each, "latency_s": each["latency_s"] * 1.01})]
    costs = sorted(fine[place]["latency_s"] for place in members(PLAN, fine))
    assert all(dear >= APART * cheap for cheap, dear in itertools.pairwise(costs))


@given(ROWS, st.one_of(st.none(), st.floats(1e-4, 1e-2)))
def test_what_is_measured_keeps_the_limits_and_holds_the_best_of_every_band(
    found: list[dict[str, float]], limit: float | None
) -> None:
    objectives = (PLAN.objectives[0], Objective("latency_s", limit))
    plan = msgspec.structs.replace(PLAN, objectives=objectives)
    trials = [Trial(number, {}, "finished", row, 3) for number, row in enumerate(found)]
    chosen = [trial.values for trial in worth_measuring(plan, trials, (3,))]
    inside = [row for row in found if keeps(objectives, row)]
    assert all(row in inside for row in chosen)
    assert len(chosen) <= len(inside)
    if inside:
        ends = (min(inside, key=lambda row: row["latency_s"]), max(inside, key=lambda row: row["accuracy"]))
        low = ends[0]["latency_s"]
        step = (max(row["latency_s"] for row in inside) / low) ** (1 / 3)
        cheap = [row for row in inside if row["latency_s"] <= low * step * (1 - 1e-9)]
        best = max((row["accuracy"] for row in cheap), default=0.0)
        assert any(row["accuracy"] >= best and row["latency_s"] <= low * step * (1 + 1e-9) for row in chosen)
        assert any(row["accuracy"] == ends[1]["accuracy"] for row in chosen)
