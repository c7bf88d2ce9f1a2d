"""Scalable targets and policies come and go."""

from msgspec.structs import replace
from sqlalchemy import Connection

from modelwright.errors import UnknownNameError
from modelwright.records import AlarmRecord, PolicyRecord, ScalableTargetRecord
from modelwright.records.autoscaling import ScalingPolicy, StepScaling, TargetTracking
from modelwright.serve.scalables.kinds import ACTIVITIES, ALARMS, POLICIES, TARGETS
from modelwright.serve.scaling import tracking_alarms
from modelwright.serve.state import ENDPOINTS, Unit


def register_target(unit: Unit, record: ScalableTargetRecord) -> ScalableTargetRecord:
    """Let a variant be scaled, or change its limits; it keeps when it was made, and the ARN that it had.

    Raises:
        UnknownNameError: there is no such endpoint or variant.
        RecordError: a limit breaks a rule.
    """
    endpoint = ENDPOINTS.get(unit.connection, record.endpoint)
    variants = [one.name for one in endpoint.variants]
    if record.variant not in variants:
        raise UnknownNameError("variant", record.variant, variants)
    before = TARGETS.find(unit.connection, record.name)
    if before is None:
        return TARGETS.create(unit, replace(record, created_at=unit.at), parent=record.endpoint)
    kept = replace(record, created_at=before.created_at, arn=before.arn or record.arn)
    made = TARGETS.replace(unit, kept)
    if before.target.imitate_aws != record.target.imitate_aws:
        for policy in POLICIES.children(unit.connection, record.name):
            ids = [alarm.name.rpartition("-Alarm")[2].partition("-")[2] for alarm in policy.policy.alarms]
            put_policy(unit, policy.resource, policy.policy, policy.arn, (ids[0], ids[1]) if ids else ("", ""))
    return made


def deregister_target(unit: Unit, name: str) -> None:
    """Scale a variant no more; its policies, their alarms and what is remembered of activities go with it.

    Raises:
        UnknownNameError: there is no such target.
    """
    TARGETS.get(unit.connection, name)
    for policy in POLICIES.children(unit.connection, name):
        _drop(unit, policy)
    for activity in ACTIVITIES.children(unit.connection, name):
        ACTIVITIES.delete(unit, activity.name)
    TARGETS.delete(unit, name)


def targets_of(connection: Connection, endpoint: str) -> list[ScalableTargetRecord]:
    """The scalable targets of an endpoint."""
    return TARGETS.children(connection, endpoint)


def put_policy(
    unit: Unit,
    resource: str,
    policy: ScalingPolicy,
    arn: str = "",
    ids: tuple[str, str] = ("high", "low"),
    details: dict[str, object] | None = None,
) -> PolicyRecord:
    """Add a policy to a scalable target, or change it. Target tracking brings two alarms, made anew each time.

    Args:
        unit: of work.
        resource: name of the scalable target.
        policy: without alarms: those of target tracking are made here, those of steps are put by themselves.
        arn: of the policy, where there is none of its name yet.
        ids: end the names of the two alarms.
        details: what the client said besides.

    Raises:
        UnknownNameError: there is no such target.
        RecordError: the policy breaks a rule.
    """
    target = TARGETS.get(unit.connection, resource)
    name = f"{resource}/{policy.name}"
    before = POLICIES.find(unit.connection, name)
    if before is not None:
        _drop_alarms(unit, before)
    made = PolicyRecord(name, resource, replace(policy, alarms=()), arn, unit.at, details or {})
    if before is not None:
        made = replace(made, arn=before.arn, created_at=before.created_at)
        made = replace(made, details=before.details if details is None else details)
    if isinstance(policy, TargetTracking):
        alarms = tracking_alarms(policy, target.target, resource=resource, ids=ids)
        made = replace(made, policy=replace(policy, alarms=alarms))
        where = {"EndpointName": target.endpoint}
        for alarm in alarms:
            record = AlarmRecord(alarm.name, alarm, dimensions=where, actions=(made.arn,), updated_at=unit.at)
            ALARMS.create(unit, record, parent=name)
    if before is None:
        return POLICIES.create(unit, made, parent=resource)
    return POLICIES.replace(unit, made)


def delete_policy(unit: Unit, resource: str, policy: str) -> None:
    """Remove a policy, with the alarms that were created with it.

    Raises:
        UnknownNameError: there is none of that name.
    """
    _drop(unit, POLICIES.get(unit.connection, f"{resource}/{policy}"))


def policies_of(connection: Connection, resource: str) -> tuple[ScalingPolicy, ...]:
    """A target's policies as the autoscaler takes them: those of steps with the alarms whose actions name them."""
    records = POLICIES.children(connection, resource)
    if not any(isinstance(one.policy, StepScaling) for one in records):
        return tuple(one.policy for one in records)
    triggers: dict[str, list[AlarmRecord]] = {}
    for alarm in ALARMS.all(connection):
        for action in alarm.actions if alarm.details.get("ActionsEnabled", True) else ():
            triggers.setdefault(action, []).append(alarm)
    return tuple(
        replace(one.policy, alarms=tuple(alarm.alarm for alarm in triggers.get(one.arn, ())))
        if isinstance(one.policy, StepScaling)
        else one.policy
        for one in records
    )


def _drop(unit: Unit, record: PolicyRecord) -> None:
    _drop_alarms(unit, record)
    POLICIES.delete(unit, record.name)


def _drop_alarms(unit: Unit, record: PolicyRecord) -> None:
    """Remove the alarms that came with a policy; those that were put by themselves stay."""
    for alarm in ALARMS.children(unit.connection, record.name):
        ALARMS.delete(unit, alarm.name)
