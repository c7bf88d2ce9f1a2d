"""Timing calls: by a clock where calls return when the work is done, by CUDA events where they return at once."""

from collections.abc import Callable
from typing import Any

import torch

from modelwright.clock import Clock
from modelwright.networks.measuring.rounds import Run

Call = Callable[[], object]


def stopwatch(call: Call, device: torch.device, clock: Clock) -> Run:
    """What times `call` on the device, in seconds."""
    return on_cuda(call, device) if device.type == "cuda" else on_host(call, clock)


def on_host(call: Call, clock: Clock) -> Run:
    """Times by a clock; the work must be done when `call` returns, or its start must be what is asked for."""

    def run(calls: int) -> float:
        begin = clock.seconds()
        for _ in range(calls):
            call()
        return clock.seconds() - begin

    return run


def on_cuda(call: Call, device: torch.device) -> Run:
    """Times by events on the device's current stream, from an idle device to the last call's end."""
    event: Any = torch.cuda.Event
    begin, end = event(enable_timing=True), event(enable_timing=True)

    def run(calls: int) -> float:
        with torch.cuda.device(device):
            torch.cuda.synchronize(device)
            begin.record()
            for _ in range(calls):
                call()
            end.record()
            end.synchronize()
        milliseconds: float = begin.elapsed_time(end)
        return milliseconds / 1e3

    return run
