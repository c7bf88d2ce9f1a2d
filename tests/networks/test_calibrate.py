"""Calibrating: a known machine's timings give that machine back, and whatever is measured, the file keeps all rules."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import RecordError, SettingError
from modelwright.hardware import estimate, platform
from modelwright.hardware.catalogue import claims, parse_platform, source_of
from modelwright.networks.calibrate import TEMPLATES, Machine, cache_capacities, calibrate, fit, nearest_template
from modelwright.networks.measuring.fitting import Observed, Work, extents, levels, line, rate
from modelwright.networks.measuring.machine import Cache, caches
from modelwright.networks.trace import trace
from modelwright.records import MemoryLevel, Platform, to_toml

MIB = 2.0**20
AMOUNTS = st.floats(1e-9, 1e9)


def machine(found: Platform) -> Machine:
    capacities = tuple((level.name, level.capacity) for level in found.memory)
    return Machine(found.title, found.matrix.units, capacities, "read from the system", found)


def stream_s(memory: Sequence[MemoryLevel], extent: float) -> float:
    """Seconds to go over `extent` bytes again and again, as the performance model has it."""
    passing, slowest = 1.0, 0.0
    for level in memory:
        slowest = max(slowest, passing * extent / (level.bandwidth * level.achievable))
        passing = min(passing, 1.0 - min(max(2.0 - extent / level.capacity, 0.0), 1.0))
    return slowest


def timed(found: Platform) -> Observed:
    """What the micro-benchmarks would see on a machine that is exactly as the model has it."""
    start, cuda = found.launch, found.kind == "gpu"
    overhead = start.kernel if cuda else start.eager + start.kernel
    called = 0.0 if cuda else start.eager + start.library + start.reorder + 2 * start.kernel
    peak, flops = found.vector.peak["fp32"], 1e15
    products = {p: (Work(flops, flops / (r * found.matrix.achievable)),) for p, r in found.matrix.peak.items()}
    products["fp32"] = (Work(flops, flops / peak),)
    streams = [Work(e, stream_s(found.memory, e) + overhead, e) for e in extents(machine(found).capacities)]
    return Observed(
        products=products,
        on_vector_units=cuda,
        additions=(Work(1e12, 4e12 / peak + overhead),),
        special=(Work(1e12, 1e12 / found.vector.special + overhead),),
        depthwise=(Work(1e12, 1e12 / found.vector.loads + max(overhead, called)),),
        streams=streams,
        dispatch_s=start.eager,
        kernel_s=0.0 if cuda else start.kernel,
        ordered_s=called,
        blocked_s=called + 2 * (start.reorder + start.kernel),
        page_s=start.page,
        compiled={n: (0.0 if cuda else start.program) + n * start.compiled for n in (4, 36)},
        replayed={n: start.program + n * start.kernel for n in (32, 256)} if cuda else {},
        issued={n: start.program + n * start.graph for n in (32, 256)} if cuda else {},
    )


def known(name: str) -> Platform:
    """A shipped platform as micro-benchmarks can know it: loads no faster than multiply-adds, no other peaks.

    What takes less than its own start cannot be measured, so that no start takes longer than a pass over a cache.
    A processor captures no graphs: what a graph takes there is what compiled code takes.
    """
    found = platform(name)
    most = {"eager": 4e-6, "compiled": 3e-6, "kernel": 3e-6}
    start = msgspec.structs.replace(found.launch, **{k: min(getattr(found.launch, k), most[k]) for k in most})
    if found.kind == "cpu":
        start = msgspec.structs.replace(start, graph=start.compiled)
    vector = found.vector.peak["fp32"]
    loads = min(found.vector.loads, vector / 2)
    return Platform(
        **{
            field: getattr(found, field)
            for field in found.__struct_fields__
            if field not in ("vector", "matrix", "launch")
        },
        launch=start,
        vector=type(found.vector)(peak={"fp32": vector}, special=found.vector.special, loads=loads, tap=1),
        matrix=msgspec.structs.replace(
            found.matrix, peak={p: r for p, r in found.matrix.peak.items() if found.kind == "gpu" or p == "fp32"}
        ),
    )


# --- pure functions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x86", "a100", "h200", "rtx-3090", "t4"])
def test_a_known_machine_comes_back(name: str) -> None:
    true = known(name)
    found = fit("again", machine(true), timed(true), {"64 channels": 1e9}, "measured here")
    for precision, peak in true.matrix.peak.items():
        vector = true.kind == "cpu"  # there one unit does both, so that the peak of either is what products reach
        assert found.matrix.peak[precision] == pytest.approx(peak * (1 if vector else true.matrix.achievable))
    structure = {"units": 1, "peak": {}, "achievable": 1.0}
    assert msgspec.structs.replace(found.matrix, **structure) == msgspec.structs.replace(true.matrix, **structure)
    assert parse_platform(to_toml(found), where="again") == found
    assert found.vector.peak["fp32"] == pytest.approx(true.vector.peak["fp32"])
    assert found.vector.special == pytest.approx(true.vector.special)
    assert found.vector.loads == pytest.approx(true.vector.loads)
    assert [level.name for level in found.memory] == [level.name for level in true.memory]
    for seen, level in zip(found.memory, true.memory, strict=True):
        assert seen.capacity == level.capacity
        assert seen.bandwidth * seen.achievable == pytest.approx(level.bandwidth * level.achievable, rel=1e-3)
    assert found.launch.eager == pytest.approx(true.launch.eager)
    assert found.launch.compiled == pytest.approx(true.launch.compiled)
    assert found.launch.graph == pytest.approx(true.launch.graph)
    assert found.launch.kernel == pytest.approx(true.launch.kernel)
    assert found.launch.program == pytest.approx(true.launch.program)
    assert found.launch.library == pytest.approx(true.launch.library)
    assert found.launch.reorder == pytest.approx(true.launch.reorder)
    assert found.launch.page == pytest.approx(true.launch.page)


@given(slope=AMOUNTS, start=AMOUNTS, places=st.sets(st.integers(1, 500), min_size=2, max_size=6))
def test_a_line_is_found_from_its_points(slope: float, start: float, places: set[int]) -> None:
    found = line({place: start + slope * place for place in places})
    assert found[0] == pytest.approx(slope, rel=1e-5, abs=1e-5 * start)
    assert found[1] == pytest.approx(start, rel=1e-5, abs=1e-4 * slope)


@given(st.dictionaries(st.integers(1, 500), AMOUNTS, min_size=1))
def test_no_line_costs_less_than_nothing(points: dict[int, float]) -> None:
    assert min(line(points)) >= 0


@given(amount=AMOUNTS, seconds=AMOUNTS, overhead=st.floats(0, 1e9))
def test_the_time_to_start_never_makes_a_rate_more_than_twice_what_was_seen(
    amount: float, seconds: float, overhead: float
) -> None:
    plain = amount / seconds
    assert plain * (1 - 1e-9) <= rate([Work(amount, seconds)], overhead) <= 2 * plain * (1 + 1e-9)


@given(
    capacities=st.lists(st.floats(1, 1e12), min_size=1, max_size=4),
    speeds=st.lists(AMOUNTS, min_size=20, max_size=20),
)
def test_levels_go_from_small_and_fast_to_large_and_slow(capacities: list[float], speeds: list[float]) -> None:
    named = [(f"l{place}", capacity) for place, capacity in enumerate(capacities)]
    streams = [Work(speed, 1.0, extent) for extent, speed in zip(extents(named), speeds, strict=False)]
    found, changed = levels(named, streams, 0.0)
    assert found[-1].name == named[-1][0]
    assert {level.name for level in found} | set(changed) == {name for name, _ in named}
    for near, far in itertools.pairwise(found):
        assert near.bandwidth >= far.bandwidth


@given(
    growths=st.lists(st.floats(2, 100), min_size=1, max_size=4),
    slowdowns=st.lists(st.floats(1.01, 20), min_size=4, max_size=4),
    overhead=st.floats(0, 1e-6),
)
def test_known_levels_come_back(growths: list[float], slowdowns: list[float], overhead: float) -> None:
    capacities = list(itertools.accumulate([MIB, *growths, 1e3], lambda a, b: a * b))
    speeds = list(itertools.accumulate([1e12, *slowdowns, 1.5], lambda a, b: a / b))
    true = tuple(
        MemoryLevel(f"l{place}", capacity, speed)
        for place, (capacity, speed) in enumerate(zip(capacities, speeds, strict=False))
    )
    named = [(level.name, level.capacity) for level in true]
    streams = [Work(extent, stream_s(true, extent) + overhead, extent) for extent in extents(named)]
    found, changed = levels(named, streams, overhead)
    assert changed == ()
    assert [level.capacity for level in found] == [level.capacity for level in true]
    assert [level.bandwidth for level in found] == pytest.approx([level.bandwidth for level in true])


@given(st.lists(st.floats(1e3, 1e12), min_size=1, max_size=4))
def test_streams_stay_within_the_machine(capacities: list[float]) -> None:
    named = [(f"l{place}", capacity) for place, capacity in enumerate(sorted(capacities))]
    assert 0 < max(extents(named)) <= max(capacities)


@pytest.mark.parametrize("emptied", ["compiled", "replayed"])
def test_without_a_compiler_compiled_code_costs_what_eager_does(emptied: str) -> None:
    true = known("x86")
    seen = replace(timed(true), **{emptied: {}})
    found = fit("again", machine(true), seen, {}, "measured here")
    assert found.launch.compiled == pytest.approx(true.launch.eager if emptied == "compiled" else true.launch.compiled)
    assert source_of(found, "launch.compiled").startswith("assumed") == (emptied == "compiled")


def test_a_busy_machine_says_so() -> None:
    true = known("x86")
    quiet = fit("again", machine(true), timed(true), {}, "measured here")
    busy = fit("again", replace(machine(true), busy=30.0), timed(true), {}, "measured here")
    assert "too low" not in quiet.notes
    assert "load 30.0" in busy.notes


# --- what a machine says of itself ------------------------------------------------------------------------------------


def test_a_cache_that_cpus_share_counts_once(tmp_path: Path) -> None:
    for cpu in range(4):
        for number, (level, kind, size, shared) in enumerate(
            [
                (1, "Data", "48K", str(cpu)),
                (1, "Instruction", "32K", str(cpu)),
                (2, "Unified", "2M", str(cpu)),
                (3, "Unified", "30720K", "0-3"),
            ]
        ):
            folder = tmp_path / f"cpu{cpu}" / "cache" / f"index{number}"
            folder.mkdir(parents=True)
            for name, value in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
                (folder / name).write_text(f"{value}\n")
    found = caches(tmp_path)
    assert [(cache.level, cache.bytes) for cache in found] == [
        *[(1, 48 * 1024)] * 4,
        *[(2, 2 * 1024**2)] * 4,
        (3, 30 * 1024**2),
    ]
    assert cache_capacities(found, threads=4) == (("l2", 8 * MIB), ("l3", 30 * MIB))
    assert cache_capacities(found, threads=2) == (("l2", 4 * MIB), ("l3", 30 * MIB))


def test_a_system_that_tells_no_caches_has_none(tmp_path: Path) -> None:
    assert caches(tmp_path) == ()
    assert cache_capacities((Cache(1, 65536, "0"),), 8) == ()


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ((6, 1), "v100-sxm"),
        ((7, 5), "t4"),
        ((8, 7), "rtx-3090"),
        ((9, 0), "h100"),
        ((10, 0), "h100"),
        ((13, 0), "rtx-5090"),
    ],
)
def test_a_card_borrows_from_the_newest_that_is_no_newer(capability: tuple[int, int], name: str) -> None:
    assert nearest_template(capability) == name


def test_every_template_is_a_shipped_card() -> None:
    assert {platform(name).kind for name in TEMPLATES.values()} == {"gpu"}


# --- the whole --------------------------------------------------------------------------------------------------------


def test_this_machine_becomes_a_platform_that_keeps_all_rules() -> None:
    before, told = (torch.get_num_threads(), torch.get_rng_state()), []
    found = calibrate("this-machine", seconds=1.0, report=told.append)
    assert parse_platform(to_toml(found), where="this-machine.toml") == found
    assert (found.kind, found.matrix.units) == ("cpu", torch.get_num_threads())
    assert all("measured on" in source_of(found, f"matrix.peak.{p}") for p in found.matrix.peak)
    assert all(source_of(found, key) for key in claims(found))
    assert told[-4:] == ["matrix products", "convolutions", "memory", "launching"]
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    workload = trace(torch.nn.Linear(64, 64), torch.empty(2, 64, device="meta"))
    assert 0 < estimate(workload, found).latency_s < 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_this_card_becomes_a_platform_that_keeps_all_rules() -> None:
    found = calibrate("this-card", device="cuda", seconds=3.0)
    assert parse_platform(to_toml(found), where="this-card.toml") == found
    assert found.kind == "gpu"
    assert found.launch.kernel > found.launch.graph >= 0
    assert found.matrix.peak["fp16"] > found.vector.peak["fp32"]


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_time_that_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(SettingError, match="--seconds"):
        calibrate("mine", seconds=seconds)


def test_a_name_that_is_no_name_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(RecordError, match="--name"):
        calibrate("My Machine")
    with pytest.raises(SettingError, match="cpu, cuda or cuda:N"):
        calibrate("mine", device="tpu")
