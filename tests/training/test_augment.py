"""Augmentation: Pillow's numbers, the papers' definitions, and what must leave an image as it is."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch.nn import functional

from modelwright.training.augment import affine, colour
from modelwright.training.augment.geometry import crop, flip, mirror
from modelwright.training.augment.mixup import mixed, mixup
from modelwright.training.augment.randaugment import OPERATIONS, randaugment

COLOURS = {
    "auto-contrast": (colour.auto_contrast, ImageOps.autocontrast),
    "equalize": (colour.equalize, ImageOps.equalize),
    "smooth": (colour.smooth, lambda image: image.filter(ImageFilter.SMOOTH)),
}
ENHANCERS = {
    "color": (colour.color, ImageEnhance.Color),
    "contrast": (colour.contrast, ImageEnhance.Contrast),
    "brightness": (colour.brightness, ImageEnhance.Brightness),
    "sharpness": (colour.sharpness, ImageEnhance.Sharpness),
}
WITHOUT_MAGNITUDE = {"auto-contrast", "equalize"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(seed: int, channels: int, height: int, width: int, count: int = 3) -> torch.Tensor:
    """Images of noise, each within bounds of its own, so that no operation has nothing to do."""
    draw = np.random.default_rng(seed)
    bounds = np.sort(draw.integers(0, 256, (count, 2)), axis=1)
    images = [draw.integers(low, high + 1, (channels, height, width)) for low, high in bounds]
    return torch.from_numpy(np.stack(images).astype(np.uint8))


images = st.builds(noise, st.integers(0, 9999), st.sampled_from([1, 3]), st.integers(1, 17), st.integers(1, 17))


def pillow(image: torch.Tensor) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def by_pillow(batch: torch.Tensor, operation) -> torch.Tensor:
    done = [np.atleast_3d(np.array(operation(pillow(image)))) for image in batch]
    return torch.from_numpy(np.stack(done)).permute(0, 3, 1, 2)


# --- Pillow's numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLOURS)
@given(batch=images)
def test_a_batch_becomes_what_pillow_makes_of_each_image(name: str, batch: torch.Tensor) -> None:
    ours, theirs = COLOURS[name]
    assert torch.equal(ours(batch), by_pillow(batch, theirs))


@pytest.mark.parametrize("name", ENHANCERS)
@given(batch=images, factors=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.83, 1.0, 1.4, 1.9]), min_size=3, max_size=3))
def test_each_image_is_enhanced_by_its_own_factor_as_pillow_does(name, batch, factors: list[float]) -> None:
    ours, theirs = ENHANCERS[name]
    found = ours(batch, torch.tensor(factors))
    for image, factor, enhanced in zip(batch, factors, found, strict=True):
        wanted = by_pillow(image[None], lambda image, factor=factor: theirs(image).enhance(factor))
        assert torch.equal(enhanced[None], wanted)


@given(batch=images, bits=st.integers(1, 8))
def test_posterize_keeps_the_bits_that_pillow_keeps(batch: torch.Tensor, bits: int) -> None:
    assert torch.equal(colour.posterize(batch, bits), by_pillow(batch, lambda image: ImageOps.posterize(image, bits)))


@given(batch=images, threshold=st.integers(0, 256))
def test_solarize_inverts_what_pillow_inverts(batch: torch.Tensor, threshold: int) -> None:
    wanted = by_pillow(batch, lambda image: ImageOps.solarize(image, threshold))
    assert torch.equal(colour.solarize(batch, threshold), wanted)


@pytest.mark.parametrize("degrees", [-30.0, -7.5, 3.0, 12.0, 30.0, 180.0])
def test_a_turn_is_pillows(degrees: float) -> None:
    """Pillow counts in 1 / 65536 of a pixel, so a place on the border of two pixels may fall to either."""
    batch = noise(1, 3, 21, 32)
    numbers = affine.rotation(torch.full((3,), degrees), 21, 32)
    wanted = by_pillow(batch, lambda image: image.rotate(degrees))
    assert (affine.transform(batch, numbers) == wanted).float().mean() > 0.99


def test_a_quarter_turn_of_a_square_is_exact() -> None:
    batch = noise(1, 3, 21, 21)
    found = affine.transform(batch, affine.rotation(torch.full((3,), 90.0), 21, 21))
    assert torch.equal(found, torch.rot90(batch, 1, (2, 3)))


@given(batch=images, across=st.sampled_from([-0.3, 0.11, 0.25]), down=st.sampled_from([-0.2, 0.0, 0.3]))
def test_a_shear_is_pillows(batch: torch.Tensor, across: float, down: float) -> None:
    numbers = affine.shear(torch.full((3,), across, dtype=torch.float64), torch.full((3,), down, dtype=torch.float64))
    data = (1, across, 0, down, 1, 0)
    wanted = by_pillow(batch, lambda image: image.transform(image.size, Image.Transform.AFFINE, data))
    found = affine.transform(batch, numbers)
    assert (found != wanted).sum() <= 0.02 * wanted.numel() + 3


@given(batch=images, across=st.integers(-9, 9), down=st.integers(-9, 9))
def test_a_move_is_a_slice(batch: torch.Tensor, across: int, down: int) -> None:
    height, width = batch.shape[2:]
    padded = functional.pad(batch, (9, 9, 9, 9))
    numbers = affine.translation(torch.full((3,), float(across)), torch.full((3,), float(down)))
    rows, columns = slice(9 + down, 9 + down + height), slice(9 + across, 9 + across + width)
    assert torch.equal(affine.transform(batch, numbers), padded[:, :, rows, columns])


# --- what leaves an image as it is ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - WITHOUT_MAGNITUDE))
@given(batch=images)
def test_magnitude_0_changes_nothing(name: str, batch: torch.Tensor) -> None:
    assert torch.equal(OPERATIONS[name](batch, torch.zeros(3)), batch)


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"identity"}))
def test_every_operation_changes_something_at_full_magnitude(name: str) -> None:
    batch = noise(2, 3, 32, 32)[:1] // 2
    assert not torch.equal(OPERATIONS[name](batch, torch.ones(1)), batch)


def test_there_are_the_papers_14_operations() -> None:
    assert len(OPERATIONS) == 14


@given(batch=images, seed=st.integers(0, 99))
def test_no_operations_change_nothing(batch: torch.Tensor, seed: int) -> None:
    assert torch.equal(randaugment(batch, 0, 9.0, generator(seed)), batch)


@given(batch=images)
def test_mirroring_twice_is_nothing(batch: torch.Tensor) -> None:
    every = torch.ones(3, dtype=torch.bool)
    assert torch.equal(mirror(mirror(batch, every), every), batch)
    assert torch.equal(flip(flip(batch, generator(5)), generator(5)), batch)


@given(batch=images, seed=st.integers(0, 99))
def test_a_crop_without_padding_is_nothing(batch: torch.Tensor, seed: int) -> None:
    assert torch.equal(crop(batch, 0, generator(seed)), batch)


@given(batch=images, padding=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_crop_is_one_of_the_places_that_padding_offers(batch: torch.Tensor, padding: int, seed: int) -> None:
    padded = functional.pad(batch, (padding,) * 4)
    height, width = batch.shape[2:]
    for number, cut in enumerate(crop(batch, padding, generator(seed))):
        places = padded[number].unfold(1, height, 1).unfold(2, width, 1)  # (C, rows, columns, H, W)
        assert (places == cut[:, None, None]).all(dim=(0, 3, 4)).any()


def test_a_crop_visits_every_place_equally_often() -> None:
    dot = torch.zeros(9000, 1, 3, 3, dtype=torch.uint8)
    dot[:, :, 1, 1] = 1
    counts = crop(dot, 1, generator()).sum(0)[0]
    assert counts.sum() == 9000
    assert (counts.float() - 1000).abs().max() < 4 * math.sqrt(1000)


def test_half_of_the_images_are_mirrored() -> None:
    batch = torch.tensor([[[[1, 0]]]], dtype=torch.uint8).expand(10000, 1, 1, 2)
    assert abs(int(flip(batch, generator())[:, 0, 0, 1].sum()) - 5000) < 4 * 50


def test_one_generator_state_gives_one_augmentation() -> None:
    batch = noise(3, 3, 16, 16, count=64)
    first, second, other = (randaugment(batch, 2, 7.0, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


# --- mixup ------------------------------------------------------------------------------------------------------------


@given(share=st.floats(0, 1), seed=st.integers(0, 99))
def test_what_is_mixed_is_the_convex_combination(share: float, seed: int) -> None:
    values = torch.rand(6, 4, generator=generator(seed), dtype=torch.float64)
    partner = torch.randperm(6, generator=generator(seed))
    torch.testing.assert_close(mixed(values, partner, share), share * values + (1 - share) * values[partner])


def test_mixup_mixes_images_and_labels_alike() -> None:
    """With images that are their own one-hot labels, both stay equal."""
    labels = torch.arange(5).repeat(4)
    pictures = functional.one_hot(labels, 5).float()[:, :, None, None]
    for seed in range(20):
        found, soft = mixup(pictures, labels, 5, 0.4, generator(seed))
        assert torch.equal(found[:, :, 0, 0], soft)
        torch.testing.assert_close(soft.sum(1), torch.ones(20))


def test_mixups_shares_are_beta_distributed() -> None:
    """Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1))."""
    source, alpha = generator(), 0.3
    pictures, labels = torch.zeros(2, 1, 1, 1), torch.tensor([0, 1])
    shares = []
    while len(shares) < 2000:
        soft = mixup(pictures, labels, 2, alpha, source)[1]
        shares.append(soft[0, 0].item())
    mixedup = torch.tensor([share for share in shares if share != 1.0])
    assert mixedup.numel() > 800  # half of the time the two are their own partners
    assert mixedup.mean().item() == pytest.approx(0.5, abs=0.05)
    assert mixedup.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@given(smoothing=st.floats(0, 0.9), share=st.floats(0, 1))
def test_the_loss_of_smooth_and_soft_labels_is_the_definition(smoothing: float, share: float) -> None:
    """loss = - sum over classes of ((1 - s) y + s / K) log p (2015, arXiv 1512.00567)."""
    logits = torch.randn(4, 3, generator=generator(), dtype=torch.float64)
    labels, partner = torch.tensor([0, 2, 1, 1]), torch.tensor([1, 0, 3, 2])
    soft = mixed(functional.one_hot(labels, 3).double(), partner, share)
    wanted = -(((1 - smoothing) * soft + smoothing / 3) * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(functional.cross_entropy(logits, soft, label_smoothing=smoothing), wanted)
