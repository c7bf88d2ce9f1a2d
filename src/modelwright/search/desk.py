"""What a worker needs at hand, made from the plan and the study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import msgspec
import numpy as np

from modelwright.errors import SettingError
from modelwright.hardware import platform
from modelwright.networks.measuring import Protocol, Setting, architecture_subject, measure
from modelwright.records import Architecture, Measurement, Plan, Point
from modelwright.search.algorithms import Searcher, searchers
from modelwright.search.calibration import Calibration
from modelwright.search.costs import FREE, Costs
from modelwright.search.evaluate import Judge, rungs
from modelwright.search.evaluate.scores.judge import ScoreJudge
from modelwright.search.evaluate.supernet.judge import SupernetJudge, train_supernet
from modelwright.search.evaluate.training import TrainingJudge
from modelwright.search.objectives import check, limits, losses
from modelwright.search.site import Site
from modelwright.search.space import Product, feasible
from modelwright.search.study import Study
from modelwright.training import Data, Run, dataset

CALIBRATED_BY = 12
"""Networks that are measured to calibrate the performance model."""
SCORE = "synflow"
"""The score that stands for accuracy where nothing is trained."""
SUPERNET_EPOCHS = 4
"""A supernet is trained for so many times the epochs of one candidate."""

PROTOCOL = Protocol(repetitions=11, warmup=2, minimum_s=0.02)


@final
@dataclass(frozen=True)
class Desk:
    """All that a worker uses.

    Attributes:
        plan: what is asked for.
        site: where it runs.
        data: as fitted to the plan.
        domain: the points that may be chosen.
        costs: of points.
        searcher: suggests points.
        judge: says how accurate they are.
    """

    plan: Plan
    site: Site
    data: Data
    domain: Product
    costs: Costs
    searcher: Searcher
    judge: Judge

    @property
    def run(self) -> Run:
        """How networks are trained here."""
        site = self.site
        return Run(device=site.device, threads=site.threads, clock=site.clock, commit=site.commit)

    def measure(self, architectures: Sequence[Architecture]) -> tuple[Measurement, ...]:
        """Latencies on the device at hand, all in turns."""
        plan, site = self.plan, self.site
        setting = Setting(plan.batch, plan.precision, plan.execution, device=site.device, threads=site.threads)
        subjects = [architecture_subject(found, setting) for found in architectures]
        return measure(subjects, PROTOCOL, clock=site.clock, commit=site.commit)


def read_data(plan: Plan) -> Data:
    """The plan's data set, the part of it that the plan uses."""
    data = dataset(plan.data, seed=plan.seed)
    return data.subset(train=plan.images, seed=plan.seed) if plan.images else data


def prepare(study: Study, site: Site, data: Data | None = None) -> Desk:
    """The desk of one worker; what was calibrated or trained before is taken from the study.

    Raises:
        SettingError: the plan asks for what cannot be, such as a limit that no point keeps.
        UnknownNameError: a name in the plan is unknown.
    """
    plan = study.plan
    check(plan.objectives)
    data = data or read_data(plan)
    domain = Product(plan.space)
    costs = Costs(plan, platform(plan.platform or "x86"))
    if any(objective.source == "calibrated" for objective in plan.objectives):
        costs.calibration = calibration(study, costs, domain, site)
    _check_limits(plan, domain, costs)
    searcher = searchers[plan.method]()
    return Desk(plan, site, data, domain, costs, searcher, judge_of(plan, site, data))


def calibration(study: Study, costs: Costs, domain: Product, site: Site) -> Calibration:
    """How far the performance model is off on this machine, from a few networks spread over all latencies."""
    held = study.state().note("calibration", Calibration)
    if held is not None:
        return held
    plan = study.plan
    points = sample(domain, costs, CALIBRATED_BY, np.random.default_rng([plan.seed, 1]))
    made = [costs.architecture(point, f"calibration-{place}") for place, point in enumerate(points)]
    site.tell("calibrate", 0, len(made), f"{len(made)} networks of the space are measured")
    setting = Setting(plan.batch, plan.precision, plan.execution, device=site.device, threads=site.threads)
    subjects = [architecture_subject(found, setting) for found in made]
    taken = measure(subjects, PROTOCOL, clock=site.clock, commit=site.commit)
    fitted = Calibration.fit(made, costs.raw(made), [found.median_s for found in taken])
    study.note("calibration", fitted)
    site.tell("calibrate", len(made), len(made), f"predictions are off by {fitted.error:.0%} (median)")
    return fitted


def sample(domain: Product, costs: Costs, count: int, rng: np.random.Generator) -> list[Point]:
    """Points spread evenly over the ranks of estimated latency among many that are drawn."""
    drawn = list({tuple(point.items()): point for point in domain.sample(rng, 24 * count)}.values())
    made = [costs.architecture(point) for point in drawn]
    order = np.argsort([row["latency_s"] for row in costs.raw(made)], kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [drawn[order[place]] for place in sorted(set(places.tolist()))]


def judge_of(plan: Plan, site: Site, data: Data) -> Judge:
    """What judges candidates, by the plan's evidence."""
    run = Run(device=site.device, threads=site.threads, clock=site.clock, commit=site.commit)
    if plan.evidence == "score":
        return ScoreJudge(SCORE, data, run=run)
    if plan.evidence == "supernet":
        recipe = msgspec.structs.replace(plan.recipe, epochs=plan.recipe.epochs * SUPERNET_EPOCHS)
        kept = Run(run.device, run.threads, site.checkpoints / "supernet.pt", clock=site.clock, commit=site.commit)
        supernet, _ = train_supernet(plan.space, data, recipe, kept)
        return SupernetJudge(supernet, recipe.epochs, data, run=run)
    budgets = rungs(plan.recipe.epochs) if plan.evidence == "halving" else ()
    return TrainingJudge(data, plan.recipe, site.checkpoints, budgets, run)


def _check_limits(plan: Plan, domain: Product, costs: Costs) -> None:
    """Say before the search starts that no point keeps the limits that cost nothing to know."""
    most = limits(plan.objectives)
    free = [place for place, objective in enumerate(plan.objectives) if objective.source in FREE]
    if most is None or not np.isfinite(most[free]).any():
        return
    bound = [place for place in free if np.isfinite(most[place])]

    def paid(points: Sequence[Point]) -> np.ndarray:
        found: np.ndarray = np.exp(losses(plan.objectives, costs.values(points))[:, bound])
        return found

    try:
        feasible(domain, paid, np.exp(most[bound]).tolist(), np.random.default_rng([plan.seed, 2]))
    except SettingError as failure:
        names = ", ".join(plan.objectives[place].metric for place in bound)
        rule = f"the space must hold a network within the limit of {names}"
        way_out = f"The least that was found is {failure.value!r}: raise the limit, or widen the space."
        allowed = np.exp(most[bound]).tolist()
        raise SettingError(rule, where=plan.space.name, value=allowed, way_out=way_out) from failure
