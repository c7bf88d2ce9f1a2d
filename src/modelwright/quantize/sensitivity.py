"""Which layers suffer from quantization, found by switching it on and off in one prepared graph.

Nothing is converted anew for each layer: the ranges are found once, and the simulation rounds as the converted graph
does. Source of the workflow: Wu et al., 2020, arXiv 2004.09602, section 5.2 (one layer at a time).
"""

import itertools
from collections.abc import Callable, Iterable, Sequence

from modelwright.quantize.judging import Judge
from modelwright.quantize.prepare import Prepared, switch
from modelwright.records import Sensitivity

Report = Callable[[int, int, str], object]
"""Is told how many sets are done, of how many, and the set that comes next."""


def sensitivities(
    prepared: Prepared, judge: Judge, sets: Iterable[Sequence[str]], report: Report = lambda *_: None
) -> tuple[Sensitivity, ...]:
    """What quantizing each set of layers, and nothing else, does to the outputs.

    Args:
        prepared: calibrated, best with `share=False`, so that a layer's input is its own; left with all switched on.
        judge: holds the outputs against those in float.
        sets: names of layers.
        report: is told how far it is.
    """
    found = []
    every = [tuple(names) for names in sets]
    try:
        for place, names in enumerate(every):
            report(place, len(every), names[-1] if names else "")
            switch(prepared, names)
            judged = judge(prepared.graph)
            found.append(Sensitivity(names, judged.sqnr_db, judged.mse, judged.accuracy, judged.drop_interval))
    finally:
        switch(prepared, None)
    return tuple(found)


def one_at_a_time(prepared: Prepared, judge: Judge, report: Report = lambda *_: None) -> tuple[Sensitivity, ...]:
    """Each layer by itself, in the order in which they run."""
    return sensitivities(prepared, judge, [(layer.name,) for layer in prepared.layers], report)


def cumulative(
    prepared: Prepared, judge: Judge, alone: Sequence[Sensitivity], steps: int = 12, report: Report = lambda *_: None
) -> tuple[Sensitivity, ...]:
    """Growing sets, the least sensitive layers first, up to all of them; in about as many steps as asked for."""
    order = [one.layers[0] for one in sorted(alone, key=lambda one: one.mse)]
    sizes = sorted({round(len(order) * step / steps) for step in range(1, steps + 1)} - {0, 1})
    return sensitivities(prepared, judge, [order[:size] for size in sizes], report)


def pairs(
    prepared: Prepared, judge: Judge, alone: Sequence[Sensitivity], most: int = 4, report: Report = lambda *_: None
) -> tuple[Sensitivity, ...]:
    """Every pair of the most sensitive layers: whether their noise adds up."""
    top = [one.layers[0] for one in sorted(alone, key=lambda one: -one.mse)[:most]]
    return sensitivities(prepared, judge, itertools.combinations(top, 2), report)
