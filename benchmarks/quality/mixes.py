"""Mixes of precisions by whole-graph time, beside everything in int8, in bf16, and layers left out by sensitivity.

    python benchmarks/quality/mixes.py [efficientnet-b0 ...] [--target openvino] [--minutes 8] [--again 20]

Networks have random weights, with batch normalisation fitted to random inputs, so that what is compared is noise (SQNR
of the logits) and time, not accuracy. The allocator's front is verified: each of its mixes is written, judged and
measured, all in turns with the others. Layers are left in float in the order of their sensitivity, an eighth of them at
a time. Some layers, evenly spaced, are also prepared, calibrated and converted by themselves, which is what switching
them in one prepared graph must agree with. Writes benchmarks/results/mixes-DEVICE.csv, and sensitivity-DEVICE.csv with
the seconds that both ways took; networks that are not named keep their rows.
"""

import argparse
import csv
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from torch import fx, nn

from modelwright.cli.measure import commit
from modelwright.clock import SystemClock
from modelwright.networks.build import build
from modelwright.networks.catalogue import architecture
from modelwright.networks.measuring.machine import describe
from modelwright.quantize.allocate import allocate, front
from modelwright.quantize.candidates import Tried, Workshop
from modelwright.quantize.graph import capture, layers
from modelwright.quantize.groups import groups, most_sensitive
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.prepare import Prepared, calibrate, convert, prepare, restrict
from modelwright.quantize.run import targets
from modelwright.quantize.sensitivity import one_at_a_time
from modelwright.quantize.stand import Stand
from modelwright.quantize.timing import time_in_turns
from modelwright.records import Device, Quantization, Sensitivity

RESULTS = Path(__file__).parents[1] / "results"
CLOCK = SystemClock()


def network(name: str) -> tuple[nn.Module, torch.Size]:
    """One of the catalogue, its batch normalisations fitted to noise."""
    made = architecture(name)
    torch.manual_seed(0)
    built = build(made)
    with torch.no_grad():
        built.train()
        for _ in range(4):
            built(torch.randn(4, *made.input))
    return built.eval(), torch.Size(made.input)


