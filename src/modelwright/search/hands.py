"""Further workers for a study: processes on this machine, or tasks of a Ray cluster."""

import importlib
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, final

from modelwright.errors import ModelwrightError
from modelwright.search.site import Site

Join = Callable[[Site], None]

PATIENCE_S = 30.0
"""When a study is done, tasks that no machine had room for are waited for no longer."""


class Hands(ABC):
    """Workers beside the one that asks for them."""

    @abstractmethod
    def begin(self, join: Join, site: Site, count: int) -> None:
        """Let `count` workers join the study at a site."""

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

    def begin(self, join: Join, site: Site, count: int) -> None:
        """Start `count` processes."""
        context = get_context("spawn")
        with _deaf():
            for _ in range(count):
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

    def begin(self, join: Join, site: Site, count: int) -> None:
        """Hand `count` tasks to the cluster."""
        ray = importlib.import_module("ray")
        if not ray.is_initialized():
            own: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": count + 1}
            where = own if self.address == "local" else {"address": self.address}
            ray.init(logging_level="ERROR", log_to_driver=False, **where)
        task = ray.remote(num_cpus=site.threads or 1, max_retries=0)(join)
        self._tasks = [task.remote(site) for _ in range(count)]

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


def hands(site: Site) -> Hands:
    """What a site's further workers are."""
    return Ray(site.ray) if site.ray else Processes()


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
