"""What is drawn of a capacity plan: traffic, instances and backlog over time, and waiting against cost."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from modelwright.records.capacity import CapacityFindings, CapacityPlan
from modelwright.report.charts import PLAIN, SECONDS, SHORT, Axis, Card
from modelwright.report.markup import Chart, Data
from modelwright.report.plane import Mark, Marks, Scale, key, plane, scale
from modelwright.report.quantity import duration, many, significant

_UNITS = (
    (86400.0 * 4, 86400.0, "days"),
    (3600.0 * 2, 3600.0, "hours"),
    (300.0, 60.0, "minutes"),
    (0.0, 1.0, "seconds"),
)
_READY, _SOUGHT, _DRAINING = "var(--matrix)", "var(--muted)", "var(--near)"
_BACKLOG, _ARRIVED = "var(--memory)", "var(--series-2)"
_TINTS = tuple(f"var(--series-{number})" for number in (1, 4, 5, 6, 3, 7, 2, 8))


class Clock(msgspec.Struct, frozen=True):
    """The unit of a time axis.

    Attributes:
        seconds: of one.
        unit: its name, plural.
    """

    seconds: float
    unit: str

    def words(self, at: float) -> str:
        """A moment in that unit, to a second or better."""
        return f"{at / self.seconds:.{0 if self.seconds == 1 else 2 if self.seconds == 60 else 4}f}"


def clock(seconds: float) -> Clock:
    """The unit in which so long a time is told by numbers that are neither large nor small."""
    return next(Clock(each, unit) for least, each, unit in _UNITS if seconds >= least)


def arrivals_chart(found: CapacityFindings) -> Chart:
    """Requests a minute."""
    plan = min(found.plans, key=lambda one: one.seconds)
    line, zoom = plan.timeline, clock(plan.seconds)
    rates = [count * 60 / line.slice_s for count in line.arrived]
    along = list(_along(plan, rates))
    marks = tuple(
        Mark(x, rate, (f"{zoom.words(at)} {zoom.unit}", ("requests a minute", significant(rate))))
        for x, at, rate in along
    )
    groups = [Marks("requests a minute", _ARRIVED, _closed(marks, plan), "none", line="step")]
    rows = tuple(
        (zoom.words(at), str(count)) for (_, at, _), count in zip(_along(plan, rates), line.arrived, strict=True)
    )
    option = plane(_across(plan), scale([0.0, *rates], Axis("requests a minute", SHORT), within=(0, math.inf)), groups)
    data = Data((f">{zoom.unit}", ">requests"), rows)
    return Chart("Arrivals", option, data, 220, f"Counted in slices of {duration(line.slice_s)}.")


def instances_chart(plan: CapacityPlan) -> Chart:
    """Instances that are ready, and the capacity that is sought; those that drain where there are some."""
    line = plan.timeline
    drawn = [("sought", _SOUGHT, line.desired), ("ready", _READY, line.instances)]
    if any(line.draining):
        drawn.insert(0, ("draining", _DRAINING, line.draining))
    groups = [Marks(name, tint, _steps(plan, name, values), "none", line="step") for name, tint, values in drawn]
    tallest = [0.0, *(float(value) for _, _, values in drawn for value in values)]
    up = scale(tallest, Axis("instances", SHORT), within=(0, math.inf), whole=True)
    zoom = clock(plan.seconds)
    headings = (f">{zoom.unit}", ">sought", ">ready", ">starting", ">draining")
    columns = (line.desired, line.instances, line.starting, line.draining)
    rows = tuple((zoom.words(at), *(str(column[place]) for column in columns)) for place, (_, at, _) in _numbered(plan))
    turns = f"Raised {many(plan.scale_outs, 'time')}, lowered {many(plan.scale_ins, 'time')}."
    return Chart("Instances", plane(_across(plan), up, groups), Data(headings, rows), 280, turns, key(groups))


def backlog_chart(plan: CapacityPlan, interval_s: float) -> Chart:
    """Requests that wait or run."""
    marks = _steps(plan, "backlog", plan.timeline.backlog)
    groups = [Marks("backlog", _BACKLOG, marks, "none", line="step")]
    up = scale([0.0, *map(float, plan.timeline.backlog)], Axis("requests", SHORT), within=(0, math.inf), whole=True)
    option = plane(_across(plan), up, groups)
    for series in option["series"]:
        series["areaStyle"] = {"color": series["itemStyle"]["color"], "opacity": 0.14, "origin": "start"}
    zoom = clock(plan.seconds)
    rows = tuple((zoom.words(at), str(plan.timeline.backlog[place])) for place, (_, at, _) in _numbered(plan))
    wait = plan.waiting.p95_s
    told = "No request was started." if wait is None else f"95 % wait no longer than {duration(wait)}."
    note = f"Waiting and running, the most in each slice of those seen every {duration(interval_s)}. {told}"
    return Chart("Backlog", option, Data((f">{zoom.unit}", ">backlog"), rows), 280, note)


def tradeoff_chart(found: CapacityFindings) -> Chart | None:
    """What is paid against how long requests wait, a point a plan; None for fewer than two."""
    shown = [(plan, wait) for plan in found.plans if (wait := plan.waiting.p95_s) is not None]
    if len(shown) < 2:
        return None
    priced = found.fleet.price_per_hour > 0
    paid = [plan.cost if priced else plan.instance_hours for plan, _ in shown]
    waits = [wait for _, wait in shown]
    named = "cost" if priced else "instance-hours"
    groups = [
        Marks(
            plan.name,
            _TINTS[place % len(_TINTS)],
            (Mark(x, y, _card(plan, named, x, y), plan.name),),
            "circle" if plan.policies else "diamond",
            size=11,
        )
        for place, ((plan, _), x, y) in enumerate(zip(shown, paid, waits, strict=True))
    ]
    logarithmic = min(waits) > 0 and max(waits) > 20 * min(waits)
    within = (-math.inf, math.inf) if logarithmic else (0, math.inf)
    up = scale(waits, Axis("waiting, 95th percentile", SECONDS), logarithmic=logarithmic, within=within)
    option = plane(scale(paid, Axis(named, PLAIN), within=(0, math.inf)), up, groups)
    rows = tuple((plan.name, significant(x), duration(y)) for (plan, _), x, y in zip(shown, paid, waits, strict=True))
    note = "Further down is quicker, further left is cheaper. A plan that loses requests may look better than it is."
    return Chart("Waiting against cost", option, Data(("plan", f">{named}", ">p95 of waiting"), rows), 360, note)


def _card(plan: CapacityPlan, named: str, paid: float, wait: float) -> Card:
    lost = plan.expired + plan.dead
    return (plan.name, (named, significant(paid)), ("p95 of waiting", duration(wait)), ("lost", str(lost)))


def _numbered(plan: CapacityPlan) -> Iterator[tuple[int, tuple[float, float, float]]]:
    return enumerate(_along(plan, [0.0] * len(plan.timeline.arrived)))


def _along(plan: CapacityPlan, values: Sequence[float]) -> Iterator[tuple[float, float, float]]:
    """Where each slice begins on the axis, the same in seconds, and its value."""
    unit, length = clock(plan.seconds).seconds, plan.timeline.slice_s
    for place, value in enumerate(values):
        yield place * length / unit, place * length, value


def _steps(plan: CapacityPlan, name: str, values: Sequence[int]) -> tuple[Mark, ...]:
    """The corners of a line of steps: one where a value differs from the one before, and the ends."""
    zoom = clock(plan.seconds)
    kept = [
        Mark(x, value, (f"{zoom.words(at)} {zoom.unit}", (name, str(int(value)))))
        for place, (x, at, value) in enumerate(_along(plan, values))
        if place == 0 or values[place - 1] != value
    ]
    return _closed(tuple(kept), plan)


def _closed(marks: tuple[Mark, ...], plan: CapacityPlan) -> tuple[Mark, ...]:
    """The same up to the end of the last slice."""
    end = len(plan.timeline.arrived) * plan.timeline.slice_s / clock(plan.seconds).seconds
    return (*marks, Mark(end, marks[-1].y))


def _across(plan: CapacityPlan) -> Scale:
    """Time from the beginning to the end, without room at the ends."""
    zoom = clock(plan.seconds)
    end = len(plan.timeline.arrived) * plan.timeline.slice_s / zoom.seconds
    rounded = scale([0.0, end], Axis(zoom.unit, PLAIN), within=(0, math.inf))
    ticks = tuple(tick for tick in rounded.ticks if tick <= end)
    return msgspec.structs.replace(rounded, ends=(0.0, end), ticks=ticks)
