"""One pass over the training images."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from modelwright.errors import TrainingError
from modelwright.records import Recipe
from modelwright.training.average import momenta, warm_up
from modelwright.training.data.split import Split
from modelwright.training.evaluation import autocast
from modelwright.training.preprocessing import Preprocess
from modelwright.training.progress import Progress
from modelwright.training.schedule import learning_rate

_LOOK = 16
"""Steps between two looks at the losses: each look waits for a CUDA device to get there."""


def steps_of(recipe: Recipe, split: Split) -> int:
    """Steps an epoch: the images are dealt into batches of equal size, none above the recipe's."""
    return math.ceil(len(split) / recipe.batch)


def run_epoch(progress: Progress, split: Split, see: Preprocess, recipe: Recipe) -> float:
    """Train on each image once, and return the mean loss.

    Label smoothing and soft labels follow torch's cross entropy: with smoothing s, labels are (1 - s) y + s / classes.

    Raises:
        TrainingError: a loss is not a finite number.
    """
    steps, own = steps_of(recipe, split), momenta(progress.network)
    first, total = len(progress.epochs) * steps, recipe.epochs * steps
    order = torch.randperm(len(split), generator=progress.generator)
    losses: list[torch.Tensor] = []
    progress.network.train()
    try:
        for step, (images, labels) in enumerate(split.batches(order.tensor_split(steps)), first):
            rate = learning_rate(recipe, step, total)
            warm_up(own, step)
            place = progress.device
            pixels, target = see.train(images.to(place), labels.to(place), recipe, progress.generator)
            losses.append(_step(progress, pixels, target, recipe, rate))
            if len(losses) % _LOOK == 0:
                _check(losses, first, recipe, steps)
        _check(losses, first, recipe, steps)
    finally:
        for part, share in own.items():
            part.momentum = share  # type: ignore[assignment]  # modules take any attribute
    return torch.stack(losses).double().mean().item()


def _step(progress: Progress, pixels: torch.Tensor, target: torch.Tensor, recipe: Recipe, rate: float) -> torch.Tensor:
    """One step of the optimiser; its loss, still on the device."""
    optimizer, scaler = progress.optimizer, progress.scaler
    for group in optimizer.param_groups:
        group["lr"] = rate
    with autocast(progress.device, recipe.precision):
        logits = progress.network(pixels)
    loss = functional.cross_entropy(logits.float(), target, label_smoothing=recipe.smoothing)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if recipe.clip:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(progress.network.parameters(), recipe.clip, foreach=True)
    scaler.step(optimizer)
    scaler.update()
    if progress.average is not None:
        progress.average.update()
    return loss.detach()


def _check(losses: Sequence[torch.Tensor], first: int, recipe: Recipe, steps: int) -> None:
    recent = torch.stack(tuple(losses[-_LOOK:]))
    bad = (~recent.isfinite()).nonzero().flatten()
    if not len(bad):
        return
    step = first + len(losses) - len(recent) + int(bad[0])
    rate = learning_rate(recipe, step, recipe.epochs * steps)
    raise TrainingError(
        "the loss must stay a finite number",
        where=f"epoch {step // steps + 1}, step {step % steps + 1} of {steps}, learning rate {rate:.3g}",
        value=recent[bad[0]].item(),
        way_out="Lower the learning rate, lengthen the warm-up, or set clip to 1.",
    )
