"""Numbers as a choice of the search: costs follow them, accuracy is that in them, and nothing else changes."""

import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from modelwright.clock import Clock
from modelwright.errors import RecordError, SettingError
from modelwright.hardware import platform
from modelwright.records import Architecture, Choice, Device, Measurement, Objective, Plan, Quantization, from_json
from modelwright.search.calibration import Calibration
from modelwright.search.costs import Costs
from modelwright.search.desk import prepare
from modelwright.search.evaluate.numbers import Candidate, Numbers, quantizer_of
from modelwright.search.evaluate.training import TrainingJudge
from modelwright.search.handover import load_member, verify
from modelwright.search.run import search
from modelwright.search.site import Site
from modelwright.search.space import Product, make, precisions_of, with_precisions
from modelwright.search.study import Study
from modelwright.training import Data, Run, dataset

ALL = ("fp32", "bf16", "int8")


class Rounder:
    """Stands for another stage: whole numbers of few bits, and a runtime that is twice as fast in them."""

    def __init__(self, levels: float) -> None:
        self.levels = levels
        self.timed: list[tuple[str, str]] = []

    def check(self, precisions: Sequence[str], *, timed: bool) -> None:
        if timed and "bf16" in precisions:
            raise SettingError("this runtime has no bf16", where="precisions")

    def recipe(self, precision: str) -> Quantization:
        return Quantization(calibration="entropy")

    def simulate(self, network: nn.Module, precision: str, samples: torch.Tensor) -> nn.Module:
        made = copy.deepcopy(network)
        with torch.no_grad():
            for value in made.parameters():
                step = value.abs().max() / self.levels
                value.copy_((value / step).round() * step)
        return made

    def measure(
        self, candidates: Sequence[tuple[Architecture, str]], *, batch: int, threads: int, clock: Clock, commit: str
    ) -> tuple[Measurement, ...]:
        self.timed += [(made.name, precision) for made, precision in candidates]
        device = Device("cpu", "a runtime", threads, {})
        took = [1e-4 * made.blocks[-1].out_channels / (2 if kind == "int8" else 1) for made, kind in candidates]
        return tuple(
            Measurement(made.name, batch, kind, "engine", False, (seconds,), seconds, 0.0, 0, 1, "", device)
            for (made, kind), seconds in zip(candidates, took, strict=True)
        )


@pytest.fixture
def rounder(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Rounder]:
    """Makes such a quantizer, which a plan names "a_users:quantizer"."""

    def of(levels: float) -> Rounder:
        module = ModuleType("a_users")
        module.quantizer = made = Rounder(levels)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "a_users", module)
        return made

    return of


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset("digits").subset(train=200)


def asking(plan: Plan, precisions: Sequence[str] = ALL, **more: Any) -> Plan:
    return msgspec.structs.replace(plan, space=with_precisions(plan.space, precisions), **more)


def test_every_network_of_a_space_can_be_had_in_every_precision_and_is_the_same_network(plan: Plan) -> None:
    space = with_precisions(plan.space, ALL)
    points, plain = Product(space).enumerate(100), Product(plan.space).enumerate(100)
    assert points is not None
    assert plain is not None
    assert len(points) == len(ALL) * len(plain)
    assert {msgspec.json.encode(make(space, point)) for point in points} == {
        msgspec.json.encode(make(plan.space, point)) for point in plain
    }
    assert precisions_of(space) == ALL
    assert precisions_of(plan.space) == ()


def test_costs_of_a_point_are_those_of_a_search_in_its_precision(plan: Plan) -> None:
    for precision in ("bf16", "int8"):
        mine = asking(plan, batch=8, precision="bf16", execution="engine")
        points = Product(mine.space).sample(np.random.default_rng(0), 8)
        points = [{**point, "precision": precision} for point in points]
        theirs = msgspec.structs.replace(mine, space=plan.space, precision=precision)
        bare = [{name: value for name, value in point.items() if name != "precision"} for point in points]
        chip = platform("tpu-v4i")
        assert Costs(mine, chip).values(points) == Costs(theirs, chip).values(bare)


