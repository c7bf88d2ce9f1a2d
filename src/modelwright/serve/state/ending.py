"""Attempts end, and requests with them: each end is written together with its counts and with whom it is told."""

from typing import Any, Literal

from sqlalchemy import Row, bindparam, select, update

from modelwright.records import Answer, Notification, RequestState, Retry, to_json
from modelwright.serve.state import outbox
from modelwright.serve.state.fates import after_error, after_interruption, after_loss, wait_s
from modelwright.serve.state.metrics import OURS, count, endpoint_dimensions, measure
from modelwright.serve.state.rows import clean, endpoint_of, request_of, settings_of
from modelwright.serve.state.schema import REQUESTS, in_state
from modelwright.serve.state.unit import Unit

Step = Literal["download", "model", "upload"]
"""Of an attempt: fetching the input, asking the model, keeping the answer."""

UNACCOUNTED: tuple[RequestState, ...] = ("expired", "cancelled", "dead")
"""Ends that may come without an attempt that could leave an account of the failure; the outbox has one delivered."""

_R = REQUESTS.c
_RUNNING = in_state(REQUESTS, "running")
_HELD = select(REQUESTS).where(_RUNNING, _R.id == bindparam("number"), _R.token == bindparam("held")).with_for_update()
_END = (
    update(REQUESTS)
    .where(_R.id == bindparam("number"))
    .values(
        {name: bindparam(f"new_{name}") for name in ("state", "reason", "answer", "finished_at", "keep_t", "left_s")}
        | dict.fromkeys(("server", "lease_t", "timeout_t"))
    )
)
_AGAIN = (
    update(REQUESTS)
    .where(_R.id == bindparam("number"))
    .values(
        {name: bindparam(f"new_{name}") for name in ("attempts", "interruptions", "reason", "answer", "due_t")}
        | {"state": "queued", "expires_t": bindparam("now") + _R.left_s}
        | dict.fromkeys(("server", "lease_t", "timeout_t"))
    )
)


def complete(unit: Unit, number: int, token: int, answer: Answer) -> bool:
    """End a request with its answer.

    Args:
        unit: of work.
        number: of the lease.
        token: of the lease.
        answer: which lies at the request's output location by now.

    Returns:
        Whether it was accepted. Where the request had ended or another attempt had begun, it was refused and counted.
    """
    row = _held(unit, number, token)
    if row is None:
        _mark(unit, number)
        return False
    _count_attempt(unit, row, answer)
    finish(unit, row, "completed", "", answer)
    return True


def fail(
    unit: Unit, number: int, token: int, reason: str, answer: Answer | None = None, step: Step = "model"
) -> RequestState | None:
    """End an attempt with an error that was answered: by the model, or by the store that holds its input.

    Args:
        unit: of work.
        number: of the lease.
        token: of the lease.
        reason: what was answered.
        answer: as far as there was one.
        step: that failed.

    Returns:
        What has become of the request: failed, or queued where its endpoint has errors tried again; None where the
        lease was not held any more.
    """
    row = _held(unit, number, token)
    if row is None:
        _mark(unit, number)
        return None
    _count_attempt(unit, row, answer, step)
    retry = settings_of(unit, row.endpoint).retry
    state = after_error(row.attempts, retry, answer.status if answer else None) if step == "model" else "failed"
    if state == "queued":
        _again(unit, row, reason, answer, wait=_drawn_wait(unit, row, retry))
    else:
        finish(unit, row, state, reason, answer)
    return state


def lose(
    unit: Unit, number: int, token: int, reason: str, step: Step = "model", *, at_once: bool = True
) -> RequestState | None:
    """End an attempt that came to no answer: its instance died, hung or ran out of time, or the store was out of reach.

    Args:
        unit: of work.
        number: of the lease.
        token: of the lease.
        reason: what happened.
        step: in which it did.
        at_once: try again without waiting, as is right where the fault was the instance's.

    Returns:
        What has become of the request: queued, or dead after the last attempt; None where the lease was not held any
        more.
    """
    row = _held(unit, number, token)
    if row is None:
        return None
    _count_attempt(unit, row, None, step)
    return lost(unit, row, reason, at_once=at_once)


def lost(unit: Unit, row: Row[Any], reason: str, *, at_once: bool = True) -> RequestState:
    """Let a running request be tried again after an attempt without an answer, or be dead; which of the two."""
    retry = settings_of(unit, row.endpoint).retry
    state = after_loss(row.attempts, retry)
    count(unit, "LostAttempts", endpoint_dimensions(row.endpoint, row.variant), namespace=OURS)
    if state == "queued":
        _again(unit, row, reason, None, wait=0.0 if at_once else _drawn_wait(unit, row, retry))
    else:
        finish(unit, row, state, reason, None)
    return state


