"""What of an endpoint is scaled, by which policies and alarms, and what came of it, as it is kept."""

from typing import Any

import msgspec

from modelwright.records.autoscaling import Activity, Alarm, AlarmState, ScalableTarget, ScalingPolicy
from modelwright.records.serving import Label


class ScalableTargetRecord(msgspec.Struct, frozen=True):
    """A variant of an endpoint whose instances are scaled.

    Attributes:
        name: as Application Auto Scaling names it, "endpoint/{endpoint}/variant/{variant}".
        endpoint, variant: whose instances.
        target: limits.
        arn: by which clients know it.
        created_at: wall clock, seconds since 1970 in UTC.
        details: what the client said besides.
    """

    name: str
    endpoint: Label
    variant: Label
    target: ScalableTarget
    arn: str = ""
    created_at: float = 0.0
    details: dict[str, Any] = {}


class PolicyRecord(msgspec.Struct, frozen=True):
    """A policy of a scalable target.

    Attributes:
        name: "{resource}/{the policy's own name}".
        resource: name of the scalable target.
        policy: the rule; a target-tracking one with the two alarms that were created with it, a step one without its.
        arn: by which alarms and clients know it.
        created_at: wall clock, seconds since 1970 in UTC.
        details: what the client said besides.
    """

    name: str
    resource: str
    policy: ScalingPolicy
    arn: str = ""
    created_at: float = 0.0
    details: dict[str, Any] = {}


class AlarmRecord(msgspec.Struct, frozen=True):
    """An alarm.

    Attributes:
        name: of the alarm.
        alarm: the rule.
        namespace, dimensions: of its metric.
        actions: ARNs of the policies that it triggers.
        state: it is in, and why.
        reason: of the state, in a sentence.
        updated_at: when its state last changed, wall clock, seconds since 1970 in UTC.
        arn: by which clients know it.
        details: what the client said besides.
    """

    name: str
    alarm: Alarm
    namespace: str = "AWS/SageMaker"
    dimensions: dict[str, str] = {}
    actions: tuple[str, ...] = ()
    state: AlarmState = "INSUFFICIENT_DATA"
    reason: str = ""
    updated_at: float = 0.0
    arn: str = ""
    details: dict[str, Any] = {}


class ActivityRecord(msgspec.Struct, frozen=True):
    """A change of capacity, or one that was triggered and not made.

    Attributes:
        name: an id, one of a kind.
        resource: name of the scalable target.
        activity: on the line of time.
        started_at, ended_at: wall clock, seconds since 1970 in UTC; None while it goes on.
    """

    name: str
    resource: str
    activity: Activity
    started_at: float
    ended_at: float | None = None
