"""A service as people and monitoring watch it: one moment, the time before, and Prometheus' text."""

from modelwright.serve.watching.exposition import exposition
from modelwright.serve.watching.history import History
from modelwright.serve.watching.watch import Watch

__all__ = ["History", "Watch", "exposition"]