def interrupted(unit: Unit, row: Row[Any]) -> RequestState:
    """Let a running request whose server has ended be tried again; that was no attempt of its own."""
    reason, interruptions = "its server ended", row.interruptions + 1
    _again(unit, row, reason, None, attempts=row.attempts - 1, interruptions=interruptions)
    state = after_interruption(interruptions, settings_of(unit, row.endpoint).retry)
    if state == "dead":
        finish(unit, row, state, reason, None)
    return state


def finish(unit: Unit, row: Row[Any], state: RequestState, reason: str, answer: Answer | None) -> None:
    """Bring a request to its end, with what is counted and told of it."""
    endpoint, settings = endpoint_of(unit, row.endpoint), settings_of(unit, row.endpoint)
    invocation = request_of(row).invocation
    left_s = row.left_s if row.state == "running" else row.expires_t - unit.t
    new = {"state": state, "reason": clean(reason), "finished_at": unit.at, "keep_t": unit.t + settings.keep_s}
    new |= {"left_s": left_s, "answer": _text(answer)}
    unit.connection.execute(_END, {"number": row.id} | {f"new_{name}": value for name, value in new.items()})
    variant = row.variant or (endpoint.variants[0].name if endpoint else "")
    _count_end(unit, row, state, variant, invocation.ttl_s - left_s)
    topic = settings.success_topic if state == "completed" else settings.error_topic
    include = ("success" if state == "completed" else "error") in settings.include_response_in
    told = Notification(state, invocation, clean(reason), answer, row.accepted_at, unit.at, include)
    if state in UNACCOUNTED and invocation.failure_location:
        outbox.publish(unit, invocation.failure_location, to_json(told).decode(), request=row.id)
    if topic:
        outbox.publish(unit, topic, to_json(told).decode(), f"request {row.id}", row.id)


def _held(unit: Unit, number: int, token: int) -> Row[Any] | None:
    """The row of a request whose lease is still held; None of another."""
    return unit.connection.execute(_HELD, {"number": number, "held": token}).first()


def _mark(unit: Unit, number: int) -> None:
    """Mark a request for which an answer came that was not wanted any more."""
    marking = update(REQUESTS).where(_R.id == number).values(duplicates=_R.duplicates + 1)
    row = unit.connection.execute(marking.returning(_R.endpoint, _R.variant)).first()
    if row is not None:
        count(unit, "DuplicateAnswers", endpoint_dimensions(row.endpoint, row.variant), namespace=OURS)


def _again(
    unit: Unit,
    row: Row[Any],
    reason: str,
    answer: Answer | None,
    *,
    wait: float = 0.0,
    attempts: int | None = None,
    interruptions: int | None = None,
) -> None:
    """Put a running request back into the queue."""
    new = {"reason": clean(reason), "answer": _text(answer), "due_t": unit.t + wait}
    new["attempts"] = row.attempts if attempts is None else attempts
    new["interruptions"] = row.interruptions if interruptions is None else interruptions
    terms = {"number": row.id, "now": unit.t} | {f"new_{name}": value for name, value in new.items()}
    unit.connection.execute(_AGAIN, terms)


def _drawn_wait(unit: Unit, row: Row[Any], retry: Retry) -> float:
    return wait_s(row.attempts, retry.first_s, retry.longest_s, unit.random.random())


def _text(answer: Answer | None) -> str | None:
    return None if answer is None else to_json(answer).decode()


def _count_attempt(unit: Unit, row: Row[Any], answer: Answer | None, failed: Step | None = None) -> None:
    """What AWS counts of each attempt: latencies in microseconds, errors as 1 or 0 of all that were answered."""
    where = endpoint_dimensions(row.endpoint, row.variant)
    if failed == "download":
        count(unit, "RequestDownloadFailures", where)
    if failed == "upload":
        count(unit, "ResponseUploadFailures", where)
    if answer is None:
        return
    steps = {
        "RequestDownloadLatency": answer.download_s,
        "ModelLatency": answer.model_s,
        "ResponseUploadLatency": answer.upload_s,
    }
    for name, seconds in steps.items():
        if seconds is not None:
            measure(unit, name, where, seconds * 1e6)
    if answer.status is not None:
        measure(unit, "Invocation4XXErrors", where, float(400 <= answer.status < 500))
        measure(unit, "Invocation5XXErrors", where, float(answer.status >= 500))


def _count_end(unit: Unit, row: Row[Any], state: RequestState, variant: str, waited_s: float) -> None:
    """What is counted of each request at its end: times in milliseconds."""
    where = endpoint_dimensions(row.endpoint, variant)
    if state == "expired":
        count(unit, "ExpiredRequests", where)
    elif state == "cancelled":
        count(unit, "CancelledRequests", where, namespace=OURS)
    else:
        count(unit, "InvocationsProcessed", where)
        measure(unit, "TimeInBacklog", where, waited_s * 1e3)
        measure(unit, "TotalProcessingTime", where, (unit.t - row.accepted_t) * 1e3)
    if state in ("failed", "dead"):
        count(unit, "InvocationFailures", where)
    if state == "dead":
        count(unit, "DeadRequests", where, namespace=OURS)