def test_each_precision_is_corrected_by_its_own_measurements(plan: Plan) -> None:
    mine, chip = asking(plan, ("fp32", "int8")), platform("x86")
    model = Costs(mine, chip)
    points = Product(mine.space).sample(np.random.default_rng(0), 12)
    networks = [model.architecture(point) for point in points]
    slower = {"fp32": 3.0, "int8": 0.5}
    fitted = {}
    for kind, factor in slower.items():
        rows = model.raw(networks, [kind] * 12)  # type: ignore[list-item]
        fitted[kind] = Calibration.fit(networks, rows, [factor * row["latency_s"] for row in rows])
    corrected = Costs(mine, chip, fitted)  # type: ignore[arg-type]
    for point, row, own in zip(points, corrected.values(points), model.values(points), strict=True):
        assert row["latency_s"] == pytest.approx(slower[str(point["precision"])] * own["latency_s"], rel=0.05)
        assert row["peak_memory_bytes"] == own["peak_memory_bytes"]


def test_a_candidate_is_as_accurate_as_its_network_in_its_numbers_and_trained_once_for_all(
    plan: Plan, digits: Data, tmp_path: Path, rounder: Callable[[float], Rounder]
) -> None:
    """bf16 keeps seven bits of a number, which changes hardly an answer; weights of one level leave nothing."""
    space = with_precisions(plan.space, ALL)
    point = {"stages.1.kernel": 3, "stages.2.expansion": 4, "stages.2.width": 24}
    network = make(plan.space, point, "trial-7")
    run = Run(threads=1)
    plain = TrainingJudge(digits, plan.recipe, tmp_path / "plain", run=run).judge(network, point, 3, "trial-7")
    for levels in (0.4, 2e5):
        judge = TrainingJudge(digits, plan.recipe, tmp_path / "own", run=run, numbers=Numbers(digits, rounder(levels)))
        said = {}
        for number, kind in enumerate(ALL):
            mine = {**point, "precision": kind}
            said[kind] = judge.judge(make(space, mine, f"trial-{number}"), mine, 3, f"trial-{number}")
        assert said["fp32"].accuracy == plain.accuracy
        assert abs(said["bf16"].accuracy - plain.accuracy) < 0.02
        chance = abs(said["int8"].accuracy - 0.1) < 0.05
        assert chance if levels < 1 else said["int8"].accuracy == pytest.approx(plain.accuracy, abs=0.01)
        assert said["int8"].evidence.endswith("in int8")
    assert len(list((tmp_path / "own").iterdir())) == 1


def test_an_earlier_rung_takes_off_what_is_lost_later(
    plan: Plan, digits: Data, tmp_path: Path, rounder: Callable[[float], Rounder]
) -> None:
    """A network that was trained further for another trial is judged at the rung that is asked for."""
    point = {"stages.1.kernel": 3, "stages.2.expansion": 4, "stages.2.width": 24, "precision": "int8"}
    network = make(with_precisions(plan.space, ALL), point, "trial-0")
    judge = TrainingJudge(digits, plan.recipe, tmp_path, (1, 3), Run(threads=1), Numbers(digits, rounder(2.0)))
    whole = judge.judge(network, point, 3, "trial-0")
    early = judge.judge(network, point, 1, "trial-1")
    assert early.learning is not None
    assert whole.learning is not None
    lost = whole.learning.accuracy - whole.accuracy
    assert lost > 0.05
    assert early.accuracy == pytest.approx(max(0.0, early.learning.accuracy - lost), abs=1e-12)


