"""cloudwatch: metrics that were gathered and put, and alarms.

Values are kept by the minute, as count, sum, least, greatest, and how they are spread, for percentiles. Metric math is
refused. A period that is no multiple of a minute is taken for the next one that is.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from modelwright.errors import RefusedError, UnknownNameError
from modelwright.records import AlarmRecord, Sample
from modelwright.records.autoscaling import Alarm
from modelwright.serve.aws.cloudwatch_inputs import (
    Datum,
    DeleteAlarms,
    DescribeAlarms,
    DescribeForMetric,
    Dimension,
    GetMetricData,
    GetMetricStatistics,
    ListMetrics,
    PutMetricAlarm,
    PutMetricData,
    Query,
    SetAlarmState,
)
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.operations import Operations, arn, perform, told
from modelwright.serve.aws.pages import paged
from modelwright.serve.scalables import ALARMS, delete_alarms, note_states, put_alarm
from modelwright.serve.service import Service
from modelwright.serve.state import Gathered, Unit, bucket_of, dimensions_of, joined, listed, percentile, put, series

MINUTE_S = 60
_INVALID = "InvalidParameterValue"
_OWN = ("AWS/", "Modelwright/")
_LARGEST = 2.0**360
"""Of a value, as CloudWatch has it: sums of many stay finite."""
_MOST_POINTS = 100_800
_DAY_S, _WEEK_S, _HOUR_S = 86_400, 604_800, 3600

UNITS: Mapping[str, str] = {
    "RequestDownloadLatency": "Microseconds",
    "ResponseUploadLatency": "Microseconds",
    "ModelLatency": "Microseconds",
    "ApproximateAgeOfOldestRequest": "Seconds",
    "TimeInBacklog": "Milliseconds",
    "TotalProcessingTime": "Milliseconds",
}
"""Of sagemaker's metrics; the others are counts."""


async def answer(service: Service, request: Request) -> Reply:
    """Answer one request.

    Raises:
        ModelwrightError: it is refused.
    """
    return await perform(service, request, OPERATIONS, "1.0", "InvalidParameterValue")


async def _get_data(service: Service, given: GetMetricData) -> dict[str, Any]:
    if not given.StartTime < given.EndTime:
        raise _invalid("EndTime must be after StartTime", [given.StartTime, given.EndTime])
    results = [await _result(service, query, given) for query in given.MetricDataQueries if query.ReturnData]
    points = [(number, at, value) for number, (_, rows) in enumerate(results) for at, value in rows]
    shown, token = paged(points, min(given.MaxDatapoints, _MOST_POINTS), given.NextToken, "InvalidNextToken")
    last = shown[-1][0] if token else len(results)
    heads = [
        head | {"Timestamps": [], "Values": [], "StatusCode": "Complete" if number < last else "PartialData"}
        for number, (head, _) in enumerate(results)
    ]
    for number, at, value in shown:
        heads[number]["Timestamps"].append(at)
        heads[number]["Values"].append(value)
    return told({"MetricDataResults": heads, "Messages": [], "NextToken": token})


async def _result(
    service: Service, query: Query, given: GetMetricData
) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """What is told of a question in front of its values, and these with their times."""
    asked = query.MetricStat
    if asked is None:
        raise _invalid("a query must name a MetricStat: metric math is not served here", query.Expression)
    value = _statistic(asked.Stat)
    span = (given.StartTime, given.EndTime)
    where = (asked.Metric.Namespace, asked.Metric.MetricName, asked.Metric.Dimensions)
    found = await _points(service, where, span, asked.Period, spread=asked.Stat not in _VALUES)
    rows = [(one.at, told) for one in found if (told := value(one)) is not None]
    if given.ScanBy == "TimestampDescending":
        rows.reverse()
    return {"Id": query.Id, "Label": query.Label or asked.Metric.MetricName}, rows


async def _get_statistics(service: Service, given: GetMetricStatistics) -> dict[str, Any]:
    if bool(given.Statistics) == bool(given.ExtendedStatistics):
        rule = "either Statistics or ExtendedStatistics must be asked for"
        raise RefusedError("InvalidParameterCombination" if given.Statistics else "MissingParameter", rule)
    percentiles = {name: _statistic(name) for name in given.ExtendedStatistics}
    if not given.StartTime < given.EndTime:
        raise _invalid("EndTime must be after StartTime", [given.StartTime, given.EndTime])
    if (given.EndTime - given.StartTime) / given.Period > 1440:
        rule = "at most 1440 data points can be asked for"
        raise RefusedError("InvalidParameterCombination", rule, way_out="Ask for a longer period.")
    where = (given.Namespace, given.MetricName, given.Dimensions)
    found = await _points(service, where, (given.StartTime, given.EndTime), given.Period, spread=bool(percentiles))
    unit = UNITS.get(given.MetricName, "Count") if given.Namespace == "AWS/SageMaker" else "None"
    rows = []
    for one in found:
        plain = {name: _VALUES[name](one) for name in given.Statistics}
        shares = {name: number for name, value in percentiles.items() if (number := value(one)) is not None}
        said = plain | ({"ExtendedStatistics": shares} if shares else {})
        rows += [{"Timestamp": one.at, "Unit": unit, **said}] if said else []
    return {"Label": given.MetricName, "Datapoints": rows}


