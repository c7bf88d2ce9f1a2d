"""A service as people watch it: plain numbers of one moment, and of the time before."""

import msgspec


class InstanceSnapshot(msgspec.Struct, frozen=True):
    """An instance.

    Attributes:
        name: its own.
        variant: whose it is.
        status: starting, ready or draining.
        in_flight: requests that it works on.
    """

    name: str
    variant: str
    status: str
    in_flight: int


class VariantSnapshot(msgspec.Struct, frozen=True):
    """A variant of an endpoint.

    Attributes:
        name: its own.
        model: that its instances load.
        wanted: instances that there shall be.
        least, most: bounds of that, where it is scaled; None where it is not.
    """

    name: str
    model: str
    wanted: int
    least: int | None = None
    most: int | None = None


class EndpointSnapshot(msgspec.Struct, frozen=True):
    """An endpoint.

    Attributes:
        name: its own.
        status: as SageMaker names it.
        reason: why it failed or was not changed; "" else.
        asynchronous: it has a queue; it answers at once otherwise.
        variants: what it is made of.
        instances: of this server.
        queued, running: requests that wait, and that an instance works on.
        oldest_s: age of the oldest one of these, seconds.
        ended: state -> requests that came to that end and are still remembered.
        per_s: requests that came to an end, a second, over the last ten.
        median_s, p95_s: how long those that came to an end in the last minutes took, from acceptance, or in the model
            where they are answered at once: median and 95th percentile, seconds; None where there are none.
    """

    name: str
    status: str
    reason: str
    asynchronous: bool
    variants: tuple[VariantSnapshot, ...]
    instances: tuple[InstanceSnapshot, ...]
    queued: int
    running: int
    oldest_s: float
    ended: dict[str, int]
    per_s: float
    median_s: float | None = None
    p95_s: float | None = None


class ServiceSnapshot(msgspec.Struct, frozen=True):
    """A service.

    Attributes:
        at: wall clock, seconds since 1970 in UTC.
        version: of Modelwright.
        region: that it says it is in.
        bucket: of its own, for inputs and models.
        time_factor: so many times faster scaling's time goes by.
        draining: it takes nothing new.
        undelivered: messages that could not be delivered.
        endpoints: by name.
    """

    at: float
    version: str
    region: str
    bucket: str
    time_factor: float
    draining: bool
    undelivered: int
    endpoints: tuple[EndpointSnapshot, ...]


class Point(msgspec.Struct, frozen=True, array_like=True):
    """An endpoint at one moment of the past; of a longer step, the most of each but `ended`, which is their sum.

    Attributes:
        at: wall clock, seconds since 1970 in UTC.
        queued, running: requests.
        ready, starting, draining: instances.
        wanted: instances that there shall be.
        ended: requests that came to an end since the point before.
    """

    at: float
    queued: int
    running: int
    ready: int
    starting: int
    draining: int
    wanted: int
    ended: int
