"""One attempt at a request: its input is fetched, the model asked, the answer kept, and the end told to the state."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, final

from modelwright.errors import InputError, InstanceError, StoreError
from modelwright.records import Answer, Lease
from modelwright.serve.instances import Answering, invocation_headers
from modelwright.serve.objects import About, OwnObjects, place_of
from modelwright.serve.service.crew import Member
from modelwright.serve.service.inputs import MOST_BYTES, opened
from modelwright.serve.service.ledger import Ledger
from modelwright.serve.service.log import tell, warn
from modelwright.serve.state import complete, fail, give_back, lose

MOST_TOLD = 1024
"""Characters of a model's error that stand in a reason."""

_MOST_ACCOUNT = 1024 * 1024
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
    """

    kind: Literal["answered", "refused", "lost", "unbegun"]
    answer: Answer | None = None
    reason: str = ""
    step: Step = "model"
    at_once: bool = True
    late: bool = False


@final
class Attempt:
    """Works on a lease.

    Attributes:
        lease: the right to it.
        abandoned: the lease was taken away; the instance is let finish, and its answer is not kept.

    Args:
        lease: the right to it.
        member: whose instance works.
        objects: where inputs and answers are.
    """

    def __init__(self, lease: Lease, member: Member, objects: OwnObjects) -> None:
        self.lease = lease
        self.abandoned = False
        self._member = member
        self._objects = objects
        self._loop = asyncio.get_running_loop()
        self._waited_s = 0.0

    async def work(self) -> Outcome:
        """Do it; whatever goes wrong is an outcome."""
        instance, invocation = self._member.instance, self.lease.invocation
        if instance is None:
            return Outcome("unbegun")
        headers = invocation_headers(
            invocation.content_type, invocation.accept, invocation.custom_attributes, invocation.inference_id
        )
        begun = self._loop.time()
        try:
            body = await opened(self._objects, invocation.input_location)
            self._waited_s = self._loop.time() - begun
            calling = instance.invoke(
                headers, self._timed(body), deadline_s=invocation.timeout_s, most_bytes=MOST_BYTES
            )
            asked = self._loop.time()
            async with calling as answering:
                model_s = self._loop.time() - asked
                return await self._kept(answering, model_s)
        except InputError as failure:
            kind = "refused" if failure.lasting else "lost"
            return Outcome(kind, None, str(failure), "download", at_once=False)  # type: ignore[arg-type]  # one of two
        except InstanceError as failure:
            if failure.fate == "unready":
                return Outcome("unbegun")
            if failure.fate == "long":
                return Outcome("refused", Answer(None), str(failure))
            return Outcome("lost", None, str(failure), late=failure.fate == "late")
        except (StoreError, OSError) as failure:
            return Outcome("lost", None, f"the answer could not be kept: {failure}", "upload", at_once=False)

    async def _kept(self, answering: Answering, model_s: float) -> Outcome:
        """Keep the answer, or tell the error."""
        begun = self._loop.time()
        about = About(answering.content_type or "application/octet-stream")
        answer = Answer(answering.status, answering.content_type, 0, self._waited_s, model_s)
        if not 200 <= answering.status < 300:
            return await self._refused(answering, answer)
        if self.abandoned or not self.lease.invocation.output_location:
            await answering.read()
            return Outcome("answered", answer)
        bucket, key = place_of(self.lease.invocation.output_location)
        entry = await self._objects.put(bucket, key, answering.body, about)
        took = self._loop.time() - begun
        return Outcome(
            "answered",
            Answer(answering.status, answering.content_type, entry.size, self._waited_s, model_s, took),
        )

    async def _refused(self, answering: Answering, answer: Answer) -> Outcome:
        account = bytearray()
        async for piece in answering.body:
            account += piece[: _MOST_ACCOUNT - len(account)]
        said = account.decode("utf-8", "replace")[:MOST_TOLD]
        kind = "client" if answering.status < 500 else "server"
        reason = f"ClientError: Received {kind} error ({answering.status}) from model. Its message: {said}"
        location = self.lease.invocation.failure_location
        if location and not self.abandoned:
            bucket, key = place_of(location)
            about = About(answering.content_type or "application/octet-stream")
            await self._objects.put(bucket, key, bytes(account), about)
        size = len(account)
        return Outcome(
            "refused", Answer(answer.status, answer.content_type, size, answer.download_s, answer.model_s), reason
        )

    async def _timed(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of the input; how long their source is waited for is counted."""
        pieces = aiter(body)
        while True:
            begun = self._loop.time()
            piece = await anext(pieces, None)
            self._waited_s += self._loop.time() - begun
            if piece is None:
                return
            yield piece


async def report(ledger: Ledger, attempt: Attempt, outcome: Outcome, objects: OwnObjects) -> None:
    """Tell the state what an attempt came to, however often that takes while its lease may still be held."""
    lease = attempt.lease
    loop = asyncio.get_running_loop()
    until = loop.time() + max(lease.lease_s, _AGAIN_S)
    while True:
        try:
            await _told(ledger, lease, outcome, objects)
            return
        except StoreError as failure:
            warn("not noted", inference_id=lease.invocation.inference_id, error=str(failure))
            if loop.time() > until:
                return
            await asyncio.sleep(_AGAIN_S)


async def _told(ledger: Ledger, lease: Lease, outcome: Outcome, objects: OwnObjects) -> None:
    """Tell it once."""
    who: dict[str, Any] = {"endpoint": lease.invocation.endpoint, "inference_id": lease.invocation.inference_id}
    if outcome.kind == "unbegun":
        await ledger.do(give_back, lease.number, lease.token)
    elif outcome.kind == "answered":
        done = await ledger.do(complete, lease.number, lease.token, outcome.answer or Answer())
        tell("completed" if done else "answer came twice", **who, attempt=lease.attempt)
    elif outcome.kind == "refused":
        state = await ledger.do(fail, lease.number, lease.token, outcome.reason, outcome.answer, outcome.step)
        tell("failed", **who, attempt=lease.attempt, state=state, reason=outcome.reason)
    else:
        state = await ledger.do(lose, lease.number, lease.token, outcome.reason, outcome.step, at_once=outcome.at_once)
        warn("attempt lost", **who, attempt=lease.attempt, state=state, reason=outcome.reason)
        if state == "dead" and lease.invocation.failure_location:
            bucket, key = place_of(lease.invocation.failure_location)
            account = json.dumps({"failureReason": outcome.reason, "attempts": lease.attempt}).encode()
            await objects.put(bucket, key, account, About("application/json"))
