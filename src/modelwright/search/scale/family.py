"""The family of a base on a platform: what the search finds, beside what other rules make of the same base."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from modelwright.errors import SettingError
from modelwright.records.scaling import Coefficients, Family, Reference, ScaledMember
from modelwright.search.scale.base import Base
from modelwright.search.scale.lacs import Machine, Reward, Scale, search
from modelwright.search.scale.law import Accuracy, FittedLaw
from modelwright.search.scale.measured import Measure, Timed, settle

COMPOUND = Coefficients(depth=1.2, width=1.1, resolution=1.15)
"""What EfficientNet's authors raise to one power (2019, arXiv 1905.11946, section 4)."""
COMPOUND_RULE = "EfficientNet's compound rule"

_COMPOUND_SOURCE = "Tan and Le, 2019, arXiv 1905.11946: depth 1.2^p, width 1.1^p, resolution 1.15^p"
_POWERS = 0.05


class Asked(NamedTuple):
    """A network to describe: its name, multipliers (resolution in pixels), and the target that it was sought for."""

    name: str
    depth: float
    width: float
    pixels: int
    target_s: float | None = None


def scale(
    base: Base,
    accuracy: Accuracy,
    targets: Sequence[float],
    machine: Machine,
    *,
    reward: Reward | None = None,
    measure: Measure | None = None,
    name: str = "",
) -> Family:
    """Search depth, width and resolution under each latency target, and tell what comes out.

    Args:
        base: what is scaled, upwards only.
        accuracy: of real coefficients, such as a `FittedLaw`; must not fall where one of them grows.
        targets: seconds for a batch, each once, in any order.
        machine: whose latency counts.
        reward: see `lacs.search`; None makes targets limits.
        measure: times networks on the machine at hand, whose times then count; None to go by estimates.
        name: of the family; the base's and the platform's if empty.

    Raises:
        SettingError: see `lacs.search`.
    """
    wanted = sorted(set(targets))
    called = name or f"{base.name}-{machine.platform.name}"
    timed = Timed(base, measure) if measure else None
    found: list[tuple[Scale, float | None]] = (
        list(settle(base, accuracy, wanted, machine, reward, timed))
        if timed
        else [(scale, None) for scale in search(base, accuracy, wanted, machine, reward=reward)]
    )
    asked = [
        Asked(f"{called}-{number}", one.depth, one.width, one.pixels, target)
        for number, ((one, _), target) in enumerate(zip(found, wanted, strict=True), 1)
    ]
    start, *members = describe(base, accuracy, machine, [Asked(base.name, 1.0, 1.0, base.side), *asked])
    if timed:
        start = msgspec.structs.replace(start, measured_s=timed.seconds(1.0, 1.0, base.side))
        members = [
            msgspec.structs.replace(one, measured_s=seconds) for one, (_, seconds) in zip(members, found, strict=True)
        ]
    members = _distinct(members)
    costs = machine.costs([base.network])
    return Family(
        name=called,
        base=base.name,
        platform=machine.platform.name,
        batch=machine.batch,
        precision=costs.precision,
        execution=costs.execution,
        start=start,
        members=tuple(members),
        growth=growth(start, members),
        references=references(base, accuracy, machine, [one.estimated_s for one in members]),
        law=accuracy.law if isinstance(accuracy, FittedLaw) else None,
        reward=reward,
        device=timed.device if timed else None,
        notes=tuple(_notes(members, len(wanted), reward)),
    )


def describe(base: Base, accuracy: Accuracy, machine: Machine, asked: Sequence[Asked]) -> list[ScaledMember]:
    """What there is to tell of networks of a base: real coefficients, accuracy, latency and size."""
    if not asked:
        return []
    networks = [base.member(one.name, one.depth, one.width, one.pixels) for one in asked]
    costs, real = machine.costs(networks), [base.real(network) for network in networks]
    told = accuracy(*np.array([(one.depth, one.width, one.resolution) for one in real]).T)
    fitted = accuracy if isinstance(accuracy, FittedLaw) else None
    return [
        ScaledMember(
            asked=Coefficients(one.depth, one.width, one.pixels / base.side),
            real=had,
            architecture=network,
            target_s=one.target_s,
            accuracy=float(told[i]),
            deviation=fitted.deviation(had.depth, had.width, had.resolution) if fitted else None,
            estimated_s=float(costs.latency_s[i]),
            params=int(costs.params[i]),
            flops=float(costs.flops[i] / machine.batch),
            beyond=fitted.beyond(had.depth, had.width, had.resolution) if fitted else False,
        )
        for i, (one, network, had) in enumerate(zip(asked, networks, real, strict=True))
    ]


