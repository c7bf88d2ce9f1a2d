"""Who runs a trial, and whether that process still lives.

A worker is "machine:process:start". The start tells a process from a later one with the same number. The machine is the
host's name with a mark of its boot and of its process namespace, so that numbers are compared only where they mean the
same: not across a reboot, nor between containers. Where there is no /proc, nobody's life can be told from here, and
signs of life in the journal decide.
"""

import hashlib
import os
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def this_worker() -> str:
    """This process, as a worker."""
    return f"{_machine()}:{os.getpid()}:{_start(os.getpid())}"


def alive(worker: str) -> bool | None:
    """Whether that worker's process lives; None where that cannot be told from here."""
    machine, _, process = worker.partition(":")
    number, _, start = process.partition(":")
    if machine != _machine() or not start:
        return None
    return _start(int(number)) == start


@cache
def _machine() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text()
        space = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}-{hashlib.sha256(f'{boot}{space}'.encode()).hexdigest()[:8]}"


def _start(process: int) -> str:
    """When a process began, in the kernel's ticks since boot; "" where there is none (proc(5), /proc/pid/stat)."""
    try:
        state, *fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]  # a zombie is dead: only its parent has not noticed yet
