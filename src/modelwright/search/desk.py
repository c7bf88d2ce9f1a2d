"""What a worker needs at hand, made from the plan and the study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import msgspec
import numpy as np
import torch

from modelwright.errors import SettingError
from modelwright.hardware import platform
from modelwright.hardware.model import check as check_precision
from modelwright.networks.measuring import Protocol, Setting, architecture_subject, measure
from modelwright.networks.measuring.ambience import device_of
from modelwright.networks.measuring.setting import check as check_setting
from modelwright.records import Architecture, Measurement, Objective, Plan, Platform, Point, Policy
from modelwright.search.algorithms import Searcher, searchers
from modelwright.search.calibration import Calibration
from modelwright.search.costs import FREE, Costs
from modelwright.search.evaluate import Judge, rungs
from modelwright.search.evaluate.numbers import Candidate, Numbers, Quantizer, quantizer_of
from modelwright.search.evaluate.scores.judge import ScoreJudge
from modelwright.search.evaluate.supernet.judge import SupernetJudge, train_supernet
from modelwright.search.evaluate.training import TrainingJudge
from modelwright.search.failures import FAILURES
from modelwright.search.objectives import check, limits, losses
from modelwright.search.site import Site
from modelwright.search.space import Product, feasible, precision_of, precisions_of
from modelwright.search.study import Study
from modelwright.training import Data, Run, dataset

CALIBRATED_BY = 12
"""Networks that are measured to calibrate the performance model."""
SCORE = "jacobian-covariance"
"""The score that stands for accuracy where nothing is trained."""
LOOKS = 8
"""Points that are looked at before a search begins."""
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
        quantizer: runs networks in whole numbers; None where the plan names nothing that does.
    """

    plan: Plan
    site: Site
    data: Data
    domain: Product
    costs: Costs
    searcher: Searcher
    judge: Judge
    quantizer: Quantizer | None = None

    @property
    def run(self) -> Run:
        """How networks are trained here."""
        site = self.site
        return Run(device=site.device, threads=site.threads, clock=site.clock, commit=site.commit)

    @property
    def numbers(self) -> Numbers:
        """How accurate networks are in other numbers than they were trained in."""
        return Numbers(self.data, self.quantizer)

    def candidate(self, architecture: Architecture, point: Point | None = None) -> Candidate:
        """A network in its point's numbers, or in the plan's."""
        return Candidate(architecture, precision_of(self.plan, point or {}))

    def measure(self, candidates: Sequence[Candidate]) -> tuple[Measurement, ...]:
        """Latencies on the device at hand, all in turns."""
        return measured(self.plan, self.site, candidates)


def read_data(plan: Plan) -> Data:
    """The plan's data set, the part of it that the plan uses."""
    data = dataset(plan.data, seed=plan.seed)
    return data.subset(train=plan.images, seed=plan.seed) if plan.images else data


def measured(plan: Plan, site: Site, candidates: Sequence[Candidate]) -> tuple[Measurement, ...]:
    """Latencies on the site's device in the plan's setting, all in turns: by torch, or by what the plan names."""
    quantizer = quantizer_of(plan, timed=True)
    if quantizer is not None:
        threads = site.threads or torch.get_num_threads()
        return quantizer.measure(candidates, batch=plan.batch, threads=threads, clock=site.clock, commit=site.commit)
    subjects = [
        architecture_subject(
            made, Setting(plan.batch, precision, plan.execution, device=site.device, threads=site.threads)
        )
        for made, precision in candidates
    ]
    return measure(subjects, PROTOCOL, clock=site.clock, commit=site.commit)


def measurable(plan: Plan, site: Site, candidates: Sequence[Candidate]) -> tuple[Measurement, ...]:
    """The same, without those that cannot be measured here; in turns where the others fit the memory together."""
    try:
        return measured(plan, site, candidates)
    except FAILURES:
        alone = [row for found in candidates for row in _alone(plan, site, found)]
    names = {(row.architecture, row.precision) for row in alone}
    able = [found for found in candidates if (found.architecture.name, found.precision) in names]
    if not able or len(able) == len(candidates):
        return tuple(alone)
    return measurable(plan, site, able)


