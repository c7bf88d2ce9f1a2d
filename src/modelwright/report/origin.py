"""How a search's numbers were got: the plan, the splits, the recipes, the devices and the space."""

from collections.abc import Iterator, Sequence

import msgspec

from modelwright.records import Platform
from modelwright.records.measurement import Device, Measurement
from modelwright.records.study import Findings, Plan
from modelwright.report.candidates import got_in_words, metric_name, value_words, written
from modelwright.report.markup import Data, bullets, details, paragraph, table
from modelwright.report.provenance import METHOD, sources
from modelwright.report.quantity import duration

_SPLITS = (
    "The search saw the training and the validation split only. Accuracy on the test split was asked for once a "
    "network, after its last training, and decided nothing. The accuracy of a single training run has the noise of its "
    "seed and of the split's size."
)
_TIMES = (
    "A measured latency is the median of its repetitions on the machine named below; an estimated one is what the "
    "performance model says of the platform, and a calibrated one is that, corrected by a few measurements. "
)


def search_origin(findings: Findings, platform: Platform | None) -> str:
    """The closing part of a search's page, as HTML."""
    return "".join(
        [
            paragraph(_SPLITS),
            paragraph(_TIMES + METHOD),
            bullets(_facts(findings)),
            details("The two recipes", table(recipes(findings.plan))),
            details("The space", table(space(findings.plan))),
            sources(platform) if platform else "",
        ]
    )


def recipes(plan: Plan) -> Data:
    """A row a setting of the candidates' recipe and the family's."""
    first, last = (msgspec.structs.asdict(recipe) for recipe in (plan.recipe, plan.final))
    rows = tuple((key, value_words(value), value_words(last[key])) for key, value in first.items())
    return Data(("setting", ">of a candidate", ">of the family and the references"), rows)


def space(plan: Plan) -> Data:
    """A row a choice."""
    rows = tuple(
        (
            choice.name,
            ", ".join(value_words(value) for value in choice.values),
            "; ".join(
                f"{other} is {' or '.join(value_words(value) for value in values)}"
                for other, values in choice.when.items()
            ),
        )
        for choice in plan.space.choices
    )
    fixed = tuple((key, value_words(value), "always") for key, value in plan.space.fixed.items())
    return Data(("choice", "~values", "~only where"), (*rows, *fixed))


def _facts(findings: Findings) -> Iterator[str]:
    plan = findings.plan
    took = duration(findings.seconds)
    yield f"Search: method {plan.method}, {plan.trials} trials asked for, seed {plan.seed}, {took} in all."
    for objective in plan.objectives:
        bounds = {"limit": objective.limit, "target": objective.target}
        told = [f"{word} {written(objective.metric, value)}" for word, value in bounds.items() if value is not None]
        told += [f"weight {objective.weight:g}"] if objective.weight else []
        text = f"{metric_name(objective.metric)}: {got_in_words(plan, objective.metric)}"
        yield f"Objective {', '.join([text, *told])}."
    on = f", platform {plan.platform}" if plan.platform else ""
    yield f"Costs: batch {plan.batch}, precision {plan.precision}, execution {plan.execution}{on}."
    source = f" ({plan.space.source})" if plan.space.source else ""
    yield f"Data: {plan.data}. Space: {plan.space.name}, {len(plan.space.choices)} choices{source}."
    yield f"The search ran on {device(findings.device)}."
    measured = [m.measurement for m in (*findings.family, *findings.references) if m.measurement]
    yield from _measured(measured)
    trained = dict.fromkeys(device(member.learning.device) for member in (*findings.family, *findings.references))
    yield from (f"Trained in full on {where}." for where in trained if where != device(findings.device))
    if not measured:
        yield "Nothing was measured: every latency here is an estimate."


def device(found: Device) -> str:
    """A machine and its software in a line."""
    versions = ", ".join(f"{package} {version}" for package, version in found.versions.items())
    commit = f", commit {found.commit}" if found.commit else ""
    threads = f"{found.threads} threads" if found.threads != 1 else "1 thread"
    return f"{found.name} ({found.kind}, {threads}; {versions}{commit})"


def _measured(found: Sequence[Measurement]) -> Iterator[str]:
    """A sentence for all that were measured alike; calls a repetition are as many as last long enough."""
    calls: dict[tuple[str, str], list[int]] = {}
    for one in found:
        order = "channels last" if one.channels_last else "channels first"
        setting = f"batch {one.batch}, {one.precision} {one.execution}, {order}: {len(one.seconds)} repetitions of"
        where = f"calls after {one.warmup} of warm-up, on {one.taken_at[:10]}, on {device(one.device)}"
        calls.setdefault((setting, where), []).append(one.inner)
    for (setting, where), counts in calls.items():
        least, most = min(counts), max(counts)
        yield f"Measured at {setting} {least if least == most else f'{least} to {most}'} {where}."
