"""The recommended way through quantization, step by step, each stopping where it is no longer needed.

Source: Wu et al., 2020, arXiv 2004.09602, section 6: calibrate in several ways; quantize in part where that loses too
much; train with quantization simulated where that does, too. What is added: every mix is timed as a whole graph.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import msgspec
import torch
from torch import fx

from modelwright.errors import ExportError, ModelwrightError
from modelwright.quantize.allocate import CUTS, allocate, front
from modelwright.quantize.candidates import Tried, Workshop
from modelwright.quantize.dynamic import without_dynamic
from modelwright.quantize.graph import capture, layers, recurrent
from modelwright.quantize.groups import groups, most_sensitive
from modelwright.quantize.judging import Judge
from modelwright.quantize.prepare import Prepared, calibrate, convert, prepare, restrict
from modelwright.quantize.qat import default_tuning, trained
from modelwright.quantize.sensitivity import cumulative, one_at_a_time, pairs
from modelwright.quantize.settings import Site, Wishes
from modelwright.quantize.stand import Stand
from modelwright.quantize.subject import Subject, Training
from modelwright.quantize.techniques.adaround import adaround
from modelwright.quantize.techniques.bias_correction import correct_biases
from modelwright.quantize.techniques.equalization import equalize
from modelwright.quantize.techniques.smoothquant import smooth
from modelwright.quantize.weight_only import whole_weights
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
FEWEST = 32
"""Samples that layers are judged on at least."""
SHARE = 0.2
"""Of the budget, for asking every layer."""
FINALISTS = 3
"""Mixes that are judged for themselves."""


@final
@dataclass
class Flow:
    """One quantization on its way.

    Attributes:
        subject, wishes, site: what is asked for.
        workshop: makes candidates.
        begun: when, on the site's clock.
        tried: candidates so far, by name.
        sensitivities: of layers.
        notes: what the reader must know.
        earlier_s: seconds that earlier runs took for candidates that are taken from there.
    """

    subject: Subject
    wishes: Wishes
    site: Site
    workshop: Workshop
    begun: float
    tried: dict[str, Tried] = field(default_factory=dict)
    sensitivities: tuple[Sensitivity, ...] = ()
    notes: list[str] = field(default_factory=list)
    earlier_s: float = 0.0
    _changed: dict[tuple[str, ...], fx.GraphModule] = field(default_factory=dict)
    _prepared: dict[tuple[str, ...], Prepared] = field(default_factory=dict)
    _alone: dict[tuple[str, ...], Prepared] = field(default_factory=dict)

    def walk(self) -> None:
        """All steps, as long as there is time.

        Raises:
            ExportError: the target cannot run the float network.
        """
        self.floats()
        self.begin()
        self.dynamic()
        self.weights()
        self.calibrations()
        best = self.best()
        if best is None:
            return
        if not self.enough(best):
            self.techniques(best.recipe)
        self.suffer(best.recipe)
        self.mixes(best.recipe)
        best = self.best() or best
        if not any(self.enough(one.candidate) for one in self.tried.values() if _static(one.candidate)):
            self.train(best.recipe)

    def floats(self) -> None:
        """The network as it is, in every kind of floats that the target has."""
        for kind in self.workshop.target.profile.floats:
            self.attempt(str(kind), Quantization(kind="float", floats=kind), lambda: self.workshop.graph)  # type: ignore[arg-type]
        plain = self.tried["fp32"].candidate
        if plain.state != "finished":
            raise ExportError("the target must run the float network", where=self.wishes.target, value=plain.reason)

    def begin(self) -> None:
        """What the network comes with, such as the recipe of the search that found it, by the target's schemes."""
        given = self.subject.recipe
        if given is None or given.kind != "static" or not self.workshop.target.profile.kinds:
            return
        parts = {"floats": given.floats, "layers": given.layers, "techniques": given.techniques}
        recipe = self.recipe(calibration=given.calibration, **parts)
        name = "found" if recipe.layers or recipe.techniques else f"int8-{recipe.calibration}"
        self.attempt(name, recipe, partial(self._part, recipe))
        self.notes.append(f"{name} is the recipe that the network came with.")

    def dynamic(self) -> None:
        """Linear and recurrent layers whose ranges are found as they run; convolutions stay in float."""
        shop = self.workshop
        profile, known = shop.target.profile, {layer.kind for layer in layers(shop.graph)}
        loops = set(recurrent(shop.graph))
        self.notes.extend(without_dynamic(profile, known, loops))
        if not (known | loops).intersection(profile.dynamic):
            return
        lines = [layer.name for layer in layers(shop.graph) if layer.kind in profile.dynamic]
        for numbers in ("int8", "fp8") if profile.fp8 else ("int8",):
            left = [name for name in lines if not shop.target.fits(shop.graph, name, numbers)]
            chosen = dict.fromkeys(lines, numbers) if numbers == "fp8" else {}
            recipe = self.recipe(kind="dynamic", layers={**chosen, **dict.fromkeys(left, "fp32")})
            if self.time() and (loops or len(left) < len(lines)):
                self.attempt("dynamic" if numbers == "int8" else "dynamic-fp8", recipe, lambda: shop.graph)

    def weights(self) -> None:
        """Whole weights and nothing else: a quarter of the bytes, computed with in floats."""
        recipe, shop = self.recipe(kind="weight-only"), self.workshop
        if self.time() and any(layer.weight for layer in layers(shop.graph)):
            self.attempt("weights", recipe, lambda: whole_weights(shop.graph, recipe, shop.example))

    def calibrations(self) -> None:
        """Everything in whole numbers, with ranges found in several ways."""
        able = self.workshop.target.profile.kinds
        if not able:
            self.notes.append(f"{self.wishes.target} has no kernels for ranges that are found beforehand: none were.")
        for name in self.wishes.calibrations if able else ():
            if self.time() and f"int8-{name}" not in self.tried:
                recipe = self.recipe(calibration=name)
                self.attempt(f"int8-{name}", recipe, partial(self._calibrated, recipe))

    def techniques(self, recipe: Quantization) -> None:
        """What makes a network lose less, one after the other, until it is enough."""
        for name in TECHNIQUES:
            if not self.time():
                return
            better = msgspec.structs.replace(recipe, techniques=(name,))
            if self.enough(self.attempt(f"int8-{name}", better, partial(self._calibrated, better)).candidate):
                return

    def suffer(self, recipe: Quantization) -> None:
        """Which layers lose most: one at a time, growing sets, pairs of the worst."""
        if not self.time():
            return
        prepared = self._by_layer(recipe)
        judge = self._brief(len(prepared.layers))

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
        together = [one.layers for one in groups(whole.layers, apart=most_sensitive(self.sensitivities))]
        if len(together) < 2 or not self.time():
            return
        noise = {one.layers[0]: one.mse for one in self.sensitivities if len(one.layers) == 1}
        full = f"int8-{recipe.techniques[0] if recipe.techniques else recipe.calibration}"
        stand = Stand(self.workshop, self.subject.judged.inputs[: self.workshop.batch], full)
        profile, nodes = self.workshop.target.profile, {one.name: one.node for one in whole.layers}
        done, most = 0, 2 * len(profile.floats) + CUTS + 4 * len(together)

        def mixed(integer: Iterable[str], floats: str) -> Quantization:
            left = [one.name for one in whole.layers if one.name not in integer]
            return msgspec.structs.replace(recipe, floats=floats, layers=dict.fromkeys(left, floats))

        def measure(integer: frozenset[str], floats: str) -> float:
            nonlocal done
            self.site.tell("mixes", done, most, f"{len(integer)} of {len(noise)} layers in whole numbers, {floats}")
            done += 1
            wanted = mixed(integer, floats)
            left = [nodes[name] for name in wanted.layers]
            try:
                return stand.seconds(
                    left, floats, partial(self._part, wanted) if integer else lambda: self.workshop.graph
                )
            except ModelwrightError as failure:
                self.notes.append(f"A mix could not be timed: {failure}")
                return math.inf

        able = [name for name in profile.floats if self.tried[name].candidate.state == "finished"]
        floor = {name: self._float_noise(name) for name in able}
        found = allocate(noise, able, measure, together=together, floor=floor, more=self.time)
        partly = [
            mix for mix in front(found) if mix.integer and (len(mix.integer) < len(noise) or mix.floats != "fp32")
        ]
        for place, mix in enumerate(partly[:FINALISTS], 1):
            wanted = mixed(mix.integer, mix.floats)
            self.attempt(f"mix-{place}", wanted, partial(self._part, wanted))

    def train(self, recipe: Quantization) -> None:
        """Training with quantization simulated, from the best calibrated network; with learned scales if need be."""
        training = self.subject.training
        if training is None or not self.wishes.training:
            return
        tuning = default_tuning(training.recipe)
        learned = msgspec.structs.replace(recipe, kind="qat", layers={}, floats="fp32", techniques=(), tuning=tuning)
        for name, scales in (("int8-qat", False), ("int8-lsq", True)):
            if self.time():
                wanted = msgspec.structs.replace(learned, learned_scales=scales)
                tried = self.attempt(name, wanted, partial(self._learned, name, wanted, training))
                if self.enough(tried.candidate):
                    return

    def attempt(self, name: str, recipe: Quantization, graph: Callable[[], fx.GraphModule]) -> Tried:
        """A candidate, made now unless an earlier run has made it."""
        planned = len(self.workshop.target.profile.floats) + len(self.wishes.calibrations) + FINALISTS
        self.site.tell("candidates", len(self.tried), max(planned, len(self.tried) + 1), name)
        held = self.workshop.held(name, recipe)
        self.earlier_s += held.candidate.seconds if held else 0.0
        before = len(self.notes)
        self.notes.extend(held.told if held else ())
        self.tried[name] = held or self.workshop.make(name, recipe, graph, lambda: self.notes[before:])
        return self.tried[name]

    def best(self) -> QuantizedCandidate | None:
        """The candidate with everything in whole numbers, by ranges that were found beforehand, that loses least."""
        able = [one.candidate for one in self.tried.values() if _static(one.candidate)]
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

    def changed(self, recipe: Quantization) -> fx.GraphModule:
        """The graph in float, as the recipe's techniques leave it."""
        if not recipe.techniques:
            return self.workshop.graph
        key = (recipe.calibration, *recipe.techniques)
        if key not in self._changed:
            made, batches = copy.deepcopy(self.workshop.graph), list(self.batches())
            for name in recipe.techniques:
                self.notes.extend(TECHNIQUES[name](made, _all_of(recipe), batches))
            self._changed[key] = made
        return self._changed[key]

    def prepared(self, recipe: Quantization) -> Prepared:
        """The graph prepared with everything in whole numbers, and calibrated; once for each calibration."""
        key = (recipe.calibration, *recipe.techniques)
        if key not in self._prepared:
            made = prepare(self.changed(recipe), _all_of(recipe), self.workshop.target.profile)
            calibrate(
                made, self.batches(), lambda seen: self.site.tell("calibrate", seen, len(self.subject.calibration))
            )
            self._prepared[key] = made
        return self._prepared[key]

    def _by_layer(self, recipe: Quantization) -> Prepared:
        """The same with quantization that can be switched for each layer by itself."""
        key = (recipe.calibration, *recipe.techniques)
        if key not in self._alone:
            made = prepare(self.changed(recipe), _all_of(recipe), self.workshop.target.profile, share=False)
            calibrate(made, self.batches())
            self._alone[key] = made
        return self._alone[key]

    def _calibrated(self, recipe: Quantization) -> fx.GraphModule:
        """The graph in whole numbers."""
        return convert(self.prepared(recipe))

    def _part(self, recipe: Quantization) -> fx.GraphModule:
        """The graph with some layers in whole numbers, by the ranges of all."""
        profile = self.workshop.target.profile
        return convert(restrict(self.prepared(recipe), self.changed(recipe), recipe, profile))

    def _brief(self, times: int) -> Judge:
        """A judge on as many samples as can be asked so many times in its part of the budget."""
        judge = self.workshop.judge
        few = judge.first(FEWEST)
        begun = self.site.clock.seconds()
        few(self.workshop.graph)
        each = (self.site.clock.seconds() - begun) / len(few.samples)
        can = self.wishes.budget_s * SHARE / max(times * each, 1e-9)
        return judge.first(max(FEWEST, min(len(judge.samples), int(can))))

    def _float_noise(self, name: str) -> float:
        """Mean squared error of the outputs in these floats."""
        power = float(self.workshop.judge.reference.square().mean())
        return power / float(10 ** ((self.tried[name].candidate.sqnr_db or 0.0) / 10))

    def _learned(self, name: str, recipe: Quantization, training: Training) -> fx.GraphModule:
        batches = [(training.see(given),) for (given,) in self.subject.calibration.batches(BATCH)]
        run = Run(threads=self.site.threads, clock=self.site.clock)
        made, epochs = trained(self.subject.network, recipe, self.workshop.target.profile, batches, training, run)
        self.notes.append(f"{name}: {len(epochs)} epochs, {epochs[-1].accuracy:.2%} of the validation split right.")
        return capture(self.subject.whole(made), self.workshop.example, fold=False)


def _static(candidate: QuantizedCandidate) -> bool:
    """Whether its ranges were found beforehand, so that mixes can be made of it."""
    return candidate.recipe.kind in ("static", "qat")


def _all_of(recipe: Quantization) -> Quantization:
    """The recipe with everything in whole numbers."""
    return msgspec.structs.replace(recipe, kind="static", layers={}, floats="fp32", tuning=None, learned_scales=False)