async def _points(
    service: Service,
    where: tuple[str, str, Sequence[Dimension]],
    span: tuple[float, float],
    period: int,
    *,
    spread: bool,
) -> list[Sample]:
    """A metric's values by periods, oldest first."""
    namespace, name, dimensions = where
    length = math.ceil(period / MINUTE_S) * MINUTE_S
    begin = math.floor(span[0] / length) * length
    text = dimensions_of({one.Name: one.Value for one in dimensions})
    gathered: dict[float, Sample] = {}
    for one in await service.ledger.read(series, namespace, name, text, (begin, span[1]), spread=spread):
        at = math.floor(one.at / length) * length
        gathered[at] = joined(gathered[at], one) if at in gathered else msgspec.structs.replace(one, at=at)
    return list(gathered.values())[:_MOST_POINTS]


_VALUES: Mapping[str, Callable[[Sample], float]] = {
    "Average": lambda one: one.mean,
    "Minimum": lambda one: one.least,
    "Maximum": lambda one: one.most,
    "Sum": lambda one: one.total,
    "SampleCount": lambda one: one.count,
}
_PERCENTILE = re.compile(r"p(100(\.0{1,10})?|\d{1,2}(\.\d{1,10})?)")


def _statistic(name: str) -> Callable[[Sample], float | None]:
    """What makes a period's statistic.

    Raises:
        RefusedError: it is not served.
    """
    if _PERCENTILE.fullmatch(name):
        share = float(name[1:]) / 100.0
        return lambda one: percentile(one, share)
    if name not in _VALUES:
        raise _invalid(f"a statistic must be one of {', '.join(_VALUES)}, or a percentile such as p99", name)
    return _VALUES[name]


async def _list(service: Service, given: ListMetrics) -> dict[str, Any]:
    rows = []
    for namespace, name, dimensions in await service.ledger.read(listed, given.Namespace, given.MetricName):
        if all(one.Name in dimensions and one.Value in ("", dimensions[one.Name]) for one in given.Dimensions):
            named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
            rows.append({"Namespace": namespace, "MetricName": name, "Dimensions": named})
    shown, token = paged(rows, 500, given.NextToken, "InvalidNextToken")
    return told({"Metrics": shown, "NextToken": token})


async def _put(service: Service, given: PutMetricData) -> dict[str, Any]:
    if given.Namespace.startswith(_OWN):
        raise _invalid(f"a namespace must not begin with {' or '.join(_OWN)}", given.Namespace)
    now = service.clock.now().timestamp()
    rows = [(_gathered(one), one) for one in given.MetricData]

    def kept(unit: Unit) -> None:
        for values, one in rows:
            text = dimensions_of({each.Name: each.Value for each in one.Dimensions})
            put(unit, given.Namespace, one.MetricName, text, one.Timestamp or now, values)

    await service.ledger.do(kept)
    return {}


def _gathered(one: Datum) -> Gathered:
    if one.StatisticValues is not None:
        said = one.StatisticValues
        rows, spread = [(said.SampleCount, said.Sum, said.Minimum, said.Maximum)], False
    elif one.Values or one.Value is not None:
        values = one.Values or [one.Value or 0.0]
        counts = one.Counts if one.Values and one.Counts else [1.0] * len(values)
        if len(counts) != len(values):
            raise RefusedError(_INVALID, "there must be as many counts as values", where=one.MetricName, value=counts)
        if min(counts) <= 0:
            raise RefusedError(_INVALID, "a count must be above zero", where=one.MetricName, value=min(counts))
        rows, spread = [(count, count * value, value, value) for value, count in zip(values, counts, strict=True)], True
    else:
        raise RefusedError("MissingParameter", "a datum must have a value", where=one.MetricName)
    if wrong := [number for row in rows for number in row if not abs(number) <= _LARGEST]:
        rule = "a value must be a number between -2^360 and 2^360"
        raise RefusedError(_INVALID, rule, where=one.MetricName, value=wrong[0])
    found, *rest = (Gathered(*row, {bucket_of(row[2]): row[0]} if spread else {}) for row in rows)
    for more in rest:
        found.take(more)
    return found


