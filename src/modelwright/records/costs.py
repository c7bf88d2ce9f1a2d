"""What the performance model says of many architectures at once: arrays, one number an architecture."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelwright.records.platform import Execution, Policy

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """Architectures on a platform at one batch, precision and execution; arrays in the architectures' order.

    The numbers mean what they mean in an `Estimate`.

    Attributes:
        latency_s: seconds for one batch.
        throughput_per_s: samples per second.
        params: trainable numbers.
        flops: 2 x multiply-accumulates of convolutions and matrix products, whole batch.
        vector_flops: operations of the vector units, whole batch.
        bytes: moved to and from main memory, whole batch.
        intensity: flops / bytes.
        efficiency: achieved FLOP/s over the roofline's at that intensity.
        peak_memory_bytes: weights and the largest set of activations alive at once; may exceed the platform's memory.
        energy_j: joules for one batch; nan where the platform does not state its energy.
    """

    platform: str
    batch: int
    precision: Policy
    execution: Execution
    latency_s: Numbers
    throughput_per_s: Numbers
    params: Numbers
    flops: Numbers
    vector_flops: Numbers
    bytes: Numbers
    intensity: Numbers
    efficiency: Numbers
    peak_memory_bytes: Numbers
    energy_j: Numbers

    def __len__(self) -> int:
        return len(self.latency_s)
