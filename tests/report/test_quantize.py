"""The page of a quantization: every number is its record's, and every end that a quantization can come to has a page."""

import random
from typing import Any

import msgspec

from modelwright.records import (
    Device,
    Histogram,
    Kernel,
    LayerNumbers,
    Quantization,
    QuantizationFindings,
    QuantizedCandidate,
    Sensitivity,
)

DEVICE = Device("cpu", "AMD EPYC 9B14", 1, {"torch": "2.13.0", "torchao": "0.18.0", "openvino": "2026.4"}, "0123abc")
LAYERS = [
    "features.0.0",
    *(f"features.{block}.conv.{part}" for block in range(1, 14) for part in ("0.0", "1.0", "2")),
    "classifier.1",
]


def histogram(draw: random.Random, width: float, bins: int = 128, relu: bool = False) -> Histogram:
    counts = [0] * bins
    for _ in range(3000):
        value = draw.gauss(0, width / 4)
        value = max(value, 0.0) if relu else value
        place = int((value + width) / (2 * width) * bins)
        counts[min(max(place, 0), bins - 1)] += 1
    return Histogram(-width, width, tuple(counts))


def layer(name: str, draw: random.Random) -> LayerNumbers:
    kind = "linear" if name.startswith("classifier") else "depthwise" if ".1.0" in name else "conv"
    wide, narrow = draw.uniform(2, 9), draw.uniform(0.2, 1.4)
    return LayerNumbers(
        layer=name,
        kind=kind,
        macs=draw.randrange(10**5, 10**8),
        inputs=histogram(draw, wide, relu=True),
        inputs_after=histogram(draw, wide * 0.7, relu=True),
        inputs_sqnr_db=draw.uniform(14, 40),
        saturation=draw.choice([0.0, 0.00031, 0.012]),
        weights=histogram(draw, narrow),
        weights_after=histogram(draw, narrow),
        weights_sqnr_db=draw.uniform(25, 44),
    )


def candidate(name: str, **fields: Any) -> QuantizedCandidate:
    return QuantizedCandidate(name, fields.pop("recipe", Quantization()), **fields)


CANDIDATES = (
    candidate("fp32", recipe=Quantization("float"), latency_s=0.00441, spread=0.011, accuracy=0.7044, drop=0.0,
              drop_interval=(0.0, 0.0), integer_share=0.0, size_bytes=14_100_000, seconds=9.0),
    candidate("bf16", recipe=Quantization("float", floats="bf16"), latency_s=0.00262, spread=0.018, accuracy=0.7041,
              drop=0.0003, drop_interval=(-0.0012, 0.0019), sqnr_db=41.2, integer_share=0.0, size_bytes=7_100_000,
              seconds=12.0),
    candidate("int8", latency_s=0.00201, spread=0.009, accuracy=0.6921, drop=0.0123, drop_interval=(0.008, 0.0166),
              sqnr_db=17.9, integer_share=1.0, size_bytes=3_700_000, seconds=61.0),
    candidate("int8, equalized", recipe=Quantization(techniques=("equalization", "bias-correction")), latency_s=0.00203,
              spread=0.013, accuracy=0.6998, drop=0.0046, drop_interval=(0.0009, 0.0081), sqnr_db=22.4,
              integer_share=1.0, size_bytes=3_700_000, seconds=95.0),
    candidate("int8 and bf16", recipe=Quantization(floats="bf16", layers={"features.0.0": "bf16",
              "features.1.conv.0.0": "bf16", "classifier.1": "fp32"}, calibration="mse"), latency_s=0.00214,
              spread=0.012, accuracy=0.7029, drop=0.0015, drop_interval=(-0.0014, 0.0042), sqnr_db=27.5,
              integer_share=0.927, size_bytes=4_300_000, seconds=140.0, chosen=True,
              notes=("Three layers stay in float.",)),
    candidate("dynamic int8", recipe=Quantization("dynamic"), latency_s=0.0243, spread=0.04, accuracy=0.7035,
              drop=0.0009, drop_interval=(-0.001, 0.003), sqnr_db=31.0, integer_share=0.98, size_bytes=3_700_000),
    candidate("int8, trained", recipe=Quantization("qat"), state="failed", seconds=33.0,
              reason="the training loop needs labels, which these data have none of"),
)  # fmt: skip


def made_up(**changes: Any) -> QuantizationFindings:
    draw = random.Random(changes.pop("seed", 7))
    noise = {name: 10 ** draw.uniform(-4, -1.5) for name in LAYERS}
    ranked = sorted(LAYERS, key=lambda name: noise[name])
    single = [
        Sensitivity((name,), draw.uniform(22, 50), mse, 0.7044 - 0.2 * mse, (0.1 * mse - 0.001, 0.3 * mse + 0.001))
        for name, mse in noise.items()
    ]
    growing = [
        Sensitivity(
            tuple(ranked[:count]), 45 - 0.6 * count, sum(noise[n] for n in ranked[:count]), 0.7044 - 0.0003 * count
        )
        for count in range(2, len(ranked) + 1, 3)
    ]
    pairs = [
        Sensitivity((one, other), 25 + place, 1.3 * (noise[one] + noise[other]), 0.69)
        for place, (one, other) in enumerate([*zip(ranked[-6:-1], ranked[-5:])])
    ]
    kernels = [
        Kernel(f"{name}/conv", "Convolution", "bf16" if place < 3 else "u8", True, place >= 3)
        for place, name in enumerate(LAYERS)
    ] + [Kernel(f"reorder_{number}", "Reorder", "f32", False, False) for number in range(5)]
    found = QuantizationFindings(
        model="MobileNetV2",
        target="openvino",
        data="imagenette",
        calibrated=512,
        judged=3925,
        batch=1,
        candidates=CANDIDATES,
        sensitivities=(*single, *growing, *pairs),
        layers=tuple(layer(name, draw) for name in LAYERS),
        kernels=tuple(kernels),
        max_drop=0.005,
        verdict="int8 and bf16 is 2.06x as fast as fp32 and loses 0.15 points of accuracy (-0.14 to 0.42), within the "
        "0.50 that were allowed.",
        device=DEVICE,
        seconds=1240.0,
        notes=("A loop in the model's head could not be captured; it stays as it is.",),
    )
    return msgspec.structs.replace(found, **changes)
