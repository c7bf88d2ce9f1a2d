"""A network of three layers for digits, trained in a second, and little measured."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from modelwright.networks.measuring import Protocol
from modelwright.quantize.judging import Samples
from modelwright.quantize.run import quantize_for
from modelwright.quantize.settings import Site, Wishes
from modelwright.quantize.subject import Subject, Training
from modelwright.records import DataCard, QuantizationFindings, Recipe
from modelwright.training import Data, Preprocess, dataset
from modelwright.training.epoch import run_epoch
from modelwright.training.progress import begin

FLOAT = Recipe(epochs=3, batch=64, learning_rate=1e-2, crop=0.0, smoothing=0.0)
LITTLE = Protocol(repetitions=3, warmup=1, minimum_s=1e-3, settle=0)

Quantize = Callable[[Subject, Wishes, Site], QuantizationFindings]


class Block(nn.Module):
    """An addition around a convolution, between another and a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(32, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(pixels)))
        x = torch.relu(x + self.inner(x))
        logits: torch.Tensor = self.head(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))
        return logits


class Whole(nn.Module):
    """Preprocessing and network: reads images as they are stored."""

    def __init__(self, network: nn.Module, see: Preprocess) -> None:
        super().__init__()
        self.network, self.see = network, see

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(self.see(images))
        return logits


@contextmanager
def little_measured() -> Iterator[None]:
    """Latencies are short and rough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelwright.quantize.stand.PROTOCOL", LITTLE)
        patch.setattr("modelwright.quantize.timing.Protocol", lambda: LITTLE)
        yield


@pytest.fixture
def quick() -> Iterator[None]:
    """Little is measured while the test runs."""
    with little_measured():
        yield


@pytest.fixture(scope="session")
def run_quickly() -> Quantize:
    """Quantizes with little measured."""

    def run(subject: Subject, wishes: Wishes, site: Site) -> QuantizationFindings:
        with little_measured():
            return quantize_for(subject, wishes, site)

    return run


@pytest.fixture(scope="session")
def digits() -> Data:
    return dataset("digits")


@pytest.fixture(scope="session")
def learned(digits: Data) -> nn.Module:
    """Such a network, trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        progress = begin(Block(), FLOAT, torch.device("cpu"))
        for _ in range(FLOAT.epochs):
            run_epoch(progress, digits.train, Preprocess((8, 8), 10, digits.mean, digits.std), FLOAT)
    return progress.network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def subject(learned: nn.Module, digits: Data) -> Subject:
    """All of it: a network, its samples, its training."""
    see = Preprocess((8, 8), 10, digits.mean, digits.std)
    images, labels = (torch.cat(parts) for parts in zip(*digits.validation.batches([torch.arange(120)]), strict=True))
    [(calibration, _)] = list(digits.train.batches([torch.arange(64)]))
    return Subject(
        "block",
        learned,
        Samples(calibration),
        Samples(images, labels),
        "digits",
        whole=lambda inside: Whole(inside, see),
        training=Training(digits, see, FLOAT),
        card=DataCard(digits.name, digits.classes, digits.shape, digits.mean, digits.std, {}),
    )


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Tests may change how many threads torch takes; the next finds what was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