def _alone(plan: Plan, site: Site, found: Candidate) -> tuple[Measurement, ...]:
    try:
        return measured(plan, site, [found])
    except FAILURES:
        return ()


def at_hand(plan: Plan) -> bool:
    """Whether the machine that is searched for is the one that the search runs on."""
    return not plan.platform or any(objective.source in ("measure", "calibrated") for objective in plan.objectives)


def prepare(study: Study, site: Site) -> Desk:
    """The desk of one worker; what was calibrated or trained before is taken from the study.

    Raises:
        SettingError: the plan asks for what cannot be, such as a limit that no point keeps.
        UnknownNameError: a name in the plan is unknown.
    """
    plan = study.plan
    check(plan.objectives)
    searcher = searchers[plan.method]()
    _check_device(plan, site)
    quantizer = quantizer_of(plan, timed=at_hand(plan))
    data = read_data(plan)
    domain = Product(plan.space)
    costs = Costs(plan, _platform(plan))
    _check_costs(plan, domain, costs)
    if any(objective.source == "calibrated" for objective in plan.objectives):
        costs = Costs(plan, costs.platform, calibrations(study, costs, domain, site))
    _check_limits(plan, domain, costs)
    judge = judge_of(plan, site, data, Numbers(data, quantizer))
    return Desk(plan, site, data, domain, costs, searcher, judge, quantizer)


def calibrations(study: Study, costs: Costs, domain: Product, site: Site) -> dict[Policy, Calibration]:
    """How far the performance model is off on this machine in each precision that a candidate may compute in.

    From a few networks spread over all latencies; half of them in a precision that is not the plan's.
    """
    plan = study.plan
    wanted = _precisions(plan)
    state = study.state()
    held = {one: found for one in wanted if (found := state.note(_note(plan, one), Calibration)) is not None}
    if len(held) == len(wanted):
        return held
    points = sample(domain, costs, CALIBRATED_BY, np.random.default_rng([plan.seed, 1]))
    networks = [costs.architecture(point, f"calibration-{place}") for place, point in enumerate(points)]
    every = [Candidate(made, one) for one in wanted for made in networks[:: 1 if one == plan.precision else 2]]
    site.tell("calibrate", 0, len(every), f"{len(every)} networks of the space are measured")
    taken = {(row.architecture, row.precision): row.median_s for row in measurable(plan, site, every)}
    for precision in wanted:
        made = [found for found in networks if (found.name, precision) in taken]
        if len(made) < 2:
            measured(plan, site, [one for one in every if one.precision == precision])  # says what hinders
        rows = costs.raw(made, [precision] * len(made))
        held[precision] = Calibration.fit(made, rows, [taken[found.name, precision] for found in made])
        study.note(_note(plan, precision), held[precision])
        told = f"predictions{_in(plan, precision)} are off by {held[precision].error:.0%} (median)"
        site.tell("calibrate", len(taken), len(every), told)
    return held


def _precisions(plan: Plan) -> tuple[Policy, ...]:
    """Those that anything may compute in: the plan's own, which references have, first."""
    return tuple(dict.fromkeys((plan.precision, *precisions_of(plan.space))))


def _note(plan: Plan, precision: str) -> str:
    return "calibration" if precision == plan.precision else f"calibration-{precision}"


def _in(plan: Plan, precision: str) -> str:
    return f" in {precision}" if precisions_of(plan.space) else ""


