"""Further workers for a study: processes on this machine, or tasks of a Ray cluster."""

import importlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, final

from modelwright.errors import ModelwrightError
from modelwright.search.desk import Desk, prepare
from modelwright.search.site import Site
from modelwright.search.study import Study

T = TypeVar("T")
Join = Callable[[Study, Desk], None]
"""What a worker does, at a desk of its own."""

PATIENCE_S = 30.0
"""When a study is done, tasks that no machine had room for are waited for no longer."""


class Hands:
    """Workers beside the one that asks for them, for as long as a search lasts; here, none."""

    count = 0
    """How many there are."""

    def begin(self, joins: Sequence[Join]) -> None:
        """Let a worker do each of `joins`."""

    def stop(self) -> None:
        """Interrupt all of them; each gives back the trial that it is at."""

    def end(self) -> list[str]:
        """Wait until all have done their part, and say what those met that had to leave early."""
        return []

    def leave(self) -> None:
        """Let go of them."""


@final
class Processes(Hands):
    """Processes on this machine, each with its data read once. Each is held by a pipe: when it closes, they go.

    Args:
        site: of each of them.
        count: how many.
    """

    def __init__(self, site: Site, count: int) -> None:
        self.count = count
        self._site = site
        self._held: list[_Process] = []
        self._busy: list[_Process] = []

    def begin(self, joins: Sequence[Join]) -> None:
        """Hand each to a process, which is started if it is not there."""
        self._held = [found for found in self._held if found.process.is_alive()]
        self._held += [_start(self._site) for _ in range(len(joins) - len(self._held))]
        self._busy = self._held[: len(joins)]
        for found, join in zip(self._busy, joins, strict=True):
            with suppress(OSError):  # it has just died, which `end` will tell
                found.work.send(join)

    def stop(self) -> None:
        """Let go of them."""
        for found in self._held:
            found.life.close()

    def end(self) -> list[str]:
        """Wait for all that are busy, and say what went wrong."""
        told: list[str] = []
        for found in self._busy:
            try:
                told += found.work.recv()
            except (EOFError, OSError):
                found.process.join()
                if found.process.exitcode:
                    told.append(f"its process ended with code {found.process.exitcode}")
        self._busy = []
        return told

    def leave(self) -> None:
        """Tell them that there is nothing left to do, and wait until they are gone."""
        for found in self._held:
            found.work.close()
        for found in self._held:
            found.process.join()
            found.life.close()
        self._held = []


@final
class Ray(Hands):
    """Tasks of a Ray cluster (Moritz et al., 2018, arXiv 1712.05889), on whichever of its machines has processors free.

    All machines see the study's folder under the same path, as on a network file system with locks.

    Args:
        address: of the cluster's head, such as "auto" or "10.0.0.1:6379"; "local" for one on this machine that listens
            on 127.0.0.1 alone.
        site: of each task.
        count: how many.
    """

    def __init__(self, address: str, site: Site, count: int) -> None:
        self.address = address
        self.count = count
        self._site = site
        self._tasks: list[Any] = []

    def begin(self, joins: Sequence[Join]) -> None:
        """Hand the tasks to the cluster."""
        ray = importlib.import_module("ray")
        if not ray.is_initialized():
            own: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
            own |= {"num_cpus": self.count + 1}
            where = own if self.address == "local" else {"address": self.address}
            ray.init(logging_level="ERROR", log_to_driver=False, **where)
        task = ray.remote(num_cpus=self._site.threads or 1, max_retries=0)(_joined)
        self._tasks = [task.remote(join, self._site) for join in joins]

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
        self._tasks = []
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


@contextmanager
def hands(site: Site) -> Iterator[Hands]:
    """A site's further workers, while the search lasts."""
    theirs, count = replace(site, report=None, workers=1, ray=""), site.workers - 1
    found: Hands = Hands() if not count else Ray(site.ray, theirs, count) if site.ray else Processes(theirs, count)
    try:
        yield found
    finally:
        found.leave()


@contextmanager
def helped(others: Hands, joins: Sequence[Join], say: Callable[[str], None]) -> Iterator[None]:
    """While this goes on, further workers do their part; in the end they are waited for, or stopped where it fails.

    One that dies or fails is no failure of the search: others do what it left. Why it had to leave is told.

    Args:
        others: the workers.
        joins: what each of them does.
        say: is told why one had to leave.
    """
    if not joins:
        yield
        return
    left: list[str] = []
    try:
        others.begin(joins)
        yield
        left = others.end()
    except BaseException:
        others.stop()
        left = others.end()
        raise
    finally:
        for why in left:
            say(f"a worker had to leave: {why}")


@dataclass(frozen=True, eq=False)
class _Process:
    """A process, the pipe by which it gets what to do and tells how it went, and the one by which it is held."""

    process: BaseProcess
    work: Connection
    life: Connection


def _start(site: Site) -> _Process:
    context = get_context("spawn")
    work, theirs = context.Pipe()
    life, held = context.Pipe()
    process = context.Process(target=_live, args=(site, theirs, held), daemon=True)
    with _deaf():
        process.start()
    theirs.close()
    held.close()
    return _Process(process, work, life)


def _joined(join: Join, site: Site) -> None:
    study = Study.open(site.study, site.clock)
    join(study, prepare(study, site))


def _live(site: Site, work: Connection, life: Connection) -> None:
    """What such a process does, until it is interrupted or whoever started it is gone."""
    study: Study | None = None
    with suppress(KeyboardInterrupt, EOFError, OSError):
        signal.signal(signal.SIGINT, _interrupted_once)
        threading.Thread(target=_watch, args=(life,), daemon=True).start()  # who started this may be gone already
        while True:
            join, told = work.recv(), []
            try:
                if study is None:
                    found = Study.open(site.study, site.clock)
                    desk, study = prepare(found, site), found
                join(study, desk)
            except (ModelwrightError, OSError) as failure:
                told.append(str(failure))
            work.send(told)


def _interrupted_once(number: int, frame: object) -> None:
    """An interrupt at a terminal comes twice, from there and from who started this; the second must not disturb."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


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
