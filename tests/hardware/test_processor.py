"""How PyTorch runs networks on a processor: held to what oneDNN says of itself, and to what each part costs."""

import ctypes
import itertools
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.hardware import estimate, platform, platform_names, set_values
from modelwright.hardware.plan import plan
from modelwright.hardware.processor import FRESH, GRAIN, PAGE
from modelwright.hardware.reasons import why_launch
from modelwright.hardware.run import run_of
from modelwright.networks.trace import trace
from modelwright.records import Estimate, Execution, Platform, Workload

CHIP = platform("x86")
STARTS = ("eager", "compiled", "graph", "kernel", "program", "library", "reorder", "page")
CONVOLUTIONS = {
    "plain": (1, 32, 32, 3, 1, 56),
    "plain, several images": (4, 16, 16, 3, 1, 8),
    "pointwise": (2, 32, 64, 1, 1, 28),
    "depthwise": (1, 32, 32, 3, 32, 56),
    "grouped": (1, 64, 64, 3, 4, 28),
    "large window on a small image": (1, 16, 16, 5, 1, 8),
    "patches of an image": (1, 3, 16, 16, 1, 64),
    "small": (1, 16, 16, 3, 1, 8),
    "small image": (1, 3, 32, 3, 1, 64),
}


def traced(module: nn.Module, *shape: int, last: bool = False) -> Workload:
    return trace(module.to("meta"), torch.empty(shape, device="meta"), name="network", channels_last=last)


def only(**launch: float) -> Platform:
    """The processor when nothing takes time to start but what is named."""
    return set_values(CHIP, {f"launch.{name}": str(launch.get(name, 0)) for name in STARTS})


def run(workload: Workload, chip: Platform, execution: Execution = "eager", batch: int | None = None) -> Estimate:
    return estimate(workload, chip, batch=batch or workload.batch, precision="fp32", execution=execution, strict=False)


def costs(workload: Workload, execution: Execution = "eager", batch: int | None = None, **launch: float) -> float:
    """Seconds that what is named adds."""
    without = run(workload, only(), execution, batch).latency_s
    return run(workload, only(**launch), execution, batch).latency_s - without