@pytest.mark.usefixtures("few_references")
def test_a_whole_search_chooses_numbers_and_hands_over_how_to_come_by_them(
    plan: Plan, tmp_path: Path, rounder: Callable[[float], Rounder]
) -> None:
    """Whole numbers cost half the time and nothing in accuracy here, so the whole front computes in them."""
    made = rounder(2e5)
    objectives = (Objective("accuracy", None, "training"), Objective("latency_s", None, "measure"))
    plan = asking(plan, ("fp32", "int8"), platform="", execution="engine", quantizer="a_users:quantizer",
                  objectives=objectives, evidence="training", trials=10, images=100)  # fmt: skip
    found = search(plan, Site(tmp_path / "found", threads=1))
    assert {kind for _, kind in made.timed} == {"fp32", "int8"}
    by_number = {trial.number: trial for trial in found.trials}
    twins: dict[str, dict[str, float]] = {}
    for trial in found.trials:
        network = str({name: value for name, value in trial.point.items() if name != "precision"})
        twins.setdefault(network, {})[str(trial.point["precision"])] = trial.values["latency_s"]
    assert all(pair["fp32"] == 2 * pair["int8"] for pair in twins.values() if len(pair) == 2)
    for member in found.family:
        assert member.trial is not None
        assert member.precision == by_number[member.trial].point["precision"]
        assert member.measurement is not None
        assert (member.measurement.precision, member.measurement.execution) == (member.precision, "engine")
        manifest = verify(tmp_path / "found" / member.name)
        text = (tmp_path / "found" / member.files["recipe"]).read_bytes()
        assert manifest.files["recipe"].bytes == len(text)
        assert from_json(text, Quantization) == member.recipe
        assert load_member(tmp_path / "found" / member.name)
        if member.precision == "int8":
            assert member.recipe == Quantization(calibration="entropy")
            assert member.accuracies.keys() == {"validation", "test"}
            assert member.accuracy == pytest.approx(member.learning.accuracy, abs=0.01)
            assert member.counted["accuracy"] == member.accuracy
    assert "int8" in {member.precision for member in found.family}
    assert all(one.precision is None and one.measurement.precision == "fp32" for one in found.references)  # type: ignore[union-attr]
    (reason,) = (one for one in found.reasons if one.choice == "precision")
    assert reason.effects["int8"][1] == pytest.approx(reason.effects["fp32"][1], rel=1.0)


@pytest.mark.parametrize(
    ("precisions", "more", "told"),
    [
        (("fp32", "int8"), {}, "int8 needs what can judge a network in whole numbers"),
        (("fp32", "bf16"), {"evidence": "score"}, "candidates must be trained"),
        (("fp32", "bf16"), {}, "one in which Generic x86"),
        (("bf16", "fp32"), {"quantizer": "a_users:quantizer", "platform": ""}, "this runtime has no bf16"),
        (("fp32", "int8"), {"quantizer": "nowhere:quantizer"}, "must be importable"),
        (("fp32", "int8"), {"quantizer": "a_users:quantizer", "platform": ""}, "runs on a CPU"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_trained(
    plan: Plan, tmp_path: Path, rounder: Callable[[float], Rounder], precisions: Sequence[str],
    more: dict[str, Any], told: str,
) -> None:  # fmt: skip
    rounder(8.0)
    device = "cuda" if "on a CPU" in told else "cpu"
    if more.get("platform") == "":
        more = {
            **more,
            "objectives": (Objective("accuracy", None, "training"), Objective("latency_s", None, "calibrated")),
        }
    study = Study.create(tmp_path / "study.db", asking(plan, precisions, **more))
    with pytest.raises((SettingError, RecordError), match=told):
        prepare(study, Site(tmp_path, threads=1, device=device))
    assert not (tmp_path / "checkpoints").exists()


def test_only_numbers_that_a_trained_network_can_be_run_in_are_a_choice(plan: Plan) -> None:
    with pytest.raises(SettingError, match=r"run in the precision once it is trained.*'fp8'"):
        with_precisions(plan.space, ("fp32", "fp8"))
    twice = with_precisions(plan.space, ("fp32", "bf16"))
    with pytest.raises(SettingError, match="one choice of precision"):
        with_precisions(twice, ("fp32",))
    spelled = msgspec.structs.replace(plan.space, choices=(*plan.space.choices, Choice("precision", ("int3",))))
    with pytest.raises(SettingError, match="int3"):
        quantizer_of(msgspec.structs.replace(plan, space=spelled), timed=False)


def test_where_nothing_is_chosen_nothing_is_simulated(plan: Plan, digits: Data) -> None:
    network, made = nn.Flatten(), make(plan.space, {"stages.1.kernel": 3, "stages.2.expansion": 1, "stages.2.width": 8})
    with pytest.raises(SettingError, match="whole numbers need what can simulate them"):
        Numbers(digits).accuracy(network, Candidate(made, "int8"), digits.validation)
    assert quantizer_of(plan, timed=True) is None
