"""A training run's state between two epochs: all that going on from a file needs."""

from dataclasses import dataclass
from typing import Any, final

import msgspec
import torch
from torch import nn

from modelwright.records import Epoch, Recipe, convert
from modelwright.training.average import Average
from modelwright.training.optimizer import optimizer


@final
@dataclass(eq=False)
class Progress:
    """What changes while a network is trained.

    Attributes:
        network: on its device.
        average: of its weights, None without.
        optimizer: of its weights.
        scaler: of the loss; does nothing but under fp16.
        generator: draws order and augmentation, on the CPU.
        epochs: those that were run.
    """

    network: nn.Module
    average: Average | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    generator: torch.Generator
    epochs: tuple[Epoch, ...] = ()

    @property
    def kept(self) -> nn.Module:
        """The network to evaluate and keep: the average where there is one."""
        return self.network if self.average is None else self.average.network

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def state(self) -> dict[str, Any]:
        """Everything, torch's own random numbers included, as tensors, numbers and words."""
        cuda = self.device.type == "cuda"
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
            "epochs": [msgspec.to_builtins(epoch) for epoch in self.epochs],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Become what `state` told."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.restore(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.device)
        self.epochs = convert(state["epochs"], tuple[Epoch, ...])


def begin(network: nn.Module, recipe: Recipe, device: torch.device) -> Progress:
    """The state before the first epoch; the network is moved to the device, convolutions in channels-last order."""
    network = network.to(device)
    if any(isinstance(part, nn.Conv2d) for part in network.modules()):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    return Progress(
        network,
        Average(network, recipe.ema) if recipe.ema else None,
        optimizer(network, recipe),
        torch.amp.GradScaler(device.type, enabled=recipe.precision == "amp"),
        torch.Generator().manual_seed(recipe.seed),
    )
