"""A bound on the error rate among accepted predictions that holds for a stated share of outliers in the traffic.

Errors are wrong predictions that are accepted, and outliers that are, whatever their label. Rules of acceptance are
tested one after another, in an order fixed without the rows of the proof, each against "its error rate is above the
risk", until the first that fails (fixed-sequence testing). The last that passed is taken; it is wrong with a
probability of at most 1 - confidence, however many were tested.

    Learn then Test: Angelopoulos, Bates, Candes, Jordan, Lei, 2021, arXiv 2110.01052.
    The order, along a Pareto front found on other rows: Laufer-Goldshtein, Fisch, Barzilay, Jaakkola, 2023,
    "Efficiently Controlling Multiple Risks with Pareto Testing", arXiv 2210.07913.

The rows of the proof are an independent sample of the mixture. Of m that a rule accepts, the errors are then binomial
with the rule's error rate, so that P(Bin(m, risk) <= errors) is a p-value for any number of rows (Clopper, Pearson,
1934). Calibrated on familiar rows alone, the same promise is broken as soon as there are outliers.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from modelwright.errors import SettingError
from modelwright.guard.acceptance import Judged, Rules, masses, mixture_weights, rules_of
from modelwright.guard.rows import Floats
from modelwright.records import Basis, GuardPlan, Promise


class Guarantee(NamedTuple):
    """A rule of acceptance and what is promised of it.

    Attributes:
        threshold: scores up to it are accepted.
        least_probability: probabilities from it on are accepted.
        promise: which holds, or says why it does not; then the rule is the one nearest to keeping it.
    """

    threshold: float
    least_probability: float
    promise: Promise


def guarantee(familiar: Judged, outliers: Judged | None, plan: GuardPlan) -> Guarantee:
    """The rule that accepts most and keeps the plan's risk at its share of outliers, with its confidence.

    Args:
        familiar: rows in distribution, that neither classifier nor detector were fitted on.
        outliers: rows out of it; the promise is for outliers like these. None where there are none.
        plan: risk, ood_share, confidence and seed count.

    Raises:
        SettingError: there are fewer than two rows, or outliers.
    """
    if len(familiar) < 2 or (outliers is not None and len(outliers) < 2):
        raise SettingError("a proof needs two rows or more, and as many outliers", value=len(familiar))
    random = np.random.default_rng(plan.seed)
    if outliers is None and plan.ood_share > 0:
        rule = _likeliest(familiar, np.ones(len(familiar)), plan)[0]
        why = "there are no outliers to learn from how many of them are accepted"
        return Guarantee(*rule, Promise(plan.risk, plan.ood_share, plan.confidence, False, why))
    others = outliers if outliers is not None and plan.ood_share > 0 else familiar.take(np.arange(0))
    order = random.permutation(len(familiar))
    return prove_with(familiar.take(order[::2]), familiar.take(order[1::2]), others, plan, random)


def prove_with(
    design: Judged, proof: Judged, outliers: Judged, plan: GuardPlan, random: np.random.Generator
) -> Guarantee:
    """The rule that is proved to accept most, of the mixture with some outliers.

    Args:
        design: familiar rows by which rules are ordered.
        proof: others.
        outliers: of which one half does the one, one half the other; none for a share of 0.
        plan: risk, ood_share and confidence count.
        random: deals the outliers and draws the mixture.
    """
    rest, share = random.permutation(len(outliers)), plan.ood_share
    both = design.joined(outliers.take(rest[::2]))
    weight = mixture_weights(np.arange(len(both)) >= len(design), share)
    spare = (1.0 - plan.confidence) / 100 if share > 0 else 0.0
    return prove(both, weight, mixed(proof, outliers.take(rest[1::2]), share, random, spare), plan, spare)


def prove(
    design: Judged,
    weight: Floats,
    proof: Judged,
    plan: GuardPlan,
    spare: float = 0.0,
) -> Guarantee:
    """The rule that is proved to accept most, by rows that the order of the rules does not depend on.

    Args:
        design: rows by which rules are ordered.
        weight: (n,) how much each counts, so that they stand for the mixture.
        proof: an independent sample of the mixture, each row once.
        plan: risk, ood_share and confidence count.
        spare: of 1 - confidence, what the sampling has used up.
    """
    path = _likeliest(design, weight * len(proof) / weight.sum(), plan)
    level, counts = 1.0 - plan.confidence - spare, (0, 0)
    proved: tuple[float, float] | None = None
    for threshold, least in path:
        accepted = (proof.score <= threshold) & (proof.probability >= least)
        count, errors = int(accepted.sum()), int((accepted & proof.wrong).sum())
        if not passes(count, errors, plan.risk, level):
            counts = counts if proved else (count, errors)
            break
        proved, counts = (threshold, least), (count, errors)
    said = f"{counts[1]} of {counts[0]} accepted rows, {plan.ood_share:.3g} of the traffic being outliers, were errors"
    if proved:
        kinds = ", and outliers like those given" if plan.ood_share > 0 else ""
        why = f"{said}; it holds for traffic like the rows of the proof{kinds}"
    else:
        why = f"{said}, under the rule nearest to it: that shows no error rate of {plan.risk:g}"
    basis: Basis = "none" if proved is None else "outliers" if plan.ood_share > 0 else "familiar rows"
    promise = Promise(plan.risk, plan.ood_share, plan.confidence, proved is not None, why, *counts, basis)
    return Guarantee(*(proved or path[0]), promise)


def passes(accepted: int, errors: int, risk: float, level: float) -> bool:
    """Whether so few errors among the accepted show, at that level, an error rate of at most `risk`."""
    return accepted > 0 and float(binom.cdf(errors, accepted, risk)) <= level


def mixed(familiar: Judged, outliers: Judged, share: float, random: np.random.Generator, spare: float) -> Judged:
    """An independent sample of the mixture, as large as may be: outliers by coin, no row twice.

    Of either kind the rows run out with a probability of at most `spare`, which a proof must allow for.
    """
    low, high = 0, len(familiar) + len(outliers)
    if share == 0:
        return familiar
    while low < high:
        middle = (low + high + 1) // 2
        short = binom.sf(len(outliers), middle, share) + binom.sf(len(familiar), middle, 1.0 - share)
        low, high = (middle, high) if short <= spare else (low, middle - 1)
    count = min(int(random.binomial(low, share)), len(outliers))
    return familiar.take(np.arange(min(low - count, len(familiar)))).joined(outliers.take(np.arange(count)))


def _likeliest(design: Judged, weight: Floats, plan: GuardPlan) -> list[tuple[float, float]]:
    """Rules (threshold, least probability) in the order of testing: the surest first, then ever larger coverage.

    Only such count as no other equals in coverage at less risk. One error more than was seen is reckoned with, so that
    rules are not preferred for the luck of accepting few rows.
    """
    rules: Rules = rules_of(design.take(~design.wrong) if not design.wrong.all() else design)
    accepted, seen = masses(rules, design, weight)
    errors = seen + 1.0
    risk = np.divide(errors, accepted, out=np.ones_like(errors), where=accepted > 0)
    front: list[tuple[int, int]] = []
    least = np.inf
    for place in np.lexsort((risk.ravel(), -accepted.ravel())):
        spot = divmod(int(place), len(rules.least))
        if risk[spot] < least:
            front.append(spot)
            least = float(risk[spot])
    front.reverse()  # from the least coverage to the largest
    surety = [
        float(binom.logcdf(np.ceil(errors[spot] - 1e-9), max(np.floor(accepted[spot] + 1e-9), 1.0), plan.risk))
        for spot in front
    ]
    path = front[int(np.argmin(surety)) :]
    return [(float(rules.thresholds[row]), float(rules.least[column])) for row, column in path]
