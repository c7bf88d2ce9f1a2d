"""One verb: what each kind of recipe makes of a network."""

from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize import Subject, quantize
from modelwright.quantize.graph import capture
from modelwright.quantize.numerics import sqnr_db
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.records import Quantization

PIXELS = torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPE = Quantization(calibration="minmax")


def decibels(network: nn.Module, made: nn.Module) -> float:
    return sqnr_db(network(PIXELS), made(PIXELS))


def test_a_float_recipe_leaves_the_network_as_it_is(learned: nn.Module) -> None:
    before = {name: value.clone() for name, value in learned.state_dict().items()}
    assert decibels(learned, quantize(learned, Quantization(kind="float"), [PIXELS])) > 100
    quantize(learned, RECIPE, [PIXELS])
    assert all(torch.equal(before[name], value) for name, value in learned.state_dict().items())


def test_a_static_recipe_is_prepared_calibrated_and_converted(learned: nn.Module, tmp_path: Path) -> None:
    made = quantize(learned, RECIPE, PIXELS.split(16))
    prepared = prepare(capture(learned, (PIXELS[:2],)), RECIPE, OpenVino().profile)
    calibrate(prepared, [(part,) for part in PIXELS.split(16)])
    assert torch.equal(made(PIXELS), convert(prepared)(PIXELS))
    OpenVino().write(made, (PIXELS[:2],), tmp_path)
    assert sqnr_db(made(PIXELS), OpenVino().load(tmp_path)(PIXELS)) > 30


def test_fewer_bits_and_more_layers_lose_more(learned: nn.Module) -> None:
    few = msgspec.structs.replace(RECIPE, weights=msgspec.structs.replace(RECIPE.weights, bits=3))
    part = msgspec.structs.replace(few, layers={"inner": "fp32"})
    whole, some, all_of_it = (decibels(learned, quantize(learned, one, [PIXELS])) for one in (RECIPE, part, few))
    assert whole > some > all_of_it
    light = msgspec.structs.replace(few, kind="weight-only")
    assert decibels(learned, quantize(learned, light, [PIXELS])) == pytest.approx(all_of_it, abs=2)


def test_a_dynamic_recipe_needs_no_range_from_the_data(learned: nn.Module) -> None:
    recipe = Quantization(kind="dynamic")
    one, other = (quantize(learned, recipe, [given]) for given in (PIXELS, 100 * PIXELS))
    assert torch.equal(one(PIXELS), other(PIXELS))
    assert 20 < decibels(learned, one) < 100


def test_techniques_are_applied_before(learned: nn.Module) -> None:
    corrected = msgspec.structs.replace(
        RECIPE, techniques=("bias-correction",), weights=msgspec.structs.replace(RECIPE.weights, bits=3)
    )
    plain = msgspec.structs.replace(corrected, techniques=())
    before, after = (quantize(learned, one, [PIXELS])(PIXELS) for one in (plain, corrected))
    truth = learned(PIXELS).mean(0)
    assert (after.mean(0) - truth).norm() < (before.mean(0) - truth).norm()


@pytest.mark.parametrize("bits", [8, 4])
def test_the_target_runs_what_was_trained(learned: nn.Module, subject: Subject, tmp_path: Path, bits: int) -> None:
    recipe = msgspec.structs.replace(RECIPE, kind="qat", weights=msgspec.structs.replace(RECIPE.weights, bits=bits))
    assert subject.training is not None
    pixels = subject.training.see(subject.judged.inputs)
    made = quantize(learned, recipe, [pixels[:32]], training=subject.training)
    OpenVino().write(made, (pixels[:2],), tmp_path)
    assert sqnr_db(made(pixels), OpenVino().load(tmp_path)(pixels)) > 30


def test_training_is_part_of_its_recipe(learned: nn.Module, subject: Subject) -> None:
    recipe = msgspec.structs.replace(RECIPE, kind="qat", weights=msgspec.structs.replace(RECIPE.weights, bits=2))
    assert subject.training is not None
    see = subject.training.see
    pixels, labels = see(subject.judged.inputs), subject.judged.labels
    batches = [see(subject.calibration.inputs)]
    trained = quantize(learned, recipe, batches, training=subject.training)
    plain = quantize(learned, msgspec.structs.replace(recipe, kind="static"), batches)
    right = [(made(pixels).argmax(1) == labels).float().mean() for made in (trained, plain)]
    assert right[0] > right[1]


@pytest.mark.parametrize(
    ("recipe", "data", "error", "told"),
    [
        (RECIPE, [], SettingError, "needs samples"),
        (RECIPE, [PIXELS / 0], SettingError, "finite"),
        (msgspec.structs.replace(RECIPE, kind="qat"), [PIXELS], SettingError, "learn from"),
        (msgspec.structs.replace(RECIPE, layers={"iner": "fp32"}), [PIXELS], UnknownNameError, "inner"),
        (msgspec.structs.replace(RECIPE, techniques=("adarond",)), [PIXELS], UnknownNameError, "adaround"),
    ],
)
def test_what_cannot_be_is_refused(
    learned: nn.Module, recipe: Quantization, data: list[torch.Tensor], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        quantize(learned, recipe, data)