# --- convolutions ---


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")
@pytest.mark.skipif("AVX512" not in torch.backends.cpu.get_cpu_capability(), reason="oneDNN's order elsewhere differs")
@pytest.mark.parametrize("last", [False, True], ids=["row-major", "channels-last"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_reordered_as_often_as_the_library_says(
    name: str, last: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONEDNN_VERBOSE=1 prints a line a primitive; 0 lines where PyTorch does not call the library."""
    images, inputs, outputs, window, groups, side = CONVOLUTIONS[name]
    order = torch.channels_last if last else torch.contiguous_format
    made = nn.Conv2d(inputs, outputs, window, padding=window // 2, groups=groups).eval().to(memory_format=order)  # type: ignore[call-overload]  # torch's stub lacks it
    x = torch.ones(images, inputs, side, side).contiguous(memory_format=order)
    with torch.no_grad(), torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        made(x)
        sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)
    told = [line.split(",") for line in capfd.readouterr().out.splitlines() if ",exec,cpu," in line]
    primitives = [line[line.index("cpu") + 1] for line in told]
    chip = set_values(CHIP, {"matrix.units": str(torch.get_num_threads())})
    planned = [k.name for k in plan(traced(made, *x.shape, last=last), chip, images, "fp32", "eager").kernels]
    reorders = [name for name in planned if name.endswith((".layout", ".weights"))]
    assert primitives.count("reorder") == len(reorders)
    assert primitives.count("convolution") == bool(reorders)


@pytest.mark.parametrize("batch", [1, 64])
def test_row_major_order_costs_two_more_reorders_a_convolution(batch: int) -> None:
    made = nn.Sequential(*(nn.Conv2d(32, 32, 3, padding=1, bias=False) for _ in range(3)))
    plain, last = (traced(made, 2, 32, 56, 56, last=order) for order in (False, True))
    assert costs(plain, batch=batch, reorder=1.0) == pytest.approx(3 * 3)
    assert costs(last, batch=batch, reorder=1.0) == pytest.approx(3 * 1)
    assert [costs(order, batch=batch, library=1.0) for order in (plain, last)] == pytest.approx([3, 3])
    assert run(last, CHIP, batch=batch).latency_s < run(plain, CHIP, batch=batch).latency_s


def test_compiled_code_runs_convolutions_in_channels_last_order_whatever_the_order_was() -> None:
    """torch/_inductor: only weights are reordered."""
    workload = traced(nn.Conv2d(32, 32, 3, padding=1), 2, 32, 56, 56)
    assert costs(workload, "compiled", reorder=1.0) == pytest.approx(1)


@pytest.mark.parametrize("execution", ["graph", "engine"])
@pytest.mark.parametrize("name", platform_names())
def test_an_engine_and_other_chips_call_no_library(name: str, execution: Execution) -> None:
    workload = traced(nn.Sequential(nn.Conv2d(32, 32, 3), nn.Flatten(), nn.Linear(32, 8)), 2, 32, 3, 3)
    chip = platform(name)
    ways: tuple[Execution, ...] = (execution,) if chip.kind == "cpu" else (execution, "eager", "compiled")
    for way in ways:
        planned = plan(workload, chip, 2, chip.precision, way).kernels
        assert not [k.name for k in planned if k.name.endswith((".weights", ".pack", ".order"))]
        assert all(kernel.extra == 0 and kernel.regions == 1 for kernel in planned)


# --- products ---


def test_weights_are_packed_for_several_rows_and_read_as_they_lie_for_one() -> None:
    """Goto and van de Geijn, ACM TOMS 34(3), 2008: packing pays where panels are used again."""
    workload = traced(nn.Linear(2048, 2048), 2, 2048)
    for batch in (1, 2):
        names = [k.name for k in plan(workload, CHIP, batch, "fp32", "eager").kernels]
        assert [name for name in names if name.endswith(".pack")] == names[: batch - 1]
    one, two = (run(workload, CHIP, batch=batch) for batch in (1, 2))
    assert one.bytes < two.bytes < 1.01 * one.bytes + 2 * 2 * 4 * 2048  # panels stay near: weights are fetched once


# --- fresh memory, short loops ---


def test_who_asks_why_starting_takes_so_long_is_told_of_calls_and_of_pages() -> None:
    """Large results wait for their pages: that the host hands kernels out would be no answer."""
    workload = traced(nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.SiLU()), 2, 32, 56, 56)

    def told(chip: Platform, batch: int, execution: Execution = "eager") -> str:
        return why_launch(run_of(workload, chip, run(workload, chip, execution, batch)))

    assert "library calls and changes of memory order take 4 s in all" in told(only(library=1.0, reorder=1.0), 1)
    assert "pages of fresh memory" not in told(CHIP, 1)
    pages = 3 * 64 * 64 * 56 * 56 * 4 / PAGE  # what the convolution gives, in the library's order and back, and SiLU
    assert f"pages of fresh memory take {pages / 1000:.3g} s in all" in told(only(page=1e-3), 64)
    assert "library" not in told(CHIP, 64, "engine") + told(platform("a100"), 64)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 200))
def test_every_page_of_a_large_result_is_faulted_in_once(mebibytes: int) -> None:
    """glibc gives back blocks above 32 MiB whenever they are freed; smaller ones are used again."""
    size = mebibytes * 2**20
    pages = size / PAGE if size > FRESH else 0
    fresh = traced(nn.Hardtanh(), 2, size // 8)
    assert costs(fresh, page=1.0) == pytest.approx(pages)
    assert costs(traced(nn.Hardtanh(inplace=True), 2, size // 8), page=1.0) == 0
    twice = traced(nn.Sequential(nn.Hardtanh(), nn.Hardtanh(inplace=True)), 2, size // 8)
    assert costs(twice, page=1.0) == pytest.approx(pages)


@pytest.mark.parametrize(("execution", "elements"), GRAIN.items())
def test_loops_below_a_grain_open_no_parallel_region(execution: Execution, elements: int) -> None:
    for size, regions in ((elements - 2, 0), (elements, 1)):
        assert costs(traced(nn.ReLU(), 2, size // 2), execution, kernel=1.0) == pytest.approx(regions)


def test_short_planes_cost_as_much_as_what_is_in_them() -> None:
    """ATen starts the normalisation of every plane anew: a plane of a pixel costs nearly as much as one of four."""

    def seconds(side: int, last: bool = False) -> float:
        made = traced(nn.BatchNorm2d(4096).eval(), 2, 4096, side, side, last=last)
        return run(made, only(), batch=64).kernels[0].vector_s

    assert seconds(2) < 1.2 * seconds(1)
    assert seconds(64) == pytest.approx(4 * seconds(32), rel=0.1)
    ratios = [seconds(side) / seconds(side, last=True) for side in (2, 4, 16, 64)]
    assert all(near > far for near, far in itertools.pairwise(ratios))
    assert ratios[-1] == pytest.approx(1, abs=0.05)
