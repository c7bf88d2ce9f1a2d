"""How well cheap evidence ranks candidates: held against full training of a sample."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import kendalltau

from modelwright.errors import ModelwrightError, SettingError
from modelwright.records import Agreement, Architecture, Point
from modelwright.search.evaluate.judge import Judge

Pairs = Sequence[tuple[float, float]]
"""(cheap, full) of each candidate."""


def agreement(evidence: str, pairs: Pairs) -> Agreement:
    """Kendall's rank correlation tau-b: 1 where both rank alike, -1 where one reverses the other, about 0 by chance.

    tau-b corrects for ties (Kendall, 1945, doi 10.1093/biomet/33.3.239). Where one side is all ties it ranks nothing;
    that counts as 0.

    Args:
        evidence: what the cheap side is.
        pairs: (cheap, full) of each candidate.

    Raises:
        SettingError: there are no two candidates to rank.
    """
    if len(pairs) < 2:
        raise SettingError("a ranking needs two candidates", where=evidence, value=len(pairs), way_out="Judge more.")
    cheap, full = np.array(pairs).T
    tau = float(kendalltau(cheap, full).statistic)
    return Agreement(evidence, 0.0 if np.isnan(tau) else tau, len(pairs), tuple((float(a), float(b)) for a, b in pairs))


def held_against(cheap: Judge, full: Judge, candidates: Mapping[str, tuple[Architecture, Point]]) -> Agreement:
    """Cheap evidence against full training, each judge at its last rung.

    A candidate that either cannot judge is left out.

    Args:
        cheap: the judge in question.
        full: the judge that is believed.
        candidates: name -> network and point.

    Raises:
        SettingError: fewer than two candidates could be judged.
    """
    pairs: list[tuple[float, float]] = []
    evidence = ""
    for name, (architecture, point) in candidates.items():
        try:
            first = cheap.judge(architecture, point, cheap.rungs[-1], name)
            second = full.judge(architecture, point, full.rungs[-1], name)
        except ModelwrightError:
            continue
        evidence = first.evidence
        pairs.append((first.accuracy, second.accuracy))
    return agreement(evidence, pairs)
