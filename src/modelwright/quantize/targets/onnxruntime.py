"""ONNX Runtime's CPU provider: integer kernels where inputs, weights, biases and outputs all are quantized."""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
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
from modelwright.records import Kernel, Quantization

PROFILE = Profile(
    "onnxruntime",
    kinds=("conv", "depthwise", "linear", "product"),
    outputs=True,
    adds="all",
    elementwise=True,
    biases=True,
    dynamic=("linear", "lstm"),
)

_FLOAT = {
    "Attention", "Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm", "MatMul", "MatMulNBits",
    "MultiHeadAttention", "NhwcFusedConv",
}  # fmt: skip
_WHOLE = {
    "ConvInteger", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat",
    "QAttention", "QGemm", "QLinearConv", "QLinearMatMul",
}  # fmt: skip
_NUMBERS = {"int8": "i8", "uint8": "u8"}
_OPTIMIZERS_OFF = ["WeightBiasQuantization"]
"""It quantizes float weights of its own accord where input and output are quantized: of layers left in float, too."""


@final
@dataclass(frozen=True)
class OnnxRuntime(Target):
    """ONNX Runtime on a CPU, in fp32 where nothing is quantized."""

    profile: Profile = PROFILE

    def check(self) -> None:
        """Refuse where ONNX Runtime is not installed, or the processor has no integer units."""
        check_installed("onnxruntime", "quantize")
        check_processor()

    def write(
        self, graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...], folder: Path, *, floats: str = "fp32"
    ) -> tuple[Path, ...]:
        """Write a QDQ ONNX file, with whole biases, quantized gates, and global pooling as such."""
        check_floats(self.profile, floats)
        model = qdq.to_onnx(graph, inputs)
        qdq.pooled_means(model)
        qdq.whole_gates(model)
        qdq.whole_biases(model)
        return qdq.write_onnx(model, folder)

    def write_dynamic(
        self, graph: fx.GraphModule, recipe: Quantization, inputs: tuple[torch.Tensor, ...], folder: Path
    ) -> tuple[Path, ...]:
        """Write an ONNX file whose linear layers and LSTMs find their input's range as they run.

        By ONNX Runtime's own `quantize_dynamic`. Convolutions stay in float: dynamic ones are several times slower.
        """
        from modelwright.quantize.targets.dynamic_onnx import dynamic_onnx  # torchao, which loading does without

        return qdq.write_onnx(dynamic_onnx(qdq.to_onnx(graph, inputs), graph, recipe, self.profile), folder)

    def mix(self, full: Path, folder: Path, nodes: Collection[str]) -> bool:
        """Put nodes back into float in the ONNX file."""
        mixed.put_back(artifact(full, qdq.FILE), folder, nodes)
        return True

    def load(self, folder: Path, *, floats: str = "fp32", threads: int = 1, batch: int | None = None) -> "OrtProgram":
        """A session on that many threads, its free batch fixed where one is given."""
        check_installed("onnxruntime", "quantize")
        check_floats(self.profile, floats)
        return OrtProgram(artifact(folder, qdq.FILE), threads, batch)


@final
class OrtProgram(Program):
    """A session of ONNX Runtime.

    Args:
        file: the model.
        threads: of the CPU.
        batch: samples a call, None for any number.

    Raises:
        RecordError: the file cannot be read.
    """

    def __init__(self, file: Path, threads: int, batch: int | None) -> None:
        self.batch = batch
        self.size_bytes = file.stat().st_size
        self._file, self._threads = file, threads
        self._session = self._start()
        self._names = [given.name for given in self._session.get_inputs()]

    def run(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Logits."""
        given = {name: value.numpy() for name, value in zip(self._names, inputs, strict=True)}
        [logits] = self._session.run(None, given)
        return torch.from_numpy(np.asarray(logits))

    def kernels(self) -> tuple[Kernel, ...]:
        """The operators of the graph that ONNX Runtime has optimized, as it writes it itself."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "optimized.onnx"
            self._start(file)
            graph = onnx.load(file).graph
        constants = {one.name: one for one in graph.initializer}
        return tuple(_kernel(node, constants) for node in graph.node)

    def _start(self, optimized: Path | None = None) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.log_severity_level = 4  # what is fatal; the rest is raised, too
        if self.batch is not None:
            options.add_free_dimension_override_by_name("batch", self.batch)
        if optimized is not None:
            options.optimized_model_filepath = str(optimized)
        try:
            return onnxruntime.InferenceSession(
                self._file, options, providers=["CPUExecutionProvider"], disabled_optimizers=_OPTIMIZERS_OFF
            )
        except Exception as failure:  # the runtime's errors have no common class but this
            raise broken(self._file, failure) from failure


def _kernel(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> Kernel:
    operator = node.op_type
    whole = operator in _WHOLE or operator.startswith("QLinear")
    numbers = "f32"
    if whole:  # the first zero point is that of the input
        held = [numpy_helper.to_array(constants[name]) for name in node.input if name in constants]
        numbers = next((_NUMBERS[one.dtype.name] for one in held if one.size == 1 and one.dtype.name in _NUMBERS), "u8")
    return Kernel(node.name, operator, numbers, operator in _FLOAT | _WHOLE, whole)
