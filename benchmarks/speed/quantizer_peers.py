"""Other quantizers, each called as its guide says, their results ready to run. Install them by `make bench-setup`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from modelwright.quantize.targets import qdq
from modelwright.quantize.targets.inductor import InductorProgram
from modelwright.quantize.targets.openvino import OpenVinoProgram
from modelwright.quantize.targets.target import Program
from modelwright.records import Kernel


@dataclass
class Given:
    """What every quantizer is given.

    Attributes:
        module: the network.
        graph: as torch.export captured it.
        folder: for files.
        samples: to calibrate with.
        threads: of the CPU.
        batch: samples a call.
    """

    module: nn.Module
    graph: fx.GraphModule
    folder: Path
    samples: torch.Tensor
    threads: int
    batch: int

    def onnx(self) -> Path:
        """The float network as an ONNX file."""
        place = self.folder / "peers"
        place.mkdir(exist_ok=True)
        file = place / qdq.FILE
        if not file.exists():
            qdq.write_onnx(qdq.to_onnx(self.graph, (self.samples[:2],)), place)
        return file

    def transformer(self) -> bool:
        """Whether the network attends."""
        return any("attention" in str(node.target) for node in self.graph.graph.nodes)


Loader = Callable[[str], Program]
"""From the floats of what is not quantized, "fp32" or "bf16", to a program."""


class Session(Program):
    """A session of ONNX Runtime with all its optimizers, as anyone opens it."""

    def __init__(self, file: Path, given: Given) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = given.threads, 1
        options.log_severity_level = 4
        options.add_free_dimension_override_by_name("batch", given.batch)
        self.batch, self.size_bytes = given.batch, file.stat().st_size
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def run(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Logits."""
        [logits] = self._session.run(None, {self._name: inputs[0].numpy()})
        return torch.from_numpy(np.asarray(logits))

    def kernels(self) -> tuple[Kernel, ...]:
        """Not asked."""
        return ()


def nncf_openvino(given: Given) -> Loader:
    """NNCF on OpenVINO's model (docs.openvino.ai, Basic Quantization Flow)."""
    import nncf
    import openvino

    model = openvino.Core().read_model(given.onnx())
    data = nncf.Dataset(given.samples.split(1), lambda part: part.numpy())
    kind = nncf.ModelType.TRANSFORMER if given.transformer() else None
    made = nncf.quantize(model, data, model_type=kind, subset_size=len(given.samples))
    file = given.folder / "peers" / "nncf.xml"
    openvino.save_model(made, file, compress_to_fp16=False)
    return lambda floats: OpenVinoProgram(file, floats, given.threads, given.batch)


def nncf_onnx(given: Given) -> Loader:
    """NNCF on an ONNX model, for ONNX Runtime."""
    import nncf
    import onnx

    model = onnx.load(given.onnx())
    name = model.graph.input[0].name
    data = nncf.Dataset(given.samples.split(1), lambda part: {name: part.numpy()})
    kind = nncf.ModelType.TRANSFORMER if given.transformer() else None
    made = nncf.quantize(model, data, model_type=kind, subset_size=len(given.samples))
    file = given.folder / "peers" / "nncf.onnx"
    onnx.save(made, file)
    return lambda floats: Session(file, given)


def nncf_pt2e(given: Given) -> Loader:
    """NNCF's quantize_pt2e with torchao's quantizer for x86 (docs.pytorch.org, OpenVINO quantization tutorial)."""
    import nncf
    from nncf.experimental.torch.fx import quantize_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    data = nncf.Dataset(given.samples.split(1))
    made = quantize_pt2e(_exported(given), quantizer, data, subset_size=len(given.samples))
    return _compiled(made, given, "nncf")


