"""A workload put together from pieces: the stem, each block and the head are traced alone, and each only once.

Tracing a whole network takes seconds, tracing a block a tenth of that. Networks that differ in one stage share all
other pieces, so a change to an architecture costs the tracing of the blocks that it changes. What comes out is what
tracing the whole network says.
"""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import msgspec

from modelwright.networks.shapes import shapes
from modelwright.networks.workloads import BATCH
from modelwright.records import Operator, Tensor, Workload, to_json
from modelwright.records.architecture import Architecture, TokenHead

Key = tuple[bytes, tuple[int, ...], tuple[int, ...]]
"""What a piece depends on: its record, the shape of one sample that enters, and the strides of what enters."""


@dataclass(frozen=True)
class Segment:
    """A part of a network, from one tensor to the next: its module path, its record, one sample's shape before."""

    path: str
    record: bytes
    shape: tuple[int, ...]


@final
@dataclass(frozen=True)
class Pieces:
    """The pieces known so far; a piece is a workload whose one tensor of the role "input" is what enters.

    Attributes:
        channels_last: trace with four-axis tensors in N,H,W,C memory order.
        held: the pieces.
    """

    channels_last: bool = False
    held: dict[Key, Workload] = field(default_factory=dict)

    def learn(self, architecture: Architecture, workload: Workload) -> None:
        """Take over the pieces of a network that was traced whole."""
        for segment in segments(architecture):
            piece = _cut(workload, segment.path)
            if piece:
                self.held.setdefault((segment.record, segment.shape, _entry(piece).strides), piece)

    def assemble(self, architecture: Architecture) -> Workload:
        """The workload of an architecture; only pieces that are not yet known are traced.

        Raises:
            RecordError: numbers of the record contradict one another.
            ShapeError: the architecture cannot take inputs of its own input shape.
            TraceError: a piece cannot be captured.
        """
        parts, joint = _Parts(architecture), _Joint()
        for segment in segments(architecture):
            entering = joint.leaving or parts.example(self.channels_last)
            key = (segment.record, segment.shape, entering.strides)
            if key not in self.held:
                self.held[key] = parts.trace(segment.path, entering, self.channels_last)
            if not joint.append(segment.path, self.held[key]):
                return parts.whole(self.channels_last)
        if isinstance(architecture.head, TokenHead) and architecture.head.tied:
            joint.tie((architecture.classes, architecture.stem.out_channels))
        return joint.workload(architecture.name)


def segments(architecture: Architecture) -> tuple[Segment, ...]:
    """The parts of a network in order: stem, every block, head."""
    before = shapes(architecture)
    found = [Segment("stem", to_json(architecture.stem), architecture.input)]
    for number, stage in enumerate(architecture.stages):
        record = to_json(stage.block)
        found += [
            Segment(f"stages.{number}.{repeat}", record, before[number + (repeat > 0)])
            for repeat in range(stage.repeats)
        ]
    head = to_json((architecture.head, architecture.classes))
    return (*found, Segment("head", head, before[-1]))


