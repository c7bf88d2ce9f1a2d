"""The whole model: bounds that hold for every network on every chip, batches, ways of running, energy, settings."""

import itertools
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.errors import SettingError
from modelwright.hardware import estimate, platform, platform_names, set_values
from modelwright.hardware.model import peak_rate
from modelwright.networks.trace import trace
from modelwright.records import Estimate, Execution, Policy, Workload, from_json, to_json

NAMES = platform_names()
ACCELERATORS = [name for name in NAMES if platform(name).kind != "cpu"]
GPUS = [name for name in NAMES if platform(name).kind == "gpu"]
EXECUTIONS: tuple[Execution, ...] = get_args(Execution)
POLICIES: tuple[Policy, ...] = get_args(Policy)


class Block(nn.Module):
    """A mobile inverted bottleneck with squeeze and excitation."""

    def __init__(self, width: int, wide: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.SiLU()
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, width, 1), nn.SiLU(), nn.Conv2d(width, wide, 1), nn.Sigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(self.expand(x))
        return x + self.project(y * self.gate(y))


class Causal(nn.Module):
    """Attention over a long past."""

    def forward(self, q: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(q, q, q, is_causal=True)


def mobile() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.SiLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 1000))
    return nn.Sequential(stem, *(Block(16, 64) for _ in range(4)), head)


def dense() -> nn.Module:
    layers = [nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.BatchNorm2d(256), nn.ReLU()) for _ in range(4)]
    return nn.Sequential(*layers)


def encoder() -> nn.Module:
    return nn.Sequential(*(nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True) for _ in range(3)))


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mobile": (mobile, (3, 96, 96)),
    "dense": (dense, (256, 28, 28)),
    "encoder": (encoder, (197, 256)),
    "causal": (Causal, (8, 4096, 64)),
    "recurrent": (lambda: nn.LSTM(128, 256, batch_first=True), (50, 128)),
}
KEPT: dict[str, Workload] = {}


def network(name: str) -> Workload:
    """The network's workload, traced once."""
    if name not in KEPT:
        make, shape = NETWORKS[name]
        with torch.device("meta"):
            KEPT[name] = trace(make(), torch.empty(2, *shape), name=name)
    return KEPT[name]


def run(name: str, chip: str, **settings: Any) -> Estimate:
    return estimate(network(name), platform(chip), strict=False, **settings)


def policies(chip: str) -> list[Policy]:
    """What a platform does not refuse."""
    found = []
    for policy in POLICIES:
        try:
            run("recurrent", chip, precision=policy)
        except SettingError:
            continue
        found.append(policy)
    return found


COMPUTES = {name: policies(name) for name in NAMES}