def ladder(latency_s: float, members: int, growth: float) -> list[float]:
    """Targets that grow by a factor, the first one step above a base's latency.

    Raises:
        SettingError: there are no members, or the factor is not above 1.
    """
    if members < 1 or not growth > 1:
        rule, way_out = "a family needs members that grow", "Such as --members 7 --growth 2."
        raise SettingError(rule, where="targets", value=f"{members} members, growth {growth}", way_out=way_out)
    return [latency_s * growth**number for number in range(1, members + 1)]


def growth(start: ScaledMember, members: Iterable[ScaledMember]) -> dict[str, float] | None:
    """By which power of latency each real coefficient grows: the slope of logarithms, by least squares, from the base.

    None where no member is slower than the base.
    """
    later = [one for one in members if one.latency_s > start.latency_s]
    across = np.log([one.latency_s / start.latency_s for one in later])
    if not later:
        return None
    return {
        name: float(across @ np.log([getattr(one.real, name) for one in later]) / (across @ across))
        for name in ("depth", "width", "resolution")
    }


def references(base: Base, accuracy: Accuracy, machine: Machine, targets: Sequence[float]) -> tuple[Reference, ...]:
    """The compound rule's best member within each estimated latency, and what the base's authors published."""
    found = [Reference(COMPOUND_RULE, _COMPOUND_SOURCE, tuple(_compound(base, accuracy, machine, targets)))]
    for rule, sizes in base.published.items():
        asked = [Asked(f"{rule} {size}", one.depth, one.width, one.resolution) for size, one in sizes.items()]
        named = [one._replace(name=f"{base.name}-{size}") for one, size in zip(asked, sizes, strict=True)]
        found.append(Reference(rule, base.source, tuple(describe(base, accuracy, machine, named))))
    return tuple(found)


def _compound(base: Base, accuracy: Accuracy, machine: Machine, targets: Sequence[float]) -> list[ScaledMember]:
    """The largest of the compound rule within each latency, each once."""
    within: dict[Asked, None] = {}
    tried: list[tuple[float, Asked]] = []
    while not tried or tried[-1][0] <= 1.1 * max(targets):
        power = _POWERS * len(tried)
        pixels = round(base.side * COMPOUND.resolution**power)
        asked = Asked(f"{base.name}-{power:.2f}", COMPOUND.depth**power, COMPOUND.width**power, pixels)
        network = base.make(asked.depth, asked.width, asked.pixels)
        tried.append((float(machine.latency([network])[0]), asked))
    for target in targets:
        fits = [asked for latency, asked in tried if latency <= target]
        within |= {fits[-1]: None} if fits else {}
    return describe(base, accuracy, machine, list(within))


def _distinct(members: Sequence[ScaledMember]) -> list[ScaledMember]:
    """Each network once, for the first of the targets that it is the best for."""
    kept: dict[Coefficients, ScaledMember] = {}
    for one in members:
        kept.setdefault(one.asked, one)
    return list(kept.values())


def _notes(members: Sequence[ScaledMember], wanted: int, reward: Reward | None) -> Iterable[str]:
    beyond = [one.name for one in members if one.beyond]
    if beyond:
        yield f"Beyond all that was observed, so that the law is extended there: {', '.join(beyond)}."
    if len(members) < wanted:
        yield f"{wanted} targets led to {len(members)} networks, for some have one and the same as their best."
    if reward and reward[0] == reward[1]:
        yield "One exponent for all latencies makes one network the best for every target; give two for a family."
