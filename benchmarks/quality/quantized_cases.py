"""The ways in which a network is quantized to see what accuracy is left: each makes programs that are judged.

Simulated ways take any scheme; what a target has kernels for is also written for it and runs there.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, final

import msgspec
import torch
from torch import fx, nn
from torchao.quantization.pt2e import allow_exported_model_train_eval

from modelwright.quantize.dynamic import dynamic_linears
from modelwright.quantize.flow import TECHNIQUES
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.prepare import Prepared, calibrate, convert, prepare, restrict
from modelwright.quantize.profile import Profile
from modelwright.quantize.qat import default_tuning, prepare_training, tune
from modelwright.quantize.sensitivity import one_at_a_time
from modelwright.quantize.targets.openvino import PROFILE as OPENVINO
from modelwright.quantize.weight_only import round_weights
from modelwright.records import ACTIVATIONS, WEIGHTS, Architecture, Quantization, Recipe, Scheme
from modelwright.training import Data, Preprocess, Run

BATCH = 64
CALIBRATION = "mse"
"""Of all parts but the one that compares them; nearly always what `auto` picks."""
CALIBRATIONS = ("minmax", "moving-average", "histogram", "percentile", "entropy", "mse", "auto")
BITS = ((8, 8), (6, 6), (4, 4))
TUNINGS = {8: (1, 100), 4: (2, 10)}
"""Bits of weights -> epochs of training with quantization simulated, and what the learning rate is divided by."""
LEARNED = (4, 10)
"""The same where scales are learned."""

replace = msgspec.structs.replace
Made = tuple[Any, fx.GraphModule | None]
"""What is judged; and what the target writes, None where it has no kernels for it."""


@final
@dataclass(frozen=True)
class Trial:
    """One way to quantize, not yet tried.

    Attributes:
        part: of the table.
        candidate: its name there.
        recipe: how.
        make: does it.
        target: whether the target has kernels for it.
    """

    part: str
    candidate: str
    recipe: Quantization
    make: Callable[[], Made]
    target: bool = False


@final
@dataclass
class Case:
    """A trained network and its samples.

    Attributes:
        architecture, network: as it was trained.
        data, see: that it was trained on, and what it sees of an image.
        how: it was trained.
        calibration: samples of the training split that ranges are found on.
        hints: samples of the validation split that tell which layers are sensitive.
        folder: for checkpoints.
        name: of those.
    """

    architecture: Architecture
    network: nn.Module
    data: Data
    see: Preprocess
    how: Recipe
    calibration: Samples
    hints: Samples
    folder: Path
    name: str
    graph: fx.GraphModule = field(init=False)

    def __post_init__(self) -> None:
        self.graph = capture(self.network, (self.calibration.inputs[:2],))

    def batches(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Samples that ranges are found on."""
        return self.calibration.batches(BATCH)

    def prepared(self, how: Quantization, graph: fx.GraphModule | None = None, *, share: bool = True) -> Prepared:
        """The graph with quantization simulated, its ranges found."""
        made = prepare(self.graph if graph is None else graph, how, profile(how), share=share)
        calibrate(made, self.batches())
        return made

    def static(self, part: str, candidate: str, how: Quantization) -> Trial:
        """Everything in whole numbers, after the techniques of the recipe."""

        def make() -> Made:
            changed = copy.deepcopy(self.graph)
            for name in how.techniques:
                TECHNIQUES[name](changed, how, list(self.batches()))
            made = self.prepared(how, changed)
            return made.graph, convert(made)

        return Trial(part, candidate, how, make, served(how))

    def schemes(self) -> Iterator[Trial]:
        """Weights by tensor or channel, either and activations symmetric or affine, in 8, 6 and 4 bits."""
        shapes = tuple(product(("tensor", "channel"), (True, False), (False, True)))
        for bits, (granularity, symmetric, even) in product(BITS, shapes):
            yield self.static("scheme", *scheme(bits, granularity, symmetric, even))
        for bits, granularity in product(((4, 8), (2, 8)), ("tensor", "channel")):
            yield self.static("scheme", *scheme(bits, granularity, symmetric=True))

    def calibrations(self) -> Iterator[Trial]:
        """Ranges of activations found in every way, for 8 bits and for 4."""
        for bits, name in product(((8, 8), (8, 4)), CALIBRATIONS):
            _, how = scheme(bits)
            yield self.static("calibration", f"{name}, {bits[1]} bits", replace(how, calibration=name))

    def partial(self) -> Iterator[Trial]:
        """The most sensitive layers in float, an eighth of them at a time."""
        for bits in ((8, 8), (4, 4)):
            _, how = scheme(bits)
            ready: dict[str, Any] = {}

            def make(step: int, how: Quantization = how, ready: dict[str, Any] = ready) -> Made:
                if not ready:
                    judge = Judge.of(self.graph, self.hints, BATCH)
                    alone = one_at_a_time(self.prepared(how, share=False), judge)
                    ready["order"] = [one.layers[0] for one in sorted(alone, key=lambda one: -one.mse)]
                    ready["whole"] = self.prepared(how)
                order = ready["order"]
                left = dict.fromkeys(order[: round(len(order) * step / 8)], "fp32")
                made = restrict(ready["whole"], self.graph, replace(how, layers=left), profile(how))
                return made.graph, convert(made)

            for step in range(1, 8):
                yield Trial("partial", f"{step} of 8, {bits[0]} bits", how, partial(make, step))

    def lighter(self) -> Iterator[Trial]:
        """Weights only, and the matrix with dynamic activations."""
        for bits, granularity in product((8, 4, 2), ("tensor", "channel")):
            weights = replace(WEIGHTS, bits=bits, granularity=granularity)
            how = Quantization(kind="weight-only", weights=weights)
            yield Trial("weight-only", f"{granularity}, {bits} bits", how, partial(self._rounded, how))
        how = Quantization(kind="dynamic")
        make = partial(dynamic_linears, self.graph, how, (self.calibration.inputs[:BATCH],))
        yield Trial("dynamic", "the matrix", how, lambda: (make(), None))

    def techniques(self) -> Iterator[Trial]:
        """What makes a network lose less, where much is lost."""
        sets = (("equalization",), ("bias-correction",), ("equalization", "bias-correction"))
        for names in sets:
            yield self._with(names, (8, 8), "tensor")
        for names in (*sets, ("adaround",)):
            yield self._with(names, (4, 8), "channel")

    def trainings(self) -> Iterator[Trial]:
        """Training with quantization simulated."""
        for bits, granularity in (((8, 8), "tensor"), ((8, 8), "channel"), ((4, 8), "channel"), ((4, 4), "channel")):
            yield self._training(*scheme(bits, granularity), TUNINGS[bits[0]])

    def learned(self) -> Iterator[Trial]:
        """The same with learned scales, for four bits throughout, where ranges from least to greatest are too wide."""
        name, how = scheme((4, 4))
        yield self._training(f"{name}, scales learned", replace(how, learned_scales=True), LEARNED)

    def _training(self, name: str, how: Quantization, length: tuple[int, int]) -> Trial:
        epochs, slower = length
        tuning = replace(default_tuning(self.how), epochs=epochs, learning_rate=self.how.learning_rate / slower)
        how = replace(how, kind="qat", tuning=tuning)
        return Trial("qat", name, how, partial(self._tuned, name, how), served(how))

    def _with(self, names: tuple[str, ...], bits: tuple[int, int], granularity: str) -> Trial:
        name, how = scheme(bits, granularity)
        return self.static("technique", f"{' + '.join(names)}; {name}", replace(how, techniques=names))

    def _rounded(self, how: Quantization) -> Made:
        made = copy.deepcopy(self.graph)
        round_weights(made, how)
        return made, None

    def _tuned(self, name: str, how: Quantization) -> Made:
        graph = capture(self.network, (self.calibration.inputs[:2],), fold=False)
        graph.requires_grad_(True)
        prepared = prepare_training(graph, how, profile(how))
        calibrate(prepared, self.batches())
        word = name.replace("/", "-").replace(" ", "-").replace(",", "")
        run = Run(threads=torch.get_num_threads(), checkpoint=self.folder / f"{self.name}-qat-{word}.checkpoint")
        prepared.graph.to(memory_format=torch.channels_last)  # trains twice as fast here
        prepared, _ = tune(prepared, how, self.data, self.see, run)
        prepared.graph.to(memory_format=torch.contiguous_format)
        made: nn.Module = allow_exported_model_train_eval(convert(prepared))
        return prepared.graph, capture(made, (self.calibration.inputs[:2],), fold=False)


def scheme(
    bits: tuple[int, int], granularity: str = "channel", symmetric: bool = True, even: bool = False
) -> tuple[str, Quantization]:
    """A name and a recipe for bits of weights and activations, the weights' scales, and symmetries."""
    weights = Scheme(bits[0], symmetric=symmetric, narrow=symmetric, granularity=granularity)  # type: ignore[arg-type]
    given = Scheme(bits[1], signed=even, symmetric=even)
    name = f"{granularity} {word(weights)}, {word(given)}, {bits[0]}/{bits[1]}"
    return name, Quantization(weights=weights, activations=given, calibration=CALIBRATION)


def word(one: Scheme) -> str:
    """What a scheme's zero point makes it."""
    return "symmetric" if one.symmetric else "affine"


def profile(how: Quantization) -> Profile:
    """A target with kernels for every scheme, which quantizes where OpenVINO does."""
    return dataclasses.replace(OPENVINO, name="simulation", weights=how.weights, activations=how.activations)


def served(how: Quantization) -> bool:
    """Whether the target has kernels for what a recipe asks for."""
    return how.weights == WEIGHTS and how.activations == ACTIVATIONS
