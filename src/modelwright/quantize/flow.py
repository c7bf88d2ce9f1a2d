"""The recommended way through quantization, step by step, each stopping where it is no longer needed.

Source: Wu et al., 2020, arXiv 2004.09602, section 6: calibrate in several ways; quantize in part where that loses too
much; train with quantization simulated where that does, too. What is added: every mix is timed as a whole graph.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import msgspec
import torch
from torch import fx, nn
from torchao.quantization.pt2e import allow_exported_model_train_eval

from modelwright.errors import ModelwrightError
from modelwright.quantize.allocate import allocate, front
from modelwright.quantize.candidates import Tried, Workshop
from modelwright.quantize.graph import capture
from modelwright.quantize.groups import groups
from modelwright.quantize.prepare import Prepared, calibrate, convert, prepare, restrict
from modelwright.quantize.qat import default_tuning, prepare_training, tune
from modelwright.quantize.sensitivity import cumulative, one_at_a_time, pairs, sensitivities
from modelwright.quantize.settings import Site, Wishes
from modelwright.quantize.stand import Stand
from modelwright.quantize.subject import Subject, Training
from modelwright.quantize.techniques.adaround import adaround
from modelwright.quantize.techniques.bias_correction import correct_biases
from modelwright.quantize.techniques.equalization import equalize
from modelwright.quantize.techniques.smoothquant import smooth
from modelwright.records import Quantization, QuantizedCandidate, Sensitivity
from modelwright.training import Run

BATCH = 32
"""Samples a call where ranges are found and layers are judged."""
TECHNIQUES: dict[str, Callable[..., tuple[str, ...]]] = {
    "equalization": equalize,
    "bias-correction": correct_biases,
    "smoothquant": smooth,
    "adaround": adaround,
}
"""In the order in which they are tried, the cheap ones first."""
FINALISTS = 3
"""Mixes that are judged for themselves."""


@final
@dataclass
class Flow:
    """One quantization on its way.

    Attributes:
        subject, wishes, site: what is asked for.
        workshop: makes candidates.
        graph: the network as it was captured.
        tried: candidates so far, by name.
        sensitivities: of layers.
        notes: what the reader must know.
    """

    subject: Subject
    wishes: Wishes
    site: Site
    workshop: Workshop
    graph: fx.GraphModule
    begun: float
    tried: dict[str, Tried] = field(default_factory=dict)
    sensitivities: tuple[Sensitivity, ...] = ()
    notes: list[str] = field(default_factory=list)
    _prepared: dict[str, Prepared] = field(default_factory=dict)

    def walk(self) -> None:
        """All steps, as long as there is time."""
        self.floats()
        self.calibrations()
        best = self.best()
        if best is None:
            return
        if not self.enough(best):
            self.techniques(best.recipe)
        self.suffer(best.recipe)
        self.mixes(best.recipe)
        best = self.best() or best
        if not any(self.enough(one.candidate) for one in self.tried.values() if one.candidate.recipe.kind != "float"):
            self.train(best.recipe)

    def floats(self) -> None:
        """The network as it is, in every kind of floats that the target has."""
        for kind in self.workshop.target.profile.floats:
            self.attempt(str(kind), Quantization(kind="float", floats=kind), lambda: self.graph)  # type: ignore[arg-type]

    def calibrations(self) -> None:
        """Everything in whole numbers, with ranges found in several ways."""
        for name in self.wishes.calibrations:
            if self.time():
                recipe = self.recipe(calibration=name)
                self.attempt(f"int8-{name}", recipe, partial(self._calibrated, recipe))

    def techniques(self, recipe: Quantization) -> None:
        """What makes a network lose less, one after the other, until it is enough."""
        batches = list(self.batches())
        for name, apply in TECHNIQUES.items():
            if not self.time():
                return
            better = msgspec.structs.replace(recipe, techniques=(name,))

            def made(better: Quantization = better, apply: Callable[..., tuple[str, ...]] = apply) -> fx.GraphModule:
                changed = self.fresh()
                self.notes.extend(apply(changed, better, batches))
                prepared = prepare(changed, better, self.workshop.target.profile)
                calibrate(prepared, batches)
                return convert(prepared)

            if self.enough(self.attempt(f"int8-{name}", better, made).candidate):
                return

    def suffer(self, recipe: Quantization) -> None:
        """Which layers lose most: one at a time, growing sets, pairs of the worst."""
        if not self.time():
            return
        prepared = prepare(self.graph, recipe, self.workshop.target.profile, share=False)
        calibrate(prepared, self.batches())
        judge = self.workshop.judge

        def report(done: int, total: int, name: str) -> None:
            self.site.tell("sensitivity", done, total, name)

        alone = one_at_a_time(prepared, judge, report)
        self.sensitivities = (
            *alone,
            *cumulative(prepared, judge, alone, report=report),
            *pairs(prepared, judge, alone),
        )

    def mixes(self, recipe: Quantization) -> None:
        """Some groups of layers in whole numbers, the rest in floats: the front of whole-graph time and noise."""
        whole = self.prepared(recipe)
        layers = {one.name: one.layers for one in groups(whole.layers)}
        if len(layers) < 2 or not self.time():
            return
        full = f"int8-{recipe.techniques[0] if recipe.techniques else recipe.calibration}"
        stand = Stand(self.workshop, self.graph, self.subject.judged.inputs[: self.workshop.batch], full)
        profile, nodes = self.workshop.target.profile, {one.name: one.node for one in whole.layers}
        done = 0

        def mixed(integer: Iterable[str], floats: str) -> Quantization:
            left = [name for group, names in layers.items() if group not in integer for name in names]
            return msgspec.structs.replace(recipe, floats=floats, layers=dict.fromkeys(left, floats))

        def measure(integer: frozenset[str], floats: str) -> float:
            nonlocal done
            self.site.tell("mixes", done, 0, f"{len(integer)} of {len(layers)} groups in whole numbers, {floats}")
            done += 1
            wanted = mixed(integer, floats)
            left = [nodes[name] for name in wanted.layers]
            return stand.seconds(left, floats, partial(self._part, wanted) if integer else lambda: self.graph)

        able = [name for name in profile.floats if self.tried[name].candidate.state == "finished"]
        floor = {name: self._float_noise(name) for name in able}
        found = allocate(self._noise(recipe, layers), able, measure, floor=floor, more=self.time)
        partly = [
            mix for mix in front(found) if mix.integer and (len(mix.integer) < len(layers) or mix.floats != "fp32")
        ]
        for place, mix in enumerate(partly[:FINALISTS], 1):
            wanted = mixed(mix.integer, mix.floats)
            self.attempt(f"mix-{place}", wanted, partial(self._part, wanted))

    def train(self, recipe: Quantization) -> None:
        """Training with quantization simulated, from the best calibrated network."""
        training = self.subject.training
        if training is None or not self.wishes.training or not self.time():
            return
        tuning = default_tuning(training.recipe)
        learned = msgspec.structs.replace(recipe, kind="qat", layers={}, floats="fp32", techniques=(), tuning=tuning)
        self.attempt("int8-qat", learned, lambda: self._learned(learned, training))

    def attempt(self, name: str, recipe: Quantization, graph: Callable[[], fx.GraphModule]) -> Tried:
        """A candidate, made now unless an earlier run has made it."""
        self.site.tell("candidates", len(self.tried), 0, name)
        self.tried[name] = self.workshop.held(name, recipe) or self.workshop.make(name, recipe, graph)
        return self.tried[name]

    def best(self) -> QuantizedCandidate | None:
        """The quantized candidate that loses least."""
        able = [one.candidate for one in self.tried.values() if one.candidate.recipe.kind != "float"]
        able = [one for one in able if one.state == "finished" and not one.recipe.layers]
        return min(able, key=lambda one: (one.drop or 0.0, -(one.sqnr_db or 0.0)), default=None)

    def enough(self, candidate: QuantizedCandidate) -> bool:
        """Whether a candidate loses no more than is allowed."""
        drop = candidate.drop
        return candidate.state == "finished" and (drop is None or drop <= self.wishes.max_drop)

    def time(self) -> bool:
        """Whether a new step may begin."""
        return self.site.clock.seconds() - self.begun < self.wishes.budget_s

    def recipe(self, **fields: Any) -> Quantization:
        """Everything in whole numbers by the target's own schemes."""
        profile = self.workshop.target.profile
        return Quantization(weights=profile.weights, activations=profile.activations, **fields)

    def batches(self) -> Iterable[tuple[torch.Tensor, ...]]:
        """Samples that ranges are found on."""
        return self.subject.calibration.batches(BATCH)

    def fresh(self) -> fx.GraphModule:
        """The network captured anew, to be changed."""
        return capture(self.subject.whole(self.subject.network), self.workshop.example)

    def prepared(self, recipe: Quantization) -> Prepared:
        """The graph prepared and calibrated, once for each calibration."""
        if recipe.calibration not in self._prepared:
            made = prepare(self.graph, recipe, self.workshop.target.profile)
            calibrate(
                made, self.batches(), lambda seen: self.site.tell("calibrate", seen, len(self.subject.calibration))
            )
            self._prepared[recipe.calibration] = made
        return self._prepared[recipe.calibration]

    def _calibrated(self, recipe: Quantization) -> fx.GraphModule:
        """The graph in whole numbers."""
        return convert(self.prepared(recipe))

    def _part(self, recipe: Quantization) -> fx.GraphModule:
        """The graph with some layers in whole numbers, by the ranges of all."""
        profile = self.workshop.target.profile
        return convert(restrict(self.prepared(recipe), self.graph, recipe, profile))

    def _noise(self, recipe: Quantization, sets: dict[str, tuple[str, ...]]) -> dict[str, float]:
        """What each group by itself adds to the outputs' mean squared error."""
        prepared = prepare(self.graph, recipe, self.workshop.target.profile, share=False)
        calibrate(prepared, self.batches())
        told = sensitivities(prepared, self.workshop.judge, sets.values())
        return {name: one.mse for name, one in zip(sets, told, strict=True)}

    def _float_noise(self, name: str) -> float:
        """Mean squared error of the outputs in these floats."""
        power = float(self.workshop.judge.reference.square().mean())
        return power / float(10 ** ((self.tried[name].candidate.sqnr_db or 0.0) / 10))

    def _learned(self, recipe: Quantization, training: Training) -> fx.GraphModule:
        see, images = training.see, self.subject.calibration
        graph = capture(self.subject.network, (see(images.inputs[:2]),), fold=False)
        prepared = prepare_training(graph, recipe, self.workshop.target.profile)
        calibrate(prepared, ((see(given),) for (given,) in images.batches(BATCH)))
        run = Run(threads=self.site.threads, clock=self.site.clock)
        prepared, epochs = tune(prepared, recipe, training.data, see, run)
        self.notes.append(f"int8-qat: {len(epochs)} epochs, {epochs[-1].accuracy:.2%} of the validation split right.")
        made: nn.Module = allow_exported_model_train_eval(convert(prepared))
        return capture(self.subject.whole(made), self.workshop.example, fold=False)


def failed(flow: Flow) -> ModelwrightError | None:
    """Why there is nothing to compare with: the float network itself could not be made."""
    plain = flow.tried.get("fp32")
    if plain is not None and plain.candidate.state == "finished":
        return None
    reason = plain.candidate.reason if plain else "there was no time"
    return ModelwrightError("the float network must run on the target", where=flow.wishes.target, value=reason)
