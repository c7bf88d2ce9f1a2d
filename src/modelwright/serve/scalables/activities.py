"""Activities, kept so that clients can read them and a new server goes on with their cooldowns."""

from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy import Connection

from modelwright.records import ActivityRecord
from modelwright.records.autoscaling import Activity
from modelwright.serve.scalables.kinds import ACTIVITIES
from modelwright.serve.state import Listing, Unit

MOST = 1000
"""Of one scalable target; the oldest ones go."""

KEEP_S = 42 * 86_400.0
"""How long an activity is remembered, seconds: six weeks, as Application Auto Scaling does."""


def note_activities(
    unit: Unit, resource: str, activities: Sequence[Activity], ids: Sequence[str]
) -> list[ActivityRecord]:
    """Note how activities stand: new ones are added, those that are there are followed up.

    Args:
        unit: of work.
        resource: name of the scalable target.
        activities: on the line of time; each is known by when it started and what it changes.
        ids: names for new ones, at least as many as there are activities.

    Returns:
        Those that are new or have changed.
    """
    before = {_key(one.activity): one for one in ACTIVITIES.children(unit.connection, resource)}
    names, changed = iter(ids), []
    for activity in activities:
        known = before.get(_key(activity))
        ended = None if activity.ended is None else unit.at
        if known is None:
            record = ActivityRecord(next(names), resource, activity, unit.at - (unit.t - activity.started), ended)
            changed.append(ACTIVITIES.create(unit, record, parent=resource))
        elif known.activity != activity:
            changed.append(
                ACTIVITIES.replace(unit, replace(known, activity=activity, ended_at=known.ended_at or ended))
            )
    old = sorted(before.values(), key=lambda one: -one.started_at)
    for place, one in enumerate(old):
        if place >= MOST or one.started_at < unit.at - KEEP_S:
            ACTIVITIES.delete(unit, one.name)
    return changed


def activities_of(connection: Connection, resource: str, limit: int = MOST) -> list[ActivityRecord]:
    """A target's activities, the newest first."""
    listing = Listing(limit=limit, order="created_at", descending=True, parent=resource)
    return list(ACTIVITIES.page(connection, listing).records)


def _key(activity: Activity) -> tuple[float, int, int]:
    return round(activity.started, 3), activity.before, activity.after
