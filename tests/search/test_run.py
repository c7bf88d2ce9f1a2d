"""A whole search: killed anywhere it ends as if nothing had been, and what one candidate does is its own affair."""

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from modelwright.errors import ExportError, SettingError, TrainingError
from modelwright.networks.measuring import Protocol
from modelwright.records import Choice, Findings, Objective, Plan, Progress, from_json
from modelwright.search.algorithms import SEARCHERS
from modelwright.search.handover import verify
from modelwright.search.run import FINDINGS, search
from modelwright.search.site import Site
from modelwright.search.study import Study
from modelwright.store import Journal
from modelwright.training import dataset
from modelwright.training.data.split import Split

Forked = Callable[[Callable[[], object]], int]
Facts = Callable[[Findings], dict[str, Any]]
WATCHED = ("open", "os.mkdir", "os.rename", "sqlite3.connect")

pytestmark = pytest.mark.usefixtures("few_references")


def site(folder: Path, **more: Any) -> Site:
    return Site(folder, threads=1, **more)


def found_in(folder: Path) -> Findings:
    return from_json((folder / FINDINGS).read_bytes(), Findings)


def counted_moments(folder: Path, act: Callable[[int], None]) -> None:
    """From now on, whenever this process is about to touch a file in the folder, `act` is told how often it was."""
    seen = 0

    def hook(event: str, arguments: Sequence[Any]) -> None:
        nonlocal seen
        if event in WATCHED and str(folder) in str(arguments[0]):
            seen += 1
            act(seen)

    sys.addaudithook(hook)


