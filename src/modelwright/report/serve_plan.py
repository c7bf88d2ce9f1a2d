"""The page of `modelwright serve plan`: instances, backlog and waiting times of each way to scale a fleet."""

from collections.abc import Sequence

from modelwright.records.autoscaling import ScalingPolicy, TargetTracking
from modelwright.records.capacity import CapacityFindings, CapacityPlan, Latency
from modelwright.report.markup import Data, bullets, details, figure, grid, paragraph, section, table
from modelwright.report.page import page
from modelwright.report.quantity import duration, many, percent, quantity, significant
from modelwright.report.serve_charts import arrivals_chart, backlog_chart, clock, instances_chart, tradeoff_chart

_METHOD = (
    "The traffic was replayed in virtual time: by the autoscaler that the service itself runs, and by the rules of its "
    "queue. Requests are served first come, first served. An attempt that lasts longer than its timeout is followed by "
    "the next; a request whose attempts are used up is dead, and one that waits longer than it may expires. "
    "An instance is paid from the moment it is asked for until it has stopped. One that is scaled in takes no more "
    "requests and finishes what it has. Instances that fail, and what lies between queue and instance, are not in the "
    "model."
)
_OUTCOME = (
    "Waiting is from arrival to start. Busy is the share of ready and paid time in which a slot worked. Lost requests "
    "have expired or used up their attempts."
)


def serve_plan_page(found: CapacityFindings, *, made_by: str = "") -> str:
    """One HTML file that shows what each way to scale would do.

    Args:
        found: one plan at least.
        made_by: the program and the command line, for the foot of the page.
    """
    sections = [section("Outcome", table(outcome(found)), intro=_OUTCOME)]
    chart = tradeoff_chart(found)
    if chart:
        sections.append(section("What waiting costs", figure(chart)))
    sections.append(section("Traffic", figure(arrivals_chart(found))))
    sections += [_course(plan, found) for plan in found.plans]
    return page(
        f"{_titles(found)} under {found.traffic}",
        f"{many(found.requests, 'request')} in {duration(found.duration_s)}, at most {found.busiest} a minute; "
        f"{found.latency}. Simulated, not measured.",
        sections,
        paragraph(_METHOD) + bullets(_facts(found)),
        made_by=made_by,
    )


def outcome(found: CapacityFindings) -> Data:
    """A row a plan; the cost only where a price is known."""
    priced = found.fleet.price_per_hour > 0
    headings = ("plan", ">finished", ">lost", ">waiting", ">median", ">p95", ">p99", ">longest", ">instance-hours",
                *((">cost",) if priced else ()), ">busy", ">peak", ">changes")  # fmt: skip
    return Data(headings, tuple(_row(plan, priced) for plan in found.plans))


def _row(plan: CapacityPlan, priced: bool) -> tuple[str, ...]:
    spread = plan.waiting
    waits = (spread.mean_s, spread.p50_s, spread.p95_s, spread.p99_s, spread.max_s)
    return (
        *(plan.name, str(plan.finished), str(plan.expired + plan.dead)),
        *("-" if wait is None else duration(wait) for wait in waits),
        significant(plan.instance_hours),
        *((f"{plan.cost:.2f}",) if priced else ()),
        *(percent(plan.utilization), str(plan.peak), str(plan.scale_outs + plan.scale_ins)),
    )


def latency_words(latency: Latency | None, *, sized: bool = False) -> str:
    """How long requests run, in words; None for times that the traffic itself tells."""
    share = ", in proportion to their size" if sized else ""
    if latency is None:
        return f"times of the trace{share}"
    mean = quantity(latency.mean_s, "s")
    words = {
        "constant": f"{mean} each",
        "exponential": f"exponential times of {mean} on average",
        "lognormal": f"lognormal times of {mean} on average, variation {significant(latency.variation)}",
        "sample": f"times drawn from {many(len(latency.sample), 'measured one')}, {mean} on average",
    }
    return words[latency.kind] + share


def policy_words(policy: ScalingPolicy) -> str:
    """A policy in one line."""
    if isinstance(policy, TargetTracking):
        inward = "never scales in" if policy.disable_scale_in else f"scale-in {duration(policy.scale_in_cooldown_s)}"
        outward = duration(policy.scale_out_cooldown_s)
        return f"{policy.name}: {policy.metric} at {policy.target:g}; cooldowns: scale-out {outward}, {inward}"
    steps = ", ".join(f"{one.change:+d}" for one in policy.steps)
    watched = ", ".join(sorted({one.metric for one in policy.alarms})) or "no alarm yet"
    return f"{policy.name}: {policy.adjustment} {steps} on {watched}; cooldown {duration(policy.cooldown_s)}"


def _titles(found: CapacityFindings) -> str:
    return found.plans[0].name.capitalize() if len(found.plans) == 1 else f"{len(found.plans)} ways to scale"


def _course(plan: CapacityPlan, found: CapacityFindings) -> str:
    """A plan over time, and what changed when."""
    zoom = clock(plan.seconds)
    rows = tuple(
        (zoom.words(one.started), f"{one.before} to {one.after}", one.status, one.cause) for one in plan.activities
    )
    headings = (f">{zoom.unit}", ">capacity", "status", "~cause")
    changes = details(many(len(rows), "change") + " of capacity", table(Data(headings, rows))) if rows else ""
    return section(
        plan.name,
        grid([figure(instances_chart(plan)), figure(backlog_chart(plan, found.fleet.interval_s))]),
        changes,
        intro=_ended(plan),
    )


def _ended(plan: CapacityPlan) -> str:
    told = [f"{plan.finished} of {many(plan.arrived, 'request')} finished"]
    told += [f"{plan.expired} expired"] if plan.expired else []
    told += [f"{plan.dead} used up their attempts"] if plan.dead else []
    told += [f"{plan.unfinished} still waited or ran at the end"] if plan.unfinished else []
    paid = f"{significant(plan.instance_hours)} instance-hours were paid, {percent(plan.utilization)} of them busy"
    return f"{', '.join(told)}. {paid}."


def _facts(found: CapacityFindings) -> list[str]:
    fleet = found.fleet
    price = f" An hour of one costs {significant(fleet.price_per_hour)}." if fleet.price_per_hour else ""
    facts = [
        f"Traffic: {found.traffic}. Requests: {found.latency}. Seed {found.seed}.",
        f"Instances: {many(fleet.concurrency, 'request')} at once; ready after: {latency_words(fleet.startup)}.{price}",
        f"A request: timeout {duration(fleet.timeout_s)}, {many(fleet.attempts, 'attempt')}, expires after "
        f"{duration(fleet.ttl_s)} in the queue.",
        f"A decision every {duration(fleet.interval_s)}.",
    ]
    return facts + [f"{plan.name}: {_rules(plan.policies, plan.target.imitate_aws)}." for plan in found.plans]


def _rules(policies: Sequence[ScalingPolicy], imitate: bool) -> str:
    if not policies:
        return "does not scale"
    how = "as AWS does" if imitate else "wakes on the first request"
    return f"{how}; {'; '.join(map(policy_words, policies))}"
