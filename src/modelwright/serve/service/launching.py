"""How a model's instances are started: by its environment, and where the site lets them run."""

import sys
from pathlib import Path

from modelwright.errors import RecordError
from modelwright.records import ModelRecord
from modelwright.serve.instances import Launch
from modelwright.serve.service.site import Site

BATCH, WAIT = "MODELWRIGHT_MAX_BATCH", "MODELWRIGHT_MAX_WAIT"
"""Variables of a model: calls that its handler answers together, and seconds that one waits for others."""

CPUS, GPUS = "MODELWRIGHT_CPUS", "MODELWRIGHT_GPUS"
"""Variables of a model: what Ray sets aside for an instance."""

AFAR = "modelwright.serve.instances.afar"
_SPARE = 16
"""Calls that an instance holds besides those that it is given at most."""


def launch_of(site: Site, model: ModelRecord, folder: Path, record: Path, concurrency: int) -> Launch:
    """How an instance of a model is started.

    Args:
        site: settings; with `ray`, instances run on a cluster's machines.
        model: whose environment may name a batch, and what Ray sets aside.
        folder: of its files.
        record: for what it writes.
        concurrency: calls that it is given at once at most.

    Raises:
        RecordError: a variable is no number, or too small.
    """
    batch = int(_number(model, BATCH, 1.0, 1.0))
    words = ["--concurrency", str(max(1, concurrency // batch)), "--waiting", str(concurrency + _SPARE)]
    if batch > 1:
        words += ["--max-batch", str(batch), "--max-wait", f"{_number(model, WAIT, 0.005, 0.0):g}"]
    command = site.command or Launch.command
    if site.ray:
        sent = [word for name in sorted(model.environment) for word in ("--variable", name)]
        needs = ("--cpus", f"{_number(model, CPUS, 1.0, 0.0):g}", "--gpus", f"{_number(model, GPUS, 0.0, 0.0):g}")
        command = (sys.executable, "-m", AFAR, "--ray", site.ray, *needs, *sent)
    return Launch(
        folder,
        record,
        handler=model.handler,
        options=tuple(words),
        environment={**site.environment, **model.environment},
        command=command,
    )


def _number(model: ModelRecord, name: str, default: float, least: float) -> float:
    said = model.environment.get(name, "")
    if not said:
        return default
    try:
        value = float(said)
    except ValueError:
        value = least - 1.0
    if not least <= value < 1e6:
        raise RecordError(f"{name} must be a number of {least:g} or more", where=model.name, value=said)
    return value
