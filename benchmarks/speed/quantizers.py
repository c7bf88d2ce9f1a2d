"""Latency of networks quantized here and by other quantizers, in every runtime, all in turns.

    python benchmarks/speed/quantizers.py [resnet18 ...] [--batch 1] [--threads 1] [--samples 64]

Networks have random weights, with batch normalisation fitted to noise: what is compared is time; the SQNR of the logits
tells that all of them compute the same network. Every quantizer is given the same float network (a graph of torch, or
the ONNX file written from it) and the same samples, and is called as its guide says. A runtime runs them all with the
same threads and batch; the sessions of others keep their default optimizers. What is not quantized is computed in fp32
and, where the runtime can, in bf16, for all quantizers alike. Writes
benchmarks/results/quantizers-DEVICE.csv; networks that are not named keep their rows.
"""

import argparse
import csv
import gc
import logging
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))

import msgspec
import torch
from quantizer_peers import PEERS, Given, Loader
from timm_networks import with_timm
from torch import nn

from modelwright.cli.measure import commit
from modelwright.clock import SystemClock
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.networks.measuring import Protocol
from modelwright.networks.measuring.machine import describe
from modelwright.quantize.candidates import Workshop
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.run import targets
from modelwright.quantize.targets.target import Program
from modelwright.quantize.timing import time_in_turns
from modelwright.records import Device, Quantization

RESULTS = Path(__file__).parents[1] / "results"
CLOCK = SystemClock()
TIMM = {
    "resnet18": "resnet18",
    "mobilenetv2": "mobilenetv2_100",
    "vit-tiny": "vit_tiny_patch16_224",
}
"""Networks that the catalogue has not -> timm's name."""
NETWORKS = ("resnet18", "mobilenetv2", "mobilenetv3-large", "efficientnet-b0", "efficientnet-x-b0", "vit-tiny")
RUNTIMES = ("openvino", "onnxruntime", "inductor")
PROTOCOL = Protocol(repetitions=31)


def network(name: str) -> tuple[nn.Module, torch.Size]:
    """A network with random weights, its batch normalisations fitted to noise."""
    torch.manual_seed(0)
    if name in TIMM:
        built, shape = with_timm().create_model(TIMM[name]), torch.Size((3, 224, 224))
    else:
        made = architecture(name)
        built, shape = build(made), torch.Size(made.input)
    with torch.no_grad():
        for part in built.modules():
            if isinstance(part, nn.BatchNorm2d) and not part.weight.any():  # or residual branches compute nothing
                part.weight.fill_(1)
        built.train()
        for _ in range(4):
            built(torch.randn(8, *shape))
    return built.eval(), shape