@st.composite
def settings_of(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    chip = draw(st.sampled_from(NAMES))
    return (
        draw(st.sampled_from(sorted(NETWORKS))),
        chip,
        {
            "batch": draw(st.sampled_from([1, 2, 3, 8, 17, 64, 256])),
            "precision": draw(st.sampled_from(COMPUTES[chip])),
            "execution": draw(st.sampled_from(EXECUTIONS)),
        },
    )


@settings(max_examples=200)
@given(settings_of())
def test_no_network_runs_faster_than_its_arithmetic_or_its_bytes(case: tuple[str, str, dict[str, Any]]) -> None:
    """The roofline (Williams, Waterman and Patterson, 2009), of the whole and of every kernel."""
    name, chip, chosen = case
    found, device = run(name, chip, **chosen), platform(chip)
    needed = found.flops * (0.5 if name == "causal" else 1.0)  # half of the scores are masked
    assert found.latency_s >= needed / (peak_rate(device, found.precision) * device.matrix.achievable)
    assert found.latency_s >= found.bytes / (device.main_memory.bandwidth * device.main_memory.achievable)
    assert 0 < found.efficiency <= 1
    for kernel in found.kernels:
        needs = {"matrix": kernel.matrix_s, "vector": kernel.vector_s, **kernel.memory_s}
        assert kernel.latency_s >= max(needs.values()) * (1 - 1e-9)
        assert kernel.bound == "launch" or needs[kernel.bound] == max(needs.values())


@settings(max_examples=100)
@given(settings_of())
def test_the_whole_is_the_sum_of_its_kernels(case: tuple[str, str, dict[str, Any]]) -> None:
    name, chip, chosen = case
    found = run(name, chip, **chosen)
    assert sum(kernel.latency_s for kernel in found.kernels) == pytest.approx(found.latency_s, rel=1e-9)
    assert sum(kernel.flops for kernel in found.kernels) == pytest.approx(found.flops, rel=1e-12)
    assert sum(kernel.vector_flops for kernel in found.kernels) == pytest.approx(found.vector_flops, rel=1e-9)
    assert sum(kernel.bytes for kernel in found.kernels) == pytest.approx(found.bytes, rel=1e-9)
    assert sum(found.bound_s.values()) == pytest.approx(found.latency_s, rel=1e-9)
    assert found.bound_s[found.bound] == max(found.bound_s.values())
    assert found.intensity == pytest.approx(found.flops / found.bytes)
    assert found.throughput_per_s == pytest.approx(found.batch / found.latency_s)
    held = {operator.name for operator in network(name).operators if operator.kind != "view"}
    assert {name for kernel in found.kernels for name in kernel.operators} == held
    assert from_json(to_json(found), Estimate) == found


@settings(max_examples=150)
@given(settings_of(), st.integers(1, 100))
def test_a_larger_batch_never_takes_less_time_or_bytes(case: tuple[str, str, dict[str, Any]], more: int) -> None:
    name, chip, chosen = case
    before, after = (run(name, chip, **chosen | {"batch": chosen["batch"] + extra}) for extra in (0, more))
    assert after.latency_s >= before.latency_s * (1 - 1e-9)
    assert after.bytes >= before.bytes * (1 - 1e-9)
    assert after.peak_memory_bytes >= before.peak_memory_bytes


@pytest.mark.parametrize("name", NETWORKS)
def test_work_is_the_same_on_every_chip_and_grows_with_the_batch_alone(name: str) -> None:
    work = network(name)
    for chip, execution in itertools.product(NAMES, EXECUTIONS):
        for batch, precision in ((1, COMPUTES[chip][0]), (6, COMPUTES[chip][-1])):
            found = run(name, chip, batch=batch, execution=execution, precision=precision)
            assert found.flops == 2 * work.macs * batch / work.batch
            assert found.params == work.parameters


@pytest.mark.parametrize("chip", ACCELERATORS)
@pytest.mark.parametrize("name", ["mobile", "dense", "encoder"])
def test_samples_in_a_batch_share_what_a_sample_alone_pays(name: str, chip: str) -> None:
    """Weights, launches and half-empty tiles; on a processor a large batch may cost more, as it leaves the caches."""
    alone, together = (run(name, chip, batch=batch).throughput_per_s for batch in (1, 128))
    assert together > alone


# --- starting work ---


@pytest.mark.parametrize("chip", GPUS)
def test_one_sample_at_a_time_an_eager_gpu_waits_for_its_host(chip: str) -> None:
    """Captured in a graph it does not (NVIDIA, Getting Started with CUDA Graphs, 2019)."""
    eager, compiled, graph = (run("mobile", chip, batch=1, execution=e) for e in ("eager", "compiled", "graph"))
    launch = platform(chip).launch
    assert eager.bound == compiled.bound == "launch"
    assert eager.latency_s >= len(eager.kernels) * launch.eager
    assert compiled.latency_s < 0.8 * eager.latency_s
    assert graph.latency_s < 0.6 * eager.latency_s


@pytest.mark.parametrize("chip", GPUS)
def test_with_enough_work_the_host_runs_ahead(chip: str) -> None:
    """Then it costs the first launch and no more, and a free host saves nothing."""
    busy = run("dense", chip, batch=512, precision="fp32", execution="eager")
    free = estimate(
        network("dense"), set_values(platform(chip), {"launch.eager": "0"}), batch=512, precision="fp32",
        execution="eager", strict=False,
    )  # fmt: skip
    assert busy.bound != "launch"
    assert busy.latency_s - free.latency_s <= platform(chip).launch.eager * (1 + 1e-6)


@pytest.mark.parametrize("chip", NAMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_host_hands_out_graphs_faster_than_compiled_code_and_that_faster_than_python(name: str, chip: str) -> None:
    """A graph's own start comes on top, once."""
    found = {execution: run(name, chip, batch=1, execution=execution).latency_s for execution in EXECUTIONS}
    start = platform(chip).launch.program
    assert found["engine"] - start <= (found["graph"] - start) * (1 + 1e-9)
    assert found["graph"] - start <= found["compiled"] * (1 + 1e-9)
    assert found["compiled"] <= found["eager"] * (1 + 1e-9)


def test_a_processor_that_is_its_own_host_overlaps_nothing() -> None:
    found = run("mobile", "cpu", batch=1, execution="eager")
    launch = platform("cpu").launch
    work = sum(max(k.matrix_s, k.vector_s, *k.memory_s.values()) for k in found.kernels)
    hosts = sum(kernel.name in kernel.operators for kernel in found.kernels)  # the others are parts of a library's call
    assert found.latency_s >= work + hosts * launch.eager
    free = set_values(platform("cpu"), {"launch.eager": "0"})
    saved = found.latency_s - estimate(network("mobile"), free, batch=1, execution="eager").latency_s
    assert saved == pytest.approx(hosts * launch.eager)


# --- attention ---


def test_causal_attention_takes_half_the_time_of_full_attention() -> None:
    class Full(nn.Module):
        def forward(self, q: torch.Tensor) -> torch.Tensor:
            return functional.scaled_dot_product_attention(q, q, q)

    full = trace(Full(), torch.empty(2, 8, 4096, 64, device="meta"))
    for chip in ("h200", "a100", "tpu-v4"):
        whole = estimate(full, platform(chip), batch=64, strict=False)
        half = run("causal", chip, batch=64)
        assert half.flops == whole.flops
        assert half.latency_s == pytest.approx(whole.latency_s / 2, rel=0.02)


def test_fused_attention_moves_its_operands_and_not_its_scores() -> None:
    """Dao et al., FlashAttention, 2022."""
    found = run("causal", "h200", batch=64, precision="bf16")
    assert found.bytes == 2 * 2 * 64 * 8 * 4096 * 64, "the queries, keys and values here are one tensor; and the result"


# --- energy ---


@pytest.mark.parametrize("chip", NAMES)
def test_energy_is_told_where_the_platform_tells_it_and_nowhere_else(chip: str) -> None:
    energy, found = platform(chip).energy, run("dense", chip, batch=8)
    if energy is None:
        assert found.energy_j is None
        return
    matrix = energy.matrix.get(found.precision)  # type: ignore[call-overload]
    if matrix is not None and energy.byte:
        parts = found.flops * matrix + found.vector_flops * energy.vector + found.bytes * energy.byte
        assert found.energy_j == pytest.approx(parts + found.latency_s * energy.idle)
    elif energy.limit:
        assert found.energy_j == pytest.approx(found.latency_s * energy.limit)
    else:
        assert found.energy_j is None


def test_energy_by_work_stays_within_what_the_board_may_draw() -> None:
    chip = platform("tpu-v4i")
    assert chip.energy is not None
    for name in NETWORKS:
        found = run(name, "tpu-v4i", batch=64)
        assert found.energy_j is not None
        assert chip.energy.limit is not None
        assert 0 < found.energy_j <= found.latency_s * chip.energy.limit


# --- settings ---


def test_what_is_not_said_is_the_platforms_and_the_workloads_own() -> None:
    for chip in NAMES:
        found = run("encoder", chip)
        device = platform(chip)
        assert (found.batch, found.precision, found.execution) == (2, device.precision, device.execution)
        assert (found.architecture, found.platform) == ("encoder", chip)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_holds_at_least_one(batch: int) -> None:
    with pytest.raises(SettingError, match="at least 1") as caught:
        run("encoder", "h200", batch=batch)
    assert (caught.value.where, caught.value.value) == ("batch", batch)


def test_the_same_question_has_the_same_answer() -> None:
    assert run("mobile", "h200", batch=3) == run("mobile", "h200", batch=3)
