"""Mixes timed as whole graphs, each in turns with one that stays, so that the machine's drift cancels out."""

import shutil
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import final

import torch
from torch import fx

from modelwright.errors import ExportError
from modelwright.networks.measuring.setting import Protocol
from modelwright.quantize.candidates import Workshop
from modelwright.quantize.targets.target import Program
from modelwright.quantize.timing import time_in_turns

PROTOCOL = Protocol(repetitions=15, warmup=2, minimum_s=0.01)
"""Short: the winners are measured again, all in one run."""


@final
class Stand:
    """Where mixes are measured.

    Args:
        workshop: its target, batch and threads.
        given: samples of one call.
        full: name of the candidate that is all in whole numbers; the one that others are held against.
    """

    def __init__(self, workshop: Workshop, given: torch.Tensor, full: str) -> None:
        self.workshop, self.given = workshop, given
        self.full = workshop.folder / full

    def seconds(self, nodes: Collection[str], floats: str, graph: Callable[[], fx.GraphModule]) -> float:
        """What a call takes with these nodes in float.

        Args:
            nodes: of the graph.
            floats: that they compute in.
            graph: makes the mix's own, where the target cannot put nodes back by itself.
        """
        place = self.workshop.folder / ".mix"
        place.mkdir(parents=True, exist_ok=True)
        try:
            if not self._put_back(place, nodes):
                self.workshop.target.write(graph(), self.workshop.example, place, floats=floats)
            shop = self.workshop
            program = shop.target.load(place, floats=floats, threads=shop.threads, batch=shop.batch)
        finally:
            shutil.rmtree(place)
        taken = self._in_turns(program)
        return self._least * taken["mix"][0] / taken["full"][0]

    def _put_back(self, place: Path, nodes: Collection[str]) -> bool:
        """Whether the target could write the mix out of the one in whole numbers."""
        try:
            return self.workshop.target.mix(self.full, place, nodes)
        except ExportError:  # operators are written under other names, or as several
            return False

    @cached_property
    def _held(self) -> Program:
        shop = self.workshop
        return shop.target.load(self.full, threads=shop.threads, batch=shop.batch)

    @cached_property
    def _least(self) -> float:
        """Seconds of the one that stays."""
        return self._in_turns(self._held)["full"][0]

    def _in_turns(self, program: Program) -> dict[str, tuple[float, float]]:
        calls = {"full": lambda: self._held(self.given), "mix": lambda: program(self.given)}
        return time_in_turns(calls, self.workshop.clock, PROTOCOL)
