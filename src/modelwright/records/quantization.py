"""How a network is quantized, and what came of it: schemes, recipes, candidates, sensitivities, findings."""

from typing import Annotated, Literal

import msgspec

from modelwright.records.measurement import Device
from modelwright.records.platform import Count
from modelwright.records.recipe import Recipe

Bits = Annotated[int, msgspec.Meta(ge=2, le=8)]
Interval = tuple[float, float]
"""Low and high end of a 95 % confidence interval."""
Numeric = Literal["int8", "fp8", "bf16", "fp32"]
"""The numbers that a layer computes in."""


class Scheme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How real numbers become whole ones: q = clamp(round(x / scale) + zero_point, lowest, highest).

    Source: Jacob et al., 2017, arXiv 1712.05877; Krishnamoorthi, 2018, arXiv 1806.08342.

    Attributes:
        bits: of a whole number, 8 to 2; below 8 it is simulated in int8.
        signed: whether the lowest is below zero.
        symmetric: zero is in the middle of the range, so that no zero point is needed.
        narrow: leaves out the lowest of a signed range, so that it is symmetric, too.
        granularity: one scale for the whole "tensor", one a "channel" (its first axis), or one a "group" of `group`
            neighbours along the last axis.
        group: how many; counts only with that granularity.
    """

    bits: Bits = 8
    signed: bool = True
    symmetric: bool = False
    narrow: bool = False
    granularity: Literal["tensor", "channel", "group"] = "tensor"
    group: Count = 32

    @property
    def lowest(self) -> int:
        """The least whole number."""
        return (-(1 << (self.bits - 1)) + self.narrow) if self.signed else 0

    @property
    def highest(self) -> int:
        """The greatest whole number."""
        return (1 << (self.bits - self.signed)) - 1


WEIGHTS = Scheme(symmetric=True, narrow=True, granularity="channel")
"""Symmetric, a scale for each output channel: what integer kernels read."""
ACTIVATIONS = Scheme(signed=False)
"""Unsigned and affine, one scale a tensor: what x86 kernels read."""


class Quantization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that decides how a network is quantized, besides the network, the data and the target: a recipe.

    Attributes:
        kind: "float" (nothing is), "weight-only", "dynamic" (activations' scales are found as it runs), "static" (they
            are found beforehand, by calibration), or "qat" (static, after training with quantization simulated).
        version: of the meaning of these fields.
        weights, activations: their schemes.
        calibration: how a range is found from what was seen: a name of `quantize.OBSERVERS`, or "auto".
        floats: what computes where nothing is quantized.
        layers: layer -> numbers, where they differ from the kind's.
        techniques: names of `quantize.TECHNIQUES`, in the order in which they are applied.
        tuning: the training of "qat"; None for the recommended one.
        learned_scales: in it, scales and zero points are learned as weights are (LSQ: Esser et al., 2019, arXiv
            1902.08153); otherwise ranges follow what is seen.
    """

    kind: Literal["float", "weight-only", "dynamic", "static", "qat"] = "static"
    version: Literal[1] = 1
    weights: Scheme = WEIGHTS
    activations: Scheme = ACTIVATIONS
    calibration: str = "histogram"
    floats: Literal["fp32", "bf16"] = "fp32"
    layers: dict[str, Numeric] = {}
    techniques: tuple[str, ...] = ()
    tuning: Recipe | None = None
    learned_scales: bool = False


class Kernel(msgspec.Struct, frozen=True):
    """One operator as a runtime really runs it.

    Attributes:
        name: the runtime's.
        operator: its type, such as "Convolution".
        numbers: that it computes in, as the runtime says: "u8", "i8", "bf16", "f32", ...
        weighted: whether it is a convolution or a product, of which integer kernels are wanted.
        integer: whether it computes in whole numbers.
    """

    name: str
    operator: str
    numbers: str
    weighted: bool
    integer: bool


