"""How a network is trained, and what came of it."""

from typing import Annotated, Literal

import msgspec

from modelwright.records.measurement import Device
from modelwright.records.platform import Count, Positive

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Whole = Annotated[int, msgspec.Meta(ge=0)]
Magnitude = Annotated[float, msgspec.Meta(ge=0)]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that decides a training run besides the network, the data and the machine.

    Attributes:
        epochs: passes over the training split.
        batch: images a step.
        optimizer: "sgd" (Nesterov momentum .9), "adamw" or "rmsprop" (decay .9, momentum .9, epsilon .001, as MnasNet).
        learning_rate: at its peak, for this batch.
        weight_decay: of matrices and kernels only; norms and biases decay not.
        warmup: share of all steps with a linearly rising rate; a cosine falls from there to zero.
        smoothing: label smoothing (2015, arXiv 1512.00567).
        mixup: alpha of its Beta distribution, 0 for none (2017, arXiv 1710.09412).
        crop: pixels padded on each side before a random crop, as a share of the image's side.
        flip: whether images are mirrored at random; wrong for digits and letters.
        randaugment: operations an image, 0 for none (2019, arXiv 1909.13719).
        magnitude: of these operations, 0 to 10.
        ema: decay a step of the averaged weights, which are those evaluated and kept; 0 for none.
        clip: largest norm of the gradient, 0 for no limit.
        precision: "fp32", "amp" (fp16 with loss scaling) or "amp-bf16".
        seed: of weights, order and augmentation.
    """

    epochs: Count = 30
    batch: Count = 128
    optimizer: Literal["sgd", "adamw", "rmsprop"] = "adamw"
    learning_rate: Positive = 2e-3
    weight_decay: Magnitude = 0.02
    warmup: Share = 0.05
    smoothing: Share = 0.1
    mixup: Magnitude = 0.0
    crop: Share = 0.125
    flip: bool = False
    randaugment: Whole = 0
    magnitude: Annotated[float, msgspec.Meta(ge=0, le=10)] = 5.0
    ema: Share = 0.0
    clip: Magnitude = 1.0
    precision: Literal["fp32", "amp", "amp-bf16"] = "fp32"
    seed: int = 0


class Epoch(msgspec.Struct, frozen=True):
    """One pass over the training split.

    Attributes:
        number: from 1.
        loss: mean training loss over the pass.
        accuracy: share of the validation split that is right, with the weights that would be kept.
        seconds: since training began (or was resumed, added to what had gone before).
        learning_rate: at its end.
    """

    number: int
    loss: float
    accuracy: float
    seconds: float
    learning_rate: float


class Learning(msgspec.Struct, frozen=True):
    """A training run, as far as it went.

    Attributes:
        architecture: the network's name.
        data: the data set's name.
        recipe: as asked for.
        epochs: those that were run, in order.
        accuracy: on the validation split at the end.
        test_accuracy: on the test split, None where nobody asked; a search must not.
        complete: whether all of the recipe's epochs were run.
        device: where and with what.
    """

    architecture: str
    data: str
    recipe: Recipe
    epochs: tuple[Epoch, ...]
    accuracy: float
    test_accuracy: float | None
    complete: bool
    device: Device
