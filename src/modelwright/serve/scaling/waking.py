"""The policy that AWS documents for endpoints that scale to zero: one instance while there is backlog and none."""

from modelwright.records.autoscaling import WITHOUT_CAPACITY, Alarm, StepAdjustment, StepScaling


def waking_policy(name: str = "wake", *, cooldown_s: float = 300.0, periods: int = 2) -> StepScaling:
    """A step policy on HasBacklogWithoutCapacity that adds one instance, with its alarm.

    Endpoints that do not imitate AWS wake on their first request without it.

    Args:
        name: of the policy; its alarm is called after it.
        cooldown_s: after it has added one.
        periods: minutes of backlog without capacity after which it does; AWS's example has 2.
    """
    alarm = Alarm(f"{name}-{WITHOUT_CAPACITY}", WITHOUT_CAPACITY, 1.0, evaluation_periods=periods)
    return StepScaling(name, (StepAdjustment(1, lower=0.0),), cooldown_s=cooldown_s, alarms=(alarm,))
