"""A recipe tried: the artifact made and loaded, its outputs judged, its kernels read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec
import torch
from torch import fx

from modelwright.clock import Clock
from modelwright.errors import ExportError, ModelwrightError, RecordError
from modelwright.quantize.graph import kind_of
from modelwright.quantize.judging import Judge
from modelwright.quantize.prepare import quantized_layers
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets.target import Program, Target, integer_share, reason
from modelwright.records import File, Kernel, Quantization, QuantizedCandidate, from_json, to_json, write_whole
from modelwright.store import check_files, file_of, whole_folder

FILE = "candidate.json"
ATTENTION = torch.ops.aten.scaled_dot_product_attention.default


class Tried(msgspec.Struct, frozen=True):
    """A candidate on disk.

    Attributes:
        candidate: what is known of it.
        kernels: that ran.
        origin: digest of what it was made from and judged on.
        files: of the artifact, with their digests.
        told: what making it had to tell, such as how its training went.
    """

    candidate: QuantizedCandidate
    kernels: tuple[Kernel, ...] = ()
    origin: str = ""
    files: tuple[File, ...] = ()
    told: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Workshop:
    """Where candidates are made.

    Attributes:
        target: writes and runs them.
        folder: of all candidates, a folder each.
        graph: the network in float.
        example: inputs of two samples or more.
        judge: holds them against the float network.
        clock: times the work.
        batch: samples a call.
        threads: of the CPU.
        allow_float: whether a candidate may stand though weighted operators fell back to float.
        origin: digest of all else that candidates are made from; those of another are not taken for one's own.
    """

    target: Target
    folder: Path
    graph: fx.GraphModule
    example: tuple[torch.Tensor, ...]
    judge: Judge
    clock: Clock
    batch: int = 1
    threads: int = 1
    allow_float: bool = False
    origin: str = ""

    def held(self, name: str, recipe: Quantization) -> Tried | None:
        """What an earlier run found of a candidate, if it was made by the same recipe from the same; else None.

        What failed, or is not whole any more, is made again.
        """
        file = self.folder / name / FILE
        try:
            tried = from_json(file.read_bytes(), Tried, where=str(file))
            check_files(file.parent, tried.files)
        except (OSError, RecordError):
            return None
        same = tried.origin == self.origin and tried.candidate.recipe == recipe
        return tried if same and (self.allow_float or not tried.candidate.notes) else None

    def make(
        self,
        name: str,
        recipe: Quantization,
        graph: Callable[[], fx.GraphModule],
        told: Callable[[], Sequence[str]] = tuple,
    ) -> Tried:
        """Write, load and judge a candidate; whatever its own fault is becomes the reason why it failed.

        Args:
            name: of its folder.
            recipe: that it is made by.
            graph: makes what the target writes; for a dynamic recipe the float graph.
            told: asked once the graph is made, for what that had to tell.

        Raises:
            OSError: the place cannot be written, which is no candidate's fault.
        """
        begun = self.clock.seconds()
        try:
            with _blamed(name):
                return self._made(name, recipe, graph, (begun, told))
        except ModelwrightError as failure:
            return Tried(QuantizedCandidate(name, recipe, "failed", str(failure), seconds=self.clock.seconds() - begun))

    def load(self, candidate: QuantizedCandidate) -> Program:
        """The program of a candidate that was made."""
        folder = self.folder / candidate.name
        return self.target.load(folder, floats=candidate.recipe.floats, threads=self.threads, batch=self.batch)

    def _made(
        self,
        name: str,
        recipe: Quantization,
        graph: Callable[[], fx.GraphModule],
        about: tuple[float, Callable[[], Sequence[str]]],
    ) -> Tried:
        begun, told = about
        made = graph()
        place = self.folder / name
        there = [file.name for file in place.iterdir()] if place.is_dir() else []
        with whole_folder(place, there) as part:
            if recipe.kind == "dynamic":
                files = self.target.write_dynamic(made, recipe, self.example, part)
            else:
                files = self.target.write(made, self.example, part, floats=recipe.floats)
            program = self.target.load(part, floats=recipe.floats, threads=self.threads, batch=self.batch)
            judged, kernels = self.judge(program), program.kernels()
            share = integer_share(kernels)
            word = fallback(kernels, left_in_float(self.graph, recipe, self.target.profile))
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
                self.origin,
                tuple(file_of(file) for file in files),
                tuple(told()),
            )
            write_whole(part / FILE, to_json(tried))
        return tried


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """What torch or a runtime raises is the candidate's own fault; want of room is not."""
    try:
        yield
    except (ModelwrightError, OSError):
        raise
    except Exception as failure:  # they raise what they like
        raise ExportError(f"the candidate must be one that can be made ({reason(failure)})", where=name) from failure


def left_in_float(graph: fx.GraphModule, recipe: Quantization, profile: Profile) -> int:
    """How many convolutions and products of a graph a recipe leaves in float on a target; an attention has two."""
    nodes: list[fx.Node] = list(graph.graph.nodes)
    every = sum((kind_of(node) is not None) + 2 * (node.target == ATTENTION) for node in nodes)
    return every - len(quantized_layers(graph, recipe, profile))


def fallback(kernels: Sequence[Kernel], wanted: int) -> str:
    """A word on convolutions and products that ran in float though nothing asked for that; "" where there are none.

    Args:
        kernels: as the runtime runs them.
        wanted: how many were to run in float.
    """
    fallen = [one.name for one in kernels if one.weighted and not one.integer and one.numbers != "f8"]
    if len(fallen) <= wanted:
        return ""
    shown = ", ".join(fallen[:5]) + (", ..." if len(fallen) > 5 else "")
    return f"{len(fallen)} convolutions and products run in float, {wanted} were to: {shown}"
