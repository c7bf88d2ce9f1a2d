"""What a network says about a split, and how often it is right; batch normalisation fitted anew."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from modelwright.errors import SettingError
from modelwright.training.average import NORMS
from modelwright.training.data.split import Split

See = Callable[[torch.Tensor], torch.Tensor]
"""From bytes to what a network reads, such as a `Preprocess`."""

AUTOCAST = {"amp": torch.float16, "amp-bf16": torch.bfloat16}
"""Precision -> the type that torch.autocast computes in."""


def evaluate(network: nn.Module, split: Split, see: See, *, batch: int = 256, precision: str = "fp32") -> float:
    """The share of a split's images that the network is right about.

    Args:
        network: in evaluation mode for the while; it runs where its weights are.
        split: labelled images.
        see: makes bytes into what the network reads.
        batch: images a call.
        precision: "fp32", "amp" (fp16) or "amp-bf16".
    """
    right = predict(network, split, see, batch=batch, precision=precision).argmax(1) == split.labels.cpu()
    return right.double().mean().item()


def predict(network: nn.Module, split: Split, see: See, *, batch: int = 256, precision: str = "fp32") -> torch.Tensor:
    """The network's logits for each image of a split, in order: float32 of (N, classes), on the CPU.

    Args:
        network: in evaluation mode for the while; it runs where its weights are.
        split: its labels are not looked at.
        see: makes bytes into what the network reads.
        batch: images a call.
        precision: "fp32", "amp" (fp16) or "amp-bf16".
    """
    device = device_of(network)
    parts = torch.split(torch.arange(len(split)), batch)
    with _evaluating(network), torch.inference_mode(), autocast(device, precision):
        return torch.cat([network(see(images.to(device))).float().cpu() for images, _ in split.batches(parts)])


def settle_batch_norm(network: nn.Module, split: Split, see: See, *, batches: int = 20, batch: int = 128) -> None:
    """Fit batch normalisation's means and variances anew: the plain averages over some batches of a split.

    What weights that were averaged or taken out of a supernet need: statistics that were gathered under other weights
    are wrong for them (2018, arXiv 1803.05407; 2019, arXiv 1903.05134). Everything else evaluates, dropout included.

    Args:
        network: its batch normalisations are changed.
        split: training images; the batches are spread over it evenly.
        see: makes bytes into what the network reads.
        batches: how many, fewer where the split has no more.
        batch: images each.

    Raises:
        SettingError: there are no images.
    """
    if not len(split):
        raise SettingError("batch normalisation must be fitted to images", value=0, way_out="Give the training split.")
    norms = [part for part in network.modules() if isinstance(part, NORMS)]
    own = [norm.momentum for norm in norms]
    stride = max(1, len(split) // (batches * batch))
    parts = torch.split(torch.arange(0, len(split), stride), batch)[:batches]
    with _evaluating(network), torch.no_grad():
        try:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # torch then takes plain averages
                norm.train()
            for images, _ in split.batches(parts):
                network(see(images.to(device_of(network))))
        finally:
            for norm, share in zip(norms, own, strict=True):
                norm.momentum = share


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network computes at that precision."""
    return torch.autocast(device.type, dtype=AUTOCAST.get(precision, torch.bfloat16), enabled=precision in AUTOCAST)


def device_of(network: nn.Module) -> torch.device:
    """Where the network's weights are; the CPU for one without any."""
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode; each module's own mode is put back."""
    before = {part: part.training for part in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training
