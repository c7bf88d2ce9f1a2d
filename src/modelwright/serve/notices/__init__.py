"""Topics and subscriptions, and how messages reach their receivers: at least once, in order, or kept with the reason.

    state.submit(create_topic, topic_arn("us-east-1", "000000000000", "done")).result()
    record, confirmed = state.submit(subscribe, arn, "https", "https://example.org/hook", ids).result()
    state.submit(publish_to, arn, "all is well").result()
    await Courier(sender, books, objects, Poster(private=False), clock).deliver(wake)

Messages are written down by `modelwright.serve.state`; the forms in which they go out are SNS's envelope, CloudEvents,
Standard Webhooks, and what SQS and other topics are asked.
"""

from modelwright.serve.notices.addresses import PROTOCOLS, Receiver, check_reach, direct_receiver, public, receiver_of
from modelwright.serve.notices.delivering import Books, Courier
from modelwright.serve.notices.letters import Attribute
from modelwright.serve.notices.posting import Poster, Reply, Silence
from modelwright.serve.notices.seal import CERTIFICATE_PATH, Seal, open_seal
from modelwright.serve.notices.subscriptions import (
    confirm,
    set_subscription_attribute,
    subscribe,
    unsubscribe,
)
from modelwright.serve.notices.topics import (
    SUBSCRIPTIONS,
    TOPICS,
    create_topic,
    delete_topic,
    publish_to,
    set_topic_attribute,
    topic_arn,
)
from modelwright.serve.notices.webhooks import secret_text
from modelwright.serve.notices.writing import Sender

__all__ = [
    "CERTIFICATE_PATH",
    "PROTOCOLS",
    "SUBSCRIPTIONS",
    "TOPICS",
    "Attribute",
    "Books",
    "Courier",
    "Poster",
    "Receiver",
    "Reply",
    "Seal",
    "Sender",
    "Silence",
    "check_reach",
    "confirm",
    "create_topic",
    "delete_topic",
    "direct_receiver",
    "open_seal",
    "public",
    "publish_to",
    "receiver_of",
    "secret_text",
    "set_subscription_attribute",
    "set_topic_attribute",
    "subscribe",
    "topic_arn",
    "unsubscribe",
]
