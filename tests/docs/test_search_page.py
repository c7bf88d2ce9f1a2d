"""The page about search algorithms on tables is made from the results, and what its prose says of them is so."""

import csv
import runpy
from pathlib import Path
from statistics import mean

import pytest

ROOT = Path(__file__).parents[2]
MAIN = "nas-bench-201 cifar100 x titan_rtx_256"


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / "benchmarks" / "results" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def found(method: str, evaluations: int, problem: str = MAIN) -> float:
    (row,) = (r for r in rows("search.csv") if r["problem"] == problem and r["method"] == method)
    return float(row[f"mean_{evaluations}"])


def test_the_page_is_made_from_the_results() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "generate_search.py"))
    text = (ROOT / "docs" / "search-benchmark.md").read_text(encoding="utf-8")
    assert generator["page"](text) == text, "run python docs/generate_search.py"


def test_the_summary_is_that_of_the_races() -> None:
    races = rows("search-races.csv")
    keys = [(r["problem"], r["method"], r["seed"]) for r in races]
    assert len(set(keys)) == len(keys)
    for row in rows("search.csv"):
        group = [r for r in races if (r["problem"], r["method"]) == (row["problem"], row["method"])]
        assert len(group) == int(row["seeds"])
        for mark in (50, 100, 200, 400):
            ratios = [float(r[f"ratio_{mark}"]) for r in group if r[f"ratio_{mark}"]]
            assert row[f"mean_{mark}"] == (f"{mean(ratios):.4f}" if ratios else "")


def test_a_share_of_the_front_is_one_at_most_and_grows_with_evaluations() -> None:
    for row in rows("search-races.csv"):
        ratios = [float(row[f"ratio_{mark}"]) for mark in (50, 100, 200, 400) if row[f"ratio_{mark}"]]
        assert ratios == sorted(ratios)
        assert 0 < ratios[0] <= ratios[-1] <= 1


@pytest.mark.parametrize("evaluations", [50, 100, 200])
def test_on_the_first_problem_auto_leads_and_more_so_where_latency_is_free(evaluations: int) -> None:
    methods = {r["method"] for r in rows("search.csv") if r["problem"] == MAIN}
    others = [found(m, evaluations) for m in methods if not m.startswith("auto") and m != "botorch-qlognehvi"]
    assert found("auto, latency free", evaluations) > found("auto", evaluations) > max(others) + 0.01
