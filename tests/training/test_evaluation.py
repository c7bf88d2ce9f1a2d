"""Judging, fitting batch normalisation anew, preprocessing, and weights in files."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from modelwright.errors import RecordError, SettingError
from modelwright.networks.build import build
from modelwright.records import Architecture, Stage, TokenHead, TokenStem, Transformer
from modelwright.training import (
    Data,
    Preprocess,
    dataset,
    evaluate,
    load_weights,
    predict,
    preprocess,
    recipe_for,
    save_weights,
    settle_batch_norm,
)
from modelwright.training.data.split import Held

TEXT = Architecture(
    "text",
    (4,),
    11,
    TokenStem(vocabulary=11, width=8, positions=4),
    (Stage(Transformer(width=8, heads=2, kv_heads=2, hidden=16, causal=True)),),
    TokenHead(pool="none", tied=True, bias=False),
)


class Oracle(nn.Module):
    """Says what the first pixel says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(x[:, 0, 0, 0].long(), 3).float()


# --- judging ----------------------------------------------------------------------------------------------------------


@given(said=st.lists(st.integers(0, 2), min_size=1, max_size=40), batch=st.integers(1, 50), seed=st.integers(0, 9))
def test_accuracy_is_the_share_that_is_right_whatever_the_batch(said: list[int], batch: int, seed: int) -> None:
    true = torch.randint(3, (len(said),), generator=torch.Generator().manual_seed(seed))
    split = Held(torch.tensor(said, dtype=torch.uint8)[:, None, None, None], true)
    right = sum(one == int(label) for one, label in zip(said, true, strict=True))
    assert evaluate(Oracle(), split, lambda images: images, batch=batch) == right / len(said)


def test_logits_come_in_order_and_modes_are_put_back(toy: Data, tiny: Architecture) -> None:
    network, see = build(tiny), preprocess(tiny, toy)
    network.head.eval()
    logits = predict(network, toy.test, see, batch=7)
    assert (network.training, network.head.training, network.stem.training) == (True, False, True)
    network.eval()
    torch.testing.assert_close(logits, network(see(toy.test.images)).detach(), rtol=1e-4, atol=1e-5)


def test_bf16_says_almost_the_same(toy: Data, tiny: Architecture) -> None:
    network, see = build(tiny), preprocess(tiny, toy)
    exact = predict(network, toy.test, see)
    rough = predict(network, toy.test, see, precision="amp-bf16")
    assert 0 < (exact - rough).abs().max() < 0.1


# --- batch normalisation ----------------------------------------------------------------------------------------------


def test_batch_norm_is_fitted_to_the_means_and_variances_of_the_images(toy: Data) -> None:
    network = nn.Sequential(nn.BatchNorm2d(1, momentum=0.01), nn.Dropout(0.9), nn.BatchNorm2d(1)).train()
    network[0].running_mean.fill_(77.0)
    settle_batch_norm(network, toy.train, lambda images: images.float(), batch=len(toy.train))
    pixels = toy.train.images.float()
    assert network[0].running_mean.item() == pytest.approx(pixels.mean().item(), rel=1e-5)
    assert network[0].running_var.item() == pytest.approx(pixels.var().item(), rel=1e-5)
    assert (network[0].momentum, network[0].training, network[1].training) == (0.01, True, True)
    assert network[2].running_var.item() == pytest.approx(1.0, abs=0.2)  # its input was normalised, nothing dropped


def test_averages_over_batches_weigh_them_equally(toy: Data) -> None:
    norm = nn.BatchNorm2d(1)
    settle_batch_norm(norm, toy.train, lambda images: images.float(), batches=3, batch=32)
    parts = torch.split(toy.train.images.float(), 32)
    assert norm.running_var.item() == pytest.approx(sum(part.var().item() for part in parts) / 3, rel=1e-5)


