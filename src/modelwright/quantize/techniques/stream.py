"""Data on its way through a graph: all batches abreast, node by node, or the peaks of each channel."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import fx

from modelwright.errors import SettingError

Batches = Sequence[tuple[torch.Tensor, ...]]


@final
class Stream:
    """All batches on their way through a graph, so that a layer can be changed before they pass it.

    What is still needed of every batch is held at once; what was needed last is let go.

    Args:
        graph: its nodes must be run in their order.
        batches: inputs.

    Raises:
        SettingError: there are no batches.
    """

    def __init__(self, graph: fx.GraphModule, batches: Batches) -> None:
        _check(batches)
        self._machine = fx.Interpreter(graph)
        self._inputs = [iter(batch) for batch in batches]
        self._values: list[dict[fx.Node, Any]] = [{} for _ in batches]

    def of(self, node: fx.Node) -> list[torch.Tensor]:
        """What a node made of each batch; some later node must still need it."""
        return [values[node] for values in self._values]

    def run(self, node: fx.Node) -> None:
        """Let all batches pass one node."""
        machine = self._machine
        for inputs, values in zip(self._inputs, self._values, strict=True):
            machine.env, machine.args_iter = values, inputs
            values[node] = machine.run_node(node)
            for done in machine.user_to_last_uses.get(node, ()):
                del values[done]


@final
class _Watched(fx.Interpreter):
    """Runs a graph and keeps the peak of some nodes' channels."""

    def __init__(self, graph: fx.GraphModule, axes: Mapping[fx.Node, int], magnitude: bool) -> None:
        super().__init__(graph)
        self.axes, self.magnitude = axes, magnitude
        self.found: dict[fx.Node, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """What the node makes, looked at."""
        made = super().run_node(n)
        if n in self.axes:
            seen = made.abs() if self.magnitude else made
            peak = seen.movedim(self.axes[n], 0).flatten(1).amax(1)
            self.found[n] = torch.maximum(self.found.get(n, peak), peak)
        return made


def peaks(
    graph: fx.GraphModule, batches: Batches, axes: Mapping[fx.Node, int], *, magnitude: bool
) -> dict[fx.Node, torch.Tensor]:
    """The largest value, or magnitude, of each channel of some nodes over all batches.

    Args:
        graph: is run once a batch.
        batches: inputs.
        axes: node -> the axis of its channels.
        magnitude: whether the sign is left out.

    Raises:
        SettingError: there are no batches.
    """
    _check(batches)
    watched = _Watched(graph, axes, magnitude)
    with torch.no_grad():
        for batch in batches:
            watched.run(*batch)
    return watched.found


def _check(batches: Batches) -> None:
    if not batches:
        way_out = "Give a few hundred samples of the training data."
        raise SettingError("a technique that looks at data needs batches", where="batches", value=0, way_out=way_out)