class QuantizedCandidate(msgspec.Struct, frozen=True):
    """One recipe that was tried: what it costs and how true it stays.

    Attributes:
        name: short and unique among the candidates.
        recipe: how it was made.
        state: "finished", or "failed" with a `reason`.
        latency_s: median, for a whole batch, on the target; all candidates in turns.
        spread: the interquartile range over the median.
        accuracy: on the data that judges.
        drop: accuracy of the float network minus this one's, with its interval from paired bootstrap.
        sqnr_db: signal to quantization noise of the logits, in decibels.
        integer_share: share of convolutions and products that ran in whole numbers.
        size_bytes: of the artifact.
        seconds: that it took to make.
        chosen: whether it is the one handed over.
        notes: what the reader must know.
    """

    name: str
    recipe: Quantization
    state: Literal["finished", "failed"] = "finished"
    reason: str = ""
    latency_s: float | None = None
    spread: float = 0.0
    accuracy: float | None = None
    drop: float | None = None
    drop_interval: Interval | None = None
    sqnr_db: float | None = None
    integer_share: float | None = None
    size_bytes: int | None = None
    seconds: float = 0.0
    chosen: bool = False
    notes: tuple[str, ...] = ()


class Sensitivity(msgspec.Struct, frozen=True):
    """What quantizing some layers, and nothing else, does to the outputs.

    Attributes:
        layers: that were quantized.
        sqnr_db: signal to quantization noise of the logits, in decibels.
        mse: mean squared difference of the logits.
        accuracy: on the data that judges, None where it has no labels.
        drop_interval: of the accuracy lost, from paired bootstrap.
    """

    layers: tuple[str, ...]
    sqnr_db: float
    mse: float
    accuracy: float | None = None
    drop_interval: Interval | None = None


class Histogram(msgspec.Struct, frozen=True):
    """How often numbers lie in each of equally wide bins.

    Attributes:
        low, high: the ends of the first and the last bin.
        counts: of each bin.
    """

    low: float
    high: float
    counts: tuple[int, ...]


class LayerNumbers(msgspec.Struct, frozen=True):
    """A layer's weights and inputs, before and after quantization.

    Attributes:
        layer: its name.
        kind: "conv", "depthwise", "linear" or "product".
        macs: multiply-accumulates of one sample.
        weights, inputs: as they are in float.
        weights_after, inputs_after: quantized and back.
        weights_sqnr_db, inputs_sqnr_db: signal to quantization noise, in decibels.
        saturation: share of inputs beyond the range.
    """

    layer: str
    kind: str
    macs: int
    inputs: Histogram
    inputs_after: Histogram
    inputs_sqnr_db: float
    saturation: float
    weights: Histogram | None = None
    weights_after: Histogram | None = None
    weights_sqnr_db: float | None = None


class QuantizationFindings(msgspec.Struct, frozen=True):
    """A quantization that has ended.

    Attributes:
        model: its name.
        target: the runtime that it is for.
        data: the data set's name, "" where none was named.
        calibrated, judged: samples that ranges were found on, and that accuracy was judged on.
        batch: of the latencies.
        candidates: what was tried, in order; one at most is chosen.
        sensitivities: of layers one at a time, cumulative sets, and pairs.
        layers: their numbers.
        kernels: of the chosen candidate.
        max_drop: accuracy that could be given up.
        verdict: in a sentence or two.
        device: where it was measured.
        seconds: that it took, all runs together.
        notes: what the reader must know, such as a part that could not be captured.
    """

    model: str
    target: str
    data: str
    calibrated: int
    judged: int
    batch: int
    candidates: tuple[QuantizedCandidate, ...]
    sensitivities: tuple[Sensitivity, ...]
    layers: tuple[LayerNumbers, ...]
    kernels: tuple[Kernel, ...]
    max_drop: float
    verdict: str
    device: Device
    seconds: float
    notes: tuple[str, ...] = ()
