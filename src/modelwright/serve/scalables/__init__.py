"""Scalable targets, their policies and alarms, and the activities that came of them, kept in the service's state.

state.submit(register_target, ScalableTargetRecord(resource_of("summarizer", "main"), ...)).result()
state.submit(put_policy, resource, TargetTracking("track", 5.0), arn, ids).result()
state.read(policies_of, resource)
"""

from modelwright.serve.scalables.activities import activities_of, note_activities
from modelwright.serve.scalables.alarms import delete_alarms, note_states, put_alarm
from modelwright.serve.scalables.kinds import ACTIVITIES, ALARMS, POLICIES, TARGETS, resource_of
from modelwright.serve.scalables.registering import (
    delete_policy,
    deregister_target,
    policies_of,
    put_policy,
    register_target,
    targets_of,
)

__all__ = [
    "ACTIVITIES",
    "ALARMS",
    "POLICIES",
    "TARGETS",
    "activities_of",
    "delete_alarms",
    "delete_policy",
    "deregister_target",
    "note_activities",
    "note_states",
    "policies_of",
    "put_alarm",
    "put_policy",
    "register_target",
    "resource_of",
    "targets_of",
]
