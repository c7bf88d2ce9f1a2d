"""Asynchronous serving: what a request asks for, how far it has come, and the models and endpoints that answer it.

Two kinds of time are told apart by the ends of their names. `..._at` is the wall clock, seconds since 1970 in UTC: it
tells people when something happened, and nothing is decided by it. Durations end in `_s`.
"""

from typing import Annotated, Any, Literal

import msgspec

from modelwright.records.platform import Count, NotNegative, Positive

RequestState = Literal["queued", "running", "completed", "failed", "dead", "expired", "cancelled"]
EndpointStatus = Literal["Creating", "InService", "Updating", "Failed", "Deleting"]
InstanceStatus = Literal["starting", "ready", "draining"]

FINISHED: tuple[RequestState, ...] = ("completed", "failed", "dead", "expired", "cancelled")
"""The states that a request never leaves (but for the redrive of what is dead)."""

Label = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", max_length=63)]
"""A name of a model, a configuration, an endpoint or a variant, as SageMaker allows them."""

InferenceId = Annotated[str, msgspec.Meta(pattern=r"^[ -~]+$", max_length=64)]
Address = Annotated[str, msgspec.Meta(max_length=2048)]
Whole = Annotated[int, msgspec.Meta(ge=0)]
Details = dict[str, Any]
"""What a client said besides, in its own words: it is kept, told back, and read by nobody here."""


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often an endpoint tries a request, and how long it waits in between.

    The wait before attempt n + 1 is drawn evenly from 0 to min(`longest_s`, `first_s` x 2^(n-1)): "full jitter"
    (Brooker 2015, AWS Architecture Blog, "Exponential Backoff And Jitter"). What was lost with its instance waits not
    at all.

    Attributes:
        attempts: so many at most, the first one included; after the last one without an answer the request is dead.
        errors: an error that the model answers is tried again, too; otherwise it is the request's end.
        first_s, longest_s: bounds of the wait, seconds.
        interruptions: how often a request may lose its server besides; that is not its own fault, and no attempt.
    """

    attempts: Count = 3
    errors: bool = False
    first_s: NotNegative = 1.0
    longest_s: NotNegative = 60.0
    interruptions: Count = 10


class EndpointSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an endpoint takes asynchronous requests.

    Attributes:
        output_path: address under which answers are kept.
        failure_path: the same for what failed; "" keeps no account of failures in the store.
        success_topic, error_topic: address of a topic, or of a receiver itself; "" tells nobody.
        include_response_in: topics whose messages carry the response as well, where it is small.
        concurrency: requests that one instance works on at a time.
        retry: what becomes of attempts without an answer.
        lease_s: how long an instance's lease runs without a heartbeat, seconds.
        keep_s: how long a finished request is remembered, seconds.
        details: what the client said besides.
    """

    output_path: Address
    failure_path: Address = ""
    success_topic: Address = ""
    error_topic: Address = ""
    include_response_in: tuple[Literal["success", "error"], ...] = ()
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    retry: Retry = Retry()
    lease_s: Positive = 30.0
    keep_s: Positive = 7 * 86_400.0
    details: Details = {}


class ModelRecord(msgspec.Struct, frozen=True):
    """A model that can be served.

    Attributes:
        name: of the model.
        location: where its files are: the address of a model.tar.gz, or the folder of an artifact; "" for none.
        handler: the part that answers, "module:attribute", or "" for the one that fits the files.
        environment: what its instances find in their environment.
        created_at: wall clock, seconds since 1970 in UTC.
        details: what the client said besides.
    """

    name: Label
    location: Address = ""
    handler: str = ""
    environment: dict[str, str] = {}
    created_at: float = 0.0
    details: Details = {}


class VariantRecord(msgspec.Struct, frozen=True):
    """One way of answering an endpoint's requests: a model on instances of a kind.

    Attributes:
        name: of the variant, one of a kind in its endpoint.
        model: the model's name.
        instances: so many are wanted; the number changes as the endpoint scales.
        weight: its share of synchronous calls; queued requests go to whichever variant has an instance free.
        instance_type: as the client named it.
        details: what the client said besides.
    """

    name: Label
    model: Label
    instances: Whole = 1
    weight: NotNegative = 1.0
    instance_type: str = ""
    details: Details = {}


class ConfigurationRecord(msgspec.Struct, frozen=True):
    """What an endpoint is made from.

    Attributes:
        name: of the configuration.
        variants: one or more.
        settings: for asynchronous requests; None for an endpoint that answers at once.
        created_at: wall clock, seconds since 1970 in UTC.
        details: what the client said besides.
    """

    name: Label
    variants: Annotated[tuple[VariantRecord, ...], msgspec.Meta(min_length=1)]
    settings: EndpointSettings | None = None
    created_at: float = 0.0
    details: Details = {}


class EndpointRecord(msgspec.Struct, frozen=True):
    """An endpoint as it is: it keeps its own copy of what its configuration said.

    Attributes:
        name: of the endpoint.
        configuration: the name of what it was made from, or last changed to.
        variants: with the numbers of instances that are wanted by now.
        settings: for asynchronous requests; None for an endpoint that answers at once.
        status: as SageMaker names it.
        reason: why it failed; "" else.
        created_at, updated_at: wall clock, seconds since 1970 in UTC.
        details: what the client said besides.
    """

    name: Label
    configuration: Label
    variants: tuple[VariantRecord, ...]
    settings: EndpointSettings | None = None
    status: EndpointStatus = "Creating"
    reason: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    details: Details = {}


