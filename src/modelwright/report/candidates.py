"""A study's candidates in numbers and words: what each costs, how that was got, and what was chosen for it."""

from collections.abc import Sequence

import msgspec

from modelwright.records.space import Point, Value
from modelwright.records.study import Findings, Member, Plan, Trial
from modelwright.report.quantity import percent, quantity

_NAMES = {
    "accuracy": ("accuracy", ""),
    "latency_s": ("latency", "s"),
    "throughput_per_s": ("throughput", "/s"),
    "peak_memory_bytes": ("peak memory", "B"),
    "energy_j": ("energy", "J"),
    "flops": ("FLOPs", ""),
    "params": ("parameters", ""),
}
_GOT = {
    "training": "by training",
    "estimate": "estimated by the performance model",
    "measure": "measured on this machine",
    "calibrated": "estimated by the performance model, corrected by a few measurements",
}
_SHORT = {"estimate": "estimated", "measure": "measured", "calibrated": "calibrated"}


def metric_name(metric: str) -> str:
    """A metric in words: "latency"."""
    return _NAMES.get(metric, (metric, ""))[0]


def metric_unit(metric: str) -> str:
    """Its unit, "" for a number without one."""
    return _NAMES.get(metric, ("", ""))[1]


def written(metric: str, value: float) -> str:
    """A value with its unit; accuracies in per cent."""
    return percent(value) if metric == "accuracy" and 0 <= value <= 1 else quantity(value, metric_unit(metric))


def cost_metric(plan: Plan) -> str:
    """What the search weighs against accuracy: its first objective that is none."""
    return next((found.metric for found in plan.objectives if found.metric != "accuracy"), "latency_s")


def source(plan: Plan, metric: str) -> str:
    """How the search got a metric: "estimate", "measure" or "calibrated"."""
    return next((found.source for found in plan.objectives if found.metric == metric), "estimate")


def got(plan: Plan, metric: str) -> str:
    """The same in one word for an axis: "estimated", "measured" or "calibrated"."""
    return _SHORT.get(source(plan, metric), "")


def got_in_words(plan: Plan, metric: str) -> str:
    """The same for a sentence."""
    return _GOT[source(plan, metric)]


def burden(metric: str, value: float) -> float:
    """A cost as a number of which less is better: throughput turned round."""
    return -value if metric == "throughput_per_s" else value


def limit(plan: Plan, metric: str) -> float | None:
    """The limit that is set on a metric, if there is one."""
    return next((found.limit for found in plan.objectives if found.metric == metric), None)


def keeps_limits(trial: Trial, plan: Plan) -> bool:
    """Whether a trial's values keep every limit of the plan."""
    for found in plan.objectives:
        value = trial.values.get(found.metric)
        if found.limit is not None and (
            value is None or (value < found.limit if found.maximise else value > found.limit)
        ):
            return False
    return True


def judged(findings: Findings, state: str = "finished") -> list[Trial]:
    """The trials in a state that have both an accuracy and a cost."""
    metric = cost_metric(findings.plan)
    return [
        trial
        for trial in findings.trials
        if trial.state == state and "accuracy" in trial.values and trial.values.get(metric, 0) > 0
    ]


def counted(findings: Findings, member: Member, metric: str) -> float | None:
    """A member's number as the search counts it: beside its trials' numbers it stands for the same thing."""
    if metric in member.counted:
        return member.counted[metric]
    if metric == "latency_s" and source(findings.plan, metric) == "measure" and member.measurement:
        return member.measurement.median_s
    found = [
        trial.values[metric] for trial in findings.trials if trial.number == member.trial and metric in trial.values
    ]
    return found[0] if found else member.estimates.get(metric)


def predicted(plan: Plan, member: Member) -> float | None:
    """The latency that was predicted of a member, in seconds: as the search corrected it, or the model's own."""
    told = member.counted if source(plan, "latency_s") == "calibrated" else member.estimates
    return told.get("latency_s", member.estimates.get("latency_s"))


class Basis(msgspec.Struct, frozen=True):
    """What networks can be held against one another by: the numbers that all of them have.

    Attributes:
        tested: their accuracy on the test split; otherwise on the validation split.
        measured: their measured latency; otherwise the performance model's.
    """

    tested: bool
    measured: bool

    @property
    def split(self) -> str:
        """The split in a word."""
        return "test" if self.tested else "validation"

    @property
    def timing(self) -> str:
        """How the latency was got, in a word."""
        return "measured" if self.measured else "estimated"

    def accuracy(self, member: Member) -> float:
        """On that split."""
        tested = member.test_accuracy if self.tested else None
        return member.accuracy if tested is None else tested

    def latency(self, member: Member) -> float | None:
        """Seconds for a whole batch; None where that is not known."""
        if self.measured and member.measurement:
            return member.measurement.median_s
        return member.estimates.get("latency_s")


def basis(members: Sequence[Member]) -> Basis:
    """The best basis on which all of these networks can be compared."""
    return Basis(
        tested=all(member.test_accuracy is not None for member in members),
        measured=all(member.measurement for member in members),
    )


def lineage(member: Member) -> str:
    """What a network's name shares with its sisters': "efficientnet-x" of "efficientnet-x-b0"."""
    return member.name.rpartition("-")[0] or member.name


def short_names(members: Sequence[Member]) -> dict[str, str]:
    """What tells each network from its sisters, "b0"; the whole name where it has none."""
    lines = [lineage(member) for member in members]
    return {
        member.name: member.name[len(line) + 1 :] if lines.count(line) > 1 and member.name != line else member.name
        for member, line in zip(members, lines, strict=True)
    }


def choices(point: Point) -> tuple[tuple[str, str], ...]:
    """What was chosen, a row a place: ("stages.2", "fused yes, kernel 3")."""
    places: dict[str, list[str]] = {}
    for choice, value in point.items():
        place, _, what = choice.rpartition(".")
        places.setdefault(place or "network", []).append(f"{what} {value_words(value)}")
    return tuple((place, ", ".join(found)) for place, found in places.items())


def value_words(value: Value) -> str:
    """A chosen value as a reader writes it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
