"""The review queue: items that wait for people, in a journal that many processes share. All state is a fold of it."""

from modelwright.guard.queue.queue import Queue, Ticket
from modelwright.guard.queue.state import Lease, State

__all__ = ["Lease", "Queue", "State", "Ticket"]
