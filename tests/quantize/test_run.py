"""A quantization from beginning to end, on digits: what it finds, what it leaves, and how each step ends."""

import dataclasses
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from modelwright.clock import ManualClock
from modelwright.errors import ExportError, SettingError, TraceError, UnknownNameError
from modelwright.quantize.artifact import load_artifact
from modelwright.quantize.candidates import Workshop
from modelwright.quantize.choosing import choose
from modelwright.quantize.flow import TECHNIQUES, Flow
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.settings import FINDINGS, Site, Wishes
from modelwright.quantize.subject import Subject
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.quantize.techniques.bias_correction import correct_biases
from modelwright.records import WEIGHTS, Quantization, QuantizationFindings, from_json

Quantize = Callable[[Subject, Wishes, Site], QuantizationFindings]
Ended = tuple[QuantizationFindings, Path, list[str]]
"""What was found, the folder, and the stages that were told."""
TARGETS = {"openvino": OpenVino(), "onnxruntime": OnnxRuntime()}
LAYERS = ["network.stem", "network.inner", "network.head"]


def wishes(target: str = "onnxruntime", **more: object) -> Wishes:
    return Wishes(**{"target": target, "calibrations": ("minmax",), "max_drop": 0.1, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=list(TARGETS))
def ended(
    request: pytest.FixtureRequest, subject: Subject, run_quickly: Quantize, tmp_path_factory: pytest.TempPathFactory
) -> Ended:
    folder, told = tmp_path_factory.mktemp(request.param), list[str]()
    site = Site(folder, report=lambda step: told.append(step.stage))
    try:
        return run_quickly(subject, wishes(request.param), site), folder, told
    except SettingError as failure:
        pytest.skip(str(failure))


def test_findings_tell_all_of_it(ended: Ended, subject: Subject) -> None:
    found, folder, _ = ended
    assert from_json((folder / FINDINGS).read_bytes(), QuantizationFindings) == found
    assert (found.model, found.data, found.calibrated, found.judged, found.batch) == ("block", "digits", 64, 120, 1)
    by_name = {one.name: one for one in found.candidates}
    assert {"fp32", "int8-minmax"} <= by_name.keys()
    for one in found.candidates:
        assert one.latency_s is not None if one.state == "finished" else one.reason
    assert by_name["fp32"].drop == 0
    assert by_name["fp32"].integer_share == 0
    assert by_name["int8-minmax"].integer_share == 1
    assert [one.layers for one in found.sensitivities[:3]] == [(name,) for name in LAYERS]
    assert set(found.sensitivities[4].layers) == set(LAYERS)  # the cumulative sets: of two, of all
    assert [one.layer for one in found.layers] == LAYERS
    for layer in found.layers:
        assert layer.weights is not None
        assert layer.weights_after is not None
        assert sum(layer.weights.counts) == sum(layer.weights_after.counts)
        assert sum(layer.inputs.counts) == sum(layer.inputs_after.counts)
        assert layer.inputs_sqnr_db > 20
        assert layer.saturation <= 0.01
    assert found.kernels
    assert [note.partition(" ")[0] for note in found.notes] == ["Dynamic", "Whole"]


def test_a_mix_computes_in_the_numbers_that_its_recipe_names(ended: Ended) -> None:
    for one in ended[0].candidates:
        if one.state == "finished" and one.recipe.kind == "static":
            assert one.integer_share == pytest.approx(1 - len(one.recipe.layers) / 3)


def test_what_was_chosen_is_handed_over_and_runs(ended: Ended, subject: Subject) -> None:
    found, folder, _ = ended
    [chosen] = [one for one in found.candidates if one.chosen]
    assert chosen.name in found.verdict
    again = choose(found.candidates, found.max_drop)
    assert again is not None
    assert again.name == chosen.name
    program = load_artifact(folder / "artifact", found.target, TARGETS[found.target])
    right = program(subject.judged.inputs).argmax(-1) == subject.judged.labels
    assert float(right.float().mean()) == pytest.approx(chosen.accuracy)
    left = {file.name for file in folder.rglob("*")}
    assert not {name for name in left if name.endswith(".part") or name == ".mix"}


def test_the_network_is_what_it_was(ended: Ended, subject: Subject) -> None:
    assert not any(module.training for module in subject.network.modules())
    assert not any(weight.requires_grad for weight in subject.network.parameters())
    assert ended[0].candidates[0].accuracy == pytest.approx(
        float(
            (subject.whole(subject.network)(subject.judged.inputs).argmax(-1) == subject.judged.labels).float().mean()
        )
    )


def test_a_second_run_takes_what_is_there_and_counts_its_time(
    ended: Ended,
    subject: Subject,
    run_quickly: Quantize,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, folder, _ = ended
    copied = shutil.copytree(folder, tmp_path / "copied")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(type(TARGETS[found.target]), "write", never)
    once = {one.name: one for one in found.candidates}
    again = run_quickly(subject, wishes(found.target), Site(copied))
    for one in again.candidates:
        if one.name in once and one.recipe == once[one.name].recipe:  # mixes depend on what was measured
            assert (one.state, one.accuracy) == (once[one.name].state, once[one.name].accuracy)
        else:
            assert "made again" in one.reason
    assert again.seconds > sum(one.seconds for one in found.candidates if not one.name.startswith("mix"))


def test_what_another_network_left_is_not_taken(
    subject: Subject, run_quickly: Quantize, tmp_path: Path, learned: nn.Module
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(9)
        other = dataclasses.replace(subject, network=type(learned)().eval(), training=None)
    quickly = wishes(training=False, budget_s=1e-9)
    good = run_quickly(subject, quickly, Site(tmp_path))
    [bad] = run_quickly(other, quickly, Site(tmp_path)).candidates
    assert good.candidates[0].accuracy is not None
    assert bad.accuracy is not None
    assert bad.accuracy < good.candidates[0].accuracy - 0.2


def test_where_calibration_and_techniques_lose_too_much_it_is_trained(
    subject: Subject, run_quickly: Quantize, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of two bits, without mixes and the dear techniques: nothing but training keeps the accuracy."""
    for name in ("smoothquant", "adaround"):
        monkeypatch.delitem(TECHNIQUES, name)
    monkeypatch.setattr("modelwright.quantize.flow.FINALISTS", 0)
    low = dataclasses.replace(OnnxRuntime().profile, weights=msgspec.structs.replace(WEIGHTS, bits=2))
    monkeypatch.setattr("modelwright.quantize.targets.onnxruntime.OnnxRuntime", lambda: OnnxRuntime(low))
    assert subject.training is not None
    eager = dataclasses.replace(
        subject.training,
        data=subject.training.data.subset(400, 50),
        recipe=msgspec.structs.replace(subject.training.recipe, epochs=20, learning_rate=0.3),
    )
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    found = run_quickly(dataclasses.replace(subject, training=eager), wishes(max_drop=0.0, batch=16), Site(tmp_path))
    by_name = {one.name: one for one in found.candidates}
    for name in ("equalization", "bias-correction"):
        assert by_name[f"int8-{name}"].recipe.techniques == (name,)
        assert by_name[f"int8-{name}"].state == "finished"
    qat, plain = by_name["int8-qat"], by_name["int8-minmax"]
    assert qat.state == "finished", qat.reason
    assert qat.recipe.tuning is not None
    assert qat.drop is not None
    assert plain.drop is not None
    assert qat.drop < plain.drop
    assert qat.integer_share == 1
    assert any(note.startswith("int8-qat: 2 epochs") for note in found.notes)
    assert ("int8-lsq" in by_name) == (qat.drop > 0.0)  # scales are learned where that was not enough
    assert all(one.recipe.learned_scales == (one.name == "int8-lsq") for one in found.candidates)
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())


def test_a_mix_has_the_techniques_that_its_recipe_names(subject: Subject, tmp_path: Path) -> None:
    images, example = subject.judged.inputs, (subject.calibration.inputs[:2],)
    recipe = Quantization(calibration="minmax", techniques=("bias-correction",), layers={"network.inner": "fp32"})
    graph, profile = capture(subject.whole(subject.network), example), OnnxRuntime().profile
    shop = Workshop(OnnxRuntime(), tmp_path, graph, example, Judge.of(graph, subject.judged), ManualClock())
    flow = Flow(subject, wishes(), Site(tmp_path), shop, 0.0)
    said, made = graph(images), flow._part(recipe)(images)
    changed, batches = capture(subject.whole(subject.network), example), list(subject.calibration.batches(32))
    correct_biases(changed, msgspec.structs.replace(recipe, layers={}), batches)
    prepared = prepare(changed, recipe, profile)
    calibrate(prepared, batches)
    assert torch.equal(made, convert(prepared)(images))
    assert torch.equal(graph(images), said)
    assert not torch.equal(made, flow._part(msgspec.structs.replace(recipe, techniques=()))(images))


def test_without_labels_the_float_networks_answers_stand_for_them(
    subject: Subject, run_quickly: Quantize, tmp_path: Path
) -> None:
    unlabelled = dataclasses.replace(subject, judged=Samples(subject.judged.inputs), training=None)
    found = run_quickly(unlabelled, wishes(budget_s=1e-9), Site(tmp_path))
    assert found.candidates[0].accuracy == 1
    assert found.candidates[0].drop == 0
    assert any("agreement with the float network's own answers" in note for note in found.notes)


def test_after_the_budget_no_step_begins(subject: Subject, run_quickly: Quantize, tmp_path: Path) -> None:
    """Every look at this clock takes a second."""

    class Fast(ManualClock):
        def seconds(self) -> float:
            self.advance(1e-3)
            return super().seconds()

    found = run_quickly(subject, wishes(budget_s=1e-3), Site(tmp_path, clock=Fast()))
    assert [one.name for one in found.candidates] == ["fp32"]
    assert found.verdict.startswith("Do not quantize: fp32 is what keeps the accuracy")
    assert (tmp_path / "artifact").is_dir()


def test_progress_is_told_stage_by_stage(ended: Ended) -> None:
    stages = [stage for stage, _ in itertools.groupby(ended[2])]
    assert stages[:4] == ["candidates", "calibrate", "sensitivity", "mixes"]
    assert set(stages[4:]) <= {"candidates", "measure"}
    assert stages[-1] == "measure"


class Odd(nn.Module):
    """Has an operator that ONNX lacks."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(images.float()).flatten(1)


class Broken(nn.Module):
    """Says what is no number."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().flatten(1) * torch.nan


class Branching(nn.Module):
    """Cannot be captured."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if images.float().mean() > 0 else -images


@pytest.mark.parametrize(
    ("asked", "network", "error", "words"),
    [
        (wishes("onnxruntim"), None, UnknownNameError, "'onnxruntime'"),
        (wishes(calibrations=("minmax", "mze")), None, UnknownNameError, "'mse'"),
        (wishes(), Odd(), ExportError, "the target must run the float network.*bessel_j0"),
        (wishes(), Broken(), SettingError, "what a network says must be finite numbers"),
        (wishes(), Branching(), TraceError, "must be able to capture"),
    ],
)
def test_what_cannot_be_quantized_is_told_before_anything_is_left(
    asked: Wishes,
    network: nn.Module | None,
    error: type[Exception],
    words: str,
    subject: Subject,
    run_quickly: Quantize,
    tmp_path: Path,
) -> None:
    given = subject if network is None else dataclasses.replace(subject, network=network, whole=lambda inside: inside)
    with pytest.raises(error, match=words):
        run_quickly(given, asked, Site(tmp_path / "out"))
    assert list(tmp_path.rglob("*.*")) == []


def test_calibration_data_that_are_no_numbers_are_refused(subject: Subject) -> None:
    images = subject.calibration.inputs.float()
    images[5, 0, 0, 0] = torch.nan
    with pytest.raises(SettingError, match="sample 5: samples must be finite"):
        dataclasses.replace(subject, calibration=Samples(images))


def test_the_recipe_that_a_network_comes_with_is_tried_first_by_the_targets_schemes(
    subject: Subject, run_quickly: Quantize, tmp_path: Path
) -> None:
    """A search found it for another runtime, and left a layer in float."""
    plain = Quantization(calibration="percentile", activations=WEIGHTS)
    partly = msgspec.structs.replace(plain, layers={"network.head": "fp32"})
    for name, recipe in (("int8-percentile", plain), ("found", partly)):
        given = dataclasses.replace(subject, recipe=recipe)
        asked = wishes(training=False, calibrations=("percentile", "minmax"))
        found = run_quickly(given, asked, Site(tmp_path / name))
        names = [one.name for one in found.candidates]
        assert names[:2] == ["fp32", name]
        assert names.count("int8-percentile") == 1
        first = found.candidates[1]
        assert first.state == "finished"
        assert first.recipe == msgspec.structs.replace(recipe, activations=OnnxRuntime().profile.activations)
        assert f"{name} is the recipe that the network came with." in found.notes
