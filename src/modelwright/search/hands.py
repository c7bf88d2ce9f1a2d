"""Further workers for a study: processes on this machine, or tasks of a Ray cluster."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, final

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
    def end(self) -> None:
        """Wait until all have gone; the first error of any is raised."""


@final
class Processes(Hands):
    """Processes on this machine."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._futures: list[Any] = []

    def begin(self, join: Join, site: Site, count: int) -> None:
        """Start `count` processes."""
        self._pool = ProcessPoolExecutor(count, get_context("spawn"))
        self._futures = [self._pool.submit(join, site) for _ in range(count)]

    def end(self) -> None:
        """Wait for all of them."""
        if self._pool is None:
            return
        with self._pool:
            for future in self._futures:
                future.result()


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

    def end(self) -> None:
        """Wait for all of them; those that the cluster had no room for give up their place."""
        ray = importlib.import_module("ray")
        ended, waiting = ray.wait(self._tasks, num_returns=len(self._tasks), timeout=PATIENCE_S)
        for task in waiting:
            ray.cancel(task, force=False)
        ray.get(ended)


def hands(site: Site) -> Hands:
    """What a site's further workers are."""
    return Ray(site.ray) if site.ray else Processes()
