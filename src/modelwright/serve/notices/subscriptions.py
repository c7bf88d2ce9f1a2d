"""Subscriptions: who receives a topic's messages, and how they say that they want to."""

import hmac
from collections.abc import Callable, Mapping

from modelwright.errors import ConflictError, SettingError
from modelwright.records import SubscriptionRecord, to_json
from modelwright.serve.notices.addresses import TOLD, check_reach, receiver_of
from modelwright.serve.notices.filtering import Filter, filter_of
from modelwright.serve.notices.letters import Handshake, id_of
from modelwright.serve.notices.retrying import policy_of
from modelwright.serve.notices.topics import SUBSCRIPTIONS, TOPICS
from modelwright.serve.notices.webhooks import secret_bytes
from modelwright.serve.state import CONFIRMED, Unit, publish

PENDING = "pending"

CHANGEABLE = ("DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "WebhookSecret")
"""Attributes of a subscription that may be set; the last one is Modelwright's own."""


def subscribe(
    unit: Unit,
    topic: str,
    protocol: str,
    endpoint: str,
    ids: Callable[[], str],
    attributes: Mapping[str, str] | None = None,
    *,
    private: bool = True,
) -> tuple[SubscriptionRecord, bool]:
    """Subscribe a receiver to a topic, or find the subscription that is there.

    Receivers of SNS's form are sent a SubscriptionConfirmation, and hear nothing else before it is confirmed. Queues
    and receivers of Modelwright's own protocols were named by somebody who may use this service, and need none.

    Args:
        unit: of work.
        topic: the topic's ARN.
        protocol: one of `PROTOCOLS`.
        endpoint: an URL, or the ARN of a queue or of another service's topic.
        ids: makes names that nobody can guess.
        attributes: as SNS names them.
        private: receivers on this machine and in its network are allowed.

    Returns:
        The subscription, and whether it is confirmed.

    Raises:
        UnknownNameError: there is no such topic.
        SettingError: protocol, endpoint or an attribute breaks its rule.
        ConflictError: the receiver is subscribed with other attributes.
    """
    TOPICS.get(unit.connection, topic)
    check_reach(receiver_of(protocol, endpoint), private=private)
    wanted = _checked(attributes or {})
    there = _there(unit, topic, protocol, endpoint)
    if there is not None:
        if wanted and wanted != there.attributes:
            rule = "a receiver that is subscribed again must be subscribed with the attributes that it has"
            raise ConflictError(rule, where=there.name, value=wanted, way_out="Set its attributes instead.")
        if not there.confirmed:
            _tell(unit, there, "SubscriptionConfirmation")
        return there, there.confirmed
    confirmed = protocol not in TOLD
    name = f"{topic}:{id_of(ids())}"
    record = SubscriptionRecord(name, topic, protocol, endpoint, ids() + ids(), wanted, unit.at, confirmed)
    SUBSCRIPTIONS.create(unit, record, parent=topic, status=CONFIRMED if confirmed else PENDING)
    if not confirmed:
        _tell(unit, record, "SubscriptionConfirmation")
    return record, confirmed


def confirm(unit: Unit, topic: str, token: str) -> SubscriptionRecord:
    """Confirm a subscription by the token that its receiver was sent; again, if need be.

    Raises:
        UnknownNameError: there is no such topic.
        SettingError: the token is none of a subscription of it.
    """
    TOPICS.get(unit.connection, topic)
    for one in SUBSCRIPTIONS.children(unit.connection, topic):
        if hmac.compare_digest(one.token.encode(), token.encode(errors="replace")):
            return one if one.confirmed else _set(unit, one, one.attributes, confirmed=True)
    raise SettingError("a token must be one that was sent to a receiver of the topic", where=topic)


def unsubscribe(unit: Unit, name: str, *, tell: bool = True) -> None:
    """End a subscription; a receiver over HTTP(S) that had confirmed it is told.

    Args:
        unit: of work.
        name: the subscription's ARN.
        tell: whether to tell the receiver.

    Raises:
        UnknownNameError: there is no such subscription.
    """
    there = SUBSCRIPTIONS.get(unit.connection, name)
    SUBSCRIPTIONS.delete(unit, name)
    if tell and there.confirmed and there.protocol in TOLD:
        _tell(unit, there, "UnsubscribeConfirmation")


def set_subscription_attribute(unit: Unit, name: str, attribute: str, value: str) -> SubscriptionRecord:
    """Set an attribute of a subscription; "" takes it away.

    Raises:
        UnknownNameError: there is no such subscription.
        SettingError: there is no such attribute, or the value breaks its rule.
    """
    there = SUBSCRIPTIONS.get(unit.connection, name)
    kept = {key: one for key, one in there.attributes.items() if key != attribute}
    wanted = _checked(kept | {attribute: value})
    return _set(unit, there, wanted, confirmed=there.confirmed)


def filter_for(record: SubscriptionRecord) -> Filter:
    """What a subscription wants to hear of its topic."""
    return filter_of(record.attributes.get("FilterPolicy", ""), record.attributes.get("FilterPolicyScope", ""))


def _checked(attributes: Mapping[str, str]) -> dict[str, str]:
    for name in attributes:
        if name not in CHANGEABLE:
            rule = f"an attribute of a subscription must be one of {', '.join(CHANGEABLE)}"
            raise SettingError(rule, value=name, way_out="What is not delivered is kept here, with the reason.")
    kept = {name: value for name, value in attributes.items() if value}
    if kept.get("RawMessageDelivery", "false").lower() not in ("true", "false"):
        raise SettingError("RawMessageDelivery must be true or false", value=kept["RawMessageDelivery"])
    policy_of(kept.get("DeliveryPolicy", ""))
    filter_of(kept.get("FilterPolicy", ""), kept.get("FilterPolicyScope", ""))
    if "WebhookSecret" in kept:
        secret_bytes(kept["WebhookSecret"])
    return kept


def _there(unit: Unit, topic: str, protocol: str, endpoint: str) -> SubscriptionRecord | None:
    every = SUBSCRIPTIONS.children(unit.connection, topic)
    return next((one for one in every if (one.protocol, one.endpoint) == (protocol, endpoint)), None)


def _set(unit: Unit, there: SubscriptionRecord, attributes: dict[str, str], *, confirmed: bool) -> SubscriptionRecord:
    fields = (there.name, there.topic, there.protocol, there.endpoint, there.token)
    record = SubscriptionRecord(*fields, attributes, there.created_at, confirmed)
    return SUBSCRIPTIONS.replace(unit, record, status=CONFIRMED if confirmed else PENDING)


def _tell(unit: Unit, record: SubscriptionRecord, kind: str) -> None:
    """Write to the receiver itself, which no topic's message reaches."""
    shake = Handshake(
        id_of(f"{kind} {record.name} {unit.server} {unit.t}"),
        kind,  # type: ignore[arg-type]  # one of two
        record.topic,
        record.name,
        record.protocol,
        record.endpoint,
        record.token,
    )
    publish(unit, record.endpoint, to_json(shake).decode(), f"handshake {record.name}")
