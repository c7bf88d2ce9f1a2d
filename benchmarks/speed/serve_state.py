"""How many state changes a second the service acknowledges, each of them on the disk, and how long one waits for it.

    python benchmarks/speed/serve_state.py [--device NAME] [--requests 6000] [--runs 3] [--postgresql ADDRESS]

writes benchmarks/results/serve-state-<device>.csv. A request is accepted, claimed and completed with a notification:
three changes, each with all that belongs to it (leases, the message, the metrics). Callers wait for one change before
they hand over the next: one alone, 64 threads, and 64 tasks of one event loop as in the service. The row `flush` is
what the disk needs for one write of a page and its fsync, without any database: no caller that waits can be faster.
"""

import argparse
import asyncio
import csv
import os
import platform
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy
from startup import RESULTS, commit, processor

import modelwright
from modelwright.records import (
    Answer,
    ConfigurationRecord,
    EndpointSettings,
    Invocation,
    ModelRecord,
    VariantRecord,
)
from modelwright.serve.state import (
    State,
    accept,
    claim,
    complete,
    create_configuration,
    create_endpoint,
    create_model,
    set_status,
)

ANSWER = Answer(200, "application/json", 100, 0.001, 0.01, 0.001)
Change = tuple[Callable[..., object], tuple[object, ...]]


def endpoint(state: State, name: str) -> None:
    """An endpoint in service that tells a receiver of every end."""
    settings = EndpointSettings("s3://bucket/out", success_topic="http://127.0.0.1:1/")
    state.submit(create_model, ModelRecord(f"model-{name}")).result()
    variant = VariantRecord("main", f"model-{name}")
    state.submit(create_configuration, ConfigurationRecord(f"made-{name}", (variant,), settings)).result()
    state.submit(create_endpoint, name, f"made-{name}").result()
    state.submit(set_status, name, "InService").result()


def steps(name: str, caller: int, requests: int) -> Iterator[Change]:
    """What one caller does: three changes a request; it is sent what each of them came to."""
    for number in range(requests):
        yield accept, (Invocation(name, f"{caller}-{number}", "s3://bucket/in"),)
        (lease,) = yield claim, (f"instance-{caller}", "main", [name])
        yield complete, (lease.number, lease.token, ANSWER)


def in_thread(state: State, made: Iterator[Change], waits: list[float]) -> None:
    """Go through a caller's changes, and note how long each took to be acknowledged."""
    told: object = None
    while True:
        try:
            change, arguments = made.send(told)
        except StopIteration:
            return
        began = time.perf_counter()
        told = state.submit(change, *arguments).result()
        waits.append(time.perf_counter() - began)


async def in_task(state: State, made: Iterator[Change], waits: list[float]) -> None:
    """The same on an event loop."""
    told: object = None
    while True:
        try:
            change, arguments = made.send(told)
        except StopIteration:
            return
        began = time.perf_counter()
        told = await asyncio.wrap_future(state.offer(change, *arguments))
        waits.append(time.perf_counter() - began)


def threads(state: State, callers: list[Iterator[Change]], waits: list[float]) -> None:
    """All callers, each in a thread of its own."""
    started = [threading.Thread(target=in_thread, args=(state, made, waits)) for made in callers]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def tasks(state: State, callers: list[Iterator[Change]], waits: list[float]) -> None:
    """All callers, on one event loop."""

    async def every() -> None:
        await asyncio.gather(*(in_task(state, made, waits) for made in callers))

    asyncio.run(every())


def flushes(folder: str, count: int) -> tuple[float, list[float]]:
    """How long a page takes to the disk."""
    page, waits = os.urandom(4096), []
    with (Path(folder) / "flushed").open("wb") as file:
        began = time.perf_counter()
        for _ in range(count):
            start = time.perf_counter()
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
            waits.append(time.perf_counter() - start)
        return time.perf_counter() - began, waits


def row(what: str, callers: int, seconds: float, waits: list[float], cpu: float = 0.0) -> list[str]:
    """A line of the table."""
    cuts = statistics.quantiles(waits, n=100)
    figures = (len(waits) / seconds, cuts[49] * 1e3, cuts[98] * 1e3, 1e3 * cpu / len(waits))
    return [what, str(callers), str(len(waits)), *(f"{figure:.2f}" for figure in figures)]


def measured(state: State, what: str, callers: int, requests: int, run: int) -> list[str]:
    """One way of calling, with so many requests in all."""
    name = f"{what}-{callers}-{run}"
    endpoint(state, name)
    made = [steps(name, caller, requests // callers) for caller in range(callers)]
    waits: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    (tasks if what == "tasks" else threads)(state, made, waits)
    return row(what, callers, time.perf_counter() - began, waits, time.process_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=processor(), help="name for the file (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=6000, help="requests a row (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs, of which the median is kept (default: %(default)s)")
    parser.add_argument(
        "--folder", default=None, help="where the database lies (default: the folder for temporary files)"
    )
    parser.add_argument("--postgresql", default="", help="measure this database besides")
    arguments = parser.parse_args()

    table: list[list[str]] = []
    ways = [("threads", 1, 10), ("threads", 64, 1), ("tasks", 64, 1)]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        databases = {"sqlite": str(Path(folder) / "serve.db")}
        databases |= {"postgresql": arguments.postgresql} if arguments.postgresql else {}
        table.append(["disk", *row("flush", 1, *flushes(folder, 500))])
        for kind, address in databases.items():
            state = State.open(address)
            for what, callers, share in ways:
                taken = [measured(state, what, callers, arguments.requests // share, n) for n in range(arguments.runs)]
                table.append([kind, *sorted(taken, key=lambda one: float(one[3]))[len(taken) // 2]])
                print(*table[-1])
            state.close()

    path = RESULTS / f"serve-state-{arguments.device}.csv"
    how = [str(os.cpu_count()), platform.python_version(), sqlite3.sqlite_version, sqlalchemy.__version__]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        titles = [
            "database",
            "callers_are",
            "callers",
            "changes",
            "changes_per_s",
            "p50_ms",
            "p99_ms",
            "cpu_ms_per_change",
        ]
        writer.writerow([*titles, "cores", "python", "sqlite", "sqlalchemy", "modelwright", "commit"])
        writer.writerows([*line, *how, modelwright.__version__, commit()] for line in table)
    print(path.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
