"""The page of two searches: it tells what differs, and judges both by one measure."""

from collections.abc import Callable

import msgspec
import pytest

from modelwright.errors import SettingError
from modelwright.records.study import Findings, Objective
from modelwright.report import compare_page
from modelwright.report.compare import caution, differences

Study = Callable[..., Findings]
replace = msgspec.structs.replace


def test_equal_plans_do_not_differ(findings: Findings) -> None:
    assert differences(findings.plan, findings.plan, ("a", "b")).rows == ()
    assert "can be compared" in caution(findings, findings)


def test_every_key_that_differs_is_told_with_both_values_and_no_other(findings: Findings) -> None:
    plan = findings.plan
    space = replace(plan.space, choices=plan.space.choices[1:])
    other = replace(plan, batch=32, seed=5, recipe=replace(plan.recipe, epochs=3), space=space)
    assert differences(plan, other, ("a", "b")).rows == (
        ("space.choices.stages.0.fused.values", "no, yes", ""),
        ("batch", "8", "32"),
        ("recipe.epochs", "30", "3"),
        ("seed", "0", "5"),
    )
    told = caution(findings, replace(findings, plan=other))
    assert "batch" in told
    assert "way of judging" in told
    assert "with care" in told


def test_a_search_that_is_better_everywhere_covers_the_other_whole(findings: Findings) -> None:
    better = replace(
        findings,
        trials=tuple(
            replace(t, values={**t.values, "accuracy": t.values["accuracy"] + 0.01}) if t.values else t
            for t in findings.trials
        ),
    )
    page = compare_page(findings, better, names=("worse", "better"))
    table = page[page.index("dominated by the other") :]
    cells = [row.split("</td>")[-2].rpartition(">")[2] for row in table.split("</tr>")[1:3]]
    assert cells == ["100%", "0%"]


def test_equal_searches_have_equal_hypervolumes(findings: Findings) -> None:
    page = compare_page(findings, findings)
    table = page[page.index("dominated by the other") :]
    volumes = [row.split("</td>")[-3].rpartition(">")[2] for row in table.split("</tr>")[1:3]]
    assert volumes[0] == volumes[1]
    assert 0 < float(volumes[0]) < 1


def test_both_families_and_their_references_are_there(study: Study) -> None:
    first, second = study(), study(seed=3)
    page = compare_page(first, second, names=("tpe", "nsga2"))
    for name in ("family, tpe", "family, nsga2", "efficientnet-x, tpe", "efficientnet-x, nsga2"):
        assert name in page
    assert page.count("mine-l</td>") >= 2


def test_fronts_of_different_costs_are_not_drawn_in_one_plane(findings: Findings) -> None:
    plan = replace(findings.plan, objectives=(Objective("accuracy"), Objective("flops")))
    assert "They weigh different costs" in compare_page(findings, replace(findings, plan=plan))
    assert "One has no finished trial" in compare_page(findings, replace(findings, trials=(), front=(), family=()))


def test_two_searches_need_two_names(findings: Findings) -> None:
    with pytest.raises(SettingError, match="two names"):
        compare_page(findings, findings, names=("one", "one"))
