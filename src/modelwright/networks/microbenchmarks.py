"""Micro-benchmarks: small programs that each show one number of a machine; `measuring.fitting` reads their times."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from modelwright.clock import Clock
from modelwright.errors import MeasurementError
from modelwright.hardware.processor import PAGE
from modelwright.networks.measuring.ambience import ambience
from modelwright.networks.measuring.fitting import Observed, Work
from modelwright.networks.measuring.rounds import Run, calls_needed
from modelwright.networks.measuring.setting import Setting
from modelwright.networks.measuring.stopwatch import Call, on_host, stopwatch
from modelwright.records import Precision

SIDES = (128, 256, 512, 1024, 2048, 4096, 8192)
"""Sides of the square matrices; a longer one is tried only where time is left for it."""

DENSE = ((8, 64, 56), (8, 256, 14), (8, 512, 7))
"""Batch, channels and side of dense 3x3 convolutions, after the stages of a ResNet."""

DEPTHWISE = ((1, 96, 56), (1, 240, 28), (8, 672, 14), (8, 1152, 7))
"""Batch, channels and side of depthwise 3x3 convolutions, after the stages of EfficientNet-B0."""

_TYPES: dict[Precision, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}
_MOST_REPETITIONS = 2000
_BITE_S = 0.0005
_FRESH = 2**24
_UNTIL_COMPILING_PAYS = 20.0
_SHORT, _LONG = 4, 36
_ISSUED_AT_ONCE = 400
_CUDA_SAMPLES = 32


@dataclass(frozen=True)
class Bench:
    """A device, a clock, and how many seconds one micro-benchmark may take."""

    device: torch.device
    clock: Clock
    share_s: float

    def best(self, call: Call) -> float:
        """The shortest time a call, in seconds, over as many repetitions as the share allows."""
        call()
        return self._least(stopwatch(call, self.device, self.clock))

    def issue(self, call: Call, kernels: int) -> float:
        """The shortest time until `call`, which starts that many kernels, has handed them out, in seconds.

        A device that works on its own is idle before each repetition, and is never handed more than it can queue.
        """
        timed = on_host(call, self.clock)
        most = max(1, _ISSUED_AT_ONCE // kernels)

        def run(calls: int) -> float:
            self.wait()
            return timed(min(calls, most)) * calls / min(calls, most)

        call()
        return self._least(run)

    def wait(self) -> None:
        """Until the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def split(self, parts: float) -> "Bench":
        """The same with a share `parts` times smaller."""
        return replace(self, share_s=self.share_s / parts)

    def _least(self, run: Run) -> float:
        end = self.clock.seconds() + self.share_s
        calls = calls_needed(run, min(_BITE_S, self.share_s / 10))  # short, to fit between what other programs do
        least = run(calls)
        for _ in range(_MOST_REPETITIONS):
            if self.clock.seconds() > end:
                break
            least = min(least, run(calls))
        if not least > 0:
            way_out = "Measure again, or take a finer clock."
            raise MeasurementError("a micro-benchmark must take some time", value=least, way_out=way_out)
        return least / calls


