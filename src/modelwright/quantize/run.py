"""A quantization from beginning to end: the walk, all candidates measured in turns, the choice, the artifact."""

import dataclasses
import hashlib
from typing import Any

import msgspec
import torch
from torch import fx

from modelwright.networks.measuring.machine import describe
from modelwright.quantize import TARGETS
from modelwright.quantize.artifact import hand_over
from modelwright.quantize.candidates import Tried, Workshop
from modelwright.quantize.choosing import choose, verdict, weights_word
from modelwright.quantize.flow import Flow
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.layer_numbers import layer_numbers
from modelwright.quantize.observers.choice import observers
from modelwright.quantize.settings import FINDINGS, Site, Wishes
from modelwright.quantize.subject import Subject
from modelwright.quantize.targets.target import Target
from modelwright.quantize.timing import time_in_turns
from modelwright.records import Device, QuantizationFindings, QuantizedCandidate, to_json, write_whole
from modelwright.registry import Registry

targets: Registry[Any] = Registry("target", TARGETS)
"""Name -> target."""


def quantize_for(subject: Subject, wishes: Wishes, site: Site) -> QuantizationFindings:
    """Find the fastest precision that keeps the accuracy, hand it over in `site.folder / "artifact"`, and tell all.

    What an earlier run in the folder has made is taken from there. Nothing but finished candidates stays behind.

    Raises:
        UnknownNameError: there is no such target or calibration.
        SettingError: the target cannot run here; the samples are not fit to calibrate or judge with.
        TraceError: the network cannot be captured.
        ExportError: the target cannot run the float network.
    """
    begun = site.clock.seconds()
    target: Target = targets[wishes.target]()
    target.check()
    for name in wishes.calibrations:
        observers[name]
    module = subject.whole(subject.network)
    example = (subject.calibration.inputs[:2],)
    graph = capture(module, example)
    judge = _judge(graph, subject.judged)
    shop = Workshop(
        target,
        site.folder / "candidates",
        graph,
        example,
        judge,
        site.clock,
        wishes.batch,
        site.threads,
        wishes.allow_float,
        _origin(graph, subject, wishes),
    )
    flow = Flow(subject, wishes, site, shop, begun)
    flow.walk()
    findings = _findings(flow, _measured(flow))
    chosen = next((one for one in findings.candidates if one.chosen), None)
    if chosen is not None:
        hand_over(findings, subject, shop.folder / chosen.name, site.folder / "artifact", site.clock)
    site.folder.mkdir(parents=True, exist_ok=True)
    write_whole(site.folder / FINDINGS, to_json(findings))
    return findings


def _findings(flow: Flow, tried: list[Tried]) -> QuantizationFindings:
    """The choice among what was tried, and all that is to be told."""
    subject, wishes, site, shop = flow.subject, flow.wishes, flow.site, flow.workshop
    chosen = choose([one.candidate for one in tried], wishes.max_drop)
    tried = [_with(one, chosen=chosen is not None and one.candidate.name == chosen.name) for one in tried]
    candidates = tuple(one.candidate for one in tried)
    kernels = next((one.kernels for one in tried if one.candidate.chosen), ())
    best = flow.best()
    batches = subject.calibration.batches(shop.judge.batch)
    numbers = layer_numbers(flow.prepared(best.recipe), flow.changed(best.recipe), batches) if best else ()
    if subject.judged.labels is None:
        flow.notes.append("Samples have no labels: accuracy is agreement with the float network's own answers.")
    flow.notes.extend(filter(None, [weights_word(candidates)]))
    return QuantizationFindings(
        model=subject.name,
        target=wishes.target,
        data=subject.data,
        calibrated=len(subject.calibration),
        judged=len(subject.judged),
        batch=wishes.batch,
        candidates=candidates,
        sensitivities=flow.sensitivities,
        layers=numbers,
        kernels=kernels,
        max_drop=wishes.max_drop,
        verdict=verdict(candidates, chosen, wishes.max_drop),
        device=_device(site),
        seconds=site.clock.seconds() - flow.begun + flow.earlier_s,
        notes=tuple(dict.fromkeys(flow.notes)),
    )


def _judge(graph: Any, samples: Samples) -> Judge:
    """Where nobody knows the labels, the float network's own answers stand for them."""
    judge = Judge.of(graph, samples)
    if samples.labels is not None:
        return judge
    return Judge(dataclasses.replace(samples, labels=judge.reference.argmax(-1)), judge.reference, judge.batch)


def _origin(graph: fx.GraphModule, subject: Subject, wishes: Wishes) -> str:
    """A digest of what candidates are made from and judged on, so that a run takes up only what is its own."""
    told = hashlib.sha256(f"{wishes.target} {wishes.batch} {wishes.seed} {graph.code}".encode())
    samples = (subject.calibration.inputs, subject.judged.inputs, subject.judged.labels)
    for tensor in (*graph.state_dict().values(), *samples):
        if tensor is not None:
            told.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            told.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    if subject.training is not None:
        told.update(subject.training.data.fingerprint.encode() + to_json(subject.training.recipe))
    return told.hexdigest()


def _measured(flow: Flow) -> list[Tried]:
    """All candidates with their latency, measured in turns."""
    shop = flow.workshop
    finished = [one for one in flow.tried.values() if one.candidate.state == "finished"]
    flow.site.tell("measure", 0, len(finished), f"{len(finished)} candidates in turns")
    given = flow.subject.judged.inputs[: shop.batch]
    programs = {one.candidate.name: shop.load(one.candidate) for one in finished}
    calls = {name: (lambda program=program: program(given)) for name, program in programs.items()}
    taken = time_in_turns(calls, flow.site.clock)
    return [
        _with(one, latency_s=taken[one.candidate.name][0], spread=taken[one.candidate.name][1])
        if one.candidate.name in taken
        else one
        for one in flow.tried.values()
    ]


def _with(tried: Tried, **fields: Any) -> Tried:
    candidate: QuantizedCandidate = msgspec.structs.replace(tried.candidate, **fields)
    return Tried(candidate, tried.kernels)


def _device(site: Site) -> Device:
    return describe(torch.device("cpu"), site.threads, site.commit)
