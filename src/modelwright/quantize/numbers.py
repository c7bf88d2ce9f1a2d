"""Networks in a target's numbers, as a search asks for them: judged by simulation, timed by the target itself.

A search names one of these as its plan's `quantizer`, and knows it by what it does: it imports nothing of this room.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec
import torch
from torch import fx, nn

from modelwright.clock import Clock
from modelwright.errors import MeasurementError
from modelwright.networks.build import build
from modelwright.networks.measuring.machine import describe
from modelwright.networks.measuring.rounds import interleave
from modelwright.networks.measuring.setting import Protocol
from modelwright.networks.measuring.stopwatch import on_host
from modelwright.quantize.graph import capture
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.run import targets
from modelwright.quantize.targets.quiet import quiet
from modelwright.quantize.targets.target import Program, Target, check_floats, check_installed, integer_share
from modelwright.records import Architecture, Measurement, Quantization, to_json

CALIBRATION = "mse"
"""The way to find ranges that loses least nearly always."""
BATCH = 32
"""Samples a call where ranges are found."""
NOISE = 8
"""Samples of noise that ranges are found on where only time counts, which does not depend on them."""
PROTOCOL = Protocol(repetitions=11, warmup=2, minimum_s=0.02)


@final
@dataclass(frozen=True)
class Numbers:
    """What runs networks in whole numbers, and in a target's floats.

    Attributes:
        target: its name, of `quantize.TARGETS`.
    """

    target: str

    def check(self, precisions: Sequence[str], *, timed: bool) -> None:
        """Refuse what cannot be had here.

        Raises:
            SettingError: torchao is missing; where candidates are timed, also the runtime, units of the processor for
                whole numbers, or the target's floats.
        """
        check_installed("torchao", "quantize")
        if timed:
            self._target.check()
            for precision in precisions:
                if precision != "int8":
                    check_floats(self._target.profile, precision)

    def recipe(self, precision: str) -> Quantization:
        """The target's own schemes with everything in whole numbers; or nothing but floats."""
        profile = self._target.profile
        if precision == "int8":
            return Quantization(weights=profile.weights, activations=profile.activations, calibration=CALIBRATION)
        return Quantization(kind="float", floats="bf16" if precision == "bf16" else "fp32")

    def simulate(self, network: nn.Module, precision: str, samples: torch.Tensor) -> nn.Module:
        """A copy of a network that rounds as the converted one would, its ranges found on samples.

        Raises:
            TraceError: the network cannot be captured.
            SettingError: the samples, or what the network makes of them, are not finite.
        """
        with quiet():
            return _Simulated(self._prepared(network, precision, samples))

    def measure(
        self, candidates: Sequence[tuple[Architecture, str]], *, batch: int, threads: int, clock: Clock, commit: str
    ) -> tuple[Measurement, ...]:
        """Latencies by the target, all in turns; weights are drawn, since time does not depend on them.

        Raises:
            TraceError, ExportError, SettingError: a network cannot be captured, written, or run in its numbers.
            MeasurementError: what should run in whole numbers ran in floats; a time cannot be trusted.
        """
        with tempfile.TemporaryDirectory() as place, quiet():
            written: dict[tuple[bytes, bool], Path] = {}
            programs = []
            for made, precision in candidates:
                key = (to_json(made), precision == "int8")
                if key not in written:  # all floats read one file
                    written[key] = Path(place) / str(len(written))
                    self._write(made, precision, written[key])
                programs.append(self._program(made, precision, (batch, threads), written[key]))
            inputs = [torch.randn(batch, *made.input, generator=_seeded()) for made, _ in candidates]
            calls = [
                on_host(lambda program=program, given=given: program(given), clock)  # type: ignore[misc]  # bound now
                for program, given in zip(programs, inputs, strict=True)
            ]
            timings = interleave(calls, PROTOCOL)
        device = describe(torch.device("cpu"), threads, commit)
        device.versions["runtime"] = self.target
        taken_at = clock.now().isoformat(timespec="seconds")
        return tuple(
            Measurement(
                architecture=made.name,
                batch=batch,
                precision=precision,
                execution="engine",
                channels_last=False,
                seconds=timing.seconds,
                median_s=timing.median_s,
                spread=timing.spread,
                warmup=PROTOCOL.warmup,
                inner=timing.inner,
                taken_at=taken_at,
                device=device,
            )
            for (made, precision), timing in zip(candidates, timings, strict=True)
        )

    @property
    def _target(self) -> Target:
        found: Target = targets[self.target]()
        return found

    def _prepared(self, network: nn.Module, precision: str, samples: torch.Tensor) -> fx.GraphModule:
        """A graph with quantization simulated in it, calibrated."""
        graph = capture(network, (samples[:2],))
        prepared = prepare(graph, self.recipe(precision), self._target.profile)
        calibrate(prepared, ((part,) for part in torch.split(samples, BATCH)))
        return prepared.graph

    def _write(self, made: Architecture, precision: str, folder: Path) -> None:
        """Write a network with drawn weights for the target."""
        folder.mkdir()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build(made).eval()
        noise = torch.randn(NOISE, *made.input, generator=_seeded())
        graph = capture(network, (noise[:2],))
        if precision == "int8":
            recipe = msgspec.structs.replace(self.recipe(precision), calibration="minmax")
            prepared = prepare(graph, recipe, self._target.profile)
            calibrate(prepared, [(noise,)])
            graph = convert(prepared)
        self._target.write(graph, (noise[:2],), folder)

    def _program(self, made: Architecture, precision: str, call: tuple[int, int], folder: Path) -> Program:
        batch, threads = call
        floats = precision if precision != "int8" else "fp32"
        program = self._target.load(folder, floats=floats, threads=threads, batch=batch)
        if precision == "int8" and not integer_share(program.kernels()):
            way_out = "Take int8 out of the precisions, or another runtime."
            rule = "the runtime must compute a network in whole numbers, not fall back to floats"
            raise MeasurementError(rule, where=made.name, value=self.target, way_out=way_out)
        return program


@final
class _Simulated(nn.Module):
    """A graph that rounds as it would in whole numbers; it evaluates whatever it is told.

    Args:
        graph: prepared and calibrated.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits."""
        made: torch.Tensor = self.graph(pixels)
        return made

    def train(self, mode: bool = True) -> "_Simulated":
        """Nothing changes: the graph was captured as it evaluates."""
        self.training = mode
        return self


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


inductor = Numbers("inductor")
onnxruntime = Numbers("onnxruntime")
openvino = Numbers("openvino")