def observe(bench: Bench, extents: Sequence[float], report: Callable[[str], None]) -> tuple[Observed, dict[str, float]]:
    """Run all micro-benchmarks.

    Args:
        bench: with the seconds for all of them together.
        extents: bytes over which streams should go.
        report: is told what is measured.

    Returns:
        What they found, and FLOP/s that dense fp32 convolutions reach, by a word for their shape.
    """
    total, cuda = bench.share_s, bench.device.type == "cuda"
    torch.manual_seed(0)
    report("matrix products")
    precisions = _precisions(bench.device)
    products = {precision: tuple(_products(bench.split(3 * len(precisions)), precision)) for precision in precisions}
    report("convolutions")
    dense = dict(_dense(bench.split(8 * len(DENSE))))
    depthwise = tuple(_depthwise(bench.split(8 * 2 * len(DEPTHWISE))))
    report("memory")
    streams = tuple(_streams(bench.split(5 * 2 * len(extents)), extents))
    near = extents[: max(1, len(extents) - 2)]
    additions = tuple(_elementwise(bench.split(16 * len(near)), near, _multiply_add, amount=2.0))
    curve, results = (_exponential, 1.0) if cuda else (_sigmoid, 2.0)
    special = tuple(_elementwise(bench.split(16 * len(near)), near, curve, amount=results))
    report("launching")
    launching = bench.split(30)
    ordered, blocked = (0.0, 0.0) if cuda else (_called(launching, torch.channels_last), _called(launching))
    observed = Observed(
        products=products,
        on_vector_units=cuda,
        additions=additions,
        special=special,
        depthwise=depthwise,
        streams=streams,
        dispatch_s=_dispatch(launching),
        kernel_s=0.0 if cuda else _region(launching),
        blocked_s=blocked,
        ordered_s=ordered,
        page_s=0.0 if cuda else _page(launching),
        compiled=_compiled(launching, report) if total >= _UNTIL_COMPILING_PAYS else {},
        replayed={n: launching.best(_graph(n, bench.device)) for n in (32, 256)} if cuda else {},
        issued={n: launching.issue(_graph(n, bench.device), n) for n in (32, 256)} if cuda else {},
    )
    return observed, dense


def _precisions(device: torch.device) -> tuple[Precision, ...]:
    if device.type == "cpu":
        return "fp32", "bf16"
    modern = torch.cuda.get_device_capability(device) >= (8, 0)
    return ("fp32", "tf32", "fp16", "bf16") if modern else ("fp32", "fp16")


def _products(bench: Bench, precision: Precision) -> Iterator[Work]:
    """Square products, larger and larger, while the next fits the share."""
    end = bench.clock.seconds() + bench.share_s
    with ambience(Setting(precision=precision, device=str(bench.device))):
        for number, side in enumerate(SIDES):
            left = max(0.0, end - bench.clock.seconds())
            a, b = (_random((side, side), bench.device, _TYPES.get(precision, torch.float32)) for _ in range(2))
            share = replace(bench, share_s=left / (len(SIDES) - number))
            work = Work(2.0 * side**3, share.best(_product(a, b, torch.empty_like(a))))
            yield work
            if number and 8 * 3 * work.seconds > end - bench.clock.seconds():
                return


def _product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> Call:
    return lambda: torch.mm(a, b, out=out)


def _dense(bench: Bench) -> Iterator[tuple[str, float]]:
    for batch, channels, side in DENSE:
        call = _convolution(bench, (batch, channels, side), groups=1, order=torch.channels_last)
        flops = 2.0 * 9 * channels * channels * batch * side * side
        yield f"{channels} channels {side}x{side}", flops / bench.best(call)


def _depthwise(bench: Bench) -> Iterator[Work]:
    for samples, channels, side in DEPTHWISE:
        batch = samples * (_CUDA_SAMPLES if bench.device.type == "cuda" else 1)
        for order in (torch.contiguous_format, torch.channels_last):
            call = _convolution(bench, (batch, channels, side), groups=channels, order=order)
            yield Work(9.0 * channels * batch * side * side, bench.best(call))


