"""A result from the world: how long something took, and how that was got."""

import msgspec


class Device(msgspec.Struct, frozen=True):
    """The machine and the software that a measurement was taken with.

    Attributes:
        kind: "cpu" or "cuda".
        name: the processor's or card's own name.
        threads: CPU threads that were used.
        versions: package or driver -> version.
        commit: the project's commit, "" outside a checkout.
    """

    kind: str
    name: str
    threads: int
    versions: dict[str, str]
    commit: str = ""


class Measurement(msgspec.Struct, frozen=True):
    """Latency of one network at one setting: every repetition, its median and its spread.

    Attributes:
        architecture: what was run.
        batch, precision, execution, channels_last: the setting.
        seconds: each repetition's, in the order taken.
        median_s: their median.
        spread: the interquartile range over the median.
        warmup: repetitions thrown away before the first.
        inner: calls a repetition, whose mean is one entry of `seconds`.
        taken_at: when, ISO 8601 in UTC.
        device: where and with what.
        peak_memory_bytes: the device's allocator's peak; None on a CPU.
    """

    architecture: str
    batch: int
    precision: str
    execution: str
    channels_last: bool
    seconds: tuple[float, ...]
    median_s: float
    spread: float
    warmup: int
    inner: int
    taken_at: str
    device: Device
    peak_memory_bytes: int | None = None

    @property
    def throughput_per_s(self) -> float:
        """Samples per second at the median."""
        return self.batch / self.median_s