@final
class _Parts:
    """An architecture as modules on the meta device, built when the first is asked for."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    @cached_property
    def network(self) -> Any:
        torch = importlib.import_module("torch")
        with torch.device("meta"):
            return importlib.import_module("modelwright.networks.build").build(self.architecture)

    def example(self, channels_last: bool) -> Tensor:
        """What enters the network."""
        shape = (BATCH, *self.architecture.input)
        order = (0, 2, 3, 1) if channels_last and len(shape) == 4 else range(len(shape))
        strides, step = [0] * len(shape), 1
        for axis in reversed(order):
            strides[axis], step = step, step * shape[axis]
        return Tensor(shape, "int64" if len(shape) == 2 else "float32", "input", True, tuple(strides))

    def trace(self, path: str, entering: Tensor, channels_last: bool) -> Workload:
        """One part alone."""
        torch, tracing = (importlib.import_module(name) for name in ("torch", "modelwright.networks.trace"))
        dtype = getattr(torch, entering.dtype)
        example = torch.empty_strided(entering.shape, entering.strides, dtype=dtype, device="meta")
        module = self.network.get_submodule(path) if path else self.network
        name = path or self.architecture.name
        made: Workload = tracing.trace(module, example, name=name, channels_last=channels_last)
        return made

    def whole(self, channels_last: bool) -> Workload:
        """All of it at once."""
        return self.trace("", self.example(channels_last), channels_last)


@final
class _Joint:
    """Pieces joined one behind the other."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._operators: list[Operator] = []
        self._last: int | None = None
        self._parameters = 0
        self._unknown: dict[str, None] = {}

    @property
    def leaving(self) -> Tensor | None:
        """What the last piece hands on."""
        return None if self._last is None else self._tensors[self._last]

    def append(self, path: str, piece: Workload) -> bool:
        """Add a piece, if it takes just what the last one hands on."""
        entry, leaving = _entry(piece), self.leaving
        if leaving and (entry.shape, entry.strides, entry.dtype) != (leaving.shape, leaving.strides, leaving.dtype):
            return False
        place: dict[int, int] = {}
        for position, tensor in enumerate(piece.tensors):
            if tensor is entry and self._last is not None:
                place[position] = self._last
            else:
                place[position] = len(self._tensors)
                self._tensors.append(tensor)
        self._operators += [_moved(operator, place, lambda layer: f"{path}.{layer}".rstrip("."))
                            for operator in piece.operators]  # fmt: skip
        self._last = place[piece.outputs[0]]
        self._parameters += piece.parameters
        self._unknown |= dict.fromkeys(piece.unknown)
        return True

    def tie(self, shape: tuple[int, ...]) -> None:
        """Make all weights of that shape one."""
        first, *others = [
            p for p, tensor in enumerate(self._tensors) if tensor.role == "weight" and tensor.shape == shape
        ]
        place = {position: first if position in others else position for position in range(len(self._tensors))}
        self._operators = [_moved(operator, place) for operator in self._operators]
        self._parameters -= sum(self._tensors[position].size for position in others)
        for position in others:
            self._tensors[position] = msgspec.structs.replace(self._tensors[position], shape=(0,), strides=(1,))

    def workload(self, name: str) -> Workload:
        """All pieces as one."""
        return Workload(
            name=name,
            batch=BATCH,
            tensors=tuple(self._tensors),
            operators=tuple(self._operators),
            outputs=() if self._last is None else (self._last,),
            parameters=self._parameters,
            unknown=tuple(self._unknown),
        )


def _cut(workload: Workload, path: str) -> Workload | None:
    """The piece of a workload that the module at a path is; None where more than one tensor enters or leaves it."""
    inside = [o for o in workload.operators if f"{o.layer}.".startswith(f"{path}.")]
    names = {operator.name for operator in inside}
    made = {position for operator in inside for position in operator.outputs}
    used = dict.fromkeys(position for operator in inside for position in operator.inputs if position not in made)
    entering = [position for position in used if workload.tensors[position].role in ("input", "activation")]
    taken = {p for o in workload.operators if o.name not in names for p in o.inputs} | set(workload.outputs)
    leaving = sorted(made & taken)
    if len(entering) != 1 or len(leaving) != 1:
        return None
    place = {position: number for number, position in enumerate(sorted({*used, *made}))}
    tensors = [workload.tensors[position] for position in place]
    tensors[place[entering[0]]] = msgspec.structs.replace(tensors[place[entering[0]]], role="input")
    return Workload(
        name=path,
        batch=workload.batch,
        tensors=tuple(tensors),
        operators=tuple(_moved(o, place, lambda layer: layer.removeprefix(path).removeprefix(".")) for o in inside),
        outputs=(place[leaving[0]],),
        parameters=sum(tensor.size for tensor in tensors if tensor.role == "weight"),
        unknown=tuple(dict.fromkeys(o.target for o in inside if o.target in workload.unknown)),
    )


def _entry(piece: Workload) -> Tensor:
    return next(tensor for tensor in piece.tensors if tensor.role == "input")


def _moved(operator: Operator, place: dict[int, int], rename: Callable[[str], str] = str) -> Operator:
    """The operator at other positions, in a module of another path."""
    layer = rename(operator.layer)
    word = operator.name.removeprefix(operator.layer).removeprefix("/")
    return msgspec.structs.replace(
        operator,
        name=f"{layer}/{word}" if layer else word,
        layer=layer,
        inputs=_at(operator.inputs, place),
        outputs=_at(operator.outputs, place),
    )


def _at(positions: Iterable[int], place: dict[int, int] | Sequence[int]) -> tuple[int, ...]:
    return tuple(place[position] for position in positions)