def _convolution(bench: Bench, shape: tuple[int, int, int], groups: int, order: torch.memory_format) -> Call:
    batch, channels, side = shape
    x = _random((batch, channels, side, side), bench.device).contiguous(memory_format=order)
    weight = _random((channels, channels // groups, 3, 3), bench.device).contiguous(memory_format=order)
    return lambda: functional.conv2d(x, weight, padding=1, groups=groups)


def _streams(bench: Bench, extents: Sequence[float]) -> Iterator[Work]:
    for extent in extents:
        count = max(1, int(extent) // 8)
        source, target = _random((count,), bench.device), _random((count,), bench.device)
        for call in (_copy(source, target), _scale(source, target)):
            yield Work(8.0 * count, bench.best(call), extent)


def _copy(source: torch.Tensor, target: torch.Tensor) -> Call:
    return lambda: target.copy_(source)


def _scale(source: torch.Tensor, target: torch.Tensor) -> Call:
    return lambda: torch.mul(source, 0.5, out=target)


def _elementwise(
    bench: Bench, extents: Sequence[float], make: Callable[[torch.Tensor, torch.Tensor], Call], amount: float
) -> Iterator[Work]:
    for extent in extents:
        count = max(1, int(extent) // 8)
        source, target = _random((count,), bench.device), _random((count,), bench.device)
        yield Work(amount * count, bench.best(make(source, target)), extent)


def _sigmoid(source: torch.Tensor, target: torch.Tensor) -> Call:
    """An exponential and a quotient: two results."""
    return lambda: torch.sigmoid(source, out=target)


def _multiply_add(source: torch.Tensor, target: torch.Tensor) -> Call:
    return lambda: torch.addcmul(source, source, source, value=0.5, out=target)


def _exponential(source: torch.Tensor, target: torch.Tensor) -> Call:
    return lambda: torch.exp(source, out=target)


def _dispatch(bench: Bench) -> float:
    """Seconds an operator of a chain of convolutions, normalisations and activations on next to no data."""
    parts = (part for _ in range(6) for part in (nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.Hardtanh()))
    chain = nn.Sequential(*parts).to(bench.device).eval()
    x = _random((1, 8, 1, 1), bench.device)
    return bench.issue(lambda: chain(x), len(chain)) / len(chain)


def _called(bench: Bench, order: torch.memory_format = torch.contiguous_format) -> float:
    """Seconds a convolution of the library, on next to no data in one order of memory."""
    chain = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1) for _ in range(8))).eval()
    chain = chain.to(memory_format=order)  # type: ignore[call-overload]  # torch's stub lacks it
    x = _random((2, 16, 4, 4), bench.device).contiguous(memory_format=order)
    return bench.best(lambda: chain(x)) / len(chain)


def _page(bench: Bench) -> float:
    """Seconds a page of fresh memory: filling a new block that is never kept, less filling the same again."""
    kept = torch.empty(_FRESH, device=bench.device)
    again, fresh = bench.best(lambda: kept.fill_(0.0)), bench.best(lambda: torch.empty(_FRESH).fill_(0.0))
    return max(0.0, fresh - again) / (4 * _FRESH / PAGE)


def _region(bench: Bench) -> float:
    """Seconds of one parallel region: pooling that torch always parts among its threads, with all and with one."""
    threads = torch.get_num_threads()
    if threads == 1:
        return 0.0
    x = _random((1, 2 * threads, 2, 2), bench.device)
    times = []
    for count in (threads, 1):
        with ambience(Setting(threads=count)):
            times.append(bench.best(lambda: functional.avg_pool2d(x, 2)))
    return max(0.0, times[0] - times[1])


def _compiled(bench: Bench, report: Callable[[str], None]) -> dict[int, float]:
    """Kernels -> seconds of host time for a compiled chain of tiny layers, which stay apart; {} if none compiles."""
    found: dict[int, float] = {}
    x = _random((8, 8), bench.device)
    try:
        for kernels in (_SHORT, _LONG):
            call = torch.compile(_chain(bench.device, kernels), dynamic=False)
            found[kernels] = bench.issue(partial(call, x), kernels)
    except MeasurementError:
        raise
    except Exception as failure:  # noqa: BLE001  # whatever the compiler raises, the answer is that there is none
        report(f"nothing can be compiled here ({type(failure).__name__})")
        return {}
    return found


def _chain(device: torch.device, kernels: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Linear layers and activations by turns: as many calls of a library as generated kernels."""
    weight, bias = _random((8, 8), device), _random((8,), device)

    def chain(x: torch.Tensor) -> torch.Tensor:
        for _ in range(kernels // 2):
            x = functional.relu(functional.linear(x, weight, bias))
        return x

    return chain


def _graph(kernels: int, device: torch.device) -> Call:
    """The replay of a captured chain of kernels on next to no data."""
    x = _random((8,), device)
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        x.neg_()
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(kernels):
            x.neg_()

    def replay() -> object:
        graph.replay()
        return x  # whose memory the graph writes to

    return replay


def _random(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, device=device).to(dtype)
