"""How many instances an endpoint shall have: pure functions of what was read, what is known of the past, and now.

Who drives them reads the endpoint every few seconds, and at once when a request comes while there is no instance:

    scaling = decide(reading, history, policies, target, now)
    history = remember(history, reading, scaling, policies, target, now)

and, where `scaling.change` is above zero, takes back those that `recalled` names before it starts new ones; where it is
below, drains those that `leaving` names, and stops what `stoppable` names later. Clients are shown
`history.activities` and `scaling.alarms`.
"""

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
