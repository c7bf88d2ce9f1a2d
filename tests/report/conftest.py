"""A network small enough to read, and what it costs: no torch is needed."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from modelwright.hardware import estimate, platform
from modelwright.records import (
    Architecture,
    ConvStem,
    Device,
    Epoch,
    Estimate,
    Learning,
    MBConv,
    Measurement,
    Operator,
    PoolHead,
    Product,
    Recipe,
    Stage,
    Tensor,
    Window,
    Workload,
)
from modelwright.records.space import Choice, Space, Value
from modelwright.records.study import Agreement, Findings, Member, Objective, Plan, Prediction, Reason, Trial

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


SPACE = Space(
    name="mbconv",
    choices=(
        *(
            choice
            for stage in range(5)
            for choice in (
                Choice(f"stages.{stage}.fused", (False, True)),
                Choice(f"stages.{stage}.kernel", (3, 5, 7), {f"stages.{stage}.fused": (False,)}),
                Choice(f"stages.{stage}.expansion", (2, 4, 6)),
                Choice(f"stages.{stage}.depth", (1, 2, 3)),
            )
        ),
        Choice("resolution", (32, 40, 48)),
    ),
    makes="modelwright.search.spaces:mbconv",
    fixed={"classes": 10, "activation": "relu"},
    source="EfficientNet-X (2021, arXiv 2102.05610)",
)
DEVICE = Device("cuda", "NVIDIA H200", 8, {"torch": "2.11.0", "driver": "570.86", "python": "3.12.3"}, "0123abc")
WHY = "fused convolutions reach 61% of the peak here, depthwise ones 4%"
REFERENCES = {
    "efficientnet": (
        (0.901, 0.0046, 6.4e9, 4.0e6),
        (0.911, 0.0066, 9.4e9, 6.5e6),
        (0.916, 0.0078, 11.9e9, 7.7e6),
    ),
    "efficientnet-x": (
        (0.904, 0.0038, 9.1e9, 6.7e6),
        (0.913, 0.0052, 14.8e9, 9.6e6),
        (0.919, 0.0063, 18.2e9, 10.9e6),
    ),
}


def made_up(**changes: Any) -> Findings:
    """A search that has ended well, made up: 48 trials of which three failed, a family of three, six references."""
    draw = random.Random(changes.pop("seed", 7))
    plan = Plan(
        space=SPACE,
        objectives=(
            Objective("accuracy", source="training"),
            Objective("latency_s", limit=0.006, source="calibrated"),
        ),
        data="cifar-10",
        platform="h200",
        batch=8,
        precision="amp-bf16",
        execution="compiled",
        method="tpe",
        trials=48,
    )
    trials = tuple(_trial(number, draw) for number in range(48))
    finished = [trial for trial in trials if trial.state == "finished"]
    best = [t for t in finished if not any(_beats(other, t) for other in finished)]
    best.sort(key=lambda trial: trial.values["latency_s"])
    picked = [best[0], best[len(best) // 2], best[-1]]
    family = tuple(
        _member(f"mine-{size}", trial.values, trial.number, draw) for size, trial in zip("sml", picked, strict=True)
    )
    references = tuple(
        _member(
            f"{kind}-b{size}", dict(zip(("accuracy", "latency_s", "flops", "params"), row, strict=True)), None, draw
        )
        for kind, rows in REFERENCES.items()
        for size, row in enumerate(rows)
    )
    pairs = tuple((a := draw.uniform(0.6, 0.8), min(a + draw.gauss(0.12, 0.015), 1.0)) for _ in range(16))
    found = Findings(
        plan=plan,
        trials=trials,
        front=tuple(trial.number for trial in best),
        family=family,
        references=references,
        agreements=(
            Agreement("accuracy after 2 of 12 epochs", 0.68, 16, pairs),
            Agreement("synflow of the untrained network", 0.21, 16, tuple((200 * draw.random(), y) for _, y in pairs)),
        ),
        reasons=tuple(
            Reason(choice.name, _word(choice.values[-1]), draw.uniform(0.5, 1), _effects(choice, family[-1], draw), WHY)
            for choice in SPACE.choices
        ),
        device=DEVICE,
        seconds=7 * 3600.0,
        hypervolume=tuple(1 - 0.8 * 0.93**number for number in range(1, len(finished) + 1)),
        notes=("Two networks of the front differ by less than the noise of their seeds.",),
        predictions=tuple(
            Prediction(f"trial {t.number}", s, s * draw.gauss(1.3, 0.12), "estimate", t.values["flops"])
            for t in finished[:12]
            for s in [t.values["latency_s"] / 1.3]
        ),
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)


def architecture(name: str) -> Architecture:
    """A small network of two stages."""
    blocks = (MBConv(16, 64, 24, fused=True), MBConv(24, 96, 48, kernel=5, stride=2, squeeze=6))
    stages = tuple(Stage(block, repeats) for block, repeats in zip(blocks, (1, 1), strict=True))
    return Architecture(name, (3, 32, 32), 10, ConvStem((16,)), stages, PoolHead(channels=128))


def _word(value: Value) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _effects(choice: Choice, member: Member, draw: random.Random) -> dict[str, tuple[float | None, float]]:
    """Each value of a choice: the first trained as well, the last as the member has it."""
    cost = member.counted["latency_s"]
    costs = [cost * draw.uniform(0.85, 1.3) for _ in choice.values[:-1]]
    return {
        _word(value): (0.9 if value == choice.values[0] else None, found)
        for value, found in zip(choice.values, [*costs, cost], strict=True)
    }


def _trial(number: int, draw: random.Random) -> Trial:
    point: dict[str, Value] = {}
    for choice in SPACE.choices:
        if all(point.get(other) in values for other, values in choice.when.items()):
            point[choice.name] = draw.choice(choice.values)
    if number % 17 == 9:
        return Trial(number, point, "failed", reason="CUDA out of memory at batch 512", seconds=4.0, suggested_by="tpe")
    size = draw.uniform(0.4, 1.0) + 0.4 * number / 48 * draw.random()
    seconds = 0.0062 * size * draw.uniform(0.55, 1.1)
    values = {
        "accuracy": 0.93 - 0.06 / (1 + 2 * size) ** 2 - 0.12 / (1 + seconds * 900) + draw.gauss(0, 0.006),
        "latency_s": seconds,
        "flops": 12e9 * size**1.3 * draw.uniform(0.6, 1.5),
        "params": 6e6 * size,
    }
    stopped = number % 5 == 3
    values["accuracy"] -= 0.05 if stopped else 0.0
    reason = "among the worst two thirds after 2 epochs" if stopped else ""
    state = "stopped" if stopped else "finished"
    return Trial(number, point, state, values, 2 if stopped else 12, None, None, reason, 300 * size, "a:1", "tpe")


def _beats(one: Trial, other: Trial) -> bool:
    a, b = one.values, other.values
    return a["latency_s"] < b["latency_s"] and a["accuracy"] > b["accuracy"]


def _member(name: str, values: dict[str, float], trial: int | None, draw: random.Random) -> Member:
    accuracy = values["accuracy"] + 0.02
    epochs = tuple(
        Epoch(e, 0.4 + 2.2 * 0.9**e, accuracy - 0.5 * 0.85**e + draw.gauss(0, 0.004), 40.0 * e, 0.002 * (1 - e / 30))
        for e in range(1, 31)
    )
    learning = Learning(name, "cifar-10", Recipe(), epochs, accuracy, accuracy - 0.004, True, DEVICE)
    estimated = values["latency_s"] / 1.3
    seconds = values["latency_s"] * draw.uniform(0.95, 1.06)
    taken = Measurement(
        *(name, 8, "amp-bf16", "compiled", True, (seconds,) * 20, seconds, 0.012, 10, 5, "2026-11-25T10:00:00+00:00"),
        DEVICE,
    )
    estimates = {"latency_s": estimated, "flops": values["flops"], "params": values["params"]}
    files = {"weights": f"{name}/weights.safetensors", "onnx": f"{name}/model.onnx"} if trial is not None else {}
    counted = {"latency_s": values["latency_s"]}
    return Member(name, architecture(name), learning, estimates, taken, trial, files, counted)


@pytest.fixture(scope="session")
def study() -> Callable[..., Findings]:
    """A search that has ended well, made up; takes fields of `Findings` that are to be otherwise, or another seed."""
    return made_up


@pytest.fixture(scope="session")
def findings() -> Findings:
    """The same as it is."""
    return made_up()