def test_killed_at_any_moment_it_goes_on_and_ends_as_if_nothing_had_been(
    plan: Plan, tmp_path: Path, forked: Forked, facts: Facts
) -> None:
    plan = msgspec.structs.replace(plan, family=1, images=100)
    whole, cut, last = tmp_path / "whole", tmp_path / "cut", tmp_path / "last"
    moments: list[int] = []
    counted_moments(whole, moments.append)
    uncut = search(plan, site(whole))  # here, so that the processes below find all modules loaded
    draw, stages, ended = random.Random(1), [], Counter[tuple[int, int]]()

    def until_killed(moment: int) -> None:
        counted_moments(cut, lambda seen: os.kill(os.getpid(), signal.SIGKILL) if seen == moment else None)
        search(plan, site(cut, report=lambda step: last.write_text(step.stage) and None), resume=True)

    for turn in count():
        moment = draw.randint(30, len(moments) // 3) if turn % 3 else draw.randint(1, 15)  # no trial has three deaths
        if not (code := forked(partial(until_killed, moment))):
            break
        assert code == -signal.SIGKILL
        stages.append(last.read_text() if last.exists() else "")
        if (cut / "study.db").exists():
            before, ended = ended, endings(cut)
            assert before <= ended
    assert {"search", "check", "train"} <= set(stages)
    assert max(endings(cut).values()) == 1
    assert facts(found_in(cut)) == facts(uncut)
    for member in found_in(cut).family:
        assert verify(cut / member.name).name == member.name
    assert sorted(path.name for path in cut.iterdir()) == sorted(path.name for path in whole.iterdir())


def endings(folder: Path) -> Counter[tuple[int, int]]:
    """How often each run of each trial was written down as ended."""
    ended = [msgspec.json.decode(e.body) for e in Journal.open(folder / "study.db").read() if e.kind == "ended"]
    return Counter((entry["trial"]["number"], entry["rung"]) for entry in ended)


@pytest.mark.usefixtures("no_files")
def test_what_one_candidate_does_wrong_is_written_down_and_the_search_goes_on(
    poisoned: Callable[..., Plan], tmp_path: Path
) -> None:
    found = search(poisoned("good", "large", "untrainable"), site(tmp_path / "found"))
    by_kind = {trial.point["kind"]: trial for trial in found.trials}
    assert by_kind["good"].state == "finished"
    assert by_kind["large"].state == by_kind["untrainable"].state == "failed"
    assert "must fit the memory of cpu" in by_kind["large"].reason
    assert "ValueError: batch_norm eps must be positive" in by_kind["untrainable"].reason
    (member,) = found.family
    assert member.trial == by_kind["good"].number


@pytest.mark.usefixtures("no_files")
def test_a_point_without_a_network_is_never_tried_where_costs_are_free_and_told_of(
    poisoned: Callable[..., Plan], tmp_path: Path
) -> None:
    for method in ("random", "auto"):
        plan = poisoned("good", "refused", "untrainable", trials=3, method=method)
        found = search(plan, site(tmp_path / method))
        assert {trial.point["kind"] for trial in found.trials} == {"good", "untrainable"}
        assert any("1 of the points" in note and "ValueError: no network of this kind" in note for note in found.notes)


@pytest.mark.usefixtures("no_files")
def test_where_costs_are_measured_it_is_tried_once_and_fails(
    poisoned: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwright.search.desk.PROTOCOL", Protocol(repetitions=3, warmup=1, minimum_s=1e-3))
    objectives = (Objective("accuracy", None, "training"), Objective("latency_s", None, "measure"))
    found = search(poisoned("good", "refused", trials=5, objectives=objectives), site(tmp_path / "found"))
    by_kind = {trial.point["kind"]: trial for trial in found.trials}
    assert len(found.trials) == 2
    assert by_kind["refused"].reason == "ValueError: no network of this kind"
    (member,) = found.family
    assert member.measurement is not None
    assert member.counted["latency_s"] == member.measurement.median_s


@pytest.mark.usefixtures("no_files")
def test_a_trial_that_three_workers_died_of_is_given_up(
    poisoned: Callable[..., Plan], tmp_path: Path, forked: Forked
) -> None:
    plan, folder = poisoned("good", "deadly"), tmp_path / "found"
    codes = [forked(lambda: search(plan, site(folder), resume=True) and None) for _ in range(4)]
    assert codes == [-signal.SIGKILL] * 3 + [0]
    by_kind = {trial.point["kind"]: trial for trial in found_in(folder).trials}
    assert by_kind["good"].state == "finished"
    assert "3 workers died" in by_kind["deadly"].reason


@pytest.mark.usefixtures("no_files")
def test_two_processes_share_the_trials(poisoned: Callable[..., Plan], tmp_path: Path) -> None:
    plan = poisoned("together", family=1)
    choices = (*plan.space.choices, Choice("stages.1.kernel", (3, 5)), Choice("stages.2.expansion", (1, 2)))
    plan = msgspec.structs.replace(plan, space=msgspec.structs.replace(plan.space, choices=choices), trials=4)
    found = search(plan, site(tmp_path / "found", workers=2))
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3]
    assert {trial.state for trial in found.trials} == {"finished"}
    assert len({tuple(trial.point.items()) for trial in found.trials}) == 4
    assert len({trial.worker for trial in found.trials}) == 2
    assert set(endings(tmp_path / "found").values()) == {1}


def test_a_training_that_goes_astray_at_the_end_costs_its_network_only(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelwright.search import lessons, run

    train, hand_over = lessons.train, run.hand_over

    def fails(architecture: Any, *others: Any, **more: Any) -> Any:
        if architecture.name == "reference":
            raise TrainingError("the loss must stay a finite number")
        return train(architecture, *others, **more)

    def cannot(network: Any, member: Any, *others: Any, **more: Any) -> Any:
        if member.name == "tiny-1":
            raise ExportError("no such operator")
        return hand_over(network, member, *others, **more)

    monkeypatch.setattr(lessons, "train", fails)
    monkeypatch.setattr(run, "hand_over", cannot)
    found = search(msgspec.structs.replace(plan, trials=3), site(tmp_path / "found"))
    assert found.references == ()
    assert found.family[0].files == {}
    assert all(member.files for member in found.family[1:])
    assert {"reference was left out", "tiny-1 was not written"} <= {note.partition(":")[0] for note in found.notes}


class Watched(Split):
    """A split that tells when it is looked at."""

    def __init__(self, split: Split, seen: Callable[[], None]) -> None:
        self.split, self.seen, self.labels = split, seen, split.labels

    def batch(self, indices: torch.Tensor) -> Any:
        self.seen()
        return self.split.batch(indices)

    def take(self, indices: torch.Tensor) -> Split:
        raise AssertionError("nobody takes a part of the test split")

    def on(self, device: torch.device) -> Split:
        return self


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize("evidence", ["halving", "supernet", "score"])
def test_the_test_split_is_not_looked_at_before_the_family_is_trained_and_told_how_far_the_evidence_goes(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evidence: str
) -> None:
    data, now, looks = dataset("digits"), [""], set()
    watched = replace(data, test=Watched(data.test, lambda: looks.add(now[0])))
    monkeypatch.setattr("modelwright.search.desk.dataset", lambda *_, **__: watched)
    plan = msgspec.structs.replace(plan, evidence=evidence, family=1)

    def report(step: Progress) -> None:
        now[0] = step.stage

    found = search(plan, site(tmp_path / "found", report=report))
    assert looks == {"train"}
    assert all(member.learning.test_accuracy is not None for member in (*found.family, *found.references))
    assert {trial.learning.test_accuracy for trial in found.trials if trial.learning} <= {None}
    (agreement,) = found.agreements
    assert agreement.candidates == 6
    assert -1 <= agreement.kendall <= 1


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize("method", [name for name in SEARCHERS if name != "auto"])
def test_every_method_searches(plan: Plan, tmp_path: Path, method: str) -> None:
    if "-" in method:
        pytest.importorskip(method.partition("-")[0])
    plan = msgspec.structs.replace(plan, method=method, evidence="training", trials=5, images=100, family=1)
    found = search(plan, site(tmp_path / "found"))
    points = {tuple(trial.point.items()) for trial in found.trials}
    assert len(points) == len(found.trials) == 5
    assert {trial.suggested_by for trial in found.trials} == {method}
    assert found.family


@pytest.mark.usefixtures("no_files")
def test_a_family_is_as_large_as_was_wanted_even_where_the_front_is_not(plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(plan, trials=3, evidence="training", images=100, family=3)
    found = search(plan, site(tmp_path / "found"))
    assert sorted(member.trial or 0 for member in found.family) == [0, 1, 2]
    costs = [member.counted[plan.objectives[1].metric] for member in found.family]
    assert costs == sorted(costs)
    behind = len(found.family) - len(found.front)
    assert any("added nothing to the front" in note for note in found.notes) == (behind > 0)


@pytest.mark.usefixtures("no_files")
def test_a_calibrated_search_tells_how_far_the_model_was_off(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwright.search.desk.PROTOCOL", Protocol(repetitions=3, warmup=1, minimum_s=1e-3))
    monkeypatch.setattr("modelwright.search.desk.CALIBRATED_BY", 4)
    objectives = (Objective("accuracy", None, "training"), Objective("latency_s", 1.0, "calibrated"))
    plan = msgspec.structs.replace(plan, objectives=objectives, platform="", evidence="training", trials=4)
    folder = tmp_path / "found"
    found = search(plan, site(folder))
    assert any("corrected by 4 measurements" in note for note in found.notes)
    every = [*found.family, *found.references]
    assert len({member.measurement.taken_at for member in every if member.measurement}) == 1  # in one run
    kinds = {one.source for one in found.predictions}
    assert kinds == {"estimate", "calibrated"}
    again = search(plan, site(folder), resume=True)
    assert again.trials == found.trials
    assert [m.measurement for m in again.family] == [m.measurement for m in found.family]
    assert again.seconds > found.seconds


def test_what_no_network_of_the_space_can_keep_is_told_before_anything_is_trained(plan: Plan, tmp_path: Path) -> None:
    for objective, told in (
        (Objective("latency_s", 1e-9), "latency_s 1e-09"),
        (Objective("throughput_per_s", 1e9), "throughput_per_s 1e+09"),
        (Objective("params", 10.0), "params 10"),
    ):
        short = msgspec.structs.replace(plan, objectives=(plan.objectives[0], objective))
        with pytest.raises(SettingError, match="within the limits") as caught:
            search(short, site(tmp_path / "found"))
        assert told in str(caught.value)
        assert not (tmp_path / "found").exists()


def test_a_platform_that_does_not_tell_the_energy_cannot_be_searched_for_it(plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(plan, platform="tpu-v5e", objectives=(plan.objectives[0], Objective("energy_j")))
    with pytest.raises(SettingError, match="energy_j"):
        search(plan, site(tmp_path / "found"))
    assert not (tmp_path / "found").exists()


def test_a_study_is_begun_once_and_goes_on_with_its_plan_only(plan: Plan, tmp_path: Path) -> None:
    Study.create(tmp_path / "study.db", plan)
    with pytest.raises(SettingError, match="--resume"):
        search(plan, site(tmp_path))
    with pytest.raises(SettingError, match="trials"):
        search(msgspec.structs.replace(plan, trials=7), site(tmp_path), resume=True)
    with pytest.raises(SettingError, match="one worker"):
        search(plan, site(tmp_path, workers=0), resume=True)
    assert Study.open(tmp_path / "study.db").state().trials == {}
