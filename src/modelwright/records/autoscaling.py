"""Autoscaling of an endpoint: what is read of it, the policies, and what is decided and done about its instances.

Words, limits and codes are those of AWS Application Auto Scaling and CloudWatch, so that their clients can be answered.
All times are seconds on one clock, mostly since 1970.
"""

from typing import Annotated, Literal

import msgspec

from modelwright.records.platform import Count, NotNegative, Positive
from modelwright.records.recipe import Whole
from modelwright.records.space import Word

Statistic = Literal["Average", "Minimum", "Maximum", "Sum", "SampleCount"]
Comparison = Literal[
    "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
]
MissingData = Literal["missing", "ignore", "breaching", "notBreaching"]
AlarmState = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
AdjustmentType = Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"]
StatusCode = Literal["Pending", "InProgress", "Successful", "Overridden", "Unfulfilled", "Failed"]
NotScaledCode = Literal[
    "AutoScalingAnticipatedFlapping", "AlreadyAtMaxCapacity", "AlreadyAtMinCapacity", "AlreadyAtDesiredCapacity"
]
BACKLOG_PER_INSTANCE = "ApproximateBacklogSizePerInstance"
WITHOUT_CAPACITY = "HasBacklogWithoutCapacity"


class Reading(msgspec.Struct, frozen=True):
    """An endpoint at one moment, as the autoscaler sees it.

    Attributes:
        at: when it was taken.
        queued: requests that wait.
        running: requests that an instance works on, draining instances included.
        instances: those that take requests.
        starting: asked for and not ready yet.
        draining: those that finish what they have, and take no more.
        oldest_age_s: since the oldest request that is not finished was accepted; 0 where there is none.
        metrics: name -> value of any further one; a name that is missing here has no data.
    """

    at: float
    queued: Whole
    running: Whole
    instances: Whole
    starting: Whole = 0
    draining: Whole = 0
    oldest_age_s: NotNegative = 0.0
    metrics: dict[str, float] = {}

    @property
    def backlog(self) -> int:
        """Requests that wait or run."""
        return self.queued + self.running

    @property
    def capacity(self) -> int:
        """Instances that take requests, or soon will."""
        return self.instances + self.starting

    def metric(self, name: str) -> float | None:
        """The metric of that name in the namespace AWS/SageMaker; None where there is no data.

        Without an instance the backlog per instance is the whole backlog, as if there were one.
        """
        if name == BACKLOG_PER_INSTANCE:
            return self.backlog / (self.instances or 1)
        if name == WITHOUT_CAPACITY:
            return float(self.queued > 0 and self.instances == 0)
        if name == "ApproximateBacklogSize":
            return float(self.backlog)
        if name == "ApproximateAgeOfOldestRequest":
            return self.oldest_age_s
        return self.metrics.get(name)


class Alarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule over a metric's recent data points, each a statistic of one period.

    Attributes:
        name: unique in a region.
        metric: that it watches.
        threshold, comparison: a data point breaches where `value comparison threshold` holds.
        period_s: length of a data point.
        evaluation_periods: data points that are looked at, the latest ones.
        datapoints_to_alarm: of which so many must breach; 0 for all.
        statistic: that makes a data point of a period's readings.
        missing: how a period without data counts.
    """

    name: Word
    metric: Word
    threshold: float
    comparison: Comparison = "GreaterThanOrEqualToThreshold"
    period_s: Positive = 60.0
    evaluation_periods: Count = 1
    datapoints_to_alarm: Whole = 0
    statistic: Statistic = "Average"
    missing: MissingData = "missing"


class TargetTracking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="TargetTrackingScaling"):
    """A policy that keeps a metric near a target, by capacity in proportion.

    Attributes:
        name: of the policy.
        target: value of the metric that is sought.
        metric: one that falls as capacity rises.
        scale_out_cooldown_s: after a scale-out, in which only a larger one adds more.
        scale_in_cooldown_s: after a scale-in, in which there is no other.
        disable_scale_in: whether it only ever adds.
        statistic: of the metric, over each period.
        alarms: the high one and the low one that were created with it, whose names causes are told by.
    """

    name: Word
    target: Positive
    metric: Word = BACKLOG_PER_INSTANCE
    scale_out_cooldown_s: NotNegative = 300.0
    scale_in_cooldown_s: NotNegative = 300.0
    disable_scale_in: bool = False
    statistic: Statistic = "Average"
    alarms: tuple[Alarm, ...] = ()


class StepAdjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much capacity changes where a metric is so far beyond its alarm's threshold.

    Attributes:
        change: instances, per cent or the capacity itself, as the policy's adjustment says.
        lower: least distance from the threshold, itself included; None for no least one.
        upper: greatest, itself excluded; None for no greatest one.
    """

    change: int
    lower: float | None = None
    upper: float | None = None


