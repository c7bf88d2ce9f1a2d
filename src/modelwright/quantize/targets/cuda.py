"""An NVIDIA GPU by torch itself: linear layers in whole numbers or 8-bit floats, their input's range found as they run.

torchao's tensors hold the weights; its matrix kernels take whole numbers from compute capability 8.0 on (Ampere), 8-bit
floats from 8.9 on (Ada Lovelace). Convolutions have no such kernels there and stay in float. The artifact is the
network in floats and which of its layers are packed when it is loaded: packed tensors cannot be stored without pickle.
"""

import contextlib
import importlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import msgspec
import torch
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from modelwright.errors import ExportError, SettingError
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets.qdq import exported
from modelwright.quantize.targets.quiet import quiet
from modelwright.quantize.targets.target import Program, Target, artifact, broken, check_installed, reason
from modelwright.records import Kernel, Quantization, from_json, to_json, write_whole

PROFILE = Profile("cuda", kinds=(), adds="none", dynamic=("linear",), fp8=True, floats=("fp32", "bf16"))
FILE, PACKED = "model.pt2", "packed.json"
LEAST = (8, 0)
"""The least compute capability whose matrix kernels take whole numbers through torch."""
MULTIPLES = {"int8": 8, "fp8": 16}
"""What both sides of a weight must be multiples of, or its kernel falls back to the host or to floats."""

_WEIGHTED = ("mm", "addmm", "bmm", "baddbmm", "_int_mm", "_scaled_mm", "convolution", "linear", "conv")
_NUMBERS = {
    torch.int8: "i8", torch.int32: "i32", torch.float8_e4m3fn: "f8", torch.bfloat16: "bf16", torch.float16: "f16",
}  # fmt: skip


class Packing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which linear layers are packed when an artifact is loaded.

    Attributes:
        layers: place among the graph's linear layers, in running order -> numbers.
        recipe: by which.
    """

    layers: dict[str, str] = {}
    recipe: Quantization = Quantization(kind="float")


@final
@dataclass(frozen=True)
class Cuda(Target):
    """torch.compile on an NVIDIA GPU, in fp32, or in bf16 by autocast, where nothing is quantized."""

    profile: Profile = PROFILE

    def check(self) -> None:
        """Refuse where torchao or a device with integer matrix kernels is missing."""
        check_installed("torchao", "quantize")
        device()

    def write(
        self, graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...], folder: Path, *, floats: str = "fp32"
    ) -> tuple[Path, ...]:
        """Write a program for `torch.export.load`, and that nothing of it is packed."""
        return _write(graph, inputs, folder, Packing())

    def write_dynamic(
        self, graph: fx.GraphModule, recipe: Quantization, inputs: tuple[torch.Tensor, ...], folder: Path
    ) -> tuple[Path, ...]:
        """Write the program, and which linear layers are packed when it is loaded.

        Raises:
            SettingError: a layer's weight has sides that its kernel cannot take.
        """
        from modelwright.quantize.graph import layers
        from modelwright.quantize.prepare import quantized_layers

        lines = [layer for layer in layers(graph) if layer.kind == "linear"]
        chosen = {
            layer.name: recipe.layers.get(layer.name, "int8") for layer in quantized_layers(graph, recipe, PROFILE)
        }
        for layer in lines:
            if layer.name in chosen and not self.fits(graph, layer.name, chosen[layer.name]):
                multiple = MULTIPLES[chosen[layer.name]]
                rule = f"the sides of a weight in {chosen[layer.name]} must be multiples of {multiple}"
                raise SettingError(rule, where=layer.name, way_out="Leave the layer in float.")
        if not chosen:
            rule, way_out = "there must be a linear layer to quantize", "Leave the network in float."
            raise SettingError(rule, where="recipe, layers", value=0, way_out=way_out)
        places: dict[str, str] = {
            str(place): chosen[line.name] for place, line in enumerate(lines) if line.name in chosen
        }
        return _write(graph, inputs, folder, Packing(places, recipe))

    def fits(self, graph: fx.GraphModule, layer: str, numbers: str) -> bool:
        """Whether both sides of a linear layer's weight are what its kernel takes."""
        from modelwright.quantize.graph import layers, parameter

        found = next(one for one in layers(graph) if one.name == layer)
        return all(side % MULTIPLES[numbers] == 0 for side in parameter(graph, found.weight).shape)

    def load(self, folder: Path, *, floats: str = "fp32", threads: int = 1, batch: int | None = None) -> "CudaProgram":
        """A program on the first device, compiled at its first call; `threads` count for nothing there."""
        check_installed("torchao", "quantize")
        return CudaProgram(folder, device(), floats, batch)


