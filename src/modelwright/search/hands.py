"""Further workers for a study: processes on this machine, or tasks of a Ray cluster."""

import importlib
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, final

from modelwright.errors import ModelwrightError
from modelwright.search.site import Site

T = TypeVar("T")
Join = Callable[[Site], None]

PATIENCE_S = 30.0
"""When a study is done, tasks that no machine had room for are waited for no longer."""


class Hands(ABC):
    """Workers beside the one that asks for them."""

    @abstractmethod
    def begin(self, joins: Sequence[Join], site: Site) -> None:
        """Let one worker for each of `joins` join the study at a site."""

    @abstractmethod
    def stop(self) -> None:
        """Interrupt all of them; each gives back the trial that it is at."""

    @abstractmethod
    def end(self) -> list[str]:
        """Wait until all have gone, and say what those met that had to leave early."""


@final
class Processes(Hands):
    """Processes on this machine. Each is held by a pipe: when this end of it closes, they are interrupted."""

    def __init__(self) -> None:
        self._held: list[tuple[BaseProcess, Connection]] = []

    def begin(self, joins: Sequence[Join], site: Site) -> None:
        """Start the processes."""
        context = get_context("spawn")
        with _deaf():
            for join in joins:
                ours, theirs = context.Pipe()
                process = context.Process(target=_live, args=(join, site, theirs), daemon=True)
                process.start()
                theirs.close()
                self._held.append((process, ours))

    def stop(self) -> None:
        """Let go of them."""
        for _, link in self._held:
            link.close()

    def end(self) -> list[str]:
        """Wait for all of them, and say what went wrong."""
        told: list[str] = []
        for process, link in self._held:
            process.join()
            with suppress(OSError, EOFError):  # it was let go of, or had nothing to tell
                while link.poll():
                    told.append(link.recv())
        self._held = []
        return told


@final
class Ray(Hands):
    """Tasks of a Ray cluster (Moritz et al., 2018, arXiv 1712.05889), on whichever of its machines has processors free.

    All machines see the study's folder under the same path, as on a network file system with locks.

    Args:
        address: of the cluster's head, such as "auto" or "10.0.0.1:6379"; "local" for one on this machine that listens
            on 127.0.0.1 alone.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._tasks: list[Any] = []

    def begin(self, joins: Sequence[Join], site: Site) -> None:
        """Hand the tasks to the cluster."""
        ray = importlib.import_module("ray")
        if not ray.is_initialized():
            own: dict[str, Any] = {
                "_node_ip_address": "127.0.0.1",
                "include_dashboard": False,
                "num_cpus": len(joins) + 1,
            }
            where = own if self.address == "local" else {"address": self.address}
            ray.init(logging_level="ERROR", log_to_driver=False, **where)
        asked = ray.remote(num_cpus=site.threads or 1, max_retries=0)
        self._tasks = [asked(join).remote(site) for join in joins]

    def stop(self) -> None:
        """Cancel all of them, which interrupts those that run."""
        ray = importlib.import_module("ray")
        for task in self._tasks:
            ray.cancel(task, force=False)

    def end(self) -> list[str]:
        """Wait for all of them; those that the cluster had no room for give up their place."""
        ray = importlib.import_module("ray")
        ended, waiting = ray.wait(self._tasks, num_returns=len(self._tasks), timeout=PATIENCE_S)
        for task in waiting:
            ray.cancel(task, force=False)
        ray.get(ended)
        return []


def dealt(things: Sequence[T], loads: Sequence[float], hands: int) -> list[list[T]]:
    """Things in as many parts as there are hands for, none empty but the first, that take about the same time.

    The longest goes first, to whom has least (Graham, Bounds on multiprocessing timing anomalies, 1969).

    Args:
        things: to be dealt.
        loads: how long each takes, in any unit.
        hands: at most so many parts.
    """
    parts: list[list[T]] = [[] for _ in range(max(1, min(hands, len(things))))]
    sums = [0.0] * len(parts)
    for place in sorted(range(len(things)), key=lambda place: -loads[place]):
        least = min(range(len(parts)), key=lambda part: (sums[part], len(parts[part])))
        parts[least].append(things[place])
        sums[least] += loads[place]
    return parts


def hands(site: Site) -> Hands:
    """What a site's further workers are."""
    return Ray(site.ray) if site.ray else Processes()


@contextmanager
def helped(site: Site, joins: Sequence[Join], say: Callable[[str], None]) -> Iterator[None]:
    """While this goes on, further workers do their part; in the end they are waited for, or stopped where it fails.

    One that dies or fails is no failure of the search: others do what it left. Why it had to leave is told.

    Args:
        site: of this worker.
        joins: what each of the others does.
        say: is told why one had to leave.
    """
    if not joins:
        yield
        return
    others = hands(site)
    others.begin(joins, replace(site, report=None, workers=1, ray=""))
    try:
        yield
    except BaseException:
        others.stop()
        raise
    finally:
        for why in others.end():
            say(f"a worker had to leave: {why}")


def _live(join: Join, site: Site, link: Connection) -> None:
    """What such a process does, until it is interrupted or whoever started it is gone."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_watch, args=(link,), daemon=True).start()
    try:
        join(site)
    except KeyboardInterrupt:
        return
    except (ModelwrightError, OSError) as failure:
        link.send(str(failure))


def _watch(link: Connection) -> None:
    wait([link])  # nothing is ever sent this way: it ends when the other side does
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started here hear no interrupt before they have something to give back."""
    if threading.current_thread() is not threading.main_thread():  # Python lets no other set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
