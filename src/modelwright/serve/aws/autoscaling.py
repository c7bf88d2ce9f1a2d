"""application-autoscaling: scalable targets, policies and activities of sagemaker's variants.

Beyond AWS: a target's tag "modelwright:imitate-aws" = "true" has it wait for alarms as long as AWS's do.
"""

import re
from typing import Any

import msgspec

from modelwright.errors import RefusedError, UnknownNameError
from modelwright.records import ActivityRecord, PolicyRecord, ScalableTargetRecord
from modelwright.records.autoscaling import (
    BACKLOG_PER_INSTANCE,
    ScalableTarget,
    ScalingPolicy,
    StepAdjustment,
    StepScaling,
    TargetTracking,
)
from modelwright.serve.aws.autoscaling_inputs import (
    Describe,
    OnePolicy,
    OneTarget,
    PutPolicy,
    Register,
    Steps,
    Tagging,
    Tracking,
)
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.operations import Operations, arn, converted, perform, told
from modelwright.serve.aws.pages import paged
from modelwright.serve.scalables import (
    ACTIVITIES,
    ALARMS,
    POLICIES,
    TARGETS,
    delete_policy,
    deregister_target,
    put_policy,
    register_target,
)
from modelwright.serve.service import Service

IMITATE = "modelwright:imitate-aws"
"""Tag of a scalable target that has it wait for alarms as long as AWS's do."""

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
_PREDEFINED = {"SageMakerVariantInvocationsPerInstance": "InvocationsPerInstance"}


async def answer(service: Service, request: Request) -> Reply:
    """Answer one request.

    Raises:
        ModelwrightError: it is refused.
    """
    return await perform(service, request, OPERATIONS, "1.1", "ValidationException")


async def _register(service: Service, given: Register) -> dict[str, Any]:
    endpoint, variant = _parts(given.ResourceId)
    before = await service.ledger.read(TARGETS.find, given.ResourceId)
    least = given.MinCapacity if given.MinCapacity is not None else before.target.min if before else None
    most = given.MaxCapacity if given.MaxCapacity is not None else before.target.max if before else None
    if least is None or most is None:
        raise _invalid("a new scalable target must have MinCapacity and MaxCapacity", None)
    if most < least:
        raise _invalid("MaxCapacity must be no less than MinCapacity", [least, most])
    held = given.SuspendedState
    tags = {**(before.details.get("tags", {}) if before else {}), **given.Tags}
    target = ScalableTarget(
        least,
        most,
        tags.get(IMITATE, "").lower() == "true",
        held.DynamicScalingInSuspended if held else bool(before and before.target.scale_in_suspended),
        held.DynamicScalingOutSuspended if held else bool(before and before.target.scale_out_suspended),
    )
    name = arn(service, "application-autoscaling", f"scalable-target/{service.ids()}")
    details = {"role": given.RoleARN or (before.details.get("role", "") if before else ""), "tags": tags}
    record = ScalableTargetRecord(given.ResourceId, endpoint, variant, target, name, details=details)
    made = await service.ledger.do(register_target, record)
    service.scaler.wake()
    return {"ScalableTargetARN": made.arn}


async def _deregister(service: Service, given: OneTarget) -> dict[str, Any]:
    try:
        await service.ledger.do(deregister_target, given.ResourceId)
    except UnknownNameError as failure:
        rule = "No scalable target found for service namespace: sagemaker, resource ID: " + given.ResourceId
        raise RefusedError("ObjectNotFoundException", rule) from failure
    return {}


async def _put_policy(service: Service, given: PutPolicy) -> dict[str, Any]:
    tracking, steps = given.TargetTrackingScalingPolicyConfiguration, given.StepScalingPolicyConfiguration
    said = tracking if given.PolicyType == "TargetTrackingScaling" else steps
    if said is None:
        raise _invalid(f"a policy of the type {given.PolicyType} must have its configuration", None)
    policy = _tracking(given.PolicyName, said) if said is tracking else _steps(given.PolicyName, said)
    _parts(given.ResourceId)
    rest = f"scalingPolicy:{service.ids()}:resource/sagemaker/{given.ResourceId}:policyName/{given.PolicyName}"
    name = arn(service, "autoscaling", rest)
    details: dict[str, object] = {"configuration": said}
    ids = service.ids(), service.ids()
    made = await service.ledger.do(put_policy, given.ResourceId, policy, name, ids, details)
    service.scaler.wake()
    return {"PolicyARN": made.arn, "Alarms": _alarms(service, made.policy)}


