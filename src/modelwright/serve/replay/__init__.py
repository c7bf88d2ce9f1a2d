"""Traffic replayed in virtual time, through the autoscaler and the queue's rules that the service has."""

from modelwright.serve.replay.engine import replay
from modelwright.serve.replay.latency import draw, measured
from modelwright.serve.replay.outcome import Replay, summary
from modelwright.serve.replay.traffic import Traffic, bursts, diurnal, poisson, read_trace

__all__ = [
    "Replay",
    "Traffic",
    "bursts",
    "diurnal",
    "draw",
    "measured",
    "poisson",
    "read_trace",
    "replay",
    "summary",
]
