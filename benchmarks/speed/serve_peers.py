"""The same load through queues of several kinds, and what becomes of it when their processes are killed.

    python benchmarks/speed/serve_peers.py [--device NAME] [--peers FOLDER ...] [--requests 2000] [--only NAME ...]

writes benchmarks/results/serve-peers-<device>.csv. `--peers` names virtual environments that hold celery and redis, or
ray[serve]; redis-server is taken from the system. Every peer runs the same work, which writes down when it begins and
when it ends; so all are counted by one and the same file. Each is asked by the client that its guide shows:

    modelwright     boto3's invoke_endpoint_async; each request and each answer is on the disk before it is told of
    celery          acks_late, prefetch 1, reject_on_worker_lost; Redis as it is installed, which keeps all in memory
    celery on disk  the same; Redis flushes each change (appendonly, appendfsync always)
    ray             HTTP requests to a Ray Serve deployment, which keeps no queue: whoever asks waits for the answer

Processor time is that of all processes but the clients. Killed by SIGKILL, in the midst of long requests: one process
that works; all of the server that is no broker, which is then started anew; and the broker, where there is one.
"""

import argparse
import csv
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serve_peers_contestants import CONTESTANTS, Contestant
from serve_peers_runs import FAULTS, Load, broken, timed
from startup import RESULTS, commit, processor

import modelwright

LOADS = (Load("tiny", 0.0, 1.0), Load("of 20 ms", 0.02, 0.25))
FIELDS = (
    "peer", "versions", "load", "requests", "workers", "callers", "fault", "per_s", "cpu_ms", "seconds", "lost",
    "twice", "refused", "again_s", "done_s", "cores", "processor", "python", "modelwright", "commit",
)  # fmt: skip


def rows(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """What each peer came to under each load, and with each fault."""
    how = {"workers": arguments.workers, "callers": arguments.callers, "cores": len(os.sched_getaffinity(0))}
    how |= {"processor": processor(), "python": platform.python_version(), "modelwright": modelwright.__version__}
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            peer: Contestant = CONTESTANTS[name](Path(folder), arguments.workers, arguments.peers)
            if (missing := peer.missing()) is not None:
                print(f"{name}: left out, as {missing}")
                continue
            shared = {"peer": name, "versions": peer.versions(), **how, "commit": commit()}
            for load in LOADS:
                yield shared | timed(peer, load, arguments)
            for fault in FAULTS:
                if fault in peer.parts:
                    yield shared | broken(peer, fault, arguments)


def main() -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="")
    parser.add_argument("--peers", type=Path, nargs="*", default=[])
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds that a fault may take to heal")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and so end what was started
    found = []
    for row in rows(arguments):
        found.append(row)
        told = ("peer", "load", "fault", "per_s", "cpu_ms", "lost", "twice", "refused", "again_s", "done_s")
        print("  ".join(f"{name} {row.get(name, '')}" for name in told), flush=True)
    if arguments.device:
        with (RESULTS / f"serve-peers-{arguments.device}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, FIELDS, lineterminator="\n")
            table.writeheader()
            table.writerows(found)


if __name__ == "__main__":
    main()
