"""Topics: what they are called, what is known of them, and how messages are published to them."""

from collections.abc import Mapping

from modelwright.errors import ConflictError, SettingError
from modelwright.records import SubscriptionRecord, TopicRecord, to_json
from modelwright.serve.notices.letters import Attribute, Letter, id_of
from modelwright.serve.notices.retrying import policy_of
from modelwright.serve.state import Kind, Unit, publish

TOPICS = Kind("topic", TopicRecord, "topic")
SUBSCRIPTIONS = Kind("subscription", SubscriptionRecord, "subscription")
"""Parent: the topic. Those to which messages are copied have the status `modelwright.serve.state.CONFIRMED`."""

MOST_BYTES = 256 * 1024
"""Of a message with its attributes, as SNS allows."""

CHANGEABLE = ("DeliveryPolicy", "DisplayName", "Policy", "SignatureVersion", "TracingConfig")
"""Attributes of a topic that may be set. `Policy` and `TracingConfig` are kept and told back, and do nothing here."""


def topic_arn(region: str, account: str, name: str) -> str:
    """The ARN of a topic of that name."""
    return f"arn:aws:sns:{region}:{account}:{name}"


def create_topic(unit: Unit, arn: str, attributes: Mapping[str, str] | None = None) -> TopicRecord:
    """Make a topic, or find the one that is there.

    Args:
        unit: of work.
        arn: the topic's name.
        attributes: as SNS names them.

    Raises:
        RecordError: it is no topic's ARN.
        SettingError: an attribute breaks its rule.
        ConflictError: there is one with other attributes.
    """
    wanted = dict(attributes or {})
    for name, value in wanted.items():
        _check(name, value)
    there = TOPICS.find(unit.connection, arn)
    if there is None:
        return TOPICS.create(unit, TopicRecord(arn, wanted, unit.at))
    if any(there.attributes.get(name) != value for name, value in wanted.items()):
        rule = "a topic that is made again must be made with the attributes that it has"
        raise ConflictError(rule, where=arn, value=wanted, way_out="Set its attributes instead.")
    return there


def delete_topic(unit: Unit, arn: str) -> None:
    """Remove a topic with its subscriptions; one that is not there is no error. What is under way is given up."""
    if TOPICS.find(unit.connection, arn) is None:
        return
    for one in SUBSCRIPTIONS.children(unit.connection, arn):
        SUBSCRIPTIONS.delete(unit, one.name)
    TOPICS.delete(unit, arn)


def set_topic_attribute(unit: Unit, arn: str, name: str, value: str) -> TopicRecord:
    """Set an attribute of a topic; "" takes it away.

    Raises:
        UnknownNameError: there is no such topic.
        SettingError: there is no such attribute, or the value breaks its rule.
    """
    there = TOPICS.get(unit.connection, arn)
    if value:
        _check(name, value)
    attributes = {key: one for key, one in {**there.attributes, name: value}.items() if one}
    return TOPICS.replace(unit, TopicRecord(arn, attributes, there.created_at))


def publish_to(
    unit: Unit,
    topic: str,
    message: str,
    subject: str = "",
    attributes: Mapping[str, Attribute] | None = None,
    forms: Mapping[str, str] | None = None,
) -> str:
    """Publish a message.

    Args:
        unit: of work.
        topic: the topic's ARN.
        message: the text.
        subject: a line of at most 100 characters; "" for none.
        attributes: by name.
        forms: texts for receivers of one protocol: protocol -> text.

    Returns:
        The message's id.

    Raises:
        UnknownNameError: there is no such topic.
        SettingError: the message is empty or too long.
    """
    TOPICS.get(unit.connection, topic)
    if not message:
        raise SettingError("a message must say something", value=message)
    if len(subject) > 100 or not subject.isprintable():
        raise SettingError("a subject must be one line of at most 100 characters", value=subject)
    said = dict(attributes or {})
    for name, one in said.items():
        _check_attribute(name, one)
    size = len(message.encode()) + sum(len(f"{name}{one.type}{one.value}".encode()) for name, one in said.items())
    if size > MOST_BYTES:
        raise SettingError(f"a message with its attributes must have at most {MOST_BYTES} bytes", value=size)
    drawn = unit.random.getrandbits(64)
    letter = Letter(id_of(f"{topic} {unit.server} {unit.at} {unit.t} {drawn}"), message, subject, said)
    if forms:
        letter = Letter(letter.id, message, subject, said, dict(forms))
    publish(unit, topic, to_json(letter).decode())
    return letter.id


def _check(name: str, value: str) -> None:
    if name not in CHANGEABLE:
        raise SettingError(f"an attribute of a topic must be one of {', '.join(CHANGEABLE)}", value=name)
    if name == "SignatureVersion" and value not in ("1", "2"):
        raise SettingError("a signature's version must be 1 or 2", where=name, value=value)
    if name == "DeliveryPolicy":
        policy_of("", value)


def _check_attribute(name: str, one: Attribute) -> None:
    if not name or len(name) > 256:
        raise SettingError("an attribute's name must have 1 to 256 characters", value=name)
    if one.type.split(".")[0] not in ("String", "Number", "Binary"):
        rule = "an attribute's type must be String, String.Array, Number or Binary"
        raise SettingError(rule, where=name, value=one.type)
    if not one.value:
        raise SettingError("an attribute must have a value", where=name, value=one.value)
