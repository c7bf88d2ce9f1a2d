"""What an attempt came to, told to the state: with an account of the failure where a request fails for good."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Literal, final

from sqlalchemy import Connection

from modelwright.errors import StoreError
from modelwright.records import Answer, EndpointSettings, Lease, RequestState
from modelwright.serve.objects import About, Objects, place_of
from modelwright.serve.service.ledger import Ledger
from modelwright.serve.service.log import tell, warn
from modelwright.serve.state import ENDPOINTS, after_error, after_loss, complete, fail, give_back, lose

_AGAIN_S = 1.0

Step = Literal["download", "model", "upload"]


@final
@dataclass(frozen=True)
class Outcome:
    """What an attempt came to.

    Attributes:
        kind: answered; refused: an error that was answered; lost: no answer; unbegun: it was not the instance's turn.
        answer: as far as there was one.
        reason: why not.
        step: that failed.
        at_once: whether to try again without waiting.
        late: the instance may be at it still.
        account: what the model answered in place of a result.
    """

    kind: Literal["answered", "refused", "lost", "unbegun"]
    answer: Answer | None = None
    reason: str = ""
    step: Step = "model"
    at_once: bool = True
    late: bool = False
    account: bytes = b""


async def report(ledger: Ledger, lease: Lease, outcome: Outcome, objects: Objects) -> None:
    """Tell the state what an attempt came to, however often that takes while its lease may still be held.

    Args:
        ledger: the state.
        lease: of the attempt.
        outcome: what it came to.
        objects: where an account of a failure is kept, before the request ends by it.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + max(lease.lease_s, _AGAIN_S)
    while True:
        try:
            if lease.invocation.failure_location and outcome.kind in ("refused", "lost"):
                await _account(ledger, lease, outcome, objects)
            await _told(ledger, lease, outcome)
            return
        except StoreError as failure:
            warn("not noted", inference_id=lease.invocation.inference_id, error=str(failure))
            if loop.time() > until:
                return
            await asyncio.sleep(_AGAIN_S)


async def _account(ledger: Ledger, lease: Lease, outcome: Outcome, objects: Objects) -> None:
    """Keep an account of a failure, if it is the request's end. Clients take one that is there for just that."""
    settings = await ledger.read(_settings, lease.invocation.endpoint)
    if settings is None or _after(lease, outcome, settings) == "queued":
        return
    bucket, key = place_of(lease.invocation.failure_location)
    told = {"failureReason": outcome.reason, "attempts": lease.attempt, "inferenceId": lease.invocation.inference_id}
    kind = outcome.answer.content_type if outcome.answer and outcome.account else "application/json"
    content = outcome.account or json.dumps(told).encode()
    await objects.put(bucket, key, content, About(kind or "application/octet-stream"))


def _after(lease: Lease, outcome: Outcome, settings: EndpointSettings) -> RequestState:
    """What the state will say has become of the request."""
    if outcome.kind == "lost":
        return after_loss(lease.attempt, settings.retry)
    status = outcome.answer.status if outcome.answer else None
    return after_error(lease.attempt, settings.retry, status) if outcome.step == "model" else "failed"


async def _told(ledger: Ledger, lease: Lease, outcome: Outcome) -> None:
    """Tell it once."""
    number, token = lease.number, lease.token
    who: dict[str, Any] = {"endpoint": lease.invocation.endpoint, "inference_id": lease.invocation.inference_id}
    who["attempt"] = lease.attempt
    if outcome.kind == "unbegun":
        await ledger.do(give_back, number, token)
    elif outcome.kind == "answered":
        done = await ledger.do(complete, number, token, outcome.answer or Answer())
        tell("completed" if done else "answer came twice", **who)
    elif outcome.kind == "refused":
        state = await ledger.do(fail, number, token, outcome.reason, outcome.answer, outcome.step)
        tell("failed", **who, state=state, reason=outcome.reason)
    else:
        state = await ledger.do(lose, number, token, outcome.reason, outcome.step, at_once=outcome.at_once)
        warn("attempt lost", **who, state=state, reason=outcome.reason)


def _settings(connection: Connection, endpoint: str) -> EndpointSettings | None:
    found = ENDPOINTS.find(connection, endpoint)
    return found.settings if found else None
