"""How many instances an endpoint shall have: pure functions of what was read, what is known of the past, and now."""

from modelwright.serve.scaling.activities import failed, settled, started
from modelwright.serve.scaling.alarms import alarms_of, next_state, tracking_alarms
from modelwright.serve.scaling.datapoints import datapoints
from modelwright.serve.scaling.decision import decide
from modelwright.serve.scaling.draining import leaving, recalled, stoppable
from modelwright.serve.scaling.history import remember
from modelwright.serve.scaling.waking import waking_policy

__all__ = [
    "alarms_of",
    "datapoints",
    "decide",
    "failed",
    "leaving",
    "next_state",
    "recalled",
    "remember",
    "settled",
    "started",
    "stoppable",
    "tracking_alarms",
    "waking_policy",
]