def onnxruntime_static(given: Given) -> Loader:
    """ONNX Runtime's quantize_static: preprocessed, U8S8, a scale a channel (onnxruntime.ai, Quantize ONNX models)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    reader = type("Reader", (CalibrationDataReader,), {"__init__": _start, "get_next": _next})
    place = given.folder / "peers"
    ready, file = place / "ort-ready.onnx", place / "ort.onnx"
    quant_pre_process(given.onnx(), ready, skip_symbolic_shape=True)
    quantize_static(
        ready,
        file,
        reader(_fed(given)),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return lambda floats: Session(file, given)


def neural_compressor_onnx(given: Given) -> Loader:
    """Intel's Neural Compressor for ONNX (github.com/onnx/neural-compressor)."""
    from onnx_neural_compressor import data_reader
    from onnx_neural_compressor.quantization import QuantFormat, QuantType, config, quantize

    reader = type(
        "Reader", (data_reader.CalibrationDataReader,), {"__init__": _start, "get_next": _next, "rewind": _rewind}
    )
    file = given.folder / "peers" / "inc.onnx"
    settings = config.StaticQuantConfig(
        calibration_data_reader=reader(_fed(given)),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    quantize(str(given.onnx()), str(file), settings)
    return lambda floats: Session(file, given)


def neural_compressor_pt2e(given: Given) -> Loader:
    """Intel's Neural Compressor on torch's PT2E (its guide, PyTorch Static Quantization)."""
    from neural_compressor.torch import export
    from neural_compressor.torch.quantization import convert, get_default_static_config, prepare

    example = (given.samples[:2],)
    graph = export.export(given.module, example, dynamic_shapes=({0: torch.export.Dim("batch")},))
    prepared = prepare(graph, get_default_static_config())
    with torch.no_grad():
        for part in given.samples.split(16):
            prepared(part)
    return _compiled(convert(prepared), given, "neural-compressor")


def torchao_pt2e(given: Given) -> Loader:
    """torchao's own quantizer for x86 (docs.pytorch.org, PT2E quantization with x86 backend through inductor)."""
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(_exported(given), quantizer)
    with torch.no_grad():
        for part in given.samples.split(16):
            prepared(part)
    made = convert_pt2e(prepared)
    move_exported_model_to_eval(made)
    return _compiled(made, given, "torchao")


PEERS: dict[tuple[str, str], Callable[[Given], Loader]] = {
    ("openvino", "nncf"): nncf_openvino,
    ("onnxruntime", "onnxruntime"): onnxruntime_static,
    ("onnxruntime", "nncf"): nncf_onnx,
    ("onnxruntime", "neural-compressor"): neural_compressor_onnx,
    ("inductor", "torchao"): torchao_pt2e,
    ("inductor", "nncf"): nncf_pt2e,
    ("inductor", "neural-compressor"): neural_compressor_pt2e,
}
"""(runtime, quantizer) -> what quantizes with it."""


def _exported(given: Given) -> fx.GraphModule:
    batch = {0: torch.export.Dim("batch")}
    return torch.export.export(given.module, (given.samples[:2],), dynamic_shapes=(batch,)).module()


def _compiled(made: Any, given: Given, name: str) -> Loader:
    place = given.folder / "peers"
    place.mkdir(exist_ok=True)
    file = place / f"{name}.pt2"
    batch = {0: torch.export.Dim("batch")}
    with torch.no_grad():
        torch.export.save(torch.export.export(made, (given.samples[:2],), dynamic_shapes=(batch,)), file)
    return lambda floats: InductorProgram(file, floats, given.threads, given.batch)


def _fed(given: Given) -> list[dict[str, np.ndarray]]:
    import onnx

    name = onnx.load(given.onnx(), load_external_data=False).graph.input[0].name
    return [{name: part.numpy()} for part in given.samples.split(1)]


def _start(self: Any, fed: list[dict[str, np.ndarray]]) -> None:
    self.fed, self.left = fed, iter(fed)


def _next(self: Any) -> dict[str, np.ndarray] | None:
    found: Iterator[dict[str, np.ndarray]] = self.left
    return next(found, None)


def _rewind(self: Any) -> None:
    self.left = iter(self.fed)
