"""The loop that takes messages out of the outbox and brings them to their receivers: at least once, in order, or kept.

An answer of 2xx is a delivery. Errors of the server (5xx), 408, 425, 429 and no answer at all are tried again, as the
delivery policy says. Whatever else a receiver answers is its last word.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar, final
from urllib.parse import urlsplit

from sqlalchemy import Connection

from modelwright.clock import Clock
from modelwright.errors import ModelwrightError, ObjectError, StoreError
from modelwright.records import Delivery, Notification, Retry, SubscriptionRecord, TopicRecord
from modelwright.serve.notices.accounts import is_account, keep_account
from modelwright.serve.notices.addresses import direct_receiver, receiver_of
from modelwright.serve.notices.letters import Handshake, Letter, opened
from modelwright.serve.notices.posting import Poster, Reply, Silence
from modelwright.serve.notices.queues import throttled
from modelwright.serve.notices.retrying import worth_another
from modelwright.serve.notices.sagemaker import MOST_INCLUDED
from modelwright.serve.notices.subscriptions import filter_for
from modelwright.serve.notices.topics import SUBSCRIPTIONS, TOPICS
from modelwright.serve.notices.writing import Parcel, Sender, text_of, write
from modelwright.serve.objects import Objects, place_of
from modelwright.serve.state import (
    DELIVERY,
    State,
    Unit,
    delivered,
    due,
    give_up,
    next_delivery_t,
    not_delivered,
)

MOST_HELD, MOST_AT_ONCE, MOST_AT_ONE = 1024, 64, 16
"""Messages that are taken, that are under way, and that are under way to one receiver."""

LEASE_S = 90.0
"""In which the delivery of a message is told of, seconds; half of it may be spent on waiting for others."""

_IDLE_S = 60.0
_AGAIN_S = 1.0
_MOST_TOLD = 200
_LOGGER = logging.getLogger("modelwright.serve")

P = ParamSpec("P")
T = TypeVar("T")


class Books(Protocol):
    """The state as an event loop uses it."""

    @property
    def state(self) -> State:
        """The state itself."""
        ...

    async def do(self, change: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a change made."""
        ...

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer to a question."""
        ...


@final
@dataclass(frozen=True)
class Verdict:
    """What came of an attempt.

    Attributes:
        reason: why the message was not delivered; "" where it was.
        again: it is tried again.
        retry: how.
    """

    reason: str = ""
    again: bool = False
    retry: Retry = DELIVERY


@final
class Courier:
    """Brings messages to their receivers.

    Args:
        sender: in whose name.
        books: where the messages are.
        objects: where answers are that a message includes.
        poster: posts.
        clock: tells the time.
    """

    def __init__(self, sender: Sender, books: Books, objects: Objects, poster: Poster, clock: Clock) -> None:
        self._sender, self._books, self._objects = sender, books, objects
        self._poster, self._clock = poster, clock
        self._held: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._doors: dict[str, asyncio.Semaphore] = {}
        self._waiting: Counter[str] = Counter()

    async def deliver(self, wake: asyncio.Event) -> None:
        """Deliver for ever; when this is cancelled, what is under way is given up and is due again later.

        Args:
            wake: set when there may be something new.
        """
        try:
            while True:
                wake.clear()
                wait_s = await self._take(wake)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await wake.wait()
        finally:
            for task in self._held:
                task.cancel()
            await asyncio.gather(*self._held, return_exceptions=True)
            self._poster.close()

    async def _take(self, wake: asyncio.Event) -> float:
        """Take what is due, and begin with it; seconds until something else may be."""
        try:
            next_t = await self._books.read(next_delivery_t)
            if next_t is None:
                return _IDLE_S
            wait_s = next_t - self._books.state.now().t
            if wait_s > 0:
                return min(wait_s, _IDLE_S)
            room = MOST_HELD - len(self._held)
            taken = await self._books.do(due, room, LEASE_S) if room else []
        except StoreError as failure:
            _LOGGER.warning("messages not taken", extra={"fields": {"error": str(failure)}})
            return _AGAIN_S
        for delivery in taken:
            task = asyncio.create_task(self._settled(delivery))
            self._held.add(task)
            task.add_done_callback(self._held.discard)
            task.add_done_callback(lambda _: wake.set())
        return 0.0 if taken else _AGAIN_S

    async def _settled(self, delivery: Delivery) -> None:
        """Try to deliver a message, and write down what came of it."""
        verdict = await self._tried(delivery)
        try:
            if not verdict.reason:
                await self._books.do(delivered, delivery.number)
                return
            if verdict.again:
                again = await self._books.do(not_delivered, delivery, verdict.reason, verdict.retry)
            else:
                again = not await self._books.do(give_up, delivery.number, verdict.reason)
        except StoreError as failure:  # it will be due again when its lease has run out
            verdict, again = Verdict(f"not noted: {failure}"), True
        told = {"message": delivery.number, "receiver": _shown(delivery.receiver), "attempt": delivery.attempt}
        event = "message not delivered" if again else "message kept as undelivered"
        _LOGGER.warning(event, extra={"fields": told | {"reason": verdict.reason}})

    async def _tried(self, delivery: Delivery) -> Verdict:
        retry = DELIVERY
        try:
            parcel = await self._parcel(delivery)
            if isinstance(parcel, Verdict):
                return parcel
            retry = parcel.policy.retry(delivery.attempt)
            sheet = write(self._sender, parcel, self._clock.now())
            async with self._door(sheet.url):
                reply = await self._poster.post(sheet.url, sheet.headers, sheet.body)
            return _verdict(reply, retry, service=parcel.receiver.form in ("sqs", "relay"))
        except TimeoutError:
            return Verdict("others before it kept the receiver busy", True, retry)
        except ObjectError as failure:  # the store's last word
            return Verdict(str(failure))
        except StoreError as failure:
            return Verdict(str(failure), True, retry)
        except ModelwrightError as failure:
            return Verdict(str(failure))
        except Exception as failure:  # noqa: BLE001  # a message that breaks something stops no other
            return Verdict(f"it cannot be written: {failure!r}")

    async def _parcel(self, delivery: Delivery) -> Parcel | Verdict:
        """A message with all that is known of where it goes, or what there is to say instead."""
        body = opened(delivery)
        if isinstance(body, Handshake):
            return await self._handshake(delivery, body)
        if isinstance(body, Notification):
            only = is_account(delivery.receiver, body)
            with contextlib.nullcontext() if only else contextlib.suppress(ObjectError):
                await keep_account(self._objects, body)  # first: whoever is told of the end may look for it
            if only:
                return Verdict()
        subscription, topic = await self._books.read(_known, delivery)
        if subscription is None:
            receiver = direct_receiver(delivery.receiver)
            elsewhere = delivery.receiver.startswith("arn:")
            if receiver is None or (elsewhere and self._sender.keys is None):
                return Verdict("there is no such subscription, topic or receiver")
            return Parcel(delivery, body, receiver, response=await self._response(body))
        receiver = receiver_of(subscription.protocol, subscription.endpoint)
        parcel = Parcel(delivery, body, receiver, subscription, topic, await self._response(body))
        letter = body.attributes if isinstance(body, Letter) else {}
        wanted = filter_for(subscription).wants(text_of(parcel, self._sender.region), letter)
        return parcel if wanted else Verdict()

    async def _handshake(self, delivery: Delivery, body: Handshake) -> Parcel | Verdict:
        subscription = await self._books.read(SUBSCRIPTIONS.find, body.subscription)
        topic = await self._books.read(TOPICS.find, body.topic)
        if body.kind == "SubscriptionConfirmation" and (subscription is None or subscription.confirmed):
            return Verdict()
        return Parcel(delivery, body, receiver_of(body.protocol, body.endpoint), None, topic)

    async def _response(self, body: object) -> bytes | None:
        """What is included of an answer; None where that is not asked for, not there, or too long."""
        if not isinstance(body, Notification) or not body.include_response:
            return None
        asked = body.invocation
        location = asked.output_location if body.state == "completed" else asked.failure_location
        if not location:
            return None
        try:
            found = await self._objects.get(*place_of(location))
        except ObjectError:
            return None
        return await found.read() if found.entry.size <= MOST_INCLUDED else None

    @contextlib.asynccontextmanager
    async def _door(self, url: str) -> AsyncIterator[None]:
        """A place among all that are under way, and among those to this receiver.

        Raises:
            TimeoutError: none has become free for too long.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        door = self._doors.setdefault(origin, asyncio.Semaphore(MOST_AT_ONE))
        self._waiting[origin] += 1
        try:
            async with asyncio.timeout(LEASE_S / 2):
                await door.acquire()
            try:
                async with self._places:
                    yield
            finally:
                door.release()
        finally:
            self._waiting[origin] -= 1
            if not self._waiting[origin]:
                del self._waiting[origin], self._doors[origin]


def _known(connection: Connection, delivery: Delivery) -> tuple[SubscriptionRecord | None, TopicRecord | None]:
    return SUBSCRIPTIONS.find(connection, delivery.receiver), TOPICS.find(connection, delivery.topic)


def _verdict(reply: Reply | Silence, retry: Retry, *, service: bool) -> Verdict:
    if isinstance(reply, Silence):
        return Verdict(reply.reason, reply.again, retry)
    if 200 <= reply.status < 300:
        return Verdict()
    said = reply.body[:_MOST_TOLD].decode("utf-8", "replace")
    again = worth_another(reply.status) or (service and throttled(reply.status, reply.body))
    return Verdict(f"the receiver answered {reply.status}: {said}", again, retry)


def _shown(receiver: str) -> str:
    """A receiver without what may be a secret in its URL."""
    parts = urlsplit(receiver)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else receiver
