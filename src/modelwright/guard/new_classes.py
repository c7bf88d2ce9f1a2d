"""A bound on the error rate among accepted predictions while classes come that nobody knew: the class is the unit.

Of k classes, each plays a new one in its turn (see `rotation`). How often its rows are accepted differs far more from
class to class than from row to row, so that a thousand rows of eight classes are eight observations, not a thousand.
With a(c) the share of class c's rows that a rule accepts where c is new, W the loss of a familiar row (1 if it is
accepted and wrong, 0 if accepted and right, r if it is deferred), and a share s of outliers in the traffic, the error
rate among the accepted is at most r if, and only if,

    E[W] + s / (1 - s) (1 - r) E[a] <= r.

The second mean is of independent numbers in [0, 1], one a class, and is bounded by

    P(n KL(mean of n || truth) >= ln(1 / level), mean below the truth) <= level

(Hoeffding, 1963, "Probability inequalities for sums of bounded random variables", theorem 1), which is exact where no
class is ever accepted. Against the first's being larger than what that leaves room for, m, a gambler bets on each row,

    capital <- capital (1 + f (m - W) / (1 - m)),

his 1 being dealt out evenly to gamblers of many shares f; it is 1 / level or more with a probability of at most `level`
(see `betting`). Classes are few and rows are many, so that classes are given 4 / 5 of what the confidence leaves. Rules
are tested one after another, as in `guarantee`, in an order that other rows have fixed.

The promise is for outliers of many new classes that are drawn like these. A single class may be nearer than the mean.
That is not a detail: of k classes and a new one drawn alike, the new one is the nearest with probability 1 / (k + 1).
Nor do few classes prove much: of 8, none of whose rows is ever accepted, a third may be in truth.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, rel_entr

from modelwright.guard.acceptance import Judged, Rules, masses, rules_of
from modelwright.guard.betting import SHARES
from modelwright.guard.guarantee import Guarantee
from modelwright.guard.rows import Floats, Labels
from modelwright.records import Basis, GuardPlan, Promise

FOR_CLASSES = 0.8
"""Share of 1 - confidence that the bound on new classes may use up; familiar rows have the rest."""


class Played(NamedTuple):
    """Rows, each in both parts.

    Attributes:
        familiar: as they are.
        strange: as they would be, had their class been left out.
        labels: (n,) their classes, from 0; each has rows.
        odds: (k,) of each class, how much its acceptance counts for meeting too few classes; 1 or more.
    """

    familiar: Judged
    strange: Judged
    labels: Labels
    odds: Floats


class Figures(NamedTuple):
    """What rules do, each (a, b).

    Attributes:
        accepted: familiar rows.
        errors: of these.
        strange: mean over classes of the share that is accepted where the class is new.
        most: what that is at most, at its level.
        surety: evidence for the risk, in nats; negative where there is evidence against it.
    """

    accepted: Floats
    errors: Floats
    strange: Floats
    most: Floats
    surety: Floats


def prove_for_classes(design: Played, proof: Played, plan: GuardPlan, basis: Basis) -> Guarantee:
    """The rule that is proved to accept most.

    Args:
        design: rows by which rules are ordered.
        proof: others.
        plan: risk, ood_share and confidence count.
        basis: what plays new classes.
    """
    rules = rules_of(design.familiar.take(~design.familiar.wrong) if not design.familiar.wrong.all() else design[0])
    path = _path(figures(rules, design, plan, spare=1.0))
    found = figures(rules, proof, plan)
    level = -np.log((1.0 - FOR_CLASSES) * (1.0 - plan.confidence))
    last = None
    for spot in path:
        if found.surety[spot] < level:
            break
        last = spot
    spot = path[0] if last is None else last
    accepted, errors = int(found.accepted[spot]), int(found.errors[spot])
    count = len(proof.odds)
    said = (
        f"{errors} of {accepted} accepted rows were errors, and of {count} classes, each new in its turn, "
        f"{found.strange[spot]:.1%} of the rows were accepted, which may be {found.most[spot]:.1%} of new ones"
    )
    if last is None:
        why = f"{said}, under the rule nearest to it: that shows no error rate of {plan.risk:g}"
    else:
        why = f"{said}; it holds for traffic like the rows of the proof, and outliers of many classes like these"
    promise = Promise(
        plan.risk, plan.ood_share, plan.confidence, last is not None, why, accepted, errors,
        basis if last is not None else "none",
    )  # fmt: skip
    return Guarantee(float(rules.thresholds[spot[0]]), float(rules.least[spot[1]]), promise)


def figures(rules: Rules, rows: Played, plan: GuardPlan, spare: float = 0.0) -> Figures:
    """What all rules do to some rows.

    Args:
        rules: a thresholds and b least probabilities.
        rows: some.
        plan: risk, ood_share and confidence count.
        spare: familiar errors that are reckoned with besides those seen, so that no rule leads by luck.
    """
    accepted, errors = masses(rules, rows.familiar)
    shares = []
    for label, odds in enumerate(rows.odds):
        own = rows.strange.take(rows.labels == label)
        shares.append(np.minimum(odds * masses(rules, own)[0] / max(len(own), 1), 1.0))
    strange: Floats = np.mean(shares, axis=0)
    most = upper(strange, len(shares), FOR_CLASSES * (1.0 - plan.confidence))
    room = plan.risk - plan.ood_share / (1.0 - plan.ood_share) * (1.0 - plan.risk) * most
    wrong = errors + np.minimum(spare, accepted - errors)
    surety = evidence((accepted - wrong, wrong, len(rows.familiar) - accepted), room, plan.risk)
    return Figures(accepted, errors, strange, most, np.where(accepted > 0, surety, -np.inf))


def evidence(counts: tuple[Floats, Floats, Floats], room: Floats, risk: float) -> Floats:
    """Logarithm of the capital against the mean loss's being `room` or more; minus infinity where there is no room.

    Args:
        counts: of rows that are accepted and right, accepted and wrong, and deferred, whose losses are 0, 1 and `risk`.
        room: below the risk.
        risk: of a deferred row, what it would cost at most to be accepted.
    """
    right, wrong, deferred = counts
    mean = np.clip(room, 1e-12, 1.0 - 1e-12)
    stakes = SHARES[:, None, None] / (1.0 - mean)
    logs = right * np.log1p(stakes * mean) + wrong * np.log1p(-stakes * (1.0 - mean))
    found: Floats = logsumexp(logs + deferred * np.log1p(-stakes * (risk - mean)), axis=0) - np.log(len(SHARES))
    return np.where(room > 0, found, -np.inf)


def upper(means: Floats, count: int, level: float) -> Floats:
    """The largest true mean that is not ruled out: KL(mean || truth) <= ln(1 / level) / count; found by halving.

    Args:
        means: of `count` independent numbers in [0, 1].
        count: 1 or more.
        level: with at most this probability the truth is larger.
    """
    allowed = -np.log(level) / count
    low, high = np.asarray(means, np.float64).copy(), np.ones_like(means)
    for _ in range(50):
        middle = (low + high) / 2.0
        inside = divergence(means, middle) <= allowed
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return high


def divergence(mean: Floats, truth: Floats) -> Floats:
    """KL divergence between two coins, in nats."""
    found: Floats = rel_entr(mean, truth) + rel_entr(1.0 - mean, 1.0 - truth)
    return found


def _path(seen: Figures) -> list[tuple[int, int]]:
    """Rules in the order of testing: the surest first, then ever larger coverage, at the least loss of surety."""
    front: list[tuple[int, int]] = []
    best = -np.inf
    order = np.lexsort((-seen.surety.ravel(), -seen.accepted.ravel()))
    for place in order:
        spot = (int(place) // seen.surety.shape[1], int(place) % seen.surety.shape[1])
        if seen.surety[spot] > best or not front:
            front.append(spot)
            best = float(seen.surety[spot])
    return front[::-1]