class StepScaling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="StepScaling"):
    """A policy that changes capacity by steps while an alarm is in the state ALARM.

    Attributes:
        name: of the policy.
        steps: those whose range holds the metric's distance from the threshold apply; ranges do not overlap.
        adjustment: how a step's change is meant.
        cooldown_s: after a scale-out what it added counts towards the next; after a scale-in there is no other.
        least_change: instances that a change in per cent is at least.
        statistic: that makes the data point of which the distance is taken.
        alarms: that trigger it; none yet right after it was made.
    """

    name: Word
    steps: Annotated[tuple[StepAdjustment, ...], msgspec.Meta(min_length=1)]
    adjustment: AdjustmentType = "ChangeInCapacity"
    cooldown_s: NotNegative = 300.0
    least_change: Whole = 0
    statistic: Literal["Average", "Minimum", "Maximum"] = "Average"
    alarms: tuple[Alarm, ...] = ()


ScalingPolicy = TargetTracking | StepScaling


class ScalableTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be scaled, and how far.

    Attributes:
        min: least capacity; may be 0.
        max: greatest, no less than the least.
        imitate_aws: wait for alarms of 3 and 15 minutes as AWS does, and do not wake on the first request.
        scale_in_suspended, scale_out_suspended: policies do not so for now.
        start_limit_s: a scale-out whose instances are not all ready after that is given up as unfulfilled.
        concurrency: requests that an instance works on at once; where it is set too low, capacity falls too late.
    """

    min: Whole = 0
    max: Whole = 1
    imitate_aws: bool = False
    scale_in_suspended: bool = False
    scale_out_suspended: bool = False
    start_limit_s: Positive = 3600.0
    concurrency: Count = 1


class NotScaledReason(msgspec.Struct, frozen=True):
    """Why a policy that was triggered changed nothing, or less than it asked for.

    Attributes:
        code: AWS's.
        current: capacity.
        min, max: the scalable target's, where they are the reason.
    """

    code: NotScaledCode
    current: Whole
    min: int | None = None
    max: int | None = None


class Scaling(msgspec.Struct, frozen=True):
    """What is decided at one moment.

    Attributes:
        current: capacity that there is; None where that is unknown, and nothing is to be done.
        desired: capacity that there shall be; None where the current one is unknown.
        cause: why, in one line, in AWS's words where it has some; "" where nothing was triggered.
        policy: that decided; "" for none.
        not_scaled_reasons: why not, or not so far, where a policy was triggered.
        alarms: name -> state of every alarm of the policies.
    """

    current: int | None
    desired: int | None
    cause: str = ""
    policy: str = ""
    not_scaled_reasons: tuple[NotScaledReason, ...] = ()
    alarms: dict[str, AlarmState] = {}

    @property
    def change(self) -> int:
        """Instances to be added, or to be drained where it is below zero."""
        return 0 if self.current is None or self.desired is None else self.desired - self.current


class Activity(msgspec.Struct, frozen=True):
    """A change of capacity on its way or done, or one that was triggered and not made.

    Attributes:
        started: when it was decided.
        before, after: capacity.
        cause, description: in AWS's words.
        status: AWS's code.
        message: what became of it.
        ended: when; None while it goes on.
        policy: that decided; "" for none.
        not_scaled_reasons: why nothing was done; empty where something was.
    """

    started: float
    before: Whole
    after: Whole
    cause: str
    description: str
    status: StatusCode = "Pending"
    message: str = ""
    ended: float | None = None
    policy: str = ""
    not_scaled_reasons: tuple[NotScaledReason, ...] = ()


class ScalingHistory(msgspec.Struct, frozen=True):
    """All that a decision must know of the past.

    Attributes:
        readings: recent ones, oldest first.
        activities: recent ones, oldest first: those on their way, the last scale-out and the last scale-in.
        alarms: name -> its last state.
    """

    readings: tuple[Reading, ...] = ()
    activities: tuple[Activity, ...] = ()
    alarms: dict[str, AlarmState] = {}


class InstanceLoad(msgspec.Struct, frozen=True):
    """An instance as the choice of those that go sees it.

    Attributes:
        id: its own.
        state: whether it takes requests.
        in_flight: requests that it works on.
        since: when it was asked for.
    """

    id: Word
    state: Literal["starting", "ready", "draining"]
    in_flight: Whole
    since: float
