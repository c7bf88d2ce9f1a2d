"""Inputs of cloudwatch's operations: the members that are used here, with AWS's own bounds; others are passed over."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from modelwright.records.autoscaling import AlarmState, Comparison, MissingData

Kind = Literal["Average", "Minimum", "Maximum", "Sum", "SampleCount"]
Word = Annotated[str, Meta(min_length=1, max_length=255)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
Time = Annotated[float, Meta(ge=0, le=32_503_680_000)]
"""Seconds since 1970, up to the year 3000."""


class Dimension(Struct):
    """A name and its value."""

    Name: Word
    Value: Annotated[str, Meta(max_length=1024)] = ""


class Metric(Struct):
    """What is measured."""

    Namespace: str = ""
    MetricName: str = ""
    Dimensions: Annotated[list[Dimension], Meta(max_length=30)] = []


class Measured(Struct):
    """A statistic of a metric."""

    Metric: Metric
    Period: Seconds
    Stat: str
    Unit: str = ""


class Query(Struct):
    """One of the questions of GetMetricData."""

    Id: Word
    MetricStat: Measured | None = None
    Expression: str = ""
    Label: str = ""
    ReturnData: bool = True


class GetMetricData(Struct):
    """An input."""

    MetricDataQueries: Annotated[list[Query], Meta(min_length=1, max_length=500)]
    StartTime: Time
    EndTime: Time
    ScanBy: Literal["TimestampAscending", "TimestampDescending"] = "TimestampDescending"
    NextToken: str = ""
    MaxDatapoints: Annotated[int, Meta(ge=1)] = 100_800


class GetMetricStatistics(Struct):
    """An input."""

    Namespace: Word
    MetricName: Word
    StartTime: Time
    EndTime: Time
    Period: Seconds
    Dimensions: list[Dimension] = []
    Statistics: list[Kind] = []
    ExtendedStatistics: list[str] = []
    Unit: str = ""


class ListMetrics(Struct):
    """An input."""

    Namespace: str = ""
    MetricName: str = ""
    Dimensions: list[Dimension] = []
    NextToken: str = ""


class StatisticSet(Struct):
    """Values that were gathered by the client."""

    SampleCount: Annotated[float, Meta(gt=0)]
    Sum: float
    Minimum: float
    Maximum: float


class Datum(Struct):
    """Of PutMetricData."""

    MetricName: Word
    Dimensions: Annotated[list[Dimension], Meta(max_length=30)] = []
    Timestamp: Time | None = None
    Value: float | None = None
    Values: Annotated[list[float], Meta(max_length=150)] = []
    Counts: list[float] = []
    StatisticValues: StatisticSet | None = None
    Unit: str = "None"


class PutMetricData(Struct):
    """An input."""

    Namespace: Word
    MetricData: Annotated[list[Datum], Meta(max_length=1000)]


class PutMetricAlarm(Struct):
    """An input."""

    AlarmName: Word
    EvaluationPeriods: Annotated[int, Meta(ge=1, le=10_080)]
    ComparisonOperator: Comparison
    MetricName: Word
    Namespace: Word
    Threshold: float
    Period: Annotated[int, Meta(ge=1, le=604_800)]
    Statistic: Kind = "Average"
    ExtendedStatistic: str = ""
    AlarmDescription: str = ""
    ActionsEnabled: bool = True
    AlarmActions: Annotated[list[str], Meta(max_length=5)] = []
    OKActions: list[str] = []
    InsufficientDataActions: list[str] = []
    Dimensions: list[Dimension] = []
    DatapointsToAlarm: Annotated[int, Meta(ge=1)] | None = None
    TreatMissingData: MissingData = "missing"
    Unit: str = ""


class DescribeAlarms(Struct):
    """An input."""

    AlarmNames: Annotated[list[str], Meta(max_length=100)] = []
    AlarmNamePrefix: str = ""
    StateValue: AlarmState | None = None
    ActionPrefix: str = ""
    MaxRecords: Annotated[int, Meta(ge=1, le=100)] = 50
    NextToken: str = ""


class DescribeForMetric(Struct):
    """An input."""

    MetricName: Word
    Namespace: Word
    Dimensions: list[Dimension] = []


class DeleteAlarms(Struct):
    """An input."""

    AlarmNames: Annotated[list[str], Meta(max_length=100)]


class SetAlarmState(Struct):
    """An input."""

    AlarmName: Word
    StateValue: AlarmState
    StateReason: Annotated[str, Meta(max_length=1023)]