def sample(domain: Product, costs: Costs, count: int, rng: np.random.Generator) -> list[Point]:
    """Points spread evenly over the logarithm of estimated latency, from the least that the space seems to hold.

    They are taken from many that are drawn and from a walk downhill from the cheapest of these: a front lies far below
    what chance draws, and a correction is worth little there if nothing was measured there.
    """
    pool = _priced(costs, domain.sample(rng, 24 * count))
    while pool:
        point, least = min(pool, key=lambda pair: pair[1])
        lower = min(_priced(costs, domain.neighbours(point)), key=lambda pair: pair[1], default=(point, least))
        if lower[1] >= least:
            break
        pool.append(lower)
    logs = np.log([seconds for _, seconds in pool])
    chosen: list[int] = []
    for goal in np.linspace(logs.min(), logs.max(), min(count, len(pool))) if pool else ():
        chosen.append(int(np.argmin(np.where(np.isin(np.arange(len(pool)), chosen), np.inf, np.abs(logs - goal)))))
    return [pool[place][0] for place in chosen]


def _priced(costs: Costs, points: Sequence[Point]) -> list[tuple[Point, float]]:
    """Different points that have a cost, with their estimated seconds."""
    single = list({tuple(point.items()): point for point in points}.values())
    rows = costs.values(single)
    return [(point, row["latency_s"]) for point, row in zip(single, rows, strict=True) if row]


def judge_of(plan: Plan, site: Site, data: Data, numbers: Numbers | None = None) -> Judge:
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
    return TrainingJudge(data, plan.recipe, site.checkpoints, budgets, run, numbers)


def _platform(plan: Plan) -> Platform:
    """What costs are estimated for; of this machine, which calibration corrects, bf16 counts as twice as fast as fp32.

    So are its units, where there are some: two products for each one (Intel, AVX512_BF16; AMD, Zen 4).
    """
    found = platform(plan.platform or "x86")
    if plan.platform or "bf16" in found.matrix.peak:
        return found
    peak = {**found.matrix.peak, "bf16": 2 * found.matrix.peak["fp32"]}
    return msgspec.structs.replace(found, matrix=msgspec.structs.replace(found.matrix, peak=peak))


def _check_device(plan: Plan, site: Site) -> None:
    setting = Setting(device=site.device, threads=site.threads)
    if plan.quantizer and at_hand(plan) and setting.kind != "cpu":
        way_out = "Take --device cpu, or leave out --runtime."
        raise SettingError("the runtime runs on a CPU", where="device", value=site.device, way_out=way_out)
    for precision in _precisions(plan) if at_hand(plan) and not plan.quantizer else ():
        asked = {"batch": plan.batch, "precision": precision, "execution": plan.execution}
        check_setting(msgspec.structs.replace(setting, **asked))
    check_setting(setting)
    device_of(setting)


def _check_costs(plan: Plan, domain: Product, costs: Costs) -> None:
    """Say before the search starts that the space makes no networks, or that the platform does not tell a cost."""
    for precision in _precisions(plan):
        check_precision(costs.platform, plan.batch, precision)
    rows = [row for row in costs.values(domain.sample(np.random.default_rng([plan.seed, 5]), LOOKS)) if row]
    if not rows:
        rule, way_out = "the space must make networks that have a cost", "Correct what makes them, or the choices."
        raise SettingError(rule, where=plan.space.name, value=next(iter(costs.problems)), way_out=way_out)
    for metric in (objective.metric for objective in plan.objectives[1:]):
        if metric not in rows[0]:
            rule = f"the platform must tell {metric}, and has no numbers for it"
            way_out = f"Choose among {', '.join(rows[0])}, or another platform."
            raise SettingError(rule, where=costs.platform.name, way_out=way_out)


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
        some = [plan.objectives[place] for place in bound]
        least = np.atleast_1d(np.asarray(failure.value, dtype=np.float64)).tolist()
        rule = "the space must hold a network within the limits: " + _amounts(some, np.exp(most[bound]).tolist())
        way_out = f"The nearest that was found has {_amounts(some, least)}: loosen the limits, or widen the space."
        raise SettingError(rule, where=plan.space.name, way_out=way_out) from failure


def _amounts(objectives: Sequence[Objective], worth: Sequence[float]) -> str:
    """Numbers that are the better the smaller, as what they are of."""
    told = [1.0 / number if one.maximise else number for one, number in zip(objectives, worth, strict=True)]
    return ", ".join(f"{one.metric} {number:.4g}" for one, number in zip(objectives, told, strict=True))
