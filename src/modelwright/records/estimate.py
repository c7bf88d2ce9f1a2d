"""What the performance model says of a workload on a platform: how long, how much, and why."""

import msgspec

from modelwright.records.platform import Execution, Policy


class KernelEstimate(msgspec.Struct, frozen=True):
    """One kernel: an operator with whatever is fused into it.

    Attributes:
        name: the leading operator's.
        layer: path of the module that called the leading operator.
        kind: the leading operator's kind; "depthwise" for convolutions with one input channel a group.
        operators: names of all operators it holds, in order.
        latency_s: seconds from its start to the start of the next.
        matrix_s, vector_s, launch_s: seconds that each resource alone would need.
        memory_s: the same for each memory level, by name.
        bound: the resource that decides: "matrix", "vector", "launch" or a memory level's name.
        flops: 2 x multiply-accumulates, unpadded.
        vector_flops: operations of the vector units.
        bytes: moved to and from main memory.
        precision: of its matrix work, or of its data where it has none.
    """

    name: str
    layer: str
    kind: str
    operators: tuple[str, ...]
    latency_s: float
    matrix_s: float
    vector_s: float
    launch_s: float
    memory_s: dict[str, float]
    bound: str
    flops: float
    vector_flops: float
    bytes: float
    precision: str

    @property
    def intensity(self) -> float:
        """FLOPs (matrix and vector) a byte of main memory; 0 where nothing is moved."""
        return (self.flops + self.vector_flops) / self.bytes if self.bytes else 0.0


class Estimate(msgspec.Struct, frozen=True):
    """A workload on a platform at a batch and a precision, with its kernels.

    Attributes:
        architecture: the workload's name.
        latency_s: seconds for one batch.
        throughput_per_s: samples per second.
        params: trainable numbers.
        flops: 2 x multiply-accumulates of convolutions, matrix products and attention, whole batch.
        vector_flops: operations of the vector units, whole batch.
        bytes: moved to and from main memory, whole batch.
        intensity: flops / bytes (the authors' operational intensity I).
        efficiency: achieved FLOP/s over the roofline's at that intensity (the authors' execution efficiency E); the
            masked half of causal attention does not count.
        peak_memory_bytes: weights and the largest set of activations alive at once.
        energy_j: joules for one batch, where the platform states its energy.
        bound: the resource under which most of the time is spent.
        bound_s: seconds under each bound.
        kernels: in the order of execution.
        unknown: operators that no rule describes, costed by their bytes.
    """

    architecture: str
    platform: str
    batch: int
    precision: Policy
    execution: Execution
    latency_s: float
    throughput_per_s: float
    params: int
    flops: float
    vector_flops: float
    bytes: float
    intensity: float
    efficiency: float
    peak_memory_bytes: float
    energy_j: float | None
    bound: str
    bound_s: dict[str, float]
    kernels: tuple[KernelEstimate, ...]
    unknown: tuple[str, ...] = ()
