"""OpenVINO's CPU plug-in: it moves quantization to where its kernels want it, and fuses additions and activations."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

import torch
from torch import fx

from modelwright.quantize.profile import Profile
from modelwright.quantize.targets import mixed, qdq
from modelwright.quantize.targets.target import (
    Program,
    Target,
    artifact,
    broken,
    check_floats,
    check_installed,
    check_processor,
)
from modelwright.records import Kernel

PROFILE = Profile("openvino", adds="clipped", pools=True, floats=("fp32", "bf16"))

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_NO_WORK = {"Const", "Constant", "Input", "Output", "Parameter", "Result"}
_WEIGHTED = {
    "Convolution", "Deconvolution", "FullyConnected", "GroupConvolution", "MatMul", "ScaledDotProductAttention",
}  # fmt: skip
_PRODUCTS = _WEIGHTED | {"ConvolutionBackpropData", "GroupConvolutionBackpropData"}
_WHOLE = {"u8", "i8"}
_FLOAT = {"f32", "bf16", "f16"}


@final
@dataclass(frozen=True)
class OpenVino(Target):
    """OpenVINO on a CPU, in fp32 or bf16 where nothing is quantized; its own default would be bf16 wherever it can."""

    profile: Profile = PROFILE

    def check(self) -> None:
        """Refuse where OpenVINO is not installed, or the processor has no integer units."""
        check_installed("openvino", "openvino")
        check_processor()

    def write(
        self, graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...], folder: Path, *, floats: str = "fp32"
    ) -> tuple[Path, ...]:
        """Write a QDQ ONNX file, which OpenVINO reads as it is; `floats` takes effect when it is loaded."""
        check_floats(self.profile, floats)
        model = qdq.to_onnx(graph, inputs)
        qdq.weights_around_zero(model)
        return qdq.write_onnx(model, folder)

    def mix(self, full: Path, folder: Path, nodes: Collection[str]) -> bool:
        """Put nodes back into float in the ONNX file."""
        mixed.put_back(artifact(full, qdq.FILE), folder, nodes)
        return True

    def load(
        self, folder: Path, *, floats: str = "fp32", threads: int = 1, batch: int | None = None
    ) -> "OpenVinoProgram":
        """A compiled model of one stream on that many threads, its batch fixed where one is given."""
        check_installed("openvino", "openvino")
        check_floats(self.profile, floats)
        return OpenVinoProgram(artifact(folder, qdq.FILE), floats, threads, batch)


@cache
def _core() -> Any:
    """The one core of this process, which lives as long as it does.

    The CPU plug-in gives the thread a stack for signals, and takes it back with the core. Of two cores that end in the
    order in which they began, the second gives the thread back the stack of the first, which is gone: the next signal,
    such as an interrupt, would then kill the process.
    """
    import openvino

    return openvino.Core()


@final
class OpenVinoProgram(Program):
    """A compiled model of OpenVINO.

    Args:
        file: the model.
        floats: "fp32" or "bf16".
        threads: of the CPU.
        batch: samples a call, None for any number.

    Raises:
        RecordError: the file cannot be read.
    """

    def __init__(self, file: Path, floats: str, threads: int, batch: int | None) -> None:
        self.batch = batch
        self.size_bytes = file.stat().st_size
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[floats],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,  # or it rounds what meets whole weights, unasked and unseen
        }
        core = _core()
        try:
            model = core.read_model(file)
            self._products = {one.get_friendly_name() for one in model.get_ops() if one.get_type_name() in _PRODUCTS}
            if batch is not None:
                model.reshape({given: [batch, *list(given.partial_shape)[1:]] for given in model.inputs})
            self._model: Any = core.compile_model(model, "CPU", options)
        except RuntimeError as failure:
            raise broken(file, failure) from failure
        self._request: Any = self._model.create_infer_request()

    def run(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Logits."""
        given = [value.contiguous().numpy() for value in inputs]
        made = self._request.infer(given, share_inputs=True)
        return torch.from_numpy(made[0])

    def kernels(self) -> tuple[Kernel, ...]:
        """The operators of the graph that OpenVINO runs, in the order in which it runs them."""
        found = []
        for node in self._model.get_runtime_model().get_ops():
            about = {key: str(value.value) for key, value in node.get_rt_info().items()}
            if about["layerType"] not in _NO_WORK:
                found.append((int(about["execOrder"]), self._kernel(node.get_friendly_name(), about)))
        return tuple(kernel for _, kernel in sorted(found, key=lambda one: one[0]))

    def _kernel(self, name: str, about: dict[str, str]) -> Kernel:
        operator, numbers = about["layerType"], about["runtimePrecision"]
        kernel = about["primitiveType"].rpartition("_")[2].lower()
        if kernel in _FLOAT:  # what the runtime says is that of whole weights, which it computes with in floats
            numbers = kernel
        merged = set(about["originalLayersNames"].split(","))
        weighted = operator in _WEIGHTED or (operator == "Subgraph" and not self._products.isdisjoint(merged))
        return Kernel(name, operator, numbers, weighted, numbers in _WHOLE)
