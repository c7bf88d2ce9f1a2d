"""The page about scaling is made from its command and its results, and what its prose says of them is so."""

import csv
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from modelwright.networks.families.efficientnet_x import LACS_GPU, LACS_TPU, SINGLE_OBJECTIVE
from modelwright.search.scale.rules import work

ROOT = Path(__file__).parents[2]
PLATFORMS = ("tpu-v3", "v100-sxm")


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "benchmarks" / "results" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def grown(platform: str, family: str) -> dict[str, float]:
    (row,) = (
        r
        for r in rows("scaling-growth.csv")
        if r["platform"] == platform and r["family"].partition(" for ")[0] == family
    )
    return {name: float(row[name]) for name in ("depth", "width", "resolution")}


def ranked(exponents: dict[str, float]) -> list[str]:
    return sorted(exponents, key=lambda name: -exponents[name])


def test_the_page_is_made_from_its_command_and_the_results() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_scale.py"))
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert generator["page"](text) == text, "run python docs/generate_scale.py"


def test_the_pages_python_runs_and_does_what_it_says() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    (member,) = names["family"].members
    assert member.real.resolution == 1.0
    assert member.real.depth > member.real.width > 1.0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_order_is_the_authors_and_the_amount_is_not(platform: str) -> None:
    ours, theirs = grown(platform, "searched"), grown(platform, "authors, LACS")
    assert ranked(ours) == ranked(theirs) == ["depth", "width", "resolution"]
    assert ranked(grown(platform, "authors, single-objective"))[-1] == "width"
    assert ranked(grown(platform, "searched under a sum of powers"))[0] == "resolution"
    assert 1.05 < ours["depth"] / ours["width"] < 1.15
    assert 1.6 < ours["resolution"] / theirs["resolution"] < 2
    assert theirs["depth"] / theirs["width"] > 1.3


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_target_is_passed_and_the_law_puts_the_search_above_the_authors(platform: str) -> None:
    found = [r for r in rows("scaling.csv") if r["platform"] == platform]
    assert all(float(r["latency_ms"]) <= float(r["target_ms"]) for r in found)
    gains = [float(r["accuracy"]) - float(r["authors_accuracy"]) for r in found[1:]]
    assert min(gains) > 0.0005
    assert max(gains) < 0.0065
    small = found[2]
    assert small["real_depth"] == small["authors_real_depth"]
    assert abs(int(small["image"]) - int(small["authors_image"])) <= 4


def test_the_authors_members_are_of_one_work_whatever_they_were_scaled_for() -> None:
    for size, single in SINGLE_OBJECTIVE.items():
        usual = work(single.depth, single.width, single.resolution / 224)
        for one in (LACS_TPU[size], LACS_GPU[size]):
            assert work(one.depth, one.width, one.resolution / 224) == pytest.approx(usual, rel=0.13)


def test_the_law_fits_best_with_what_is_there_after_rounding() -> None:
    first, *others = [float(r["residual"]) for r in rows("scaling-laws.csv")]
    assert all(first < 0.7 * other for other in others)
