"""Where messages go: the forms of receivers, and which of them a guest of the service may name.

A subscription names a protocol and an endpoint. In place of a topic, a receiver may be named itself, as an URL that may
have a form before it: "https://host/hook", "cloudevents+https://host/events", "sqs+https://host/1234/queue".
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, final
from urllib.parse import SplitResult, urlsplit

from modelwright.errors import SettingError

Form = Literal["sns", "webhook", "cloudevents", "cloudevents-binary", "sqs", "relay"]

PROTOCOLS: dict[str, Form] = {
    "http": "sns",
    "https": "sns",
    "sqs": "sqs",
    "modelwright:webhook": "webhook",
    "modelwright:cloudevents": "cloudevents",
    "modelwright:cloudevents-binary": "cloudevents-binary",
    "modelwright:sns": "relay",
}
"""Protocol of a subscription -> form of its messages."""

_DIRECT: dict[str, Form] = {
    "": "webhook",
    "webhook": "webhook",
    "cloudevents": "cloudevents",
    "cloudevents-binary": "cloudevents-binary",
    "sqs": "sqs",
    "sns": "relay",
}

TOLD = ("http", "https")
"""Protocols whose receivers are asked whether they want to be subscribed: they never named themselves."""

ELSEWHERE = {"sns": "https://sns.{region}.amazonaws.com/", "sqs": "https://sqs.{region}.amazonaws.com/"}
"""Where ARNs of each service live."""

_ARN = re.compile(r"arn:aws[a-z-]*:(?P<service>sns|sqs):(?P<region>[a-z0-9-]*):(?P<account>\d{12}):(?P<name>[\w.-]+)")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
_PORTS = range(1, 65536)


@final
@dataclass(frozen=True)
class Receiver:
    """Where a message goes, and in which form.

    Attributes:
        form: of the message.
        url: to which it is posted.
        target: of a relay the topic's ARN, of a queue its URL as it is named in the message; "" else.
        region: in which that is; "" for not known.
    """

    form: Form
    url: str
    target: str = ""
    region: str = ""


def receiver_of(protocol: str, endpoint: str) -> Receiver:
    """The receiver that a subscription names.

    Raises:
        SettingError: messages cannot go out by that protocol, or not to that endpoint.
    """
    form = PROTOCOLS.get(protocol)
    if form is None:
        rule = f"a subscription's protocol must be one of {', '.join(PROTOCOLS)}"
        raise SettingError(rule, value=protocol)
    if protocol in TOLD and not endpoint.startswith(f"{protocol}://"):
        raise SettingError(f"the endpoint of protocol {protocol} must begin with {protocol}://", value=endpoint)
    return _receiver(form, endpoint)


def direct_receiver(address: str) -> Receiver | None:
    """The receiver that stands in place of a topic; None where the address is a name of something else."""
    form, plus, url = address.partition("+")
    if not plus or "://" in form:
        form, url = "", address
    if form in _DIRECT and url.startswith(("http://", "https://")):
        return _receiver(_DIRECT[form], url)
    found = _ARN.fullmatch(address)
    return _receiver("relay" if found["service"] == "sns" else "sqs", address) if found else None


def _receiver(form: Form, endpoint: str) -> Receiver:
    found = _ARN.fullmatch(endpoint)
    if form in ("sqs", "relay") and found:
        url = ELSEWHERE[found["service"]].format(region=found["region"])
        target = endpoint if form == "relay" else f"{url}{found['account']}/{found['name']}"
        return Receiver(form, url, target, found["region"])
    parts = _split(endpoint)
    if form == "relay":
        topic = _ARN.fullmatch(parts.path.removeprefix("/"))
        if topic is None:
            raise SettingError("a topic elsewhere must be named as its ARN behind the service's URL", value=endpoint)
        return Receiver(form, f"{parts.scheme}://{parts.netloc}/", topic[0], topic["region"])
    if form == "sqs":
        named = re.fullmatch(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", parts.hostname or "")
        return Receiver(form, f"{parts.scheme}://{parts.netloc}/", endpoint, named[1] if named else "")
    return Receiver(form, endpoint)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port in _PORTS)
    except ValueError as failure:
        raise _unread(url) from failure
    if not named or not url.isascii() or not url.isprintable() or " " in url:
        raise _unread(url)
    return parts


def check_reach(receiver: Receiver, *, private: bool) -> None:
    """Refuse a receiver on this machine or in its own network, where it is named by its number.

    Names are looked up, and what they stand for is checked, with each connection.

    Args:
        receiver: to be checked.
        private: such receivers are allowed.

    Raises:
        SettingError: it is one, and they are not.
    """
    host = _split(receiver.url).hostname
    if private or host is None:
        return
    if host == "localhost" or host.endswith(".localhost") or (_number(host) and not public(host)):
        raise unreachable(host)


def public(address: str) -> bool:
    """Whether an IP address is one of the Internet at large, also behind what wraps IPv4 in IPv6."""
    number = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(number, ipaddress.IPv6Address):
        inner = number.ipv4_mapped or number.sixtofour or (number.teredo[1] if number.teredo else None)
        if inner is None and number in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return number.is_global and not number.is_multicast


def _number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def unreachable(host: str) -> SettingError:
    """The lesson for a receiver that must not be reached."""
    way_out = "Let private receivers be allowed where the service is started, if you trust whoever may subscribe."
    return SettingError("a receiver must not be on this machine or its own network", value=host, way_out=way_out)


def _unread(url: str) -> SettingError:
    return SettingError("a receiver must be named by an http:// or https:// URL", value=url)
