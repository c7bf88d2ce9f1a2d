"""What befalls a search from outside: interrupts, workers that die, a disk that fills up, latencies that mislead."""

import contextlib
import multiprocessing
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from modelwright.errors import CapacityError, StoreError
from modelwright.hardware import platform
from modelwright.networks.measuring import Protocol
from modelwright.records import Choice, Device, Findings, Measurement, Objective, Plan, Progress
from modelwright.search.costs import Costs
from modelwright.search.evaluate.numbers import Candidate
from modelwright.search.run import search
from modelwright.search.site import Site
from modelwright.search.space import Product
from modelwright.search.study import Start, Study

Facts = Callable[[Findings], dict[str, Any]]
Disk = Callable[[Path, str], AbstractContextManager[Path]]

pytestmark = pytest.mark.usefixtures("few_references")


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize("stage", ["search", "check", "train"])
def test_interrupted_at_any_stage_it_gives_back_what_it_was_at_and_goes_on(
    plan: Plan, tmp_path: Path, facts: Facts, stage: str
) -> None:
    plan = msgspec.structs.replace(plan, images=100)
    seen = 0

    def report(step: Progress) -> None:
        nonlocal seen
        seen += step.stage == stage
        if step.stage == stage and seen == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        search(plan, Site(tmp_path / "cut", threads=1, report=report))
    state = Study.open(tmp_path / "cut" / "study.db").state()
    assert not state.running
    again = search(plan, Site(tmp_path / "cut", threads=1), resume=True)
    assert facts(again) == facts(search(plan, Site(tmp_path / "whole", threads=1)))


@pytest.mark.usefixtures("no_files")
def test_what_this_very_process_once_claimed_and_could_not_give_back_is_run(plan: Plan, tmp_path: Path) -> None:
    study = Study.create(Site(tmp_path).study, plan)
    point = {"stages.1.kernel": 3, "stages.2.expansion": 4, "stages.2.width": 24}
    assert study.claim(lambda state: [Start(point, 1, "random")])
    found = search(plan, Site(tmp_path, threads=1), resume=True)
    assert found.trials[0].point == point
    assert {trial.state for trial in found.trials} == {"finished", "stopped"}


@pytest.fixture
def several(poisoned: Callable[..., Plan]) -> Callable[[str], Plan]:
    """Four trials of one kind."""

    def of(kind: str) -> Plan:
        plan = poisoned(kind, trials=4)
        choices = (*plan.space.choices, Choice("stages.1.kernel", (3, 5)), Choice("stages.2.expansion", (1, 2)))
        return msgspec.structs.replace(plan, space=msgspec.structs.replace(plan.space, choices=choices))

    return of


@pytest.mark.usefixtures("no_files")
def test_an_interrupt_reaches_all_workers_and_each_gives_back_its_trial(
    several: Callable[[str], Plan], tmp_path: Path
) -> None:
    plan, folder = several("together"), tmp_path / "found"

    def report(step: Progress) -> None:
        workers = {trial.worker for trial in Study.open(folder / "study.db").state().trials.values()}
        if step.stage == "search" and len(workers) > 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        search(plan, Site(folder, threads=1, workers=2, report=report))
    assert multiprocessing.active_children() == []
    state = Study.open(folder / "study.db").state()
    assert not state.running
    found = search(plan, Site(folder, threads=1), resume=True)
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3]
    assert {trial.state for trial in found.trials} == {"finished"}


@pytest.mark.usefixtures("no_files")
def test_a_worker_that_is_killed_costs_nothing_and_is_told_of(several: Callable[[str], Plan], tmp_path: Path) -> None:
    told: list[str] = []
    here = Site(tmp_path / "found", threads=1, workers=2, report=lambda step: told.append(step.message))
    found = search(several("mortal"), here)
    assert (tmp_path / "seen" / "died").exists()
    assert {trial.state for trial in found.trials} == {"finished"}
    assert len(found.trials) == 4
    assert [message for message in told if message.startswith("a worker had to leave")]


