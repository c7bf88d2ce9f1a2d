"""timm's networks as workloads: built on the meta device, traced, and kept in a folder so that a run can be resumed."""

import enum
import gzip
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import ClassVar

from modelwright.errors import ModelwrightError
from modelwright.records import Workload, from_json, to_json, write_whole


class _Nothing(types.ModuleType):
    """A module in which every name is an empty class: enough to build networks, not to transform images."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "InterpolationMode":
            return enum.Enum("InterpolationMode", "NEAREST BILINEAR BICUBIC BOX HAMMING LANCZOS")
        return type(name, (), {})


class _Torchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for torchvision, which timm imports but which no build of this torch provides."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        return (
            importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Nothing(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def kept(name: str, size: int, channels_last: bool, folder: Path) -> Path:
    """Where a traced network stands in the folder."""
    return folder / ("nhwc" if channels_last else "nchw") / f"{name}@{size}.json.gz"


def workload(name: str, size: int, channels_last: bool, folder: Path) -> Workload | str:
    """The traced network at one image size, from the folder if it is there; else why it cannot be had, in a line."""
    path = kept(name, size, channels_last, folder)
    failed = path.with_suffix(".failed")
    if path.exists():
        return from_json(gzip.decompress(path.read_bytes()), Workload, where=str(path))
    if failed.exists():
        return failed.read_text()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        traced = _trace(name, size, channels_last)
    except (
        ModelwrightError,
        RuntimeError,
        TypeError,
        ValueError,
        KeyError,
        AssertionError,
        NotImplementedError,
    ) as error:
        reason = str(error).split("\n")[0][:200]
        write_whole(failed, reason)
        return reason
    write_whole(path, gzip.compress(to_json(traced), 3))
    return traced


def with_timm() -> types.ModuleType:
    """timm, which needs no torchvision to build networks."""
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.insert(0, _Torchvision())
    import timm

    return timm


def _trace(name: str, size: int, channels_last: bool) -> Workload:
    import torch

    from modelwright.networks.trace import trace

    timm = with_timm()

    torch.set_num_threads(1)
    with torch.device("meta"):
        try:
            module = timm.create_model(name, img_size=size)
        except TypeError:  # most convolutional networks take any size and no such argument
            module = timm.create_model(name)
    return trace(
        module, torch.empty(2, 3, size, size, device="meta"), name=f"{name}@{size}", channels_last=channels_last
    )
