"""sns: topics, subscriptions and messages, by the query protocol."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from modelwright.errors import ModelwrightError, RefusedError, UnknownNameError
from modelwright.records import SubscriptionRecord
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.forms import Entries, query_reply
from modelwright.serve.aws.operations import arn
from modelwright.serve.aws.pages import paged
from modelwright.serve.aws.refusals import refused
from modelwright.serve.notices import (
    SUBSCRIPTIONS,
    TOPICS,
    Attribute,
    confirm,
    create_topic,
    delete_topic,
    publish_to,
    set_subscription_attribute,
    set_topic_attribute,
    subscribe,
    unsubscribe,
)
from modelwright.serve.service import Service

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
_PAGE = 100
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}(\.fifo)?")

Fields = Mapping[str, str]
Operation = Callable[[Service, Fields], Awaitable[Mapping[str, Any]]]


async def answer(service: Service, request: Request, fields: Fields) -> Reply:
    """Answer one request.

    Raises:
        ModelwrightError: it is refused.
    """
    action = fields.get("Action", "")
    if action not in OPERATIONS:
        raise RefusedError("InvalidAction", "the action must be one of SNS's that is served here", value=action[:80])
    content = await OPERATIONS[action](service, fields)
    service.messages.set()
    return query_reply(action, content, request.id, NAMESPACE)


async def _create_topic(service: Service, fields: Fields) -> dict[str, Any]:
    name = _needed(fields, "Name")
    if not _NAME.fullmatch(name) or name.endswith(".fifo"):
        raise _invalid("a topic's name must be 1 to 256 letters, digits, - or _; FIFO topics are not served", name)
    record = await service.ledger.do(create_topic, arn(service, "sns", name), _entries(fields, "Attributes"))
    return {"TopicArn": record.name}


async def _delete_topic(service: Service, fields: Fields) -> dict[str, Any]:
    await service.ledger.do(delete_topic, _needed(fields, "TopicArn"))
    return {}


async def _list_topics(service: Service, fields: Fields) -> dict[str, Any]:
    every = await service.ledger.read(TOPICS.all)
    shown, token = paged(every, _PAGE, fields.get("NextToken", ""), "InvalidParameter")
    return {"Topics": [{"TopicArn": one.name} for one in shown], "NextToken": token or None}


async def _topic_attributes(service: Service, fields: Fields) -> dict[str, Any]:
    name = _needed(fields, "TopicArn")
    topic = await service.ledger.read(TOPICS.get, name)
    subscriptions = await service.ledger.read(SUBSCRIPTIONS.children, name)
    told = {
        "TopicArn": name,
        "Owner": service.site.account,
        "DisplayName": "",
        "SubscriptionsConfirmed": str(sum(one.confirmed for one in subscriptions)),
        "SubscriptionsPending": str(sum(not one.confirmed for one in subscriptions)),
        "SubscriptionsDeleted": "0",
        **topic.attributes,
    }
    return {"Attributes": Entries(told)}


async def _set_topic_attributes(service: Service, fields: Fields) -> dict[str, Any]:
    name, value = _needed(fields, "AttributeName"), fields.get("AttributeValue", "")
    await service.ledger.do(set_topic_attribute, _needed(fields, "TopicArn"), name, value)
    return {}


async def _subscribe(service: Service, fields: Fields) -> dict[str, Any]:
    record, confirmed = await service.ledger.do(
        subscribe,
        _needed(fields, "TopicArn"),
        _needed(fields, "Protocol"),
        _needed(fields, "Endpoint"),
        service.ids,
        _entries(fields, "Attributes"),
        private=service.site.private,
    )
    told = confirmed or fields.get("ReturnSubscriptionArn", "").lower() == "true"
    return {"SubscriptionArn": record.name if told else "pending confirmation"}


async def _confirm(service: Service, fields: Fields) -> dict[str, Any]:
    record = await service.ledger.do(confirm, _needed(fields, "TopicArn"), _needed(fields, "Token"))
    return {"SubscriptionArn": record.name}


async def _unsubscribe(service: Service, fields: Fields) -> dict[str, Any]:
    try:
        await service.ledger.do(unsubscribe, _needed(fields, "SubscriptionArn"))
    except UnknownNameError:  # SNS has it that way
        return {}
    return {}


async def _list_subscriptions(service: Service, fields: Fields) -> dict[str, Any]:
    return _listed(await service.ledger.read(SUBSCRIPTIONS.all), service, fields)


async def _list_by_topic(service: Service, fields: Fields) -> dict[str, Any]:
    name = _needed(fields, "TopicArn")
    await service.ledger.read(TOPICS.get, name)
    return _listed(await service.ledger.read(SUBSCRIPTIONS.children, name), service, fields)


def _listed(every: list[SubscriptionRecord], service: Service, fields: Fields) -> dict[str, Any]:
    shown, token = paged(every, _PAGE, fields.get("NextToken", ""), "InvalidParameter")
    rows = [
        {
            "SubscriptionArn": one.name if one.confirmed else "PendingConfirmation",
            "Owner": service.site.account,
            "Protocol": one.protocol,
            "Endpoint": one.endpoint,
            "TopicArn": one.topic,
        }
        for one in shown
    ]
    return {"Subscriptions": rows, "NextToken": token or None}


async def _subscription_attributes(service: Service, fields: Fields) -> dict[str, Any]:
    one = await service.ledger.read(SUBSCRIPTIONS.get, _needed(fields, "SubscriptionArn"))
    told = {
        "SubscriptionArn": one.name,
        "TopicArn": one.topic,
        "Owner": service.site.account,
        "Protocol": one.protocol,
        "Endpoint": one.endpoint,
        "PendingConfirmation": "false" if one.confirmed else "true",
        "ConfirmationWasAuthenticated": "false",
        "RawMessageDelivery": "false",
        **{name: value for name, value in one.attributes.items() if name != "WebhookSecret"},
    }
    return {"Attributes": Entries(told)}


async def _set_subscription_attributes(service: Service, fields: Fields) -> dict[str, Any]:
    name, value = _needed(fields, "AttributeName"), fields.get("AttributeValue", "")
    await service.ledger.do(set_subscription_attribute, _needed(fields, "SubscriptionArn"), name, value)
    return {}


async def _publish(service: Service, fields: Fields) -> dict[str, Any]:
    topic = fields.get("TopicArn") or fields.get("TargetArn") or ""
    if not topic:
        raise _invalid("a message must be published to a topic: TopicArn", topic)
    return {"MessageId": await _published(service, topic, fields, "")}


async def _publish_batch(service: Service, fields: Fields) -> dict[str, Any]:
    topic = _needed(fields, "TopicArn")
    await service.ledger.read(TOPICS.get, topic)
    prefix = "PublishBatchRequestEntries.member."
    parts = {key.removeprefix(prefix).partition(".")[0] for key in fields if key.startswith(prefix)}
    numbers = sorted(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 10)
    names = [fields.get(f"{prefix}{number}.Id", "") for number in numbers]
    if not numbers:
        raise RefusedError("EmptyBatchRequest", "a batch must have one entry or more")
    if len(numbers) > 10:
        raise RefusedError("TooManyEntriesInBatchRequest", "a batch must have at most 10 entries", value=len(numbers))
    if len(set(names)) < len(names):
        raise RefusedError("BatchEntryIdsNotDistinct", "the ids of a batch must be distinct")
    done, failed = [], []
    for number, name in zip(numbers, names, strict=True):
        try:
            message = await _published(service, topic, fields, f"{prefix}{number}.")
            done.append({"Id": name, "MessageId": message})
        except ModelwrightError as failure:
            code, status, why = refused(failure, "sns")
            failed.append({"Id": name, "Code": code, "Message": why, "SenderFault": status < 500})
    return {"Successful": done, "Failed": failed}


async def _published(service: Service, topic: str, fields: Fields, prefix: str) -> str:
    """Publish one message, whose fields have that prefix."""
    message, forms = fields.get(f"{prefix}Message", ""), None
    if fields.get(f"{prefix}MessageStructure") == "json":
        try:
            forms = json.loads(message)
            message = forms["default"]
        except (ValueError, KeyError, TypeError, RecursionError) as failure:
            rule = "a message of the structure json must be JSON with a text for default"
            raise _invalid(rule, message[:80]) from failure
        if not all(isinstance(text, str) for text in forms.values()):
            raise _invalid("a message of the structure json must hold texts", message[:80])
    attributes = {}
    every = [key for key in fields if key.startswith(f"{prefix}MessageAttributes.entry.") and key.endswith(".Name")]
    for key in every:
        stem = key.removesuffix("Name") + "Value."
        kind = fields.get(f"{stem}DataType", "")
        value = fields.get(f"{stem}BinaryValue" if kind.startswith("Binary") else f"{stem}StringValue", "")
        attributes[fields[key]] = Attribute(kind, value)
    subject = fields.get(f"{prefix}Subject", "")
    return await service.ledger.do(publish_to, topic, message, subject, attributes, forms)


def _entries(fields: Fields, name: str) -> dict[str, str]:
    """A map of a form."""
    found = {}
    for key, value in fields.items():
        if key.startswith(f"{name}.entry.") and key.endswith(".key"):
            found[value] = fields.get(key.removesuffix("key") + "value", "")
    return found


def _needed(fields: Fields, name: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise _invalid(f"{name} must be given", value)
    return value


def _invalid(rule: str, value: object) -> RefusedError:
    return RefusedError("InvalidParameter", f"Invalid parameter: {rule}", value=value)


async def _tags(service: Service, fields: Fields) -> dict[str, Any]:
    await service.ledger.read(TOPICS.get, _needed(fields, "ResourceArn"))
    return {"Tags": []}


OPERATIONS: Mapping[str, Operation] = {
    "ConfirmSubscription": _confirm,
    "CreateTopic": _create_topic,
    "DeleteTopic": _delete_topic,
    "GetSubscriptionAttributes": _subscription_attributes,
    "GetTopicAttributes": _topic_attributes,
    "ListSubscriptions": _list_subscriptions,
    "ListSubscriptionsByTopic": _list_by_topic,
    "ListTagsForResource": _tags,
    "ListTopics": _list_topics,
    "Publish": _publish,
    "PublishBatch": _publish_batch,
    "SetSubscriptionAttributes": _set_subscription_attributes,
    "SetTopicAttributes": _set_topic_attributes,
    "Subscribe": _subscribe,
    "Unsubscribe": _unsubscribe,
}
