"""torch's own compiler on a CPU: it lowers quantization's patterns to oneDNN's integer kernels.

Source: torchao's `X86InductorQuantizer` and its passes, which importing it registers.
"""

import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import fx

from modelwright.errors import ExportError, MeasurementError, SettingError
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets.qdq import exported
from modelwright.quantize.targets.quiet import quiet
from modelwright.quantize.targets.target import (
    Program,
    Target,
    artifact,
    broken,
    check_floats,
    check_installed,
    check_processor,
    reason,
)
from modelwright.records import Kernel, Quantization, write_whole

PROFILE = Profile("inductor", dynamic=("linear",), floats=("fp32", "bf16"))
FILE = "model.pt2"

_PASSES = "torchao.quantization.pt2e.quantizer.x86_inductor_quantizer"
_CALL = re.compile(r"^\s+(?:\w+ = )?(torch\.ops\.[\w.]+|extern_kernels\.\w+|cpp_fused_\w+)\(", re.MULTILINE)
_WEIGHTED = re.compile(r"conv|linear|addmm|\bmm\b|bmm|baddbmm|packed_gemm|attention")
_WHOLE = re.compile(r"onednn\.q(conv|linear)|_int_mm")


@final
@dataclass(frozen=True)
class Inductor(Target):
    """torch.compile on a CPU, in fp32, or in bf16 by autocast, where nothing is quantized."""

    profile: Profile = PROFILE

    def check(self) -> None:
        """Refuse where torchao or a C++ compiler is missing, or the processor has no integer units."""
        check_installed("torchao", "quantize")
        _check_compiler()
        check_processor()

    def write(
        self, graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...], folder: Path, *, floats: str = "fp32"
    ) -> tuple[Path, ...]:
        """Write a program for `torch.export.load`, before which torchao must be imported."""
        check_floats(self.profile, floats)
        file = io.BytesIO()  # torch tells a full disk by an error of its own; bytes are written as all other files are
        try:
            with quiet(), torch.no_grad():
                torch.export.save(exported(graph, inputs), file)
        except Exception as failure:  # torch raises what it likes
            rule = f"torch.export must be able to write the graph ({reason(failure)})"
            raise ExportError(rule, where=FILE, way_out="Capture the module again.") from failure
        write_whole(folder / FILE, file.getvalue())
        return (folder / FILE,)

    def write_dynamic(
        self, graph: fx.GraphModule, recipe: Quantization, inputs: tuple[torch.Tensor, ...], folder: Path
    ) -> tuple[Path, ...]:
        """Write a program whose linear layers find their input's range as they run, by torchao's operators."""
        from modelwright.quantize.dynamic import dynamic_linears  # torchao, which loading does without

        with quiet():
            made = dynamic_linears(graph, recipe, inputs)
        return self.write(made, inputs, folder)

    def load(
        self, folder: Path, *, floats: str = "fp32", threads: int = 1, batch: int | None = None
    ) -> "InductorProgram":
        """A program that is compiled at its first call, for the batch that is given, or else for that call's."""
        check_installed("torchao", "quantize")
        check_floats(self.profile, floats)
        _check_compiler()
        return InductorProgram(artifact(folder, FILE), floats, threads, batch)


@final
class InductorProgram(Program):
    """A compiled program.

    Args:
        file: the exported program.
        floats: "fp32" or "bf16".
        threads: of the CPU.
        batch: samples a call; None for as many as the first call has.

    Raises:
        RecordError: the file cannot be read.
    """

    def __init__(self, file: Path, floats: str, threads: int, batch: int | None) -> None:
        with quiet():
            importlib.import_module(_PASSES)  # defines quantization's operators and registers their lowering
            try:
                program = torch.export.load(file)
                module: Any = program.module()
            except Exception as failure:  # zip, JSON and torch raise what they like
                raise broken(file, failure) from failure
        self.batch = batch
        self.size_bytes = file.stat().st_size
        self._example = [_example(node) for node in module.graph.nodes if node.op == "placeholder"]
        self._threads, self._bf16 = threads, floats == "bf16"
        # its own `forward`, for graphs share the code of `__call__`, where torch would look for one among all others
        self._forward: Any = torch.compile(module.forward, dynamic=False)
        self._source = ""

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logits of any number of samples; the first call fixes the batch, as each other one would be compiled anew."""
        self.batch = self.batch or len(inputs[0])
        return super().__call__(*inputs)

    def run(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Logits."""
        if not self._source:
            self._compile(inputs)
        with self._setting():
            made: torch.Tensor = self._forward(*map(_plain, inputs))
        return made.float()

    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels that the generated code calls, in its order."""
        if not self._source:
            self(*(one.expand(self.batch or 1, *one.shape[1:]).contiguous() for one in self._example))
        return tuple(self._kernel(name) for name in _CALL.findall(self._source))

    def _compile(self, inputs: tuple[torch.Tensor, ...]) -> None:
        from torch._inductor.utils import run_and_get_code

        try:
            with quiet(), self._setting():
                _, codes = run_and_get_code(self._forward, *map(_plain, inputs))
        except Exception as failure:  # the compiler raises what it likes
            rule = f"torch.compile must be able to compile the graph ({reason(failure)})"
            raise MeasurementError(rule, where="inductor", way_out="Choose another target.") from failure
        self._source = "\n".join(codes)

    def _kernel(self, name: str) -> Kernel:
        whole = bool(_WHOLE.search(name))
        numbers = "u8" if whole else "bf16" if self._bf16 else "f32"
        weighted = not name.startswith("cpp_fused") and bool(_WEIGHTED.search(name))
        operator = re.sub(r"^torch\.ops\.|\.(default|tensor|binary_tensor|binary)$", "", name)
        return Kernel(name, operator, numbers, weighted, whole)

    @contextlib.contextmanager
    def _setting(self) -> Iterator[None]:
        """What compiled code expects at each call as it was when it was compiled; else torch compiles it anew."""
        before = torch.get_num_threads()
        if before != self._threads:
            torch.set_num_threads(self._threads)
        try:
            with (
                torch.inference_mode(False),
                torch.no_grad(),
                torch._inductor.config.patch(freezing=True),  # weights become constants; only then are they quantized
                torch.autocast("cpu", torch.bfloat16, enabled=self._bf16),
            ):
                yield
        finally:
            if before != self._threads:
                torch.set_num_threads(before)


def _check_compiler() -> None:
    from torch._inductor import exc
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except exc.InvalidCxxCompiler as failure:
        way_out = "Install g++ or clang++, or choose openvino or onnxruntime."
        raise SettingError("inductor needs a C++ compiler", where="target", value=None, way_out=way_out) from failure


def _plain(given: torch.Tensor) -> torch.Tensor:
    """An input as code is compiled for it: in one layout, and made outside inference mode."""
    return given.clone(memory_format=torch.contiguous_format) if given.is_inference() else given.contiguous()


def _example(placeholder: fx.Node) -> torch.Tensor:
    """One sample of zeros for an input."""
    value = placeholder.meta["val"]
    return torch.zeros(1, *(int(side) for side in value.shape[1:]), dtype=value.dtype)
