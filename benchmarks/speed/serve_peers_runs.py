"""How a peer is loaded, timed and broken: all by what its work wrote down."""

import argparse
import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serve_peers_contestants import Ask, Contestant

FAULTS = ("worker", "server", "broker")
"""What is killed."""

_LONG_S = 0.3
_FAULTY = 60
_HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """Requests of one kind.

    Attributes:
        name: of the load.
        seconds: that each takes.
        share: of the number of requests that was asked for.
    """

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Seen:
    """What the work wrote down.

    Attributes:
        begun: (number, process, moment) of each beginning.
        ended: number -> how often it ended.
        last: moment of the last end.
    """

    begun: list[tuple[int, int, float]]
    ended: Counter[int]
    last: float


def seen(log: Path) -> Seen:
    """Read what the work wrote down."""
    begun, ended, last = [], Counter[int](), 0.0
    for line in log.read_text().splitlines() if log.exists() else ():
        word, number, process, moment = line.split()
        if word == "begin":
            begun.append((int(number), int(process), float(moment)))
        else:
            ended[int(number)] += 1
            last = max(last, float(moment))
    return Seen(begun, ended, last)


def timed(peer: Contestant, load: Load, arguments: argparse.Namespace) -> dict[str, object]:
    """Requests a second, and the processor time of each."""
    count = max(1, int(arguments.requests * load.share))
    with _running(peer):
        clients = _clients(peer, arguments.callers)
        warm = max(len(clients) * 2, arguments.workers * 4)
        _asked(clients, range(warm), 0.0)  # clients and processes have worked once
        _wait(lambda: len(seen(peer.log).ended) >= warm, arguments.patience)
        peer.log.unlink()
        before, began = spent_s(peer), time.time()
        refused = _asked(clients, range(count), load.seconds)
        _wait(lambda: len(seen(peer.log).ended) >= count - len(refused), arguments.patience + count * load.seconds)
        found, after = seen(peer.log), spent_s(peer)
    took = found.last - began
    return {
        "load": load.name,
        "requests": count,
        "fault": "",
        "per_s": f"{count / took:.1f}",
        "cpu_ms": f"{(after - before) / count * 1e3:.2f}",
        "seconds": f"{took:.2f}",
        "lost": count - len(refused) - len(found.ended),
        "twice": sum(times > 1 for times in found.ended.values()),
        "refused": len(refused),
    }


def broken(peer: Contestant, fault: str, arguments: argparse.Namespace) -> dict[str, object]:
    """What becomes of requests when processes are killed in their midst.

    `again_s`: from the kill until one of the requests that were being worked on there begins again; `done_s`: until all
    have ended that ever do. Both are empty where that did not happen as long as it was waited for.
    """
    refused: set[int] = set()
    with _running(peer):
        clients = _clients(peer, arguments.callers)
        asking = threading.Thread(target=lambda: refused.update(_asked(clients, range(_FAULTY), _LONG_S)))
        asking.start()
        _wait(lambda: len(seen(peer.log).ended) >= arguments.workers, arguments.patience)
        held = _held(peer, arguments.patience)
        if fault == "worker":
            held = dict([next(iter(held.items()))])
            killed = _kill(list(held.values()))
        else:
            killed = _kill(peer.processes(fault))
            peer.start(fault)
        _wait(lambda: len(seen(peer.log).ended) >= _FAULTY, arguments.patience)
        asking.join(arguments.patience)
        found = seen(peer.log)
    again = [moment - killed for number, _, moment in found.begun if number in held and moment > killed]
    whole = found.last > killed and len(found.ended) + len(refused - set(found.ended)) >= _FAULTY
    return {
        "load": f"of {_LONG_S * 1e3:.0f} ms",
        "requests": _FAULTY,
        "fault": f"kill -9 of {fault}",
        "seconds": f"{arguments.patience:.0f}",
        "lost": len(set(range(_FAULTY)) - set(found.ended) - refused),
        "twice": sum(times > 1 for times in found.ended.values()),
        "refused": len(refused),
        "again_s": f"{min(again):.2f}" if again else "",
        "done_s": f"{found.last - killed:.2f}" if whole else "",
    }


def spent_s(peer: Contestant) -> float:
    """Processor time of all processes that belong to the peer, and of their children that have ended, seconds."""
    total = 0.0
    for process in peer.all():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15]) / _HERTZ
    return total


@contextlib.contextmanager
def _running(peer: Contestant) -> Iterator[None]:
    peer.log.unlink(missing_ok=True)
    peer.clear()
    try:
        for part in peer.parts:
            peer.start(part)
        yield
    finally:
        _kill(peer.all())
        peer.stopped()


def _clients(peer: Contestant, callers: int) -> list[Ask]:
    return [peer.client() for _ in range(max(callers, peer.waiting))]


def _asked(clients: list[Ask], numbers: range, seconds: float) -> set[int]:
    """Ask for work on all numbers by several threads; those that were refused, or whose answer was an error."""
    left, refused, lock = iter(numbers), set[int](), threading.Lock()

    def caller(ask: Ask) -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            try:
                ask(number, seconds)
            except Exception:  # noqa: BLE001  # whatever a client raises is a request that it knows it has lost
                refused.add(number)

    threads = [threading.Thread(target=caller, args=(ask,)) for ask in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def _held(peer: Contestant, patience_s: float) -> dict[int, int]:
    """Requests that are being worked on, and by which process; those that have just begun."""
    held: dict[int, int] = {}

    def some() -> bool:
        found = seen(peer.log)
        late = time.time() - _LONG_S / 2
        held.clear()
        held.update((one, by) for one, by, moment in found.begun if moment > late and not found.ended[one])
        return bool(held)

    _wait(some, patience_s, every_s=0.01)
    return held


def _kill(processes: list[int]) -> float:
    """Kill processes; when that was."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return time.time()


def _wait(true: Callable[[], bool], patience_s: float, every_s: float = 0.05) -> None:
    """Wait until something holds, but no longer than that."""
    until = time.monotonic() + patience_s
    while not true() and time.monotonic() < until:
        time.sleep(every_s)
