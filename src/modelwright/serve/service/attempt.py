"""One attempt at a request: its input is fetched, the model asked, the answer kept, or what stood in the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import final

from msgspec.structs import replace

from modelwright.errors import InputError, InstanceError, StoreError
from modelwright.records import Answer, Lease
from modelwright.serve.instances import Answering, invocation_headers
from modelwright.serve.objects import About, Objects, place_of
from modelwright.serve.service.crew import Member
from modelwright.serve.service.inputs import MOST_BYTES, Inputs
from modelwright.serve.service.outcome import Outcome

MOST_TOLD = 1024
"""Characters of a model's error that stand in a reason."""

_MOST_ACCOUNT = 1024 * 1024


@final
class Attempt:
    """Works on a lease.

    Attributes:
        lease: the right to it.
        abandoned: the lease was taken away; the instance is let finish, and its answer is not kept.

    Args:
        lease: the right to it.
        member: whose instance works.
        inputs: where inputs are.
        objects: where answers are kept.
    """

    def __init__(self, lease: Lease, member: Member, inputs: Inputs, objects: Objects) -> None:
        self.lease = lease
        self.abandoned = False
        self._member = member
        self._inputs = inputs
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
            body = await self._inputs.opened(invocation.input_location)
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
        """The model's error as it was answered, of which some bytes are kept as an account of the failure."""
        account = bytearray()
        async for piece in answering.body:
            account += piece[: _MOST_ACCOUNT - len(account)]
        said = account.decode("utf-8", "replace")[:MOST_TOLD]
        kind = "client" if answering.status < 500 else "server"
        reason = f"ClientError: Received {kind} error ({answering.status}) from model. Its message: {said}"
        return Outcome("refused", replace(answer, bytes=len(account)), reason, account=bytes(account))

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