def _tracking(name: str, said: dict[str, Any]) -> TargetTracking:
    given = converted(said, Tracking, "ValidationException")
    predefined, customized = given.PredefinedMetricSpecification, given.CustomizedMetricSpecification
    if (predefined is None) == (customized is None):
        raise _invalid("a target-tracking policy must name one metric, predefined or customized", said)
    metric = BACKLOG_PER_INSTANCE
    if predefined is not None:
        if predefined.PredefinedMetricType not in _PREDEFINED:
            raise _invalid("a predefined metric must be one of sagemaker's", predefined.PredefinedMetricType)
        metric = _PREDEFINED[predefined.PredefinedMetricType]
    elif customized is not None:
        metric = customized.MetricName
    return TargetTracking(
        name,
        given.TargetValue,
        metric,
        given.ScaleOutCooldown,
        given.ScaleInCooldown,
        given.DisableScaleIn,
        customized.Statistic if customized else "Average",
    )


def _steps(name: str, said: dict[str, Any]) -> StepScaling:
    given = converted(said, Steps, "ValidationException")
    steps = tuple(
        StepAdjustment(one.ScalingAdjustment, one.MetricIntervalLowerBound, one.MetricIntervalUpperBound)
        for one in given.StepAdjustments
    )
    cooldown, least = float(given.Cooldown), given.MinAdjustmentMagnitude
    return StepScaling(name, steps, given.AdjustmentType, cooldown, least, given.MetricAggregationType)


async def _delete_policy(service: Service, given: OnePolicy) -> dict[str, Any]:
    try:
        await service.ledger.do(delete_policy, given.ResourceId, given.PolicyName)
    except UnknownNameError as failure:
        rule = f"No scaling policy found for service namespace: sagemaker, policy name: {given.PolicyName}"
        raise RefusedError("ObjectNotFoundException", rule) from failure
    return {}


async def _describe_targets(service: Service, given: Describe) -> dict[str, Any]:
    every = await service.ledger.read(TARGETS.all)
    rows = [one for one in every if not given.ResourceIds or one.name in given.ResourceIds]
    shown, token = paged(rows, given.MaxResults, given.NextToken)
    return told({"ScalableTargets": [_target(one) for one in shown], "NextToken": token})


async def _describe_policies(service: Service, given: Describe) -> dict[str, Any]:
    def found(connection: Any) -> list[tuple[PolicyRecord, list[dict[str, str]]]]:
        records = POLICIES.children(connection, given.ResourceId) if given.ResourceId else POLICIES.all(connection)
        wanted = [one for one in records if not given.PolicyNames or one.policy.name in given.PolicyNames]
        triggers: dict[str, list[dict[str, str]]] = {}
        for alarm in ALARMS.all(connection):
            for action in alarm.actions:
                row = {"AlarmName": alarm.name, "AlarmARN": arn(service, "cloudwatch", f"alarm:{alarm.name}")}
                triggers.setdefault(action, []).append(row)
        return [(one, triggers.get(one.arn, [])) for one in wanted]

    shown, token = paged(await service.ledger.read(found), given.MaxResults, given.NextToken)
    return told({"ScalingPolicies": [_policy(one, alarms) for one, alarms in shown], "NextToken": token})


async def _describe_activities(service: Service, given: Describe) -> dict[str, Any]:
    def found(connection: Any) -> list[ActivityRecord]:
        some = ACTIVITIES.children(connection, given.ResourceId) if given.ResourceId else ACTIVITIES.all(connection)
        kept = [one for one in some if given.IncludeNotScaledActivities or not one.activity.not_scaled_reasons]
        return sorted(kept, key=lambda one: -one.started_at)

    shown, token = paged(await service.ledger.read(found), given.MaxResults, given.NextToken)
    return told({"ScalingActivities": [_activity(one) for one in shown], "NextToken": token})


async def _tag(service: Service, given: Tagging) -> dict[str, Any]:
    await _retag(service, given, lambda tags: {**tags, **given.Tags})
    return {}


async def _untag(service: Service, given: Tagging) -> dict[str, Any]:
    await _retag(service, given, lambda tags: {key: one for key, one in tags.items() if key not in given.TagKeys})
    return {}


