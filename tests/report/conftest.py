"""A network small enough to read, and what it costs: no torch is needed."""

import msgspec
import pytest

from modelwright.hardware import estimate, platform
from modelwright.records import Estimate, Operator, Product, Tensor, Window, Workload

IMAGE = Tensor((2, 16, 32, 32), "float32", strides=(16384, 1024, 32, 1))
FILTERS = Tensor((16, 16, 3, 3), "float32", "weight", batched=False, strides=(144, 9, 3, 1))


def network(name: str = "small", repeats: int = 3) -> Workload:
    """Blocks of a convolution and an activation, and a classifier; the last operator is one that no rule describes."""
    tensors = [msgspec.structs.replace(IMAGE, role="input")]
    operators = []
    for block in range(repeats):
        before = len(tensors) - 1
        tensors += [FILTERS, IMAGE, IMAGE]
        weight, made, active = before + 1, before + 2, before + 3
        layer = f"stages.{block}"
        product = Product(1, 2 * 32 * 32, 16, 16 * 9)
        window = Window((3, 3), (1, 1))
        name_conv, ends = f"{layer}.conv/conv2d", ((before, weight), (made,))
        operators += [
            Operator(name_conv, "convolution", "conv2d", f"{layer}.conv", *ends, (product,), window),
            Operator(f"{layer}/relu", "activation", "relu", layer, (made,), (active,)),
        ]
    tensors += [IMAGE]
    last = len(tensors) - 1
    operators += [Operator("head/mystery", "unknown", "mystery", "head", (last - 1,), (last,))]
    return Workload(name, 2, tuple(tensors), tuple(operators), (last,), repeats * 16 * 16 * 9, ("mystery",))


@pytest.fixture(scope="session")
def small() -> Workload:
    """The network itself."""
    return network()


@pytest.fixture(scope="session")
def costs() -> list[Estimate]:
    """Two networks on a TPU, a GPU and a processor."""
    works = [network("small"), network("smaller", repeats=1)]
    return [estimate(work, platform(name), batch=64) for name in ("tpu-v3", "h200", "x86") for work in works]
