"""Which instances go when there are too many, and which come back: work in flight is never cut off."""

from collections.abc import Sequence

from modelwright.records.autoscaling import InstanceLoad


def leaving(instances: Sequence[InstanceLoad], surplus: int) -> tuple[str, ...]:
    """The instances to drain, in order: not ready yet, then idle, then least in flight; of equals the newest.

    What drains takes no more requests; it may be stopped when `stoppable` names it.

    Args:
        instances: all of the endpoint's.
        surplus: how many are to go; those that drain already are not counted again.
    """
    staying = [one for one in instances if one.state != "draining"]
    order = sorted(staying, key=lambda one: (one.in_flight, one.state != "starting", -one.since, one.id))
    return tuple(one.id for one in order[: max(surplus, 0)])


def recalled(instances: Sequence[InstanceLoad], missing: int) -> tuple[str, ...]:
    """Draining instances that take requests again in place of new ones, the busiest first: they would stay longest.

    Args:
        instances: all of the endpoint's.
        missing: how many more are wanted.
    """
    draining = sorted(
        (one for one in instances if one.state == "draining"), key=lambda one: (-one.in_flight, one.since, one.id)
    )
    return tuple(one.id for one in draining[: max(missing, 0)])


def stoppable(instances: Sequence[InstanceLoad]) -> tuple[str, ...]:
    """The draining instances without work in flight: these may be stopped now."""
    return tuple(one.id for one in instances if one.state == "draining" and one.in_flight == 0)
