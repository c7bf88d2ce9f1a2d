"""A quantization from beginning to end: the walk, all candidates measured in turns, the choice, the artifact."""

import dataclasses
from typing import Any

import msgspec
import torch

from modelwright.networks.measuring.machine import describe
from modelwright.quantize import TARGETS
from modelwright.quantize.artifact import hand_over
from modelwright.quantize.candidates import Tried, Workshop
from modelwright.quantize.choosing import choose, verdict
from modelwright.quantize.flow import Flow, failed
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.layer_numbers import layer_numbers
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
    module = subject.whole(subject.network).eval()
    example = (subject.calibration.inputs[:2],)
    graph = capture(module, example)
    judge = _judge(graph, subject.judged)
    site.folder.mkdir(parents=True, exist_ok=True)
    shop = Workshop(
        target, site.folder / "candidates", example, judge, site.clock, wishes.batch, site.threads, wishes.allow_float
    )
    flow = Flow(subject, wishes, site, shop, graph, begun)
    flow.walk()
    failure = failed(flow)
    if failure is not None:
        raise failure
    tried = _measured(flow)
    chosen = choose([one.candidate for one in tried], wishes.max_drop)
    tried = [_with(one, chosen=chosen is not None and one.candidate.name == chosen.name) for one in tried]
    candidates = tuple(one.candidate for one in tried)
    kernels = next((one.kernels for one in tried if one.candidate.chosen), ())
    best = flow.best()
    batches = subject.calibration.batches(shop.judge.batch)
    numbers = layer_numbers(flow.prepared(best.recipe), graph, batches) if best else ()
    if subject.judged.labels is None:
        flow.notes.append("Samples have no labels: accuracy is agreement with the float network's own answers.")
    findings = QuantizationFindings(
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
        seconds=site.clock.seconds() - begun,
        notes=tuple(dict.fromkeys(flow.notes)),
    )
    write_whole(site.folder / FINDINGS, to_json(findings))
    if chosen is not None:
        hand_over(findings, subject, shop.folder / chosen.name, site.folder / "artifact", site.clock)
    return findings


def _judge(graph: Any, samples: Samples) -> Judge:
    """Where nobody knows the labels, the float network's own answers stand for them."""
    judge = Judge.of(graph, samples)
    if samples.labels is not None:
        return judge
    return Judge(dataclasses.replace(samples, labels=judge.reference.argmax(-1)), judge.reference, judge.batch)


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
