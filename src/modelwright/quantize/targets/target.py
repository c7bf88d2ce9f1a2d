"""What a target is: something that writes a graph as its artifact, and runs that artifact."""

import importlib.util
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import fx

from modelwright.errors import RecordError, SettingError
from modelwright.quantize.profile import Profile
from modelwright.records import Kernel, Quantization

INTEGER_UNITS = ("avx512_vnni", "avx_vnni", "amx_int8")
"""What a processor calls its units that multiply whole numbers of 8 bits and add them up in 32."""
BFLOAT_UNITS = ("avx512_bf16", "amx_bf16")
"""What it calls those that multiply bf16."""


class Program(ABC):
    """An artifact, loaded by its runtime.

    Attributes:
        batch: samples that the runtime takes a call; None for any number.
        size_bytes: of the artifact on disk.
    """

    batch: int | None
    size_bytes: int

    @abstractmethod
    def run(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Logits on the CPU, of inputs of just `batch` samples."""

    @abstractmethod
    def kernels(self) -> tuple[Kernel, ...]:
        """The operators as the runtime itself says that it runs them, in its order."""

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logits, float32 on the CPU, of any number of samples.

        Where the runtime takes a fixed number, more are split, and a last part is filled up by repeating its last
        sample, whose logits are dropped.
        """
        asked = len(inputs[0])
        if self.batch is None or asked == self.batch:
            return self.run(inputs)
        parts = zip(*(torch.split(given, self.batch) for given in inputs), strict=True)
        return torch.cat([self.run(tuple(_filled(given, self.batch) for given in part)) for part in parts])[:asked]


class Target(ABC):
    """A runtime and its rules.

    Attributes:
        profile: what its kernels can do.
    """

    profile: Profile

    @abstractmethod
    def check(self) -> None:
        """Refuse to go on where artifacts of this target cannot be measured in whole numbers.

        Raises:
            SettingError: its runtime is not installed, or this processor has no integer units; says what to do.
        """

    @abstractmethod
    def write(
        self, graph: fx.GraphModule, inputs: tuple[torch.Tensor, ...], folder: Path, *, floats: str = "fp32"
    ) -> tuple[Path, ...]:
        """Write a graph, converted or float, as the target's artifact: whole, or not at all.

        Args:
            graph: as torch.export captured it.
            inputs: an example.
            folder: that exists.
            floats: what is computed in where nothing is quantized.

        Returns:
            The artifact's files.

        Raises:
            SettingError: the target cannot compute in those floats.
            ExportError: the graph cannot be written in the target's format.
            OSError: the place cannot be written; nothing half-written stays behind.
        """

    def write_dynamic(
        self, graph: fx.GraphModule, recipe: Quantization, inputs: tuple[torch.Tensor, ...], folder: Path
    ) -> tuple[Path, ...]:
        """Write a float graph so that layers of the profile's `dynamic` find their input's range as they run.

        Args:
            graph: as torch.export captured it, in float.
            recipe: of kind "dynamic"; its `layers` say what stays in float.
            inputs: an example.
            folder: that exists.

        Returns:
            The artifact's files.

        Raises:
            SettingError: the target has no such kernels, or not for these schemes; there is no layer to quantize.
            UnknownNameError: the recipe names a layer that the graph does not have.
            ExportError, OSError: as of `write`.
        """
        way_out = "Take onnxruntime or inductor, or quantize statically."
        rule = "the target must have kernels that find ranges as they run"
        raise SettingError(rule, where="target", value=self.profile.name, way_out=way_out)

    def fits(self, graph: fx.GraphModule, layer: str, numbers: str) -> bool:
        """Whether the target's dynamic kernels can take a layer of the graph in these numbers."""
        return True

    def mix(self, full: Path, folder: Path, nodes: Collection[str]) -> bool:
        """Write an artifact with some nodes of its graph put back into float, if this target can do that by itself.

        Args:
            full: folder of an artifact in whole numbers.
            folder: that exists.
            nodes: of the graph that it was written from.

        Returns:
            Whether it was written; if not, the mix must be written from its own graph.
        """
        return False

    @abstractmethod
    def load(self, folder: Path, *, floats: str = "fp32", threads: int = 1, batch: int | None = None) -> Program:
        """The artifact in a folder, ready to be called.

        Args:
            folder: that `write` was given.
            floats: what is computed in where nothing is quantized.
            threads: of the CPU.
            batch: samples a call, for which the runtime may then prepare; None for any number.

        Raises:
            SettingError: the target cannot run it here, or cannot compute in those floats.
            RecordError: the artifact is missing or broken.
        """


def integer_share(kernels: Sequence[Kernel]) -> float:
    """The share of weighted operators that compute in whole numbers; 0 where there are none."""
    weighted = [kernel for kernel in kernels if kernel.weighted]
    return sum(kernel.integer for kernel in weighted) / len(weighted) if weighted else 0.0


def check_installed(package: str, extra: str) -> None:
    """Refuse where a runtime is not installed.

    Raises:
        SettingError: names the extra that brings it.
    """
    if importlib.util.find_spec(package) is None:
        way_out = f"pip install 'modelwright[{extra}]'"
        raise SettingError("the target's runtime must be installed", where="target", value=package, way_out=way_out)


def check_processor() -> None:
    """Refuse where the processor has no units for whole numbers.

    Without them, kernels are no faster than float ones, or sums of products saturate at 16 bits.

    Raises:
        SettingError: names the processor.
    """
    if not _has(INTEGER_UNITS):
        rule = f"the processor must have one of {', '.join(INTEGER_UNITS)}"
        way_out = "Quantize on the machine that the network is for."
        raise SettingError(rule, where="target", value=torch.cpu.get_capabilities().get("cpu_name"), way_out=way_out)


def check_floats(profile: Profile, floats: str) -> None:
    """Refuse floats that a target cannot compute in, here or anywhere; it might silently take others.

    Raises:
        SettingError: says which there are.
    """
    if floats not in profile.floats:
        way_out = f"Take {' or '.join(profile.floats)}, or another target."
        raise SettingError(f"{profile.name} must be able to compute in the floats", value=floats, way_out=way_out)
    if floats == "bf16" and not _has(BFLOAT_UNITS):
        way_out = "Take fp32, or another machine."
        raise SettingError("the processor must have units for bf16", where="floats", value=floats, way_out=way_out)


def artifact(folder: Path, name: str) -> Path:
    """The artifact's file.

    Raises:
        RecordError: there is none.
    """
    file = folder / name
    if not file.is_file():
        raise RecordError("the folder must hold the artifact", where=str(file), way_out="Write it again.")
    return file


def broken(file: Path, failure: Exception) -> RecordError:
    """The error of an artifact that its runtime cannot read."""
    rule = f"the artifact must be one that its runtime can read ({reason(failure)})"
    return RecordError(rule, where=str(file), way_out="Write it again.")


def reason(failure: BaseException) -> str:
    """What went wrong at the root of a package's error: kind and first line."""
    while failure.__cause__ is not None:
        failure = failure.__cause__
    text = re.sub(r"\x1b\[\d*m", "", str(failure))  # colours of a terminal
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(failure).__name__}: {line[:200]}"


def _has(units: Sequence[str]) -> bool:
    able = torch.cpu.get_capabilities()
    return any(able.get(unit, False) for unit in units)


def _filled(given: torch.Tensor, count: int) -> torch.Tensor:
    missing = count - len(given)
    return torch.cat([given, given[-1:].expand(missing, *given.shape[1:])]) if missing else given
