"""The kinds of what is kept for scaling, and their names."""

from modelwright.records import ActivityRecord, AlarmRecord, PolicyRecord, ScalableTargetRecord
from modelwright.serve.state import Kind

TARGETS = Kind("scalable target", ScalableTargetRecord, "scalable target")
"""Parent: the endpoint."""

POLICIES = Kind("scaling policy", PolicyRecord, "scaling policy")
"""Parent: the scalable target."""

ALARMS = Kind("alarm", AlarmRecord, "alarm")

ACTIVITIES = Kind("scaling activity", ActivityRecord, "scaling activity")
"""Parent: the scalable target."""


def resource_of(endpoint: str, variant: str) -> str:
    """The name of the scalable target of a variant."""
    return f"endpoint/{endpoint}/variant/{variant}"