async def _put_alarm(service: Service, given: PutMetricAlarm) -> dict[str, Any]:
    if given.ExtendedStatistic:
        raise _invalid("an alarm here must look at a plain statistic, no percentile", given.ExtendedStatistic)
    longest = _WEEK_S if given.Period >= _HOUR_S else _DAY_S
    if given.Period * given.EvaluationPeriods > longest:
        raise _invalid(f"all periods of an alarm must last at most {longest} seconds", given.EvaluationPeriods)
    if (given.DatapointsToAlarm or 0) > given.EvaluationPeriods:
        raise _invalid("DatapointsToAlarm must be at most EvaluationPeriods", given.DatapointsToAlarm)
    alarm = Alarm(
        given.AlarmName,
        given.MetricName,
        given.Threshold,
        given.ComparisonOperator,
        given.Period,
        given.EvaluationPeriods,
        given.DatapointsToAlarm or 0,
        given.Statistic,
        given.TreatMissingData,
    )
    where = {one.Name: one.Value for one in given.Dimensions}
    actions = tuple(given.AlarmActions)
    details = {
        "AlarmDescription": given.AlarmDescription,
        "ActionsEnabled": given.ActionsEnabled,
        "OKActions": given.OKActions,
        "InsufficientDataActions": given.InsufficientDataActions,
    }
    record = AlarmRecord(given.AlarmName, alarm, given.Namespace, where, actions, details=details)
    await service.ledger.do(put_alarm, record)
    service.scaler.wake()
    return {}


async def _describe(service: Service, given: DescribeAlarms) -> dict[str, Any]:
    every = await service.ledger.read(ALARMS.all)
    rows = [
        one
        for one in every
        if (not given.AlarmNames or one.name in given.AlarmNames)
        and one.name.startswith(given.AlarmNamePrefix)
        and given.StateValue in (None, one.state)
        and (not given.ActionPrefix or any(action.startswith(given.ActionPrefix) for action in one.actions))
    ]
    shown, token = paged(rows, given.MaxRecords, given.NextToken, "InvalidNextToken")
    return told({"MetricAlarms": _alarms(service, shown), "CompositeAlarms": [], "NextToken": token})


async def _describe_for_metric(service: Service, given: DescribeForMetric) -> dict[str, Any]:
    where = {one.Name: one.Value for one in given.Dimensions}
    asked = (given.Namespace, given.MetricName, where)
    every = await service.ledger.read(ALARMS.all)
    rows = [one for one in every if (one.namespace, one.alarm.metric, one.dimensions) == asked]
    return {"MetricAlarms": _alarms(service, rows)}


def _alarms(service: Service, records: Iterable[AlarmRecord]) -> list[dict[str, Any]]:
    return [
        told(
            {
                "AlarmName": one.name,
                "AlarmArn": arn(service, "cloudwatch", f"alarm:{one.name}"),
                "ActionsEnabled": True,
                "OKActions": [],
                "InsufficientDataActions": [],
                "StateValue": one.state,
                "StateReason": one.reason or "Unchecked: Initial alarm creation",
                "StateUpdatedTimestamp": one.updated_at,
                "AlarmConfigurationUpdatedTimestamp": one.updated_at,
                "MetricName": one.alarm.metric,
                "Namespace": one.namespace,
                "Statistic": one.alarm.statistic,
                "Dimensions": [{"Name": key, "Value": value} for key, value in one.dimensions.items()],
                "Period": int(one.alarm.period_s),
                "EvaluationPeriods": one.alarm.evaluation_periods,
                "DatapointsToAlarm": one.alarm.datapoints_to_alarm or None,
                "Threshold": one.alarm.threshold,
                "ComparisonOperator": one.alarm.comparison,
                "TreatMissingData": one.alarm.missing,
                "AlarmActions": list(one.actions),
                **one.details,
            }
        )
        for one in records
    ]


async def _delete(service: Service, given: DeleteAlarms) -> dict[str, Any]:
    try:
        await service.ledger.do(delete_alarms, given.AlarmNames)
    except UnknownNameError as failure:
        raise RefusedError("ResourceNotFound", str(failure).rstrip("."), status=404) from failure
    return {}


async def _set_state(service: Service, given: SetAlarmState) -> dict[str, Any]:
    await service.ledger.read(ALARMS.get, given.AlarmName)
    await service.ledger.do(note_states, {given.AlarmName: given.StateValue}, given.StateReason)
    return {}


def _invalid(rule: str, value: object) -> RefusedError:
    return RefusedError(_INVALID, rule, value=value)


OPERATIONS: Operations = {
    "DeleteAlarms": (DeleteAlarms, _delete),
    "DescribeAlarms": (DescribeAlarms, _describe),
    "DescribeAlarmsForMetric": (DescribeForMetric, _describe_for_metric),
    "GetMetricData": (GetMetricData, _get_data),
    "GetMetricStatistics": (GetMetricStatistics, _get_statistics),
    "ListMetrics": (ListMetrics, _list),
    "PutMetricAlarm": (PutMetricAlarm, _put_alarm),
    "PutMetricData": (PutMetricData, _put),
    "SetAlarmState": (SetAlarmState, _set_state),
}
