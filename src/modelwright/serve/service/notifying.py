"""Messages of a service are delivered in its name."""

from modelwright.serve.notices import Courier, Poster, Seal, Sender, open_seal
from modelwright.serve.service.service import Deliver, Service
from modelwright.serve.service.site import Site
from modelwright.serve.signing import Keys

FOLDER = "keys"
"""In the service's folder: the key that messages are signed with."""


def seal_of(service: Service) -> Seal:
    """What a service signs its messages with.

    Raises:
        StoreError: it cannot be kept.
    """
    return open_seal(service.site.data / FOLDER, service.clock.now())


def deliverer(base: str, site: Site, keys: Keys | None = None) -> Deliver:
    """What `open_service` delivers messages by.

    Args:
        base: URL of the service, as receivers reach it.
        site: settings of the service.
        keys: for queues and topics of other services; None sends to these without a signature.
    """

    async def deliver(service: Service) -> None:
        sender = Sender(base.rstrip("/"), site.region, seal_of(service), keys)
        poster = Poster(private=site.private)
        courier = Courier(sender, service.ledger, service.store, poster, service.clock)
        await courier.deliver(service.messages)

    return deliver
