"""From a torch module to a Workload: torch.export's graph, read operator by operator; nothing is computed."""

import contextlib
import copy
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from modelwright.errors import ShapeError, TraceError
from modelwright.networks.recorder import Recorder
from modelwright.records import Workload

Inputs = torch.Tensor | Sequence[Any] | Mapping[str, Any]

_LOGGERS = ("torch.export", "torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes")


def trace(
    module: torch.nn.Module,
    inputs: Inputs,
    *,
    name: str = "",
    channels_last: bool = False,
) -> Workload:
    """The operators that `module` runs on `inputs`, in inference, with shapes, precisions and data flow.

    Args:
        module: any module; on the meta device it traces without its weights being allocated.
        inputs: one example tensor, or a sequence of positional or mapping of keyword arguments; only shapes and types
            count. Axis 0 of the first tensor is taken to be the batch.
        name: what the workload is to be called; the module's class if empty.
        channels_last: trace with four-axis tensors in N,H,W,C memory order.

    Raises:
        ShapeError: the module cannot take inputs of these shapes.
        TraceError: torch.export cannot capture the module; names where it stopped.
    """
    positional, keywords = _arguments(inputs)
    tensors = _tensors((positional, keywords))
    label = name or type(module).__name__
    if not tensors:
        raise ShapeError("a module must be given at least one tensor to be traced", where=label)
    ghosts = FakeTensorMode()
    order = torch.channels_last if channels_last else torch.contiguous_format
    with _settings(), torch.no_grad():
        ghost = _ghost(module, ghosts, order, label).eval()
        stand_ins, named = pytree.tree_map(lambda value: _stand_in(value, ghosts, order), (positional, keywords))
        program = _export(ghost, stand_ins, named, label)
    recorder = Recorder()
    outputs = recorder.program(program)
    return recorder.workload(
        name=label,
        batch=int(tensors[0].shape[0]) if tensors[0].ndim else 1,
        outputs=outputs,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )


def parse_input(text: str) -> torch.Tensor:
    """A meta tensor from "1x3x224x224", or with its type from "1x1024:int64" (float32 if none is named).

    Raises:
        ShapeError: the text is not of that form.
    """
    shape, _, kind = text.partition(":")
    dtype = getattr(torch, kind or "float32", None)
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape) or not isinstance(dtype, torch.dtype):
        raise ShapeError(
            "an input must read like 1x3x224x224 or 1x1024:int64 (axes, batch first, then torch's name of the type)",
            where="--input",
            value=text,
        )
    return torch.empty([int(axis) for axis in shape.split("x")], dtype=dtype, device="meta")


def _arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return ((inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)), {}


def _tensors(inputs: Any) -> list[torch.Tensor]:
    """All tensors in a nest of inputs, in order."""
    return [value for value in pytree.tree_leaves(inputs) if isinstance(value, torch.Tensor)]


def _ghost(module: torch.nn.Module, mode: FakeTensorMode, order: torch.memory_format, name: str) -> torch.nn.Module:
    """A copy of the module whose tensors have shapes, types and strides but no data, as if they lay on the CPU."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        for held in (*part.parameters(recurse=False), *part.buffers(recurse=False), *vars(part).values()):
            if isinstance(held, torch.Tensor) and id(held) not in memo:
                memo[id(held)] = _stand_in(held, mode, order)
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:  # copying runs the user's own code, which may raise anything
        raise TraceError(
            f"the module must be one that copy.deepcopy can copy ({type(error).__name__}: {error})",
            where=name,
            way_out="Take locks, files and other handles out of the module, or give it a __deepcopy__.",
        ) from error


def _stand_in(value: Any, mode: FakeTensorMode, order: torch.memory_format) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    with mode:
        made = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="cpu")
        if order is torch.channels_last and made.ndim == 4:
            made = made.contiguous(memory_format=order)
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(made, requires_grad=value.requires_grad)
    return made


def _export(module: torch.nn.Module, positional: tuple[Any, ...], keywords: dict[str, Any], name: str) -> Any:
    try:
        return torch.export.export(module, positional, keywords, strict=False)
    except Exception as error:  # torch.export raises whatever the module's own code raises
        place = _place(error, module)
        shapes = [tuple(value.shape) for value in _tensors((positional, keywords))]
        where = f"{name}, in {place}" if place else name
        reason = str(error).strip().split("\n", maxsplit=1)[0][:300]
        if _speaks_of_shapes(reason):
            raise ShapeError(
                f"the network must be able to take inputs of shape {shapes} ({reason})",
                where=where,
                way_out="Give --input (or the example inputs) the shape that the network expects.",
            ) from error
        raise TraceError(
            f"torch.export must be able to capture the module ({type(error).__name__}: {reason})",
            where=where,
            way_out="Replace control flow that depends on tensor values (torch.cond, torch.where), or trace the "
            "submodules on their own.",
        ) from error


def _speaks_of_shapes(reason: str) -> bool:
    words = (
        "shape", "size of tensor", "channels", "must match", "cannot be multiplied", "kernel size", "dimension",
        "input height", "input width", "takes", "missing", "too small", "expected", "reduction dim", "should contain",
        "positional argument",
    )  # fmt: skip
    return "data-dependent" not in reason and any(word in reason.lower() for word in words)


def _place(error: BaseException, module: torch.nn.Module) -> str:
    """The deepest submodule that was running when the error was raised, as its path."""
    paths = {id(part): path for path, part in module.named_modules()}
    deepest = ""
    frame = error.__traceback__
    while frame is not None:
        owner = frame.tb_frame.f_locals.get("self")
        if isinstance(owner, torch.nn.Module):
            deepest = paths.get(id(owner), "") or deepest
        frame = frame.tb_next
    return deepest


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Fused encoder layers off, since they would hide their operators; torch.export kept quiet."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    torch.backends.mha.set_fastpath_enabled(False)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        torch.backends.mha.set_fastpath_enabled(fast_path)
