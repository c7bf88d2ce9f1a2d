"""A request comes in."""

import functools

from sqlalchemy import Connection, Executable, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from modelwright.errors import ConflictError, RecordError
from modelwright.records import Invocation, RequestRecord, from_json, to_json
from modelwright.serve.state.endpoints import ENDPOINTS
from modelwright.serve.state.metrics import OURS, count, endpoint_dimensions
from modelwright.serve.state.rows import endpoint_of, request_of
from modelwright.serve.state.schema import REQUESTS
from modelwright.serve.state.unit import Unit

_EARLIER = select(REQUESTS).where(
    REQUESTS.c.inference_id == bindparam("inference_id"), REQUESTS.c.endpoint == bindparam("endpoint")
)
_TAKING = ("InService", "Updating")


def accept(unit: Unit, invocation: Invocation) -> RequestRecord:
    """Put a request into its endpoint's queue. Made again, it is answered with what became of the first.

    Raises:
        UnknownNameError: there is no such endpoint.
        RecordError: the invocation breaks a rule, or its endpoint answers at once and keeps no queue.
        ConflictError: the endpoint is not in service, or has had another request of that inference id.
    """
    try:
        text = to_json(invocation).decode()
    except UnicodeEncodeError as failure:
        raise RecordError("an invocation must be of whole characters", where=f"{invocation.endpoint}") from failure
    invocation = from_json(text, Invocation)
    _check_endpoint(unit, invocation.endpoint)
    row = unit.connection.execute(_adding(unit.connection.dialect.name), _row(unit, invocation, text)).first()
    if row is None:
        return _earlier(unit.connection, invocation)
    count(unit, "AcceptedRequests", endpoint_dimensions(invocation.endpoint), namespace=OURS)
    return request_of(row)


@functools.cache
def _adding(dialect: str) -> Executable:
    """The statement that adds a request, unless there is one of its id, and says what it added."""
    insert = postgresql.insert(REQUESTS) if dialect == "postgresql" else sqlite.insert(REQUESTS)
    return insert.on_conflict_do_nothing(index_elements=["inference_id", "endpoint"]).returning(REQUESTS)


def _row(unit: Unit, invocation: Invocation, text: str) -> dict[str, object]:
    return {
        "endpoint": invocation.endpoint,
        "inference_id": invocation.inference_id,
        "state": "queued",
        "priority": invocation.priority,
        "invocation": text,
        "attempts": 0,
        "token": 0,
        "interruptions": 0,
        "duplicates": 0,
        "variant": "",
        "instance": "",
        "reason": "",
        "accepted_at": unit.at,
        "accepted_t": unit.t,
        "due_t": unit.t,
        "left_s": invocation.ttl_s,
        "expires_t": unit.t + invocation.ttl_s,
        "lease_s": 0.0,
    }


def _check_endpoint(unit: Unit, name: str) -> None:
    endpoint = endpoint_of(unit, name)
    if endpoint is None:
        ENDPOINTS.get(unit.connection, name)  # which says so
    elif endpoint.settings is None:
        rule = "an endpoint must have settings for asynchronous requests to take one"
        raise RecordError(rule, where=name, way_out="Ask it for an answer at once.")
    elif endpoint.status not in _TAKING:
        way_out = "Wait until it is in service." if endpoint.status == "Creating" else "Ask another endpoint."
        raise ConflictError(
            "an endpoint must be in service to take requests", where=name, value=endpoint.status, way_out=way_out
        )


def _earlier(connection: Connection, invocation: Invocation) -> RequestRecord:
    """The request of that id that was taken before.

    Raises:
        ConflictError: it asks for something else.
    """
    key = {"inference_id": invocation.inference_id, "endpoint": invocation.endpoint}
    earlier = request_of(connection.execute(_EARLIER, key).one())
    if earlier.invocation.asked != invocation.asked:
        where = f"{invocation.endpoint}, {invocation.inference_id}"
        rule = "requests of one inference id must be the same in all that they ask for"
        raise ConflictError(rule, where=where, way_out="Give another request an id of its own.")
    return earlier
