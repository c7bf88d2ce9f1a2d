"""What the service knows and never loses: requests, leases, messages on their way, entities, metrics; in one database.

    state = State.open("serve.db")
    record = state.submit(accept, invocation).result()
    (lease,) = state.submit(claim, "instance-1", "main", ["summarizer"]).result()
    state.submit(complete, lease.number, lease.token, Answer(200)).result()
    state.read(requests, "summarizer", ["completed"])

Functions that take a `Unit` change something and are handed to `State.submit`; those that take a `Connection` read, and
are handed to `State.read`.
"""

from modelwright.serve.state.accepting import accept
from modelwright.serve.state.ending import UNACCOUNTED, complete, fail, lose
from modelwright.serve.state.endpoints import (
    CONFIGURATIONS,
    ENDPOINTS,
    INSTANCES,
    MODELS,
    add_instance,
    close_endpoint,
    create_configuration,
    create_endpoint,
    create_model,
    instances_of,
    remove_endpoint,
    set_instance,
    set_status,
    set_variants,
    update_endpoint,
)
from modelwright.serve.state.entities import Kind, Listing, Page
from modelwright.serve.state.fates import after_error, after_loss, wait_s
from modelwright.serve.state.leasing import claim, give_back, renew
from modelwright.serve.state.metrics import (
    AWS,
    OURS,
    count,
    dimensions_of,
    endpoint_dimensions,
    listed,
    measure,
    put,
    series,
)
from modelwright.serve.state.outbox import (
    CONFIRMED,
    DELIVERY,
    delivered,
    due,
    give_up,
    not_delivered,
    publish,
    redeliver,
)
from modelwright.serve.state.queries import (
    Message,
    Requests,
    counts,
    messages,
    next_delivery_t,
    request,
    requests,
    requests_named,
)
from modelwright.serve.state.readings import GAUGES, reading, sample
from modelwright.serve.state.retention import clean_up
from modelwright.serve.state.servers import others as other_servers
from modelwright.serve.state.spread import bucket_of, joined, middle_of, percentile
from modelwright.serve.state.state import State
from modelwright.serve.state.sweeping import Swept, cancel, cancel_queued, redrive, sweep, take_over
from modelwright.serve.state.tally import Gathered, Total
from modelwright.serve.state.timeline import Moment, Timeline
from modelwright.serve.state.unit import Unit

__all__ = [
    "AWS",
    "CONFIGURATIONS",
    "CONFIRMED",
    "DELIVERY",
    "ENDPOINTS",
    "GAUGES",
    "INSTANCES",
    "MODELS",
    "OURS",
    "UNACCOUNTED",
    "Gathered",
    "Kind",
    "Listing",
    "Message",
    "Moment",
    "Page",
    "Requests",
    "State",
    "Swept",
    "Timeline",
    "Total",
    "Unit",
    "accept",
    "add_instance",
    "after_error",
    "after_loss",
    "bucket_of",
    "cancel",
    "cancel_queued",
    "claim",
    "clean_up",
    "close_endpoint",
    "complete",
    "count",
    "counts",
    "create_configuration",
    "create_endpoint",
    "create_model",
    "delivered",
    "dimensions_of",
    "due",
    "endpoint_dimensions",
    "fail",
    "give_back",
    "give_up",
    "instances_of",
    "joined",
    "listed",
    "lose",
    "measure",
    "messages",
    "middle_of",
    "next_delivery_t",
    "not_delivered",
    "other_servers",
    "percentile",
    "publish",
    "put",
    "reading",
    "redeliver",
    "redrive",
    "remove_endpoint",
    "renew",
    "request",
    "requests",
    "requests_named",
    "sample",
    "series",
    "set_instance",
    "set_status",
    "set_variants",
    "sweep",
    "take_over",
    "update_endpoint",
    "wait_s",
]
