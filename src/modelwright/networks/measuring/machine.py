"""The machine as it describes itself: names, versions, caches, memory."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from modelwright.records import Device

_CPUS = Path("/sys/devices/system/cpu")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Cache:
    """One cache of the processor: how near it is (1, 2, 3), its bytes, and the CPUs that share it."""

    level: int
    bytes: int
    shared_by: str


def describe(device: torch.device, threads: int, commit: str = "") -> Device:
    """The machine and the software, as a measurement carries them."""
    versions = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if device.type == "cuda":
        versions["cuda"] = str(torch.version.cuda)
        versions["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]  # torch leaves it untyped
        versions |= {"driver": driver} if (driver := _driver()) else {}
    else:
        versions["instructions"] = torch.backends.cpu.get_cpu_capability()
    return Device(kind=device.type, name=name_of(device), threads=threads, versions=versions, commit=commit)


def name_of(device: torch.device) -> str:
    """The processor's or card's own name."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def caches(root: Path = _CPUS) -> tuple[Cache, ...]:
    """Every data cache that the processor has, each once; empty where the system does not tell."""
    found = set()
    for index in root.glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            kind, level, size, shared = (
                (index / part).read_text(encoding="ascii").strip()
                for part in ("type", "level", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        count = re.fullmatch(r"(\d+)([KMG]?)", size)
        if kind in ("Data", "Unified") and count and level.isdigit():
            found.add(Cache(int(level), int(count[1]) * _UNITS[count[2]], shared))
    return tuple(sorted(found, key=lambda cache: (cache.level, cache.shared_by)))


def main_memory() -> int | None:
    """Bytes of the machine's main memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def load_average() -> float:
    """How many programs wanted to run at a time over the last minute; 0 where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return 0.0


def _driver() -> str:
    """The NVIDIA driver's version, "" where its tool is missing or silent."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return ""
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip().partition("\n")[0] if answer.returncode == 0 else ""