class InstanceRecord(msgspec.Struct, frozen=True):
    """A process that answers requests of one variant.

    Attributes:
        name: one of a kind among all servers.
        endpoint, variant: whose it is.
        status: it takes requests only when it is ready.
        address: where it listens, such as "http://127.0.0.1:40001"; "" before it does.
        server: number of the server's run that started it; with that one it ends.
        started_at: wall clock, seconds since 1970 in UTC.
    """

    name: str
    endpoint: Label
    variant: Label
    status: InstanceStatus = "starting"
    address: Address = ""
    server: int = 0
    started_at: float = 0.0


class Invocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request as a client made it, and where its answer will be.

    Attributes:
        endpoint: which answers it.
        inference_id: one of a kind at its endpoint.
        input_location: address of the input.
        input_digest: SHA-256 of an input that came with the request itself; "" for one that the client had put there.
        output_location, failure_location: addresses of the answer, or of the account of a failure; "" for none.
        content_type, accept, custom_attributes: handed to the model as they are; "" for none.
        priority: requests of a higher one run first.
        ttl_s: longest stay in the queue, all of its stays together, seconds.
        timeout_s: longest run of one attempt, seconds.
    """

    endpoint: Label
    inference_id: InferenceId
    input_location: Address
    input_digest: str = ""
    output_location: Address = ""
    failure_location: Address = ""
    content_type: str = ""
    accept: str = ""
    custom_attributes: str = ""
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] = 0
    ttl_s: Positive = 21_600.0
    timeout_s: Positive = 900.0

    @property
    def asked(self) -> "Invocation":
        """What the client asked for, by which a repetition is told from another request of the same id."""
        return msgspec.structs.replace(self, output_location="", failure_location="")


class Answer(msgspec.Struct, frozen=True):
    """What an attempt came to, as the dispatcher saw it.

    Attributes:
        status: the model's HTTP status; None where it gave none.
        content_type: of the answer.
        bytes: size of the answer.
        download_s, model_s, upload_s: how long each step took; None for a step that was not taken or not ended.
    """

    status: int | None = None
    content_type: str = ""
    bytes: Whole = 0
    download_s: float | None = None
    model_s: float | None = None
    upload_s: float | None = None


class RequestRecord(msgspec.Struct, frozen=True):
    """A request as it stands.

    Attributes:
        number: of acceptance; a greater one came later.
        invocation: what was asked.
        state: queued, running, or how it ended.
        attempts: how many were begun, less those given back.
        token: rises with every claim; only who knows that of the last one may finish the request.
        interruptions: how often it lost its server.
        duplicates: how often an attempt came with an answer when it was not the request's any more, and was refused.
        variant, instance: which work or worked on it; "" before the first.
        server: number of the server's run that holds the lease; None for none.
        reason: why it failed, died, expired or was cancelled, or lost its last attempt.
        answer: of the last attempt; None before.
        accepted_at, started_at, finished_at: wall clock, seconds since 1970 in UTC; None for what has not happened.
    """

    number: int
    invocation: Invocation
    state: RequestState
    attempts: int
    token: int
    interruptions: int
    duplicates: int
    variant: str
    instance: str
    server: int | None
    reason: str
    answer: Answer | None
    accepted_at: float
    started_at: float | None
    finished_at: float | None

    @property
    def finished(self) -> bool:
        """Whether it has come to its end."""
        return self.state in FINISHED


class Lease(msgspec.Struct, frozen=True):
    """The right of an instance to work on a request, until it runs out or is taken away.

    Attributes:
        number: of the request.
        token: which only the holder knows; with another one nothing can be finished.
        instance: the holder.
        attempt: from 1.
        lease_s: seconds from now until it runs out, unless renewed.
        invocation: what to do.
    """

    number: int
    token: int
    instance: str
    attempt: int
    lease_s: float
    invocation: Invocation


class Notification(msgspec.Struct, frozen=True):
    """What is told to a topic when a request has come to its end; each receiver's form is made from it.

    Attributes:
        state: how it ended.
        invocation: what was asked.
        reason: "" where it completed.
        answer: of the last attempt; None where there was none.
        received_at, finished_at: wall clock, seconds since 1970 in UTC.
        include_response: the message carries the response as well, where it is small enough.
    """

    state: RequestState
    invocation: Invocation
    reason: str
    answer: Answer | None
    received_at: float
    finished_at: float
    include_response: bool = False


class Delivery(msgspec.Struct, frozen=True):
    """A message on its way to one receiver.

    Attributes:
        number: of the message; a repetition keeps it.
        line: messages of one line reach their receiver one after another.
        topic: which it was published to; "" for none.
        receiver: address to deliver to.
        body: the message, JSON or whatever was published.
        attempt: from 1.
        lease_s: seconds in which its delivery is to be told of; after that it is tried again.
        published_at: wall clock, seconds since 1970 in UTC.
        request: the number of the request that it tells of; None for another message.
    """

    number: int
    line: str
    topic: str
    receiver: str
    body: str
    attempt: int
    lease_s: float
    published_at: float
    request: int | None = None


Spread = tuple[tuple[int, float], ...]
"""Of each of the buckets that the service's state counts in: its number, and how many values are in it; in order."""


class Sample(msgspec.Struct, frozen=True):
    """What a metric gathered in one period.

    Attributes:
        at: the period's beginning, wall clock, seconds since 1970 in UTC.
        count, total, least, most: number of values, their sum, the least and the greatest.
        spread: of those that are known one by one, where it was asked for.
    """

    at: float
    count: float
    total: float
    least: float
    most: float
    spread: Spread = ()

    @property
    def mean(self) -> float:
        """The average value."""
        return self.total / self.count
