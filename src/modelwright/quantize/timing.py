"""Programs timed in turns, so that the machine's drift meets all alike."""

from collections.abc import Callable, Mapping

from modelwright.clock import Clock
from modelwright.networks.measuring.rounds import interleave
from modelwright.networks.measuring.setting import Protocol
from modelwright.networks.measuring.stopwatch import on_host


def time_in_turns(
    programs: Mapping[str, Callable[[], object]],
    clock: Clock,
    protocol: Protocol | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, tuple[float, float]]:
    """How long a call of each takes: the median in seconds, and the interquartile range over the median.

    Args:
        programs: name -> a call that has done its work when it returns.
        clock: that times them.
        protocol: how often and how long; the default protocol if None.
        report: is told each round.

    Raises:
        MeasurementError: a time is not finite or not positive.
    """
    runs = [on_host(call, clock) for call in programs.values()]
    timings = interleave(runs, protocol or Protocol(), report)
    return {name: (timing.median_s, timing.spread) for name, timing in zip(programs, timings, strict=True)}