def test_statistics_of_other_weights_are_mended(toy: Data, tiny: Architecture) -> None:
    """Weights scaled by 3 before a normalisation change nothing but its statistics."""
    network, see = build(tiny), preprocess(tiny, toy)
    settle_batch_norm(network, toy.train, see)
    before = predict(network, toy.test, see)
    convolution = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    with torch.no_grad():
        convolution.weight.mul_(3)
    assert (predict(network, toy.test, see) - before).abs().max() > 1e-2
    settle_batch_norm(network, toy.train, see)
    torch.testing.assert_close(predict(network, toy.test, see), before, rtol=1e-3, atol=1e-3)


def test_no_images_fit_no_batch_norm(toy: Data, tiny: Architecture) -> None:
    with pytest.raises(SettingError, match="fitted to images"):
        settle_batch_norm(build(tiny), toy.train.take(torch.arange(0)), preprocess(tiny, toy))


# --- preprocessing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [5, 8, 11, 20, 32])
def test_images_are_resized_as_pillow_does(side: int) -> None:
    """Bilinear, with a wider filter where the image shrinks; Pillow rounds to whole numbers between the two axes."""
    images = torch.randint(0, 256, (1, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    wanted = Image.fromarray(images[0, 0].numpy()).resize((side, side), Image.Resampling.BILINEAR)
    found = Preprocess((side, side), 2, (0.0,), (1.0,))(images)[0, 0] * 255
    np.testing.assert_allclose(found.numpy(), np.array(wanted, dtype=float), atol=1.1)


def test_training_images_are_normalised_to_mean_0_and_deviation_1() -> None:
    data = dataset("digits")
    pixels = Preprocess((8, 8), 10, data.mean, data.std)(data.train.batch(torch.arange(len(data.train)))[0])
    assert pixels.mean().item() == pytest.approx(0.0, abs=1e-4)
    assert pixels.std().item() == pytest.approx(1.0, abs=1e-4)


def test_a_recipe_by_default_mirrors_only_what_may_be_mirrored(toy: Data) -> None:
    coloured = dataclasses.replace(toy, name="photographs", shape=(3, 8, 8))
    clothes = dataclasses.replace(toy, name="fashion-mnist")
    guesses = [recipe_for(data).flip for data in (dataset("digits"), toy, coloured, clothes)]
    assert guesses == [False, False, True, True]


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights_come_back_to_the_last_bit(tiny: Architecture, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    first = build(tiny).to(memory_format=torch.channels_last)
    second = build(tiny)
    save_weights(first, file)
    load_weights(second, file)
    assert first.state_dict().keys() == load_file(file).keys()
    for left, right in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_tied_weights_are_written_once_and_stay_tied(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    first, second = build(TEXT), build(TEXT)
    save_weights(first, file)
    assert len(load_file(file)) == len(first.state_dict()) - 1
    load_weights(second, file)
    assert second.head.classifier.weight is second.stem.table.weight
    tokens = torch.tensor([[1, 2, 3, 4]])
    assert torch.equal(first.eval()(tokens), second.eval()(tokens))


def test_weights_of_another_network_are_refused_and_change_nothing(tiny: Architecture, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights(nn.Linear(2, 3), file)
    for network, told in (
        (build(tiny), r"but got 'bias, in the file only'"),
        (nn.Linear(2, 4), r"weight must have the network's shape \(4, 2\), but got \(3, 2\)"),
        (nn.Linear(2, 3, bias=False), "bias, in the file only"),
    ):
        before = {key: value.clone() for key, value in network.state_dict().items()}
        with pytest.raises(RecordError, match=told):
            load_weights(network, file)
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("kept", [0, 7, 60, -1])
def test_a_file_of_weights_that_is_cut_off_is_refused(kept: int, tiny: Architecture, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights(build(tiny), file)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(RecordError, match=r"weights\.safetensors: the file must be whole"):
        load_weights(build(tiny), file)
    with pytest.raises(RecordError, match="must be whole"):
        load_weights(build(tiny), tmp_path / "nowhere")
