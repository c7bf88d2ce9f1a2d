"""From a subject to something that can be timed: made, moved, compiled, captured, and run once."""

import contextlib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from modelwright.clock import Clock
from modelwright.errors import CapacityError, MeasurementError, ModelwrightError
from modelwright.networks.measuring.ambience import ambience, device_of
from modelwright.networks.measuring.rounds import Run
from modelwright.networks.measuring.setting import Setting
from modelwright.networks.measuring.stopwatch import Call, stopwatch
from modelwright.networks.measuring.subject import Subject, drawn

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AUTOCAST = {"amp": torch.float16, "amp-bf16": torch.bfloat16}
_NO_MEMORY = ("not enough memory", "can't allocate memory")
_FIRST_CALLS = 3


@dataclass(frozen=True)
class Prepared:
    """A subject that is ready: `run` times calls under its setting, `threads` is what it really uses.

    `peak_memory_bytes` is what the device's allocator held for it at most, None on a CPU.
    """

    run: Run
    threads: int
    peak_memory_bytes: int | None


def prepare(subject: Subject, seed: int, clock: Clock) -> Prepared:
    """Make the module, move it where the setting says, compile or capture it, and call it a few times.

    Raises:
        SettingError: the device cannot be reached.
        CapacityError: it does not fit the device's memory.
        MeasurementError: it cannot be compiled, or fails when it is called.
    """
    setting, device = subject.setting, device_of(subject.setting)
    cuda = device.type == "cuda"
    generators = [device.index] if cuda else []
    with explained(subject), ambience(setting), torch.random.fork_rng(devices=generators):
        torch.manual_seed(seed)
        before = torch.cuda.memory_allocated(device) if cuda else 0
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        call = call_of(subject, device)
        for _ in range(_FIRST_CALLS):
            call()
        if setting.execution == "graph":
            call = _captured(call, device)
        if cuda:
            torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device) - before if cuda else None
        timed, threads = stopwatch(call, device, clock), torch.get_num_threads()

    def run(calls: int) -> float:
        with explained(subject), ambience(setting):
            return timed(calls)

    return Prepared(run, threads, peak)


def call_of(subject: Subject, device: torch.device) -> Call:
    """One call of the module on its inputs, eager or compiled, under autocast where the precision says so."""
    setting = subject.setting
    order = torch.channels_last if setting.channels_last else torch.contiguous_format
    dtype = _TYPES.get(setting.precision, torch.float32)
    module = subject.make().eval().requires_grad_(False)
    values = drawn(subject.inputs, module, setting.batch)
    module = module.to(device, dtype)
    if setting.channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    placed = tuple(_placed(value, device, dtype, order) for value in values)
    forward: Callable[..., Any] = module if setting.execution == "eager" else _compiled(module)
    autocast = _AUTOCAST.get(setting.precision)
    if autocast is None:
        return lambda: forward(*placed)

    def call() -> object:
        with torch.autocast(device.type, dtype=autocast):
            return forward(*placed)

    return call


def _placed(value: Any, device: torch.device, dtype: torch.dtype, order: torch.memory_format) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    moved = value.to(device, dtype if value.dtype.is_floating_point else value.dtype)
    return moved.contiguous(memory_format=order) if moved.ndim == 4 else moved


def _compiled(module: nn.Module) -> Callable[..., Any]:
    """The module under torch.compile, for inputs of one shape.

    torch keeps what it compiled with a function's code and falls back to eager after a few modules that share it, as
    equal classes do; so each module gets code of its own.
    """

    def forward(*arguments: Any) -> Any:
        return module(*arguments)

    own = types.FunctionType(
        forward.__code__.replace(co_name=f"forward_{id(module):x}"), forward.__globals__, closure=forward.__closure__
    )
    made: Callable[..., Any] = torch.compile(own, dynamic=False)
    return made


def _captured(call: Call, device: torch.device) -> Call:
    """The call as a CUDA graph, after runs on a stream of its own as capturing demands; inputs stay where they are."""
    current, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        for _ in range(_FIRST_CALLS):
            call()
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay() -> object:
        graph.replay()
        return call, result  # a graph knows addresses only: what they hold lives as long as this function

    return replay


@contextlib.contextmanager
def explained(subject: Subject) -> Iterator[None]:
    """Turn what torch raises into Modelwright's errors."""
    where = f"{subject.name}, {subject.setting}"
    try:
        yield
    except ModelwrightError:
        raise
    except MemoryError as failure:
        raise _too_big(where, subject.setting) from failure
    except Exception as failure:  # the module's own code and torch's compiler may raise anything
        if isinstance(failure, torch.OutOfMemoryError) or any(words in str(failure) for words in _NO_MEMORY):
            raise _too_big(where, subject.setting) from failure
        reason = f"{type(failure).__name__}: {_first_line(failure)}"
        if _from_compiler(failure):
            rule = f"the network must compile ({reason})"
            way_out = "Take eager; torch.compile needs a C++ compiler on a CPU, and Triton on a CUDA device."
        else:
            rule, way_out = f"the network must run ({reason})", "Check its inputs, and that it runs there by itself."
        raise MeasurementError(rule, where=where, way_out=way_out) from failure


def _first_line(failure: Exception) -> str:
    return next((line.strip()[:300] for line in str(failure).splitlines() if line.strip()), "")


def _from_compiler(failure: Exception) -> bool:
    return type(failure).__module__.startswith(("torch._dynamo", "torch._inductor", "torch._functorch"))


def _too_big(where: str, setting: Setting) -> CapacityError:
    way_out = "Choose a smaller batch or a narrower precision, or measure fewer networks together."
    return CapacityError(f"the work must fit the memory of {setting.device}", where=where, way_out=way_out)
