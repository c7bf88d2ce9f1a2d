"""What becomes of a request when an attempt ends, and how long the next one waits. Pure functions."""

import math

from modelwright.records import RequestState, Retry

_SERVER_ERROR = 500


def after_loss(attempts: int, retry: Retry) -> RequestState:
    """An attempt ended without an answer: its instance died, hung or ran out of time, or the store was out of reach."""
    return "queued" if attempts < retry.attempts else "dead"


def after_error(attempts: int, retry: Retry, status: int | None) -> RequestState:
    """An attempt ended with an error that was answered. What is wrong with the request itself (4xx) stays wrong."""
    again = retry.errors and attempts < retry.attempts and (status is None or status >= _SERVER_ERROR)
    return "queued" if again else "failed"


def after_interruption(interruptions: int, retry: Retry) -> RequestState:
    """The server itself ended, for the so-manieth time while it worked on this request."""
    return "queued" if interruptions <= retry.interruptions else "dead"


def wait_s(attempts: int, first_s: float, longest_s: float, drawn: float) -> float:
    """How long to wait before the next attempt: exponential with full jitter.

    Source: Brooker 2015, AWS Architecture Blog, "Exponential Backoff And Jitter".

    Args:
        attempts: so many failed.
        first_s: the longest wait after the first one, seconds; it doubles with each.
        longest_s: the longest of all, seconds.
        drawn: evenly from 0 to 1.
    """
    try:
        doubled = math.ldexp(first_s, attempts - 1)
    except OverflowError:
        doubled = longest_s
    return drawn * min(longest_s, doubled)