async def _list_tags(service: Service, given: Tagging) -> dict[str, Any]:
    for one in await service.ledger.read(TARGETS.all):
        if one.arn == given.ResourceARN:
            return {"Tags": one.details.get("tags", {})}
    raise _unknown(given.ResourceARN)


async def _retag(service: Service, given: Tagging, change: Any) -> None:
    for one in await service.ledger.read(TARGETS.all):
        if one.arn == given.ResourceARN:
            tags = change(one.details.get("tags", {}))
            target = msgspec.structs.replace(one.target, imitate_aws=tags.get(IMITATE, "").lower() == "true")
            changed = msgspec.structs.replace(one, target=target, details={**one.details, "tags": tags})
            await service.ledger.do(register_target, changed)
            return
    raise _unknown(given.ResourceARN)


def _target(one: ScalableTargetRecord) -> dict[str, Any]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": one.name,
        "ScalableDimension": DIMENSION,
        "MinCapacity": one.target.min,
        "MaxCapacity": one.target.max,
        "RoleARN": one.details.get("role") or "arn:aws:iam::000000000000:role/local",
        "CreationTime": one.created_at,
        "SuspendedState": {
            "DynamicScalingInSuspended": one.target.scale_in_suspended,
            "DynamicScalingOutSuspended": one.target.scale_out_suspended,
            "ScheduledScalingSuspended": False,
        },
        "ScalableTargetARN": one.arn,
    }


def _policy(one: PolicyRecord, alarms: list[dict[str, str]]) -> dict[str, Any]:
    tracking = isinstance(one.policy, TargetTracking)
    key = "TargetTrackingScalingPolicyConfiguration" if tracking else "StepScalingPolicyConfiguration"
    return {
        "PolicyARN": one.arn,
        "PolicyName": one.policy.name,
        "ServiceNamespace": "sagemaker",
        "ResourceId": one.resource,
        "ScalableDimension": DIMENSION,
        "PolicyType": "TargetTrackingScaling" if tracking else "StepScaling",
        key: one.details.get("configuration", {}),
        "Alarms": alarms,
        "CreationTime": one.created_at,
    }


def _activity(one: ActivityRecord) -> dict[str, Any]:
    what = one.activity
    reasons = [
        told({"Code": why.code, "CurrentCapacity": why.current, "MinCapacity": why.min, "MaxCapacity": why.max})
        for why in what.not_scaled_reasons
    ]
    return told(
        {
            "ActivityId": one.name,
            "ServiceNamespace": "sagemaker",
            "ResourceId": one.resource,
            "ScalableDimension": DIMENSION,
            "Description": what.description,
            "Cause": what.cause,
            "StartTime": one.started_at,
            "EndTime": one.ended_at,
            "StatusCode": what.status,
            "StatusMessage": what.message,
            "NotScaledReasons": reasons or None,
        }
    )


def _alarms(service: Service, policy: ScalingPolicy) -> list[dict[str, str]]:
    return [
        {"AlarmName": one.name, "AlarmARN": arn(service, "cloudwatch", f"alarm:{one.name}")} for one in policy.alarms
    ]


def _parts(resource: str) -> tuple[str, str]:
    """Endpoint and variant of a resource id."""
    found = _RESOURCE.fullmatch(resource)
    if found is None:
        raise _invalid("a resource id must read endpoint/NAME/variant/NAME", resource)
    return found[1], found[2]


def _invalid(rule: str, value: object) -> RefusedError:
    return RefusedError("ValidationException", rule, value=value)


def _unknown(name: str) -> RefusedError:
    return RefusedError("ResourceNotFoundException", "the resource must be a scalable target's ARN", value=name)


OPERATIONS: Operations = {
    "DeleteScalingPolicy": (OnePolicy, _delete_policy),
    "DeregisterScalableTarget": (OneTarget, _deregister),
    "DescribeScalableTargets": (Describe, _describe_targets),
    "DescribeScalingActivities": (Describe, _describe_activities),
    "DescribeScalingPolicies": (Describe, _describe_policies),
    "ListTagsForResource": (Tagging, _list_tags),
    "PutScalingPolicy": (PutPolicy, _put_policy),
    "RegisterScalableTarget": (Register, _register),
    "TagResource": (Tagging, _tag),
    "UntagResource": (Tagging, _untag),
}
