"""Where and how a training runs: all that does not decide what comes out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import torch

from modelwright.clock import Clock, SystemClock
from modelwright.errors import CapacityError, SettingError
from modelwright.networks.measuring.ambience import device_of
from modelwright.networks.measuring.setting import Setting, check
from modelwright.records import Epoch

_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


@final
@dataclass(frozen=True)
class Run:
    """The circumstances of a training run.

    Attributes:
        device: "cpu", "cuda" or "cuda:N".
        threads: CPU threads, 0 for as many as torch takes; on a CPU their number decides the last bits of a result.
        checkpoint: a file to go on from where it is there, and to write to; None for none.
        every: epochs between two checkpoints; the last epoch always gets one.
        test: whether the test split is looked at in the end; a search must not.
        report: is told each epoch; training stops early where it returns False.
        clock: counts the seconds.
        commit: the project's commit, for the record.
    """

    device: str = "cpu"
    threads: int = 0
    checkpoint: Path | None = None
    every: int = 1
    test: bool = False
    report: Callable[[Epoch], bool] | None = None
    clock: Clock = field(default_factory=SystemClock)
    commit: str = ""


@contextmanager
def circumstances(run: Run, where: str) -> Iterator[torch.device]:
    """The run's device, under its threads; torch's threads and random numbers are put back afterwards.

    Raises:
        SettingError: the device cannot be reached, or a number means nothing.
        CapacityError: what is done here does not fit its memory.
    """
    for name, value, least in (("threads", run.threads, 0), ("every", run.every, 1)):
        if value < least:
            rule, way_out = f"{name} must be at least {least}", "Leave it out for the default."
            raise SettingError(rule, where=where, value=value, way_out=way_out)
    setting = Setting(device=run.device, threads=run.threads)
    check(setting)
    device = device_of(setting)
    threads = torch.get_num_threads()
    if run.threads:
        torch.set_num_threads(run.threads)
    try:
        with torch.random.fork_rng(devices=[device.index] if device.type == "cuda" else []):
            yield device
    except (MemoryError, RuntimeError) as failure:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(failure, MemoryError | torch.OutOfMemoryError) and not any(
            words in str(failure) for words in _NO_MEMORY
        ):
            raise
        way_out = "Choose a smaller batch, smaller images or a smaller network."
        raise CapacityError(f"training must fit the memory of {device}", where=where, way_out=way_out) from failure
    finally:
        torch.set_num_threads(threads)