@final
class CudaProgram(Program):
    """A network on a device, its layers packed.

    Args:
        folder: of the artifact.
        place: the device; on one that is no GPU it runs uncompiled, to be looked at.
        floats: "fp32" or "bf16".
        batch: samples a call; None for any number.

    Raises:
        RecordError: a file is missing or cannot be read.
        SettingError: the device has no kernels for the packed layers' numbers.
    """

    def __init__(self, folder: Path, place: torch.device, floats: str, batch: int | None) -> None:
        file = artifact(folder, FILE)
        packing = from_json(artifact(folder, PACKED).read_bytes(), Packing, where=str(folder / PACKED))
        with quiet():
            importlib.import_module("torchao.quantization.pt2e")  # defines quantization's operators
            try:
                graph: Any = torch.export.load(file).module()
            except Exception as failure:  # zip, JSON and torch raise what they like
                raise broken(file, failure) from failure
            self._module = packed(graph.to(place), packing)
        self.batch, self.size_bytes = batch, file.stat().st_size
        self._place, self._bf16 = place, floats == "bf16"
        self._example = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
        self._forward: Any = torch.compile(self._module) if place.type == "cuda" else self._module

    def run(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Logits; what goes to the device and back is part of it."""
        with self._setting(), quiet():
            made: torch.Tensor = self._forward(*(given.to(self._place) for given in inputs))
        return made.float().cpu()

    def kernels(self) -> tuple[Kernel, ...]:
        """The operators that torch dispatches for one call, before any are compiled together."""
        count = self.batch or 2
        given = [
            torch.zeros(count, *map(int, one.shape[1:]), dtype=one.dtype, device=self._place) for one in self._example
        ]
        with self._setting(), quiet(), _Watch() as watch:
            self._module(*given)
        return tuple(watch.seen)

    @contextlib.contextmanager
    def _setting(self) -> Iterator[None]:
        with torch.no_grad(), torch.autocast(self._place.type, torch.bfloat16, enabled=self._bf16):
            yield


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Notes every operator and the numbers that it reads."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.seen: list[Kernel] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it, and note it."""
        name = str(func).removeprefix("aten.").partition(".")[0]
        given = [one for one in args if isinstance(one, torch.Tensor)]
        read = next((word for kind, word in _NUMBERS.items() if any(one.dtype is kind for one in given)), "f32")
        plain = all(type(one) in (torch.Tensor, nn.Parameter) for one in given)  # what is packed comes again, unpacked
        weighted = name in _WEIGHTED and plain
        self.seen.append(Kernel(str(func), name, read, weighted, weighted and read in ("i8", "i32")))
        return func(*args, **(kwargs or {}))


class _InBf16(nn.Module):
    """A linear layer whose weight is in bf16, as 8-bit floats are made of, between floats of another kind.

    Args:
        line: the layer.
    """

    def __init__(self, line: nn.Linear) -> None:
        super().__init__()
        self.line = line.to(torch.bfloat16)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """What the layer says, in the numbers that came."""
        made: torch.Tensor = self.line(given.to(torch.bfloat16)).to(given.dtype)
        return made


def device() -> torch.device:
    """The first CUDA device.

    Raises:
        SettingError: there is none, or its matrix kernels take no whole numbers.
    """
    way_out = "Quantize on a machine that has one, or for openvino, onnxruntime or inductor."
    if not torch.cuda.is_available():
        raise SettingError("the target needs a CUDA device", where="target", value="cuda", way_out=way_out)
    able = torch.cuda.get_device_capability(0)
    if able < LEAST:
        rule = f"the device must have compute capability {LEAST[0]}.{LEAST[1]} or more"
        raise SettingError(rule, where=torch.cuda.get_device_name(0), value="{}.{}".format(*able), way_out=way_out)
    return torch.device("cuda", 0)


def packed(graph: fx.GraphModule, packing: Packing) -> nn.Module:
    """The graph with the chosen linear layers as modules that hold torchao's packed weights.

    Raises:
        SettingError: the device has no kernels for their numbers.
    """
    from modelwright.quantize.graph import layers, node_of, parameter
    from modelwright.quantize.weight_only import pack

    if not packing.layers:
        return graph
    names: dict[str, Any] = {}
    for place, layer in enumerate(one for one in layers(graph) if one.kind == "linear"):
        numbers = packing.layers.get(str(place))
        if numbers is None:
            continue
        node, weight = node_of(graph, layer.node), parameter(graph, layer.weight)
        line = nn.Linear(weight.shape[1], weight.shape[0], bias=bool(layer.bias), device="meta")
        line.weight = nn.Parameter(weight.detach(), requires_grad=False)
        if layer.bias:
            line.bias = nn.Parameter(parameter(graph, layer.bias).detach(), requires_grad=False)
        name = f"packed_{place}"
        graph.add_submodule(name, _InBf16(line) if numbers == "fp8" else line)
        names[f"{name}.line" if numbers == "fp8" else name] = numbers
        with graph.graph.inserting_before(node):
            made = graph.graph.call_module(name, (node.args[0],))
        node.replace_all_uses_with(made)
        graph.graph.erase_node(node)
    graph.recompile()
    holder = nn.Module()
    for name in names:
        holder.add_module(name.replace(".", "_"), graph.get_submodule(name))
    recipe = msgspec.structs.replace(
        packing.recipe, layers={name.replace(".", "_"): kind for name, kind in names.items()}
    )
    ready = pack(holder, recipe)
    for name in names:
        graph.set_submodule(name, ready.get_submodule(name.replace(".", "_")))
    return graph


def _write(graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...], folder: Path, packing: Packing) -> tuple[Path, ...]:
    file = io.BytesIO()
    try:
        with quiet(), torch.no_grad():
            torch.export.save(exported(graph, inputs), file)
    except Exception as failure:  # torch raises what it likes
        rule = f"torch.export must be able to write the graph ({reason(failure)})"
        raise ExportError(rule, where=FILE, way_out="Capture the module again.") from failure
    write_whole(folder / FILE, file.getvalue())
    write_whole(folder / PACKED, to_json(packing))
    return (folder / FILE, folder / PACKED)