def test_on_a_disk_that_fills_up_again_and_again_nothing_is_lost_and_no_candidate_is_blamed(
    plan: Plan, tmp_path: Path, facts: Facts, small_disk: Disk
) -> None:
    plan = msgspec.structs.replace(plan, family=1, images=100)
    whole = search(plan, Site(tmp_path / "whole", threads=1))
    faults, ended = [], 0
    with small_disk(tmp_path / "small", "8m") as disk:
        for room in (60_000, 140_000, 500_000, 900_000):
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
            with contextlib.suppress(StoreError, OSError):
                try:
                    search(plan, Site(disk / "found", threads=1), resume=True)
                except (StoreError, OSError) as fault:
                    faults.append(str(fault))
                    raise
            ballast.unlink()
            if (disk / "found" / "study.db").exists():
                state = Study.open(disk / "found" / "study.db").state()
                assert not state.running
                assert len(state.ended) >= ended
                ended = len(state.ended)
        assert facts(search(plan, Site(disk / "found", threads=1), resume=True)) == facts(whole)
    assert len(faults) >= 3
    assert all("room" in fault or "No space left on device" in fault for fault in faults)


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize(
    ("slow", "members"),
    [
        pytest.param(r"trial-\d*[02468]", 2, id="where it takes part, others take its place"),
        pytest.param(r"tiny-1", 1, id="where it is slow at the very end, the family is smaller"),
        pytest.param(r"trial-\d+", 0, id="where all are slow, there is none"),
    ],
)
def test_no_network_that_measured_beyond_the_limit_is_handed_over(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str, members: int
) -> None:
    """Some networks take twice as long as all that is known of them lets expect."""
    model = Costs(plan, platform("x86"))

    def measured(_: Plan, site: Site, candidates: Sequence[Candidate]) -> tuple[Measurement, ...]:
        networks = [one.architecture for one in candidates]
        device = Device("cpu", "capricious", 1, {})
        rows = zip(networks, model.raw(networks), strict=True)
        took = [row["latency_s"] * (2 if re.fullmatch(slow, made.name) else 1) for made, row in rows]
        return tuple(
            Measurement(made.name, 1, "fp32", "eager", False, (seconds,), seconds, 0.0, 0, 1, "", device)
            for made, seconds in zip(networks, took, strict=True)
        )

    monkeypatch.setattr("modelwright.search.desk.measured", measured)
    points = Product(plan.space).sample(np.random.default_rng(0), 50)
    limit = 1.1 * max(row["latency_s"] for row in model.values(points))
    objectives = (Objective("accuracy", None, "training"), Objective("latency_s", limit, "calibrated"))
    plan = msgspec.structs.replace(plan, platform="", objectives=objectives, evidence="training", trials=8, images=100)
    found = search(plan, Site(tmp_path / "found", threads=1))
    beyond = {one.name for one in found.predictions if one.measured_s > limit}
    assert len(found.family) == members
    for member in found.family:
        assert member.measurement is not None
        assert member.measurement.median_s <= limit
        assert f"trial-{member.trial}" not in beyond
    if members < 2:
        assert any("beyond the limit" in note or "keeps the limits" in note for note in found.notes)
    else:
        assert beyond


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(lambda names: any(re.fullmatch(r"\w+-\d*[02468]", name) for name in names), id="some"),
        pytest.param(lambda names: len(names) > 1, id="all together"),
        pytest.param(lambda names: "tiny-1" in names, id="one at the very end"),
    ],
)
def test_networks_that_do_not_fit_where_they_are_measured_cost_themselves_only(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[[list[str]], bool]
) -> None:
    from modelwright.search import desk

    measured = desk.measured

    def of_little_memory(plan: Plan, site: Site, networks: Sequence[Candidate]) -> tuple[Measurement, ...]:
        if fails([one.architecture.name for one in networks]):
            raise CapacityError("the work must fit the memory of cpu")
        return measured(plan, site, networks)

    monkeypatch.setattr(desk, "measured", of_little_memory)
    monkeypatch.setattr(desk, "PROTOCOL", Protocol(repetitions=3, warmup=1, minimum_s=1e-3))
    objectives = (Objective("accuracy", None, "training"), Objective("latency_s", None, "calibrated"))
    plan = msgspec.structs.replace(plan, platform="", objectives=objectives, evidence="training", trials=8, images=100)
    found = search(plan, Site(tmp_path / "found", threads=1))
    assert all(member.measurement for member in found.family)
    assert not [member.name for member in found.family if fails([member.name])]
    assert found.family or any("cannot be measured" in note for note in found.notes)
    assert len({one.name for one in found.predictions if one.name.startswith("calibration")}) >= 6
