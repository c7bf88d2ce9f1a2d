"""Every format held against the network itself, before anything is handed over."""

import math
from collections.abc import Callable
from pathlib import Path

import torch

from modelwright.errors import ExportError, ModelwrightError
from modelwright.records import Architecture, DataCard
from modelwright.search.handover import formats
from modelwright.search.handover.classifier import Classifier
from modelwright.search.handover.manifest import FILES

TOLERANCE = 1e-4
"""The largest difference between two outputs that is taken for rounding, over the largest absolute output.

fp32 has a step of 1.2e-7; runtimes add up in other orders, over thousands of terms and tens of layers.
"""


def write_formats(
    classifier: Classifier, architecture: Architecture, data: DataCard, folder: Path, member: str
) -> dict[str, float]:
    """Write every format, run each from its file, and return role -> largest difference from the network.

    Args:
        classifier: in evaluation mode, on the CPU.
        architecture: its record.
        data: what it was trained on.
        folder: where to write.
        member: what errors call it.

    Raises:
        ExportError: a format cannot be written or run, or gives other outputs.
        RecordError: the network is not that of the architecture.
        OSError: the place cannot be written.
    """

    def attempt(role: str, write: Callable[[], object], run: Callable[[], formats.Run]) -> float:
        where = f"{member}, {FILES[role]}"
        try:
            write()
            worst = difference(run(), classifier)
        except (OSError, ModelwrightError):
            raise
        except Exception as failure:  # exporters, checkers and runtimes raise errors of every kind
            said = next(iter(str(failure).strip().splitlines()), "")
            rule = f"the network must be one that can be written and run so ({type(failure).__name__}: {said})"
            way_out = "Take the operators that it names out of the space, or report it to the exporter's makers."
            raise ExportError(rule, where=where, way_out=way_out) from failure
        judge(worst, where)
        return worst

    exported: list[torch.export.ExportedProgram] = []

    def program() -> None:
        exported.append(formats.export(classifier))
        formats.write_program(exported[0], folder)

    return {
        "weights": attempt(
            "weights",
            lambda: formats.write_weights(classifier, architecture, folder),
            lambda: formats.run_weights(folder, data),
        ),
        "program": attempt("program", program, lambda: formats.run_program(folder)),
        "onnx": attempt(
            "onnx",
            lambda: formats.write_onnx(exported[0], classifier, folder),
            lambda: formats.run_onnx(folder),
        ),
    }


def difference(run: formats.Run, classifier: Classifier) -> float:
    """The largest difference between the outputs of both, over the classifier's largest absolute output.

    Taken over noise in batches of `formats.BATCHES`; not a number where an output is none.
    """
    found = [_difference(run, classifier, batch) for batch in formats.BATCHES]
    return max(found) if all(map(math.isfinite, found)) else math.nan


def _difference(run: formats.Run, classifier: Classifier, batch: int) -> float:
    samples = classifier.draw(batch, seed=batch)
    with torch.no_grad():
        wanted, got = classifier(samples), run(samples)
    if got.shape != wanted.shape:
        raise ValueError(f"a batch of {batch} gives outputs of shape {tuple(got.shape)}, not {tuple(wanted.shape)}")
    smallest = torch.finfo(wanted.dtype).tiny
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=smallest))


def judge(worst: float, where: str) -> None:
    """Refuse a file whose outputs are not the network's.

    Raises:
        ExportError: the difference is above `TOLERANCE`, or no number.
    """
    if not worst <= TOLERANCE:
        rule = f"outputs must be the network's, to within {TOLERANCE:g} of its largest"
        way_out = "Look for weights that are not finite; else report it to the exporter's makers."
        raise ExportError(rule, where=where, value=worst, way_out=way_out)