class Case:
    """A network on a target."""

    def __init__(self, name: str, given: argparse.Namespace, folder: Path) -> None:
        module, shape = network(name)
        self.name, self.given = name, given
        self.inputs = torch.randn(given.samples, *shape, generator=torch.Generator().manual_seed(1))
        target = targets[given.target]()
        target.check()
        self.graph = capture(module, (self.inputs[:2],))
        judge = Judge.of(self.graph, Samples(self.inputs), 16)
        self.shop = Workshop(target, folder, self.graph, (self.inputs[:2],), judge, CLOCK, 1, given.threads)
        self.recipe = Quantization(
            weights=target.profile.weights, activations=target.profile.activations, calibration="mse"
        )
        self.tried: dict[str, Tried] = {}

    def prepared(self, *, share: bool) -> Prepared:
        """The graph with everything in whole numbers, calibrated."""
        made = prepare(self.graph, self.recipe, self.shop.target.profile, share=share)
        calibrate(made, [(part,) for part in self.inputs.split(8)])
        return made

    def add(self, name: str, recipe: Quantization, graph: Callable[[], fx.GraphModule]) -> None:
        """Make a candidate."""
        self.tried[name] = self.shop.make(name, recipe, graph)
        print(f"{self.name}: {name}: {self.tried[name].candidate.reason or 'made'}", file=sys.stderr, flush=True)

    def again(self, name: str) -> float:
        """A layer's sensitivity in decibels, by converting the network anew with nothing but it in whole numbers."""
        others = [layer.name for layer in layers(self.graph) if layer.name != name]
        recipe = msgspec.structs.replace(self.recipe, layers=dict.fromkeys(others, "fp32"))
        made = prepare(self.graph, recipe, self.shop.target.profile)
        calibrate(made, [(part,) for part in self.inputs.split(8)])
        return self.shop.judge(convert(made)).sqnr_db

    def part(self, whole: Prepared, recipe: Quantization) -> fx.GraphModule:
        """The graph with some layers in float."""
        return convert(restrict(whole, self.graph, recipe, self.shop.target.profile))

    def corners(self, whole: Prepared) -> None:
        """Everything in one kind of numbers."""
        for kind in self.shop.target.profile.floats:
            self.add(str(kind), Quantization(kind="float", floats=kind), lambda: self.graph)
            recipe = msgspec.structs.replace(self.recipe, floats=kind)
            self.add(f"int8 rest {kind}", recipe, lambda: convert(whole))

    def skipping(self, whole: Prepared, alone: tuple[Sensitivity, ...]) -> None:
        """The most sensitive layers left out, an eighth at a time."""
        order = [one.layers[0] for one in sorted(alone, key=lambda one: -one.mse)]
        for kind in self.shop.target.profile.floats:
            for step in range(1, 8):
                left = dict.fromkeys(order[: len(order) * step // 8], kind)
                recipe = msgspec.structs.replace(self.recipe, layers=left, floats=kind)
                self.add(f"without {len(left)} {kind}", recipe, lambda recipe=recipe: self.part(whole, recipe))

    def mixes(self, whole: Prepared, alone: tuple[Sensitivity, ...]) -> None:
        """The allocator's front."""
        together = [one.layers for one in groups(whole.layers, apart=most_sensitive(alone))]
        nodes = {one.name: one.node for one in whole.layers}
        noise = {one.layers[0]: one.mse for one in alone}
        stand = Stand(self.shop, self.inputs[:1], "int8 rest fp32")
        begun = CLOCK.seconds()

        def recipe_of(integer: frozenset[str], kind: str) -> Quantization:
            left = [one.name for one in whole.layers if one.name not in integer]
            return msgspec.structs.replace(self.recipe, floats=kind, layers=dict.fromkeys(left, kind))

        def measure(integer: frozenset[str], kind: str) -> float:
            recipe = recipe_of(integer, kind)
            left = [nodes[name] for name in recipe.layers]
            return stand.seconds(left, kind, lambda: self.part(whole, recipe) if integer else self.graph)

        power = float(self.shop.judge.reference.square().mean())
        floats = self.shop.target.profile.floats
        floor = {kind: power / 10 ** ((self.tried[kind].candidate.sqnr_db or 0) / 10) for kind in floats}
        limit = begun + 60 * self.given.minutes
        found = allocate(noise, floats, measure, together=together, floor=floor, more=lambda: CLOCK.seconds() < limit)
        print(f"{self.name}: {len(found)} mixes in {CLOCK.seconds() - begun:.0f} s", file=sys.stderr, flush=True)
        for place, mix in enumerate(front(found), 1):
            if mix.integer:
                recipe = recipe_of(mix.integer, mix.floats)
                name = f"mix {place}: {len(mix.integer)} of {len(noise)} layers, rest {mix.floats}"
                self.add(name.replace(":", ","), recipe, lambda recipe=recipe: self.part(whole, recipe))

    def rows(self, device: Device) -> list[dict[str, object]]:
        """All candidates, measured in turns."""
        able = [one.candidate for one in self.tried.values() if one.candidate.state == "finished"]
        programs = {one.name: self.shop.load(one) for one in able}
        calls = {name: (lambda program=program: program(self.inputs[:1])) for name, program in programs.items()}
        taken = time_in_turns(calls, CLOCK)
        return [
            {
                "network": self.name,
                "target": self.given.target,
                "candidate": one.name,
                "latency_s": f"{taken[one.name][0]:.6g}",
                "spread": f"{taken[one.name][1]:.3g}",
                "sqnr_db": f"{one.sqnr_db:.2f}",
                "integer_share": f"{one.integer_share:.3f}",
                "size_bytes": one.size_bytes,
                "threads": self.given.threads,
                "device": device.name,
                "torch": device.versions["torch"],
                "commit": device.commit,
            }
            for one in able
        ]


def write(word: str, device: Device, rows: list[dict[str, object]]) -> None:
    """A table, named by its device; rows of networks that were not asked for now stay."""
    place = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")
    file = RESULTS / f"{word}-{place}.csv"
    now = {row["network"] for row in rows}
    if file.exists():
        with file.open(encoding="utf-8", newline="") as text:
            rows = [row for row in csv.DictReader(text) if row["network"] not in now] + rows
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {file}")


def main() -> None:
    """Each network in its turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["efficientnet-b0", "mobilenetv3-large", "efficientnet-x-b0"])
    parser.add_argument("--target", default="openvino")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--again", type=int, default=20, help="layers that are converted by themselves, too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=8)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = describe(torch.device("cpu"), given.threads, commit())
    for name in given.networks:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(name, given, Path(folder))
            whole = case.prepared(share=True)
            case.corners(whole)
            begun = CLOCK.seconds()
            alone = one_at_a_time(case.prepared(share=False), case.shop.judge)
            took = CLOCK.seconds() - begun
            every = max(1, len(alone) // given.again)
            begun = CLOCK.seconds()
            anew = {one.layers[0]: case.again(one.layers[0]) for one in alone[::every]}
            each = (CLOCK.seconds() - begun) / len(anew)
            print(f"{name}: {len(anew)} layers converted anew, {each:.1f} s each", file=sys.stderr, flush=True)
            seconds: list[dict[str, object]] = [
                {
                    "network": name,
                    "layer": one.layers[0],
                    "sqnr_db": f"{one.sqnr_db:.2f}",
                    "converted_db": f"{anew[one.layers[0]]:.2f}" if one.layers[0] in anew else "",
                    "samples": given.samples,
                    "layers": len(alone),
                    "seconds": f"{took:.1f}",
                    "seconds_converted_each": f"{each:.2f}",
                    "threads": given.threads,
                    "device": device.name,
                }
                for one in alone
            ]
            case.skipping(whole, alone)
            case.mixes(whole, alone)
            write("mixes", device, case.rows(device))
            write("sensitivity", device, seconds)


if __name__ == "__main__":
    main()