@dataclass
class Case:
    """A network and all that was made of it.

    Attributes:
        name: the network's.
        given: batch, threads, samples.
        folder: for all files.
        found: (runtime, quantizer, precision) -> its program and the logits' SQNR in decibels.
    """

    name: str
    given: argparse.Namespace
    folder: Path
    found: dict[tuple[str, str, str], tuple[Program, float]] = field(default_factory=dict)

    def make(self) -> None:
        """Every candidate in every runtime."""
        module, shape = network(self.name)
        noise = torch.randn(self.given.samples, *shape, generator=torch.Generator().manual_seed(1))
        graph = capture(module, (noise[:2],))
        judge = Judge.of(graph, Samples(noise[:16]), 16)
        for runtime in self.given.runtimes:
            target = targets[runtime]()
            shop = Workshop(
                target, self.folder / runtime, graph, (noise[:2],), judge, CLOCK, self.given.batch, self.given.threads
            )
            profile = target.profile
            for floats in profile.floats:
                self._ours(runtime, floats, shop, Quantization(kind="float", floats=floats), lambda graph=graph: graph)
            recipe = Quantization(weights=profile.weights, activations=profile.activations, calibration="minmax")
            prepared = prepare(graph, recipe, profile)
            calibrate(prepared, [(part,) for part in noise.split(16)])
            for floats in profile.floats:
                rest = msgspec.structs.replace(recipe, floats=floats)
                self._ours(runtime, f"int8 rest {floats}", shop, rest, lambda prepared=prepared: convert(prepared))
        given = Given(module, graph, self.folder, noise, self.given.threads, self.given.batch)
        for (runtime, quantizer), quantized in PEERS.items():
            if runtime in self.given.runtimes:
                self._theirs((runtime, quantizer), lambda quantized=quantized: quantized(given), judge)

    def _ours(
        self,
        runtime: str,
        precision: str,
        shop: Workshop,
        recipe: Quantization,
        graph: Callable[[], torch.fx.GraphModule],
    ) -> None:
        tried = shop.make(precision, recipe, graph)
        if tried.candidate.state != "finished":
            raise SystemExit(f"{self.name} {runtime} {precision}: {tried.candidate.reason}")
        self._add((runtime, "modelwright", precision), lambda: shop.load(tried.candidate), shop.judge)

    def _theirs(self, key: tuple[str, str], quantized: Callable[[], Loader], judge: Judge) -> None:
        kept: list[Loader] = []  # quantized once

        def program(floats: str) -> Program:
            if not kept:
                kept.append(quantized())
            return kept[0](floats)

        for floats in targets[key[0]]().profile.floats:
            self._add((*key, f"int8 rest {floats}"), lambda floats=floats: program(floats), judge)

    def _add(self, key: tuple[str, str, str], program: Callable[[], Program], judge: Judge) -> None:
        print(f"{self.name}: {' '.join(key)}", end=": ", file=sys.stderr, flush=True)
        try:
            made = program()
            decibels = judge(made).sqnr_db
        except Exception as failure:  # noqa: BLE001  # other quantizers raise what they like
            told = str(failure).strip().splitlines()
            print(f"failed: {type(failure).__name__}: {told[0] if told else ''}", file=sys.stderr, flush=True)
            if self.given.verbose:
                traceback.print_exc()
            return
        self.found[key] = made, decibels
        print(f"{decibels:.1f} dB", file=sys.stderr, flush=True)

    def rows(self, device: Device) -> list[dict[str, object]]:
        """Latencies, all in turns."""
        inputs = torch.randn(self.given.batch, *self.shape(), generator=torch.Generator().manual_seed(2))
        calls = {key: (lambda program=program: program(inputs)) for key, (program, _) in self.found.items()}
        taken = time_in_turns({" ".join(key): call for key, call in calls.items()}, CLOCK, PROTOCOL)
        return [
            {
                "network": self.name,
                "runtime": runtime,
                "quantizer": quantizer,
                "precision": precision,
                "batch": self.given.batch,
                "latency_s": f"{taken[f'{runtime} {quantizer} {precision}'][0]:.6g}",
                "spread": f"{taken[f'{runtime} {quantizer} {precision}'][1]:.3g}",
                "sqnr_db": f"{decibels:.2f}",
                "size_bytes": program.size_bytes,
                "threads": self.given.threads,
                "device": device.name,
                "versions": versions(),
                "commit": device.commit,
            }
            for (runtime, quantizer, precision), (program, decibels) in self.found.items()
        ]

    def shape(self) -> torch.Size:
        """Of a sample."""
        return torch.Size((3, 224, 224)) if self.name in TIMM else torch.Size(architecture(self.name).input)


def versions() -> str:
    """Of all that takes part."""
    names = ("torch", "torchao", "openvino", "onnxruntime", "nncf", "neural-compressor", "onnx-neural-compressor")
    return " ".join(f"{name}={version(name)}" for name in names)


def write(device: Device, rows: list[dict[str, object]]) -> None:
    """The table, named by its device; rows of what was not measured now stay."""
    place = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")
    file = RESULTS / f"quantizers-{place}.csv"
    kept: list[dict[str, object]] = []
    if file.exists():
        with file.open(encoding="utf-8", newline="") as text:
            now = {(row["network"], str(row["batch"]), row["runtime"]) for row in rows}
            kept = [row for row in csv.DictReader(text) if (row["network"], row["batch"], row["runtime"]) not in now]
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + rows)
    print(f"wrote {file}")


def main() -> None:
    """Each network in its turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--runtimes", nargs="+", default=list(RUNTIMES), choices=RUNTIMES)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--verbose", action="store_true", help="show where another quantizer fails")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(given.threads)
    device = describe(torch.device("cpu"), given.threads, commit())
    for name in given.networks:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(name, given, Path(folder))
            case.make()
            write(device, case.rows(device))
            del case
            gc.collect()


if __name__ == "__main__":
    main()
