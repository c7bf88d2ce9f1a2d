"""A recipe tried: the artifact made and loaded, its outputs judged, its kernels read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec
import torch
from torch import fx

from modelwright.clock import Clock
from modelwright.errors import ExportError, ModelwrightError, RecordError
from modelwright.quantize.judging import Judge
from modelwright.quantize.targets.target import Program, Target, integer_share
from modelwright.records import Kernel, Quantization, QuantizedCandidate, from_json, to_json, write_whole
from modelwright.store import whole_folder

FILE = "candidate.json"


class Tried(msgspec.Struct, frozen=True):
    """A candidate on disk: what is known of it, and the kernels that ran."""

    candidate: QuantizedCandidate
    kernels: tuple[Kernel, ...] = ()


@final
@dataclass(frozen=True)
class Workshop:
    """Where candidates are made.

    Attributes:
        target: writes and runs them.
        folder: of all candidates, a folder each.
        example: inputs of two samples or more.
        judge: holds them against the float network.
        clock: times the work.
        batch: samples a call.
        threads: of the CPU.
        allow_float: whether a candidate may stand though weighted operators fell back to float.
    """

    target: Target
    folder: Path
    example: tuple[torch.Tensor, ...]
    judge: Judge
    clock: Clock
    batch: int = 1
    threads: int = 1
    allow_float: bool = False

    def held(self, name: str, recipe: Quantization) -> Tried | None:
        """What an earlier run found of a candidate, if it was made by the same recipe; failures are tried again."""
        file = self.folder / name / FILE
        try:
            tried = from_json(file.read_bytes(), Tried, where=str(file))
        except (OSError, RecordError):
            return None
        same = tried.candidate.recipe == recipe and tried.candidate.state == "finished"
        return tried if same else None

    def make(self, name: str, recipe: Quantization, graph: Callable[[], fx.GraphModule]) -> Tried:
        """Write, load and judge a candidate; whatever its own fault is becomes the reason why it failed.

        Args:
            name: of its folder.
            recipe: that it is made by.
            graph: makes what the target writes.
        """
        begun = self.clock.seconds()
        try:
            return self._made(name, recipe, graph, begun)
        except ModelwrightError as failure:
            return Tried(QuantizedCandidate(name, recipe, "failed", str(failure), seconds=self.clock.seconds() - begun))

    def load(self, candidate: QuantizedCandidate) -> Program:
        """The program of a candidate that was made."""
        folder = self.folder / candidate.name
        return self.target.load(folder, floats=candidate.recipe.floats, threads=self.threads, batch=self.batch)

    def _made(self, name: str, recipe: Quantization, graph: Callable[[], fx.GraphModule], begun: float) -> Tried:
        made = graph()
        place = self.folder / name
        there = [file.name for file in place.iterdir()] if place.is_dir() else []
        with whole_folder(place, there) as part:
            files = self.target.write(made, self.example, part, floats=recipe.floats)
            program = self.target.load(part, floats=recipe.floats, threads=self.threads, batch=self.batch)
            judged, kernels = self.judge(program), program.kernels()
            share = integer_share(kernels)
            word = fallback(recipe, kernels)
            if word and not self.allow_float:
                way_out = "Leave these layers in float, or allow it."
                raise ExportError(
                    "what is quantized must run in whole numbers", where=name, value=word, way_out=way_out
                )
            tried = Tried(
                QuantizedCandidate(
                    name,
                    recipe,
                    accuracy=judged.accuracy,
                    drop=judged.drop,
                    drop_interval=judged.drop_interval,
                    sqnr_db=judged.sqnr_db,
                    integer_share=share,
                    size_bytes=sum(file.stat().st_size for file in files),
                    seconds=self.clock.seconds() - begun,
                    notes=(word,) if word else (),
                ),
                kernels,
            )
            write_whole(part / FILE, to_json(tried))
        return tried


def fallback(recipe: Quantization, kernels: Sequence[Kernel]) -> str:
    """A word on convolutions and products that ran in float though nothing asked for that; "" where there are none."""
    fallen = [kernel.name for kernel in kernels if kernel.weighted and not kernel.integer]
    wanted = sum(numbers != "int8" for numbers in recipe.layers.values())
    if recipe.kind == "float" or len(fallen) <= wanted:
        return ""
    shown = ", ".join(fallen[:5]) + (", ..." if len(fallen) > 5 else "")
    return f"{len(fallen)} convolutions and products run in float, {wanted} were to: {shown}"
