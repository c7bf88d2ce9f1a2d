"""How often a delivery is tried, by SNS's delivery policies, and which refusals are worth another attempt.

Source: Amazon SNS Developer Guide, "Amazon SNS message delivery retries": a policy has four phases, and waits are
jittered. The formulas of its four functions are not published; here is one that meets both ends for each.
"""

import math
from typing import Annotated, Literal, TypeVar

import msgspec

from modelwright.errors import RecordError, SettingError
from modelwright.records import Retry, from_json
from modelwright.serve.state import DELIVERY

LONGEST_S = 3600.0
"""Of all waits of a policy together, as SNS has it."""

_AGAIN = (408, 425, 429)
_SERVER_ERROR = 500

T = TypeVar("T")

_Count = Annotated[int, msgspec.Meta(ge=0, le=100)]
_Delay = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)]


class Waits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """SNS's healthyRetryPolicy.

    Attributes:
        min_delay_target, max_delay_target: bounds of the waits, seconds.
        num_retries: attempts after the first one.
        num_no_delay_retries: of these, so many at once,
        num_min_delay_retries: then so many with the shortest wait,
        num_max_delay_retries: and the last ones with the longest.
        backoff_function: how waits grow in between.
    """

    min_delay_target: _Delay = 20.0
    max_delay_target: _Delay = 20.0
    num_retries: _Count = 3
    num_no_delay_retries: _Count = 0
    num_min_delay_retries: _Count = 0
    num_max_delay_retries: _Count = 0
    backoff_function: Literal["linear", "arithmetic", "geometric", "exponential"] = "linear"

    def after(self, attempt: int) -> float:
        """The wait after that many attempts, seconds."""
        first = self.num_no_delay_retries
        second = first + self.num_min_delay_retries
        steps = self.num_retries - second - self.num_max_delay_retries
        if attempt <= first:
            return 0.0
        if attempt <= second:
            return self.min_delay_target
        if attempt > second + steps:
            return self.max_delay_target
        return self._between(attempt - second, steps)

    def _between(self, step: int, steps: int) -> float:
        low, high = self.min_delay_target, self.max_delay_target
        share = step / steps
        if self.backoff_function == "linear":
            return low + (high - low) * share
        if self.backoff_function == "arithmetic":
            return low + (high - low) * step * (step + 1) / (steps * (steps + 1))
        if self.backoff_function == "geometric":
            return low * (high / low) ** share if low > 0 else high * share
        return low + (high - low) * (math.expm1(step) / math.expm1(steps))


class _Requests(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    header_content_type: str = "text/plain; charset=UTF-8"


class _OfSubscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    healthy_retry_policy: Waits | None = None
    request_policy: _Requests | None = None
    throttle_policy: None = None
    sicklyRetryPolicy: None = None  # noqa: N815  # SNS tells it back so


class _Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    default_healthy_retry_policy: Waits | None = None
    default_request_policy: _Requests | None = None
    default_throttle_policy: None = None
    disable_subscription_overrides: bool = False


class _OfTopic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    http: _Http = _Http()


class Policy(msgspec.Struct, frozen=True):
    """What holds for the deliveries of a subscription.

    Attributes:
        waits: as somebody asked for; None for Modelwright's own.
        content_type: of what is sent over HTTP.
    """

    waits: Waits | None = None
    content_type: str = "text/plain; charset=UTF-8"

    def retry(self, attempt: int) -> Retry:
        """How to go on after that many attempts."""
        if self.waits is None:
            return DELIVERY
        wait = self.waits.after(attempt)
        return Retry(self.waits.num_retries + 1, first_s=wait, longest_s=wait)


def policy_of(subscription: str, topic: str = "") -> Policy:
    """The policy that comes of the DeliveryPolicy of a subscription and of its topic, "" for none.

    Raises:
        SettingError: one of them breaks a rule, or asks for a limit of messages a second, which is not kept here.
    """
    own = _read(subscription, _OfSubscription) if subscription else _OfSubscription()
    http = (_read(topic, _OfTopic) if topic else _OfTopic()).http
    if http.disable_subscription_overrides:
        own = _OfSubscription()
    waits = own.healthy_retry_policy or http.default_healthy_retry_policy
    requests = own.request_policy or http.default_request_policy or _Requests()
    if waits is not None:
        _check(waits)
    return Policy(waits, requests.header_content_type)


def worth_another(status: int) -> bool:
    """Whether an answer that is no success may be one another time: errors of the server, and what asks for patience.

    SNS tries again after errors of the server and after 429; what the receiver refuses otherwise it does not. A
    redirection is followed nowhere, as it leads to somebody who has not been named.
    """
    return status >= _SERVER_ERROR or status in _AGAIN


def _check(waits: Waits) -> None:
    phases = waits.num_no_delay_retries + waits.num_min_delay_retries + waits.num_max_delay_retries
    if phases > waits.num_retries:
        raise SettingError("the retries of all phases must be no more than numRetries", value=phases)
    if waits.min_delay_target > waits.max_delay_target:
        rule = "minDelayTarget must be no more than maxDelayTarget"
        raise SettingError(rule, value=waits.min_delay_target)
    if (total := sum(waits.after(attempt) for attempt in range(1, waits.num_retries + 1))) > LONGEST_S:
        raise SettingError(f"all waits together must take at most {LONGEST_S:g} seconds", value=total)


def _read(text: str, kind: type[T]) -> T:
    try:
        return from_json(text, kind, where="DeliveryPolicy")
    except RecordError as failure:
        raise SettingError(failure.rule, where=failure.where, value=failure.value) from failure
