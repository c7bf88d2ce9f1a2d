"""Activities: what is kept of a decision while it is carried out, in Application Auto Scaling's codes and words."""

import msgspec

from modelwright.records.autoscaling import Activity, Reading, ScalableTarget, Scaling

_FULFILLED = "Change successfully fulfilled by sagemaker."


def started(scaling: Scaling, now: float) -> Activity | None:
    """The activity that a decision begins; None where no policy was triggered.

    One that was triggered and changes nothing is over at once, and bears its reasons.
    """
    if scaling.current is None or scaling.desired is None or not scaling.cause:
        return None
    before, after = scaling.current, scaling.desired
    if before != after:
        description = f"Setting desired instance count to {after}."
        return Activity(now, before, after, scaling.cause, description, policy=scaling.policy)
    return Activity(
        *(now, before, after, scaling.cause, "Attempting to scale due to alarm triggered", "Unfulfilled"),
        ended=now,
        policy=scaling.policy,
        not_scaled_reasons=scaling.not_scaled_reasons,
    )


def settled(activity: Activity, reading: Reading, target: ScalableTarget) -> Activity:
    """The activity as it stands when this was read; one that has ended stays as it is.

    More capacity is there when its instances are ready; less, when those that go take no more requests, however long
    they finish what they have.
    """
    if activity.ended is not None:
        return activity
    there = reading.instances >= activity.after
    if activity.after < activity.before:
        there = reading.capacity <= activity.after
    if there:
        done = f"Successfully set desired instance count to {activity.after}. {_FULFILLED}"
        return msgspec.structs.replace(activity, status="Successful", message=done, ended=reading.at)
    if reading.at >= activity.started + target.start_limit_s:
        late = f"{reading.instances} of {activity.after} instances are ready after {target.start_limit_s:g} seconds."
        return msgspec.structs.replace(activity, status="Unfulfilled", message=late, ended=reading.at)
    return msgspec.structs.replace(activity, status="InProgress")


def overridden(activity: Activity, now: float) -> Activity:
    """An activity that goes on no more because a later one began; one that has ended stays as it is."""
    if activity.ended is not None:
        return activity
    message = "A later scaling activity took its place."
    return msgspec.structs.replace(activity, status="Overridden", message=message, ended=now)


def failed(activity: Activity, why: str, now: float) -> Activity:
    """An activity that its instances made fail, and why; one that has ended stays as it is."""
    if activity.ended is not None:
        return activity
    return msgspec.structs.replace(activity, status="Failed", message=why, ended=now)
