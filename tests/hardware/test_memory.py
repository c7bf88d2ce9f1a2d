"""Peak memory: the weights, and the activations that must be there at the same time."""

from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modelwright.errors import CapacityError
from modelwright.hardware import estimate, platform
from modelwright.hardware.memory import peak_bytes
from modelwright.networks.trace import trace
from modelwright.records import Operator, Tensor, Workload

ONE = 2 * 1000 * 4
"""Bytes of the activations below: two samples of 1000 fp32 numbers."""


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def peak(function: Any, *, batch: int = 2, policy: Any = "fp32") -> float:
    module = function if isinstance(function, nn.Module) else Function(function)
    return peak_bytes(trace(module.to("meta"), torch.empty(2, 1000, device="meta")), batch, policy)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_chain_needs_two_activations_however_long_it_is(length: int) -> None:
    assert peak(nn.Sequential(*(nn.SiLU() for _ in range(length)))) == 2 * ONE


def test_a_chain_in_place_needs_one() -> None:
    assert peak(nn.Sequential(*(nn.SiLU(inplace=True) for _ in range(5)))) == ONE


def test_a_residual_needs_three() -> None:
    """Where it is added: what was kept, what was made of it, and the sum."""
    assert peak(lambda x: x + x.sigmoid().tanh()) == 3 * ONE


def test_what_a_dense_block_collects_stays() -> None:
    """All four, and the tensor into which they are put together."""

    def dense(x: torch.Tensor) -> torch.Tensor:
        a, b, c = x.sin(), x.cos(), x.tanh()
        return torch.cat([x, a, b, c], 1)

    assert peak(dense) == (4 + 4) * ONE


def test_a_view_takes_no_memory_and_keeps_what_it_looks_at() -> None:
    assert peak(lambda x: x.view(4, 500).transpose(0, 1)) == ONE
    assert peak(lambda x: (y := x.sin().view(4, 500), y.cos())[1]) == 2 * ONE
    assert peak(lambda x: (y := x.sin()[:, :1], x.tanh().repeat(1, 3) + y)[1]) == 7 * ONE, "a slice keeps the whole"


def test_results_stay_until_the_end() -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first = x.sin()
        return first, x.cos().tanh().sigmoid()

    assert peak(function) == 3 * ONE


def test_an_input_is_there_until_it_was_read_for_the_last_time() -> None:
    assert peak(lambda x: x.sin()[:, :1].repeat(1, 3000)) == ONE + 3 * ONE
    assert peak(lambda x: (x.sin()[:, :1].repeat(1, 3000), x[:, :1] + 1)[0]) == 2 * ONE + 3 * ONE


def test_weights_are_there_all_the_time_and_once_each() -> None:
    layer = nn.Linear(1000, 1000, bias=False)
    weights = 4 * 1000**2
    assert peak(nn.Sequential(layer, layer, layer)) == weights + 2 * ONE
    assert peak(nn.Sequential(layer, nn.Linear(1000, 1000))) == 2 * weights + 4000 + 2 * ONE


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    module = nn.Sequential(nn.Linear(1000, 1000), nn.ReLU())
    weights = 4 * (1000**2 + 1000)
    for batch in (1, 2, 3, 64):
        assert peak(module, batch=batch) == weights + ONE * batch


def test_a_narrower_precision_needs_proportionally_less() -> None:
    module = nn.Sequential(nn.Linear(1000, 1000), nn.GELU(), nn.Linear(1000, 1000))
    whole = peak(module)
    assert [whole / peak(module, policy=policy) for policy in ("tf32", "bf16", "fp16", "int8", "fp8")] == [
        1,
        2,
        2,
        4,
        4,
    ]
    assert whole / 2 < peak(module, policy="amp") < whole, "weights stay wide, activations do not"


# --- against a machine that allocates and frees ---


@st.composite
def graphs(draw: st.DrawFn) -> Workload:
    """Operators and views over whatever was there before; some results, some operators in place."""
    tensors = [Tensor((2, draw(st.integers(1, 9))), "int8", "input") for _ in range(draw(st.integers(1, 2)))]
    tensors.append(Tensor((draw(st.integers(1, 9)),), "int8", "weight", batched=False))
    operators = []
    for number in range(draw(st.integers(1, 10))):
        inputs = draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=3, unique=True))
        view = draw(st.booleans()) and tensors[inputs[0]].role != "weight"
        size = draw(st.integers(1, 9))
        tensors.append(tensors[inputs[0]] if view else Tensor((2, size), "int8"))
        if view:
            tensors[-1] = msgspec.structs.replace(tensors[-1], role="activation")
        operators.append(
            Operator(f"{number}", "view" if view else "unknown", "any", "", tuple(inputs), (len(tensors) - 1,))
        )
    made = range(len(tensors) - len(operators), len(tensors))
    results = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))
    return Workload("random", 2, tuple(tensors), tuple(operators), tuple(results), 0)


def allocated(workload: Workload) -> int:
    """Play it through: what an operator makes is there before what it was last to read is freed."""
    memory: dict[int, int] = {}  # which allocation a tensor lies in
    sizes = {i: t.size for i, t in enumerate(workload.tensors) if t.role != "activation"}
    memory = {i: i for i in sizes}
    most = sum(sizes.values())

    def wanted_later(allocation: int, now: int) -> bool:
        if workload.tensors[allocation].role == "weight":
            return True
        later = {p for operator in workload.operators[now + 1 :] for p in operator.inputs} | set(workload.outputs)
        # a view that is still to be made is wanted through what it looks at
        return any(memory.get(position) == allocation for position in later)

    for now, operator in enumerate(workload.operators):
        made = operator.outputs[0]
        if operator.kind == "view":
            memory[made] = memory[operator.inputs[0]]
        else:
            memory[made], sizes[made] = made, workload.tensors[made].size
        most = max(most, sum(sizes.values()))
        touched = {memory[position] for position in (*operator.inputs, made)}
        for allocation in touched:
            if not wanted_later(allocation, now):
                sizes.pop(allocation, None)
    return most


@settings(max_examples=200)
@given(graphs())
def test_the_peak_is_that_of_a_machine_that_allocates_and_frees(workload: Workload) -> None:
    assert peak_bytes(workload, workload.batch, "fp32") == allocated(workload)


# --- what does not fit ---


def test_what_does_not_fit_is_refused_with_both_sizes_and_a_way_out() -> None:
    workload = trace(nn.Linear(1000, 100_000, device="meta"), torch.empty(2, 1000, device="meta"), name="wide")
    largest = int((platform("t4").main_memory.capacity - 4 * 1001 * 100_000) / (4 * 101_000))
    assert estimate(workload, platform("t4"), batch=largest, precision="fp32").batch == largest
    with pytest.raises(CapacityError) as caught:
        estimate(workload, platform("t4"), batch=largest + 2, precision="fp32")
    assert caught.value.where == f"wide, batch {largest + 2}, fp32"
    assert "16 GB of NVIDIA T4" in caught.value.rule
    assert caught.value.value == "16 GB"
    assert "smaller batch" in caught.value.way_out
    narrower = estimate(workload, platform("t4"), batch=largest + 2, precision="fp16")
    assert narrower.peak_memory_bytes < platform("t4").main_memory.capacity


def test_what_does_not_fit_can_be_costed_as_if_it_did() -> None:
    workload = trace(nn.Linear(1000, 100_000, device="meta"), torch.empty(2, 1000, device="meta"))
    found = estimate(workload, platform("t4"), batch=10**6, strict=False)
    assert found.peak_memory_bytes > platform("t4").main_memory.capacity
    assert found.latency_s > 0
