"""`modelwright serve plan` as it is typed: the same numbers in every form, and what makes no sense is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelwright.cli.main import main
from modelwright.records import from_json
from modelwright.records.autoscaling import ScalableTarget, TargetTracking
from modelwright.records.capacity import CapacityFindings

Output = pytest.CaptureFixture[str]
SHORT = ["--rate", "1/s", "--duration", "20min", "--latency", "exponential:2s"]


def plan(*words: str) -> int:
    return main(["serve", "plan", *words])


def found(output: Output, *words: str) -> CapacityFindings:
    assert plan(*words, "--json") == 0
    return from_json(output.readouterr().out, CapacityFindings)


def test_every_target_with_every_greatest_capacity_and_the_fixed_fleets(capsys: Output) -> None:
    words = (*SHORT, "--target", "2", "5", "--max", "3", "6", "--fixed", "4", "--price", "2")
    told = found(capsys, *words)
    names = ["target 2, 0 to 3", "target 2, 0 to 6", "target 5, 0 to 3", "target 5, 0 to 6", "always 4"]
    assert [one.name for one in told.plans] == names
    assert told.plans[0].policies == (TargetTracking("target", 2.0),)
    assert told.plans[-1].target == ScalableTarget(4, 4)
    assert all(one.arrived == one.finished == told.requests for one in told.plans)
    assert all(one.cost == pytest.approx(2 * one.instance_hours) for one in told.plans)
    assert plan(*words) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in names)
    assert f"{told.plans[1].cost:.2f}" in table


def test_the_same_words_give_the_same_numbers_and_another_seed_others(capsys: Output) -> None:
    one, again = (found(capsys, *SHORT) for _ in range(2))
    assert one == again
    assert found(capsys, *SHORT, "--seed", "1").plans[0].waiting != one.plans[0].waiting


def test_a_trace_with_durations_needs_no_latency(tmp_path: Path, capsys: Output) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival,duration\n0,30\n0,30\n100,5\n", encoding="utf-8")
    told = found(capsys, "--traffic", str(trace), "--max", "1", "--startup", "20s", "--concurrency", "2")
    (only,) = told.plans
    assert (told.traffic, told.requests, only.finished) == ("trace.csv", 3, 3)
    assert only.waiting.max_s == 20
    assert only.response.max_s == 50


def test_times_may_be_measured_ones(tmp_path: Path, capsys: Output) -> None:
    sample = tmp_path / "seconds.txt"
    sample.write_text("2\n2\n", encoding="utf-8")
    told = found(capsys, "--rate", "6/min", "--latency", f"sample:{sample}", "--startup", "0", "--min", "3")
    assert told.plans[0].response.p50_s == pytest.approx(2)


def test_policies_may_come_from_a_file(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "policies.toml"
    file.write_text(
        '[[policies]]\ntype = "TargetTrackingScaling"\nname = "age"\nmetric = "ApproximateAgeOfOldestRequest"\n'
        'target = 60\n[[policies]]\ntype = "StepScaling"\nname = "steps"\nsteps = [{change = 2, lower = 0.0}]\n'
        'alarms = [{name = "many", metric = "ApproximateBacklogSize", threshold = 20}]\n',
        encoding="utf-8",
    )
    told = found(capsys, *SHORT, "--policies", str(file), "--wake-policy")
    assert told.plans[0].name == "policies.toml, 0 to 5"
    assert [one.name for one in told.plans[0].policies] == ["age", "steps", "wake"]
    assert told.plans[0].finished == told.requests


def test_a_page_is_written_that_tells_how_to_make_it_again(tmp_path: Path, capsys: Output) -> None:
    page = tmp_path / "plan.html"
    words = (*SHORT, "--max", "3", "--imitate-aws", "--wake-policy")
    assert plan(*words, "--report", str(page)) == 0
    text = page.read_text(encoding="utf-8")
    assert "modelwright serve plan --rate 1/s --duration 20min" in text
    assert "--imitate-aws" in text
    assert "--max 3" in text
    assert "wrote" in capsys.readouterr().err


def test_swings_and_bursts(capsys: Output) -> None:
    assert "80%" in found(capsys, *SHORT, "--swing", "80%").traffic
    burst = found(capsys, *SHORT, "--burst", "50", "--every", "10min")
    assert burst.busiest >= 50
    assert "50 at once every 600 s" in burst.traffic


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "either a trace or a rate"),
        (["--rate", "1/s"], "how long a request runs"),
        (["--rate", "1/s", "--traffic", "x.csv"], "either a trace or a rate"),
        (["--rate", "1/fortnight", "--latency", "1s"], "--rate"),
        (["--rate", "1/s", "--latency", "gamma:1s"], "known distribution"),
        (["--rate", "1/s", "--latency", "exponential:1s:2"], "known distribution"),
        ([*SHORT, "--swing", "120%"], "below zero"),
        ([*SHORT, "--swing", "20%", "--burst", "3"], "swings or has bursts"),
        ([*SHORT, "--min", "4", "--max", "3"], "--max"),
        ([*SHORT, "--target", "0"], "above zero"),
        ([*SHORT, "--fixed", "0"], "--fixed"),
        ([*SHORT, "--price", "-1"], "zero or more"),
        ([*SHORT, "--concurrency", "0"], "--concurrency"),
        ([*SHORT, "--report", "no/such/folder/plan.html"], "folder must exist"),
        (["--traffic", "absent.csv"], "absent.csv"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_out(words: list[str], told: str, capsys: Output) -> None:
    assert plan(*words) in (1, 2)
    assert told in capsys.readouterr().err


def test_policies_of_one_name_are_refused(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "policies.toml"
    file.write_text('[[policies]]\ntype = "TargetTrackingScaling"\nname = "wake"\ntarget = 5\n', encoding="utf-8")
    assert plan(*SHORT, "--policies", str(file), "--wake-policy") == 2
    assert "a name of its own" in capsys.readouterr().err
    assert plan(*SHORT, "--policies", str(file), "--target", "5") == 2


def test_json_is_plain_and_whole(capsys: Output) -> None:
    assert plan(*SHORT, "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    (one,) = told["plans"]
    assert len(one["timeline"]["arrived"]) == len(one["timeline"]["desired"])
    assert sum(one["timeline"]["arrived"]) == one["arrived"]
